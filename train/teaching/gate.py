"""``python -m train gate``: train the voice gate to work through telephones, rooms and noise.

Silero's network detects clean speech well, but misses a third of it over a telephone. It is its own
teacher: its output on clean recordings is the target for the same recordings after the recipe's
augmentation. Stretches without speech have the target zero.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.silero import SILERO_VERSION, VoiceGate, export_voice_gate, load_silero
from streamer.errors import SerLiveError
from streamer.modelfile.lineage import Material
from streamer.outputs import say_on_stderr
from streamer.recognition.voice_gate import (
    CHUNK_SAMPLES,
    CONTEXT_SAMPLES,
    QUIETEST_RMS,
    SLOW_DECAY,
    TARGET_RMS,
)
from streamer.signal import TIMESTEP_SAMPLES
from train.corpora.known import licence_of, title_of
from train.fitting.drawer import Drawer, StreamSet
from train.fitting.recipe import Recipe
from train.fitting.run_folder import Folders
from train.fitting.training import descend
from train.place import CPU
from train.stages.material import heard_beside, read_parts, training_data

#: Chunks at the start of a stretch that are left out of the loss while the gate warms up.
WAKING = 4
LEARNING_RATE = 2e-4
#: Share of the stretches without speech.
BACKGROUND_ALONE = 0.2
#: Playback speeds: the gate misses shouts and high voices most.
SPEED = (0.8, 1.35)
#: Steps between progress reports.
REPORTED = 20


def chunks_of(samples: Tensor) -> Tensor:
    """Cut samples into the gate's inputs: ``(batch, samples)`` -> ``(batch, chunks, 576)``.

    The level is that of the runtime's ``SpeechDetector``, except that it never falls fast and the
    offset subtracted is the mean over the whole stretch.
    """
    count = samples.shape[1] // CHUNK_SAMPLES
    samples = samples[:, : count * CHUNK_SAMPLES]
    samples = samples - samples.mean(dim=1, keepdim=True)
    chunks = torch.unflatten(samples, 1, (count, CHUNK_SAMPLES))
    rms = chunks.square().mean(dim=2).sqrt().clamp(min=QUIETEST_RMS).log()
    fallen = torch.arange(count, device=samples.device) * math.log(SLOW_DECAY)
    envelope = (
        ((rms - fallen).cummax(dim=1).values + fallen).clamp(min=math.log(QUIETEST_RMS)).exp()
    )
    fed = chunks * (TARGET_RMS / envelope)[..., None]
    before = functional.pad(fed[:, :-1, -CONTEXT_SAMPLES:], (0, 0, 1, 0))
    return torch.cat([before, fed], dim=2)


def targets_of(speech: Tensor, chunks: int) -> Tensor:
    """Resample speech probability from ``(batch, timesteps)`` to ``(batch, chunks)``."""
    middles = (np.arange(chunks) + 0.5) * CHUNK_SAMPLES / TIMESTEP_SAMPLES
    return speech[:, np.minimum(middles.astype(int), speech.shape[1] - 1)]


def teach_gate(drawer: Drawer, recipe: Recipe, steps: int) -> VoiceGate:
    """Train Silero's network on the recipe's draws.

    Args:
        drawer: the recipe's drawer.
        recipe: gives the batch size and the seed.
        steps: number of batches.
    """
    torch.manual_seed(recipe.seed)
    gate = load_silero().train()
    optimiser = torch.optim.AdamW(gate.parameters(), LEARNING_RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, steps + 1)
    recent = []
    for step in range(steps):
        samples, speech = drawer.sounds(recipe.batch, [recipe.seed, 1, step])
        _silence_voices(samples, speech, drawer, np.random.default_rng([recipe.seed, 2, step]))
        fed = chunks_of(samples)
        wanted = targets_of(speech, fed.shape[1])[:, WAKING:]
        loss = functional.binary_cross_entropy_with_logits(gate.sequence(fed)[:, WAKING:], wanted)
        descend(loss, gate, optimiser, schedule, largest=1.0)
        recent.append(float(loss.detach()))
        if (step + 1) % REPORTED == 0:
            say_on_stderr(f"train: gate, step {step + 1} of {steps}, loss {np.mean(recent):.4f}")
            recent.clear()
    return gate.eval()


def _silence_voices(
    samples: Tensor, speech: Tensor, drawer: Drawer, generator: np.random.Generator
) -> None:
    """Replace some stretches, in place, by a background at the level of speech."""
    for row in np.flatnonzero(generator.random(len(samples)) < BACKGROUND_ALONE):
        level = 10.0 ** (generator.uniform(-50.0, -10.0) / 20.0)
        samples[row] = drawer.background(samples.shape[1], generator) * level
        speech[row] = 0.0


def write_gate(recipe: Recipe, folders: Folders, steps: int, path: Path) -> None:
    """Train the gate on a recipe's training speakers and write it in the runtime's format.

    Args:
        recipe: recipe that draws the streams.
        folders: folders of the corpora and the cache.
        steps: number of batches; 0 writes Silero's own network.
        path: model file to write.

    Raises:
        SerLiveError: a corpus is missing, or the recipe draws no streams.
    """
    if not steps:
        export_voice_gate(path)
        return
    if recipe.streams is None:
        raise SerLiveError(f"the recipe {recipe.name} draws no streams to learn from")
    recipe = replace(recipe, augmentation=replace(recipe.augmentation, speed=SPEED))
    utterances = read_parts(recipe, folders.corpora).train
    with TemporaryDirectory() as place:
        # Silero's own gate gives the targets, not an earlier trained one.
        own = Path(place) / "silero.onnx"
        export_voice_gate(own)
        data = training_data(recipe, utterances, folders, gate=own)
    assert isinstance(data, StreamSet)
    gate = teach_gate(Drawer(data, recipe, CPU), recipe, steps)
    export_voice_gate(path, gate, taught_on(recipe, folders.corpora, steps))


def taught_on(recipe: Recipe, corpora: Path, steps: int) -> dict[str, str]:
    """Metadata of a trained gate's file; ``source`` and ``licence`` stay Silero's."""
    voices = [
        Material(f"training speakers of {title_of(name)}", licence_of(name))
        for name in recipe.corpora
    ]
    heard = [*voices, *heard_beside(recipe, corpora)]
    return {
        "started from": f"Silero VAD {SILERO_VERSION} (MIT)",
        "taught on": ", ".join(f"{one.name} ({one.licence})" for one in heard),
        "recipe": f"{recipe.name}, seed {recipe.seed}, {steps} steps",
    }
