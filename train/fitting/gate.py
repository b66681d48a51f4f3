"""``python -m train gate``: the voice gate, taught to hear through telephones, rooms and noise.

Silero's network hears clean speech well, and loses a third of it behind a telephone. It teaches
itself: what it says of recordings as they are, it learns to say of the same ones after all that a
recipe draws on them. Where nobody speaks, it learns to hear nobody.
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
from train.fitting.material import heard_beside, read_parts, training_data
from train.fitting.recipe import Recipe
from train.fitting.run_folder import Folders
from train.place import CPU

#: Chunks at the start of a stretch that are not learnt from: the gate is waking up.
WAKING = 4
LEARNING_RATE = 2e-4
#: Share of the stretches in which nobody speaks.
BACKGROUND_ALONE = 0.2
#: Playback speeds: shouts and high voices are what the gate misses most.
SPEED = (0.8, 1.35)
#: How often progress is said, in steps.
REPORTED = 20


def chunks_of(samples: Tensor) -> Tensor:
    """What the runtime feeds the gate: ``(batch, samples)`` -> ``(batch, chunks, 576)``.

    At the level of the runtime's ``SpeechDetector``, but the level never falls fast, and the offset
    that is taken off is the mean over the whole stretch.
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
    """Speech probability of timesteps ``(batch, timesteps)`` -> of chunks ``(batch, chunks)``."""
    middles = (np.arange(chunks) + 0.5) * CHUNK_SAMPLES / TIMESTEP_SAMPLES
    return speech[:, np.minimum(middles.astype(int), speech.shape[1] - 1)]


def teach_gate(drawer: Drawer, recipe: Recipe, steps: int) -> VoiceGate:
    """Let Silero's network learn on what the recipe draws.

    Args:
        drawer: of the recipe.
        recipe: size of the batches and the seed.
        steps: batches.
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
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(gate.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        recent.append(float(loss.detach()))
        if (step + 1) % REPORTED == 0:
            say_on_stderr(f"train: gate, step {step + 1} of {steps}, loss {np.mean(recent):.4f}")
            recent.clear()
    return gate.eval()


def _silence_voices(
    samples: Tensor, speech: Tensor, drawer: Drawer, generator: np.random.Generator
) -> None:
    """In place: some stretches hold a background alone, as loud as speech would be."""
    for row in np.flatnonzero(generator.random(len(samples)) < BACKGROUND_ALONE):
        level = 10.0 ** (generator.uniform(-50.0, -10.0) / 20.0)
        samples[row] = drawer.background(samples.shape[1], generator) * level
        speech[row] = 0.0


def write_gate(recipe: Recipe, folders: Folders, steps: int, path: Path) -> None:
    """Teach the gate on the training speakers of a recipe and write it as the runtime reads it.

    Args:
        recipe: whose streams it learns from.
        folders: of the corpora and the cache.
        steps: batches; without any it is Silero's own.
        path: model file to write.

    Raises:
        SerLiveError: a corpus is missing, the steps are fewer than none, or the recipe draws no
            streams.
    """
    if steps < 0:
        raise SerLiveError(f"--steps must be 0 or more, is {steps}")
    if not steps:
        export_voice_gate(path)
        return
    if recipe.streams is None:
        raise SerLiveError(f"the recipe {recipe.name} draws no streams to learn from")
    recipe = replace(recipe, augmentation=replace(recipe.augmentation, speed=SPEED))
    utterances = read_parts(recipe, folders.corpora).train
    with TemporaryDirectory() as place:
        # Silero's own tells where speech is, not what it was taught before.
        own = Path(place) / "silero.onnx"
        export_voice_gate(own)
        data = training_data(recipe, utterances, folders, gate=own)
    assert isinstance(data, StreamSet)
    gate = teach_gate(Drawer(data, recipe, CPU), recipe, steps)
    export_voice_gate(path, gate, taught_on(recipe, folders.corpora, steps))


def taught_on(recipe: Recipe, corpora: Path, steps: int) -> dict[str, str]:
    """What the file of a taught gate says of that; ``source`` and ``licence`` are Silero's."""
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
