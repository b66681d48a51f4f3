"""Files of encoders as small as they may be, named as Whisper's are."""

from __future__ import annotations

import torch
from safetensors.torch import save_file

#: Width of the small encoder: one head.
WIDTH = 64


def keep(model, path, prefix="model.encoder."):
    """As the official files name the tensors, the decoder's beside them."""
    tensors = {f"{prefix}{name}": tensor for name, tensor in model.state_dict().items()}
    save_file(tensors | {"model.decoder.layer_norm.bias": torch.zeros(WIDTH)}, path)
