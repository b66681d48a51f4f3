"""Teachers of emotions on Whisper's encoder, in training only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from model.whisper import WhisperEncoder, log_mel
from streamer.signal import HOP_SAMPLES

#: Width of the heads.
HEAD_HIDDEN = 128
FRAME_HIDDEN = 64


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


class FrameClassifier(nn.Module):
    """A classifier of every timestep on the encoder's frames, which it hears in both directions."""

    def __init__(self, width: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.entrance = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(width, FRAME_HIDDEN), nn.ReLU()
        )
        self.recurrent = nn.GRU(FRAME_HIDDEN, FRAME_HIDDEN, batch_first=True, bidirectional=True)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * FRAME_HIDDEN, labels))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Compute logits ``(batch, timesteps, labels)``; what lies beyond a row's end is ignored.

        Args:
            frames: ``(batch, timesteps, width)``.
            lengths: ``(batch,)`` timesteps of each row that belong to the recording, 1 or more.
        """
        packed = pack_padded_sequence(
            self.entrance(frames), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        heard, _ = self.recurrent(packed)
        unpacked, _ = pad_packed_sequence(heard, batch_first=True, total_length=frames.shape[1])
        logits: Tensor = self.classifier(unpacked)
        return logits
