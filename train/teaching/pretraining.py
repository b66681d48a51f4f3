"""Pre-training: the network imitates a large one at every timestep, before learning emotions.

The teacher gets the clean recording; the student gets it somewhere in a stream with the recipe's
augmentation. A linear layer on the sequence that the attention pools predicts the teacher's frame
and is discarded later. The teacher is the encoder of Whisper, see ``model/whisper.py``.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

import model.whisper
from model.baselines import build
from model.network import SpectrogramNetwork
from model.whisper import WhisperEncoder, load_whisper, log_mel
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import HeardCorpus, Lineage
from streamer.signal import TIMESTEP_SAMPLES
from streamer.sound.files.recording import read_recording
from train.corpora.known import Utterance, read_corpus
from train.corpora.lineage import check_recordings, heard_corpora, keep_recordings
from train.corpora.splits import split_of
from train.corpora.voices import read_voices
from train.features.bank import FULL_SCALE, Bank
from train.features.data import digest_of, key_of
from train.fitting.batches import Batch
from train.fitting.checkpoint import restore_checkpoint, save_checkpoint
from train.fitting.drawer import StreamSet
from train.fitting.epochs import log
from train.fitting.recipe import Recipe
from train.fitting.run_folder import CHECKPOINT, Folders, RunFolder
from train.fitting.training import MovingAverage, descend, make_optimiser, make_schedule
from train.place import CPU, Place
from train.progress import tracked
from train.stages.material import heard_beside, ordinary_of, training_data
from train.whole_file import whole_file
from train.workers import WorkerPool

Float16 = NDArray[np.float16]

#: Teacher layers, from 0, whose mean is the target, each layer-normed first. They carry more of how
#: something is said than the last layer, which carries the words.
LAYERS = (3, 4, 5)
#: Teacher frames per timestep.
FRAMES_PER_TIMESTEP = 2
#: Weight of the angle relative to the distance.
ANGLE_WEIGHT = 0.5
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


def load_teacher(path: Path) -> WhisperEncoder:
    """Load an encoder and check that it has :data:`LAYERS`.

    Raises:
        SerLiveError: it cannot be read or has too few layers.
    """
    encoder = load_whisper(path)
    if len(encoder.layers) <= max(LAYERS):
        raise SerLiveError(
            f"the teacher {path} has {len(encoder.layers)} layers, and {max(LAYERS) + 1} are "
            "listened to: take whisper-base"
        )
    return encoder


def told_of(encoder: WhisperEncoder, samples: NDArray[np.float32], timesteps: int) -> Tensor:
    """Call :func:`frames_of`; return zeros for recordings shorter than a timestep."""
    if not timesteps or len(samples) < TIMESTEP_SAMPLES:
        return torch.zeros(timesteps, encoder.width)
    return frames_of(encoder, samples, timesteps)


def teach(
    teacher: Path, paths: Sequence[Path], bank: Bank, cache_folder: Path, device: torch.device = CPU
) -> TeacherFrames:
    """Return the teacher's frames for every recording of the bank, cached or computed.

    Args:
        teacher: file of the encoder.
        paths: paths of the bank's recordings.
        bank: gives the timesteps.
        cache_folder: folder for the computed frames.
        device: device to compute on; a CPU uses all cores.

    Raises:
        SerLiveError: the teacher cannot be read, or has too few layers.
    """
    encoder = load_teacher(teacher)  # raise here, not in a worker
    code = digest_of(inspect.getsource(frames_of), inspect.getsource(model.whisper), repr(LAYERS))
    own = hashlib.sha256(teacher.read_bytes()).hexdigest()
    file = cache_folder / f"frames-{key_of(paths, own, code)}.npy"
    if not file.exists():
        if device.type == "cuda":
            found = _hear_bank(encoder.to(device), bank)
        else:
            found = _hear_paths(teacher, paths, bank)
        values = np.concatenate(found)
        mean = values.mean(axis=0, dtype=np.float64)
        deviation = values.std(axis=0, dtype=np.float64) + 1e-6
        with whole_file(file) as stream:
            np.save(stream, ((values - mean) / deviation).astype(np.float16))
    return TeacherFrames(np.load(file))


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


class Imitator(nn.Module):
    """A network with a layer that predicts the teacher's frames."""

    def __init__(self, network: SpectrogramNetwork, width: int) -> None:
        super().__init__()
        self.network = network
        self.tell = nn.Linear(network.config.hidden, width)

    def forward(self, features: Tensor) -> Tensor:
        """``(batch, timesteps, 4, 201)`` -> ``(batch, timesteps, width)``."""
        told: Tensor = self.tell(self.network.sequence(features))
        return told


def imitation_loss(told: Tensor, frames: Tensor) -> Tensor:
    """Distance and angle between predictions and teacher's frames, both ``(n, width)``."""
    distance = functional.smooth_l1_loss(told, frames)
    angle = 1.0 - functional.cosine_similarity(told, frames, dim=-1).mean()
    return distance + ANGLE_WEIGHT * angle


def run_pretraining(recipe: Recipe, folders: Folders, place: Place) -> dict[str, Any]:
    """Pre-train by a recipe and write weights and result to the run's folder.

    The material is all recordings of the training speakers, voices without a label, and ordinary
    speech.

    Args:
        recipe: the recipe.
        folders: folders to read from and write to.
        place: device; one process does the work.

    Returns:
        the result, in the form of a fit's: recipe, lineage, parameters.

    Raises:
        SerLiveError: recordings or the teacher are missing or cannot be read, speakers are
            unknown, or the folder holds another recipe's run.
    """
    if not recipe.imitates:
        raise SerLiveError(
            f"the recipe {recipe.name} imitates nobody: python -m train fit takes it"
        )
    teacher = folders.corpora / recipe.imitates
    load_teacher(teacher)  # raise before anything is decoded
    voices, heard = voices_of(recipe, folders.corpora)
    lineage = Lineage(heard, heard_beside(recipe, folders.corpora))
    folder = RunFolder(folders.run)
    recordings = check_recordings(voices, folders.corpora, folder.path, folder.is_begun)
    keep_recordings(recordings, folders.run)
    data = training_data(recipe, voices, folders)
    assert isinstance(data, StreamSet)
    paths = [*(one.path for one in voices), *ordinary_of(recipe, folders)]
    frames = teach(teacher, paths, data.bank, folders.cache, place.device)
    network = pretrain(recipe, data, frames, folders.run, place)
    result = {
        "recipe": recipe.to_dict(),
        "lineage": asdict(lineage),
        "parameters": sum(one.numel() for one in network.parameters()),
        "recordings": len(paths),
    }
    folder.keep_weights(network)
    folder.keep_json(result)
    return result


def voices_of(recipe: Recipe, corpora: Path) -> tuple[list[Utterance], tuple[HeardCorpus, ...]]:
    """Return the training speakers' utterances plus unlabelled voices, and the splits.

    Raises:
        SerLiveError: recordings are missing, or training and test share speakers, so that held-out
            speakers could be imitated.
    """
    found: list[Utterance] = []
    heard: list[HeardCorpus] = []
    for name in recipe.corpora:
        split = split_of(recipe.split, read_corpus(name, corpora))
        if split.shared_speakers:
            raise SerLiveError(f"{name}: {split.warnings[0]}; it cannot be imitated")
        found += split.train
        heard += heard_corpora(split, recipe.split)
    voices = [one for name in recipe.voices for one in read_voices(name, corpora)]
    return [*found, *voices], tuple(heard)


def pretrain(
    recipe: Recipe, data: StreamSet, frames: TeacherFrames, folder: Path, place: Place
) -> SpectrogramNetwork:
    """Train the recipe's network to imitate the teacher; log and resume as a fit does.

    Args:
        recipe: the recipe; its ``epochs`` set the length.
        data: streams drawn from the bank that ``frames`` belong to.
        frames: the teacher's frames.
        folder: folder of the log, the checkpoint and the weights.
        place: device; one process does the work.

    Returns:
        the averaged network, on the CPU.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    imitator = Imitator(build(recipe.network), frames.width).to(place.device)
    epochs, checkpoint = recipe.epochs, folder / CHECKPOINT
    progress = _Progress(recipe, imitator)
    if checkpoint.exists():
        progress.load(checkpoint)
    values = torch.from_numpy(frames.values)
    if place.fits(values.nbytes):
        values = values.to(place.device)
    with closing(data.batches(recipe, place)) as batches:
        while progress.epoch < epochs:
            progress.epoch += 1
            imitator.train()
            # A seed that differs from those of emotion training.
            drawn = batches.epoch([recipe.seed, 0, progress.epoch])
            losses = [progress.step(batch, values) for batch in drawn]
            record = {"epoch": progress.epoch, "loss": round(float(torch.stack(losses).mean()), 4)}
            progress.save(checkpoint)
            log(record, folder)
    network = progress.average.network.network
    assert isinstance(network, SpectrogramNetwork)
    return network.cpu().eval()


class _Progress:
    """The state that changes from step to step, and its checkpoint."""

    def __init__(self, recipe: Recipe, imitator: Imitator) -> None:
        steps = recipe.epochs * recipe.epoch_steps
        self.epoch = 0
        self._imitator = imitator
        self.average = MovingAverage(imitator, recipe.averaging)
        self._optimiser = make_optimiser(recipe, imitator)
        self._schedule = make_schedule(recipe, self._optimiser, steps + 1)
        self._recipe = recipe

    def step(self, batch: Batch, values: Tensor) -> Tensor:
        """Train on one batch and return its loss."""
        assert batch.sources is not None
        with torch.autocast(batch.features.device.type, dtype=torch.bfloat16):
            told = self._imitator(batch.features)
        is_heard = batch.sources >= 0
        wanted = values[batch.sources[is_heard].to(values.device)].to(told.device).float()
        loss = imitation_loss(told[is_heard].float(), wanted)
        descend(loss, self._imitator, self._optimiser, self._schedule)
        self.average.update(self._imitator)
        return loss.detach()

    def _parts(self) -> dict[str, Any]:
        parts = {
            "imitator": self._imitator,
            "average": self.average.network,
            "optimiser": self._optimiser,
        }
        return parts | ({"schedule": self._schedule} if self._schedule else {})

    def save(self, path: Path) -> None:
        """Save its state atomically, see :func:`train.fitting.checkpoint.save_checkpoint`."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"epoch": self.epoch, "steps": self.average.steps}
        save_checkpoint(path, self._recipe, state)

    def load(self, path: Path) -> None:
        """Resume a stopped pre-training of the same recipe.

        Raises:
            SerLiveError: the checkpoint is of another recipe, or damaged.
        """
        restore_checkpoint(path, self._recipe, self._take)

    def _take(self, saved: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        self.epoch, self.average.steps = saved["epoch"], saved["steps"]
