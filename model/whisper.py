"""The encoder of OpenAI's Whisper, a teacher in training; never part of the runtime.

Radford et al. 2022, https://github.com/openai/whisper, weights under MIT. This is the same
function. The tensors have the names of the official ``model.safetensors``, so that file loads, too.
The encoder sees the whole recording in both directions.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from streamer.errors import SerLiveError
from streamer.signal import FRAME_SAMPLES, HOP_SAMPLES, SAMPLE_RATE

#: Where to get the file, for error messages.
SOURCE = "it is model.safetensors of openai/whisper-base on Hugging Face (MIT): put it there"

MEL_BINS = 80
#: Dynamic range kept of the log-mel spectrum, in powers of ten.
_RANGE = 8.0
_HEAD_WIDTH = 64
_PREFIX = "model.encoder."


def mel_filters() -> NDArray[np.float32]:
    """Return Slaney's mel filters with Slaney's norm: ``(80, 201)`` from 0 to 8000 Hz."""
    # Linear below 1 kHz at 200/3 Hz per mel; logarithmic above at 27 mels per factor of 6.4.
    edge_mel, step = 15.0, math.log(6.4) / 27.0
    top = edge_mel + math.log(SAMPLE_RATE / 2 / 1000.0) / step
    mels = np.linspace(0.0, top, MEL_BINS + 2)
    hertz = np.where(mels < edge_mel, mels * 200.0 / 3.0, 1000.0 * np.exp(step * (mels - edge_mel)))
    bins = np.linspace(0, SAMPLE_RATE / 2, FRAME_SAMPLES // 2 + 1)
    rising = (bins - hertz[:-2, None]) / np.diff(hertz)[:-1, None]
    falling = (hertz[2:, None] - bins) / np.diff(hertz)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters = triangles * (2.0 / (hertz[2:] - hertz[:-2]))[:, None]
    return np.asarray(filters, np.float32)


def log_mel(samples: Tensor) -> Tensor:
    """Compute the encoder's input: 16 kHz ``(..., samples)`` -> ``(..., 80, samples // 160)``."""
    window = torch.hann_window(FRAME_SAMPLES, device=samples.device)
    spectrum = torch.stft(samples, FRAME_SAMPLES, HOP_SAMPLES, window=window, return_complex=True)
    power = spectrum[..., :-1].abs().square()
    filters = torch.from_numpy(mel_filters()).to(samples.device)
    logs = (filters @ power).clamp(min=1e-10).log10()
    loudest = logs.amax(dim=(-2, -1), keepdim=True)
    return (torch.maximum(logs, loudest - _RANGE) + 4.0) / 4.0


class _Layer(nn.Module):
    """Pre-norm self-attention and feed-forward."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // _HEAD_WIDTH
        self.self_attn = nn.ModuleDict(
            {
                "q_proj": nn.Linear(width, width),
                "k_proj": nn.Linear(width, width, bias=False),
                "v_proj": nn.Linear(width, width),
                "out_proj": nn.Linear(width, width),
            }
        )
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, hidden: Tensor) -> Tensor:
        normed = self.self_attn_layer_norm(hidden)
        query, key, value = (
            self.self_attn[name](normed).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for name in ("q_proj", "k_proj", "v_proj")
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        hidden = hidden + self.self_attn["out_proj"](mixed.transpose(1, 2).flatten(2))
        inner = functional.gelu(self.fc1(self.final_layer_norm(hidden)))
        return hidden + torch.as_tensor(self.fc2(inner))


class WhisperEncoder(nn.Module):
    """Two convolutions, learnt positions, transformer layers."""

    def __init__(self, width: int, layers: int, positions: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(MEL_BINS, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(positions, width)
        self.layers = nn.ModuleList(_Layer(width) for _ in range(layers))
        self.layer_norm = nn.LayerNorm(width)

    @property
    def width(self) -> int:
        return self.layer_norm.normalized_shape[0]

    def forward(self, mel: Tensor) -> list[Tensor]:
        """Return every layer's output ``(batch, frames, width)``, at 50 frames per second.

        Args:
            mel: ``(batch, 80, 2 frames)``.
        """
        hidden = functional.gelu(self.conv1(mel))
        hidden = functional.gelu(self.conv2(hidden)).transpose(1, 2)
        hidden = hidden[:, : self.embed_positions.num_embeddings]
        hidden = hidden + self.embed_positions.weight[: hidden.shape[1]]
        outputs = []
        for layer in self.layers:
            hidden = layer(hidden)
            outputs.append(hidden)
        return outputs


def load_whisper(path: Path) -> WhisperEncoder:
    """Load the encoder from a safetensors file, in float32 and for inference.

    Raises:
        SerLiveError: the file is missing or holds no such encoder.
    """
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except Exception as error:  # safetensors raises its own types and the system's
        raise SerLiveError(f"cannot read the teacher {path}: {error}; {SOURCE}") from error
    own = {
        name.removeprefix(_PREFIX): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith(_PREFIX)
    }
    found = [re.match(r"layers\.(\d+)\.", name) for name in own]
    layers = 1 + max((int(one[1]) for one in found if one), default=-1)
    positions = own.get("embed_positions.weight")
    if not layers or positions is None:
        raise SerLiveError(f"{path} holds no Whisper encoder: its tensors are named otherwise")
    encoder = WhisperEncoder(positions.shape[1], layers, positions.shape[0])
    try:
        encoder.load_state_dict(own)
    except RuntimeError as error:
        raise SerLiveError(f"{path} holds no Whisper encoder of this shape") from error
    return encoder.eval()
