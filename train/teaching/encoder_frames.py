"""What Whisper's encoder hears in recordings at every timestep, computed once and stored.

Networks imitate these frames, and teachers of emotions learn on them.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import model.whisper
from model.whisper import WhisperEncoder, load_whisper, log_mel
from streamer.errors import SerLiveError
from streamer.signal import TIMESTEP_SAMPLES
from streamer.sound.files.recording import read_recording
from train.features.bank import FULL_SCALE, Bank
from train.features.data import key_of, source_digest
from train.place import CPU
from train.progress import tracked
from train.whole_file import whole_file
from train.workers import WorkerPool

Float16 = NDArray[np.float16]

#: Teacher layers, from 0, whose mean is the target, each layer-normed first. They carry more of how
#: something is said than the last layer, which carries the words.
LAYERS = (3, 4, 5)
#: Teacher frames per timestep.
FRAMES_PER_TIMESTEP = 2
#: Recordings per worker job.
CHUNK = 32


@dataclass(frozen=True)
class TeacherFrames:
    """The teacher's features at every timestep of a bank.

    Attributes:
        values: ``(timesteps, width)``, standardised per dimension.
    """

    values: Float16

    @property
    def width(self) -> int:
        return int(self.values.shape[1])


def frames_of(encoder: WhisperEncoder, samples: NDArray[np.float32], timesteps: int) -> Tensor:
    """Compute the teacher's features of a recording: ``(timesteps, width)``, float32.

    Beyond its 30 s of positions, the last frame is repeated.
    """
    device = encoder.layer_norm.weight.device
    mel = log_mel(torch.from_numpy(samples).float().to(device))
    with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16):
        outputs = encoder(mel[None, :, : 2 * encoder.embed_positions.num_embeddings])
    hidden = [functional.layer_norm(outputs[i][0].float(), (encoder.width,)) for i in LAYERS]
    frames = torch.stack(hidden).mean(dim=0)
    pairs = functional.avg_pool1d(frames.T[None], FRAMES_PER_TIMESTEP)[0].T.cpu()
    index = torch.arange(timesteps).clamp(max=len(pairs) - 1)
    return pairs[index]


def load_encoder(path: Path) -> WhisperEncoder:
    """Load an encoder and check that it has :data:`LAYERS`.

    Raises:
        SerLiveError: it cannot be read or has too few layers.
    """
    encoder = load_whisper(path)
    if len(encoder.layers) <= max(LAYERS):
        raise SerLiveError(
            f"the encoder {path} has {len(encoder.layers)} layers, and {max(LAYERS) + 1} are "
            "listened to: take whisper-base"
        )
    return encoder


def told_of(encoder: WhisperEncoder, samples: NDArray[np.float32], timesteps: int) -> Tensor:
    """Call :func:`frames_of`; return zeros for recordings shorter than a timestep."""
    if not timesteps or len(samples) < TIMESTEP_SAMPLES:
        return torch.zeros(timesteps, encoder.width)
    return frames_of(encoder, samples, timesteps)


def encoder_frames_of(
    file: Path, paths: Sequence[Path], bank: Bank, cache_folder: Path, device: torch.device = CPU
) -> TeacherFrames:
    """Return the encoder's frames for every recording of the bank, cached or computed.

    Args:
        file: file of the encoder.
        paths: paths of the bank's recordings.
        bank: gives the timesteps.
        cache_folder: folder for the computed frames.
        device: device to compute on; a CPU uses all cores.

    Raises:
        SerLiveError: the encoder cannot be read, or has too few layers.
    """
    encoder = load_encoder(file)  # raise here, not in a worker
    code = source_digest(
        inspect.getsource(frames_of), inspect.getsource(model.whisper), repr(LAYERS)
    )
    own = hashlib.sha256(file.read_bytes()).hexdigest()
    stored = cache_folder / f"frames-{key_of(paths, own, code)}.npy"
    if not stored.exists():
        if device.type == "cuda":
            found = _hear_bank(encoder.to(device), bank)
        else:
            found = _hear_paths(file, paths, bank)
        values = np.concatenate(found)
        mean = values.mean(axis=0, dtype=np.float64)
        deviation = values.std(axis=0, dtype=np.float64) + 1e-6
        with whole_file(stored) as stream:
            np.save(stream, ((values - mean) / deviation).astype(np.float16))
    return TeacherFrames(np.load(stored))


def _hear_bank(encoder: WhisperEncoder, bank: Bank) -> list[Float16]:
    """Compute the frames of every recording from the bank."""
    found = []
    starts = bank.starts
    for index, count in enumerate(bank.timesteps.tolist()):
        stored = bank.recorded[starts[index] : bank.ends[index]]
        samples = stored.astype(np.float32) / np.float32(FULL_SCALE * bank.gains[index])
        found.append(told_of(encoder, samples, count).to(torch.float16).numpy())
    return found


def _hear_paths(teacher: Path, paths: Sequence[Path], bank: Bank) -> list[Float16]:
    """Compute the frames of every recording in worker processes."""
    timesteps = bank.timesteps.tolist()
    jobs = [
        (paths[first : first + CHUNK], timesteps[first : first + CHUNK])
        for first in range(0, len(paths), CHUNK)
    ]
    with WorkerPool() as pool:
        heard = pool.map(partial(_hear, teacher), jobs)
        sizes = [len(chunk) for chunk, _ in jobs]
        return list(tracked(heard, sizes, "recordings are heard by the teacher"))


@cache
def _worker_encoder(teacher: Path) -> WhisperEncoder:
    torch.set_num_threads(1)
    return load_whisper(teacher)


def _hear(teacher: Path, job: tuple[Sequence[Path], Sequence[int]]) -> Float16:
    """Compute the frames of some recordings in a worker."""
    encoder = _worker_encoder(teacher)
    found = [
        told_of(encoder, read_recording(path), count) for path, count in zip(*job, strict=True)
    ]
    return torch.cat(found).to(torch.float16).numpy()
