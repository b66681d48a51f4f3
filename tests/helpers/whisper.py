"""Files of tiny encoders, with the names of Whisper's tensors."""

from __future__ import annotations

import torch
from safetensors.torch import save_file

from model.whisper import WhisperEncoder

#: Width of the small encoder: one head.
WIDTH = 64
#: As many layers as whisper-base has.
LAYERS = 6


def tiny_encoder(positions=1500):
    """Make a small encoder with random weights."""
    torch.manual_seed(4)
    return WhisperEncoder(WIDTH, LAYERS, positions).eval()


def keep(model, path, prefix="model.encoder."):
    """Write the tensors under their official names, with some of the decoder's."""
    tensors = {f"{prefix}{name}": tensor for name, tensor in model.state_dict().items()}
    save_file(tensors | {"model.decoder.layer_norm.bias": torch.zeros(WIDTH)}, path)
