"""Whisper's encoder with an attentive head on top: a teacher of emotions, in training only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.whisper import WhisperEncoder, log_mel
from streamer.signal import HOP_SAMPLES

HEAD_HIDDEN = 128


class EmotionEncoder(nn.Module):
    """A classifier on a weighted sum of the encoder's layers, pooled to mean and deviation."""

    def __init__(self, encoder: WhisperEncoder, labels: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.layers = nn.Parameter(torch.zeros(len(encoder.layers)))
        self.inner = nn.Linear(encoder.width, HEAD_HIDDEN)
        self.outer = nn.Linear(HEAD_HIDDEN, 1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(2 * encoder.width, labels)

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """Compute logits ``(batch, labels)``.

        Args:
            samples: ``(batch, samples)`` at 16 kHz.
            lengths: ``(batch,)`` samples of each row that belong to the recording.
        """
        with torch.autocast(samples.device.type, enabled=False):
            mel = log_mel(samples)
        outputs = self.encoder(mel)
        normed = [functional.layer_norm(one.float(), one.shape[-1:]) for one in outputs]
        shares = torch.softmax(self.layers, dim=0)
        hidden = sum(share * one for share, one in zip(shares, normed, strict=True))
        assert isinstance(hidden, Tensor)
        scores = self.outer(torch.tanh(self.inner(hidden))).squeeze(-1).float()
        frames = torch.arange(hidden.shape[1], device=hidden.device)
        is_there = frames < (lengths[:, None] // (2 * HOP_SAMPLES)).clamp(min=1)
        weights = torch.softmax(scores.masked_fill(~is_there, -torch.inf), dim=-1)[..., None]
        mean = (weights * hidden).sum(dim=1)
        square = (weights * hidden.square()).sum(dim=1)
        deviation = (square - mean.square()).clamp(min=0).add(1e-3).sqrt()
        logits: Tensor = self.classifier(self.dropout(torch.cat([mean, deviation], dim=-1)))
        return logits.float()
