"""Draws batches of normalised features, targets and weights from a seed."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.voice import HEARD, KNOWN, UNHEARD
from streamer.recognition.normaliser import Normaliser
from streamer.signal import (
    FRAMES_PER_TIMESTEP,
    SPEECH_THRESHOLD,
    TIMESTEP_S,
    TIMESTEP_SAMPLES,
)
from train.corpora.known import NEUTRAL
from train.features.arrangement import Placement, Pool, arrange
from train.features.bank import Bank
from train.features.sound import (
    Bools,
    Surroundings,
    background,
    coloured,
    draw_colours,
    make_surroundings,
    place,
    surround,
    thin_out,
)
from train.features.spectra import levels_of, normalise, power_spectra, samples_of
from train.fitting.batches import FIRST_SPEECH_S, Batch, mask, mix
from train.fitting.recipe import Recipe
from train.place import CPU, Place
from train.workers import WorkerPool

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Generator = np.random.Generator

#: An estimate counts after FIRST_SPEECH_S of its own utterance's speech, and fully after this much.
FULL_OWN_SPEECH_S = 1.2
#: It also counts for this long after the utterance, while its label is still shown.
AFTERWARDS_S = 0.4
#: Number of batches drawn ahead.
AHEAD = 3


@dataclass(frozen=True)
class StreamSet:
    """The material that stretches of streams are drawn from.

    Attributes:
        bank: all recordings, with ordinary speech last.
        targets: ``(labelled recordings, classes)`` distributions over the classes.
        corpora: corpus of each labelled recording.
        speakers: speaker of each labelled recording.
        ordinary: ``(classes,)`` target for ordinary speech.
        ordinary_words: whether each recording of ordinary speech is a single word.
        noises: background recordings.
        rooms: measured impulse responses.
        normaliser: the front end's normaliser.
        timestep_targets: ``(timesteps of the labelled recordings, classes)`` distributions at
            every timestep, instead of ``targets``; None if there are none.
    """

    bank: Bank
    targets: Float32
    corpora: Sequence[str]
    speakers: Sequence[str]
    ordinary: Float32
    ordinary_words: Sequence[bool]
    noises: Sequence[Float32]
    rooms: Sequence[Float32]
    normaliser: Normaliser
    timestep_targets: Float32 | None = None

    def batches(self, recipe: Recipe, place: Place) -> DrawnBatches:
        """Return the batches that a recipe draws from this set."""
        return DrawnBatches(self, recipe, place)


class Drawer:
    """Draws batches on one device; the draws depend only on the seed."""

    def __init__(self, data: StreamSet, recipe: Recipe, device: torch.device) -> None:
        assert recipe.streams is not None
        self._data, self._streams, self._ranges = data, recipe.streams, recipe.augmentation
        self._device = device
        bank = data.bank
        self._recorded = torch.from_numpy(bank.recorded).to(device)
        self._denoised = torch.from_numpy(bank.denoised).to(device)
        labelled = len(data.targets)
        kinds = data.targets.argmax(axis=1).tolist()
        self._pool = Pool.of(bank.lengths[:labelled], data.corpora, data.speakers, kinds)
        self._neutral = recipe.labelled.index(NEUTRAL) if NEUTRAL in recipe.labelled else None
        config = recipe.network
        self._knows_voices, self._hears_level = config.knows_voices, config.hears_level
        self._ordinary = None
        if rest := len(bank) - labelled:
            # The speakers are unknown. Commands and single words come up equally often.
            kinds = [-2 if one else -1 for one in data.ordinary_words]
            lengths, same = bank.lengths[labelled:], ["ordinary"] * rest
            self._ordinary = Pool.of(lengths, same, same, kinds)
        self._surroundings: Surroundings = make_surroundings(
            data.noises, data.rooms, recipe.seed, device
        )

    def draw(self, batch: int, seed: Sequence[int]) -> Batch:
        """Draw a batch whose targets sum to its number of examples.

        Args:
            batch: number of stretches.
            seed: seed of all random draws.
        """
        generator = np.random.default_rng(seed)
        placements = self._arrange(batch, generator)
        sources, targets = self._marks(placements)
        speech = torch.from_numpy(self._speech(sources))
        power = self._power(placements, generator)
        features = normalise(power, speech.to(self._device), self._data.normaliser)
        heard = None
        if self._knows_voices:
            ends = self._known_ends(placements)
            heard = torch.from_numpy(self._taken_in(ends, sources, generator))
            levels = levels_of(power.cpu(), speech)
            self._hear_elsewhere(ends, power, speech, features, levels, generator)
            if self._hears_level:
                heard = torch.stack([heard, levels], dim=-1)
        drawn = Batch(
            features.to(torch.bfloat16),
            torch.from_numpy(targets).to(self._device),
            batch,
            torch.from_numpy(sources).to(self._device),
            None if heard is None else heard.to(self._device),
        )
        drawn = mix(drawn, self._ranges.mixup, generator)
        mask(drawn.features, self._ranges.masked_timesteps, self._ranges.masked_bins, generator)
        return drawn

    def sounds(self, batch: int, seed: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Draw stretches as coloured waveforms, for training ahead of the front end.

        Steps on spectra and features (codec, masks, mixing) are left out.

        Returns:
            samples ``(batch, samples)``, and the clean recordings' speech probability
            ``(batch, timesteps)``.
        """
        generator = np.random.default_rng(seed)
        placements = self._arrange(batch, generator)
        sources, _ = self._marks(placements)
        heard = self.spoken(placements, generator)
        return heard, torch.from_numpy(self._speech(sources)).to(self._device)

    def spoken(self, placements: Sequence[Sequence[Placement]], generator: Generator) -> Tensor:
        """Return waveforms ``(batch, samples)`` of arranged stretches."""
        phoned = generator.random(len(placements)) < self._ranges.telephone
        heard = self._heard(placements, phoned, generator)
        return coloured(heard, draw_colours(self._ranges, phoned, generator))

    def background(self, length: int, generator: Generator) -> Tensor:
        """Return a background without speech, ``(length,)``, at unit RMS."""
        return background(length, self._surroundings, self._ranges.real_noise, generator)

    def _arrange(self, batch: int, generator: Generator) -> list[list[Placement]]:
        speeds = self._ranges.speed
        return [
            arrange(self._pool, self._ordinary, self._streams, speeds, generator, self._neutral)
            for _ in range(batch)
        ]

    @staticmethod
    def _known_ends(placements: Sequence[Sequence[Placement]]) -> list[int]:
        """Return the end of each stretch's known beginning, in timesteps; 0 without one."""
        known = [
            [one.at + one.samples for one in stretch if one.is_known] for stretch in placements
        ]
        return [-(-max(ends, default=0) // TIMESTEP_SAMPLES) for ends in known]

    def _taken_in(self, ends: Sequence[int], sources: Int64, generator: Generator) -> Float32:
        """Return how much of each timestep the voice memory takes in, ``(batch, timesteps)``."""
        heard = np.where(self._speech(sources) >= SPEECH_THRESHOLD, HEARD, UNHEARD)
        for row, end in enumerate(ends):
            heard[row, :end] *= KNOWN
        heard[generator.random(len(ends)) < self._streams.unheard] = UNHEARD
        return heard.astype(np.float32)

    def _hear_elsewhere(
        self,
        ends: Sequence[int],
        power: Tensor,
        speech: Tensor,
        features: Tensor,
        levels: Tensor,
        generator: Generator,
    ) -> None:
        """Put some known beginnings in a stream of their own, at a level of its own, in place.

        Args:
            ends: ends of the known beginnings, in timesteps.
            power: ``(batch, frames, 201)``.
            speech: ``(batch, timesteps)`` speech probability, on the CPU.
            features: ``(batch, timesteps, 4, 201)``.
            levels: ``(batch, timesteps)``, on the CPU.
            generator: source of all random draws.
        """
        is_elsewhere = generator.random(len(ends)) < self._streams.elsewhere
        offsets = generator.normal(0.0, self._streams.elsewhere_db, len(ends))
        for row, end in enumerate(ends):
            if is_elsewhere[row] and 0 < end < levels.shape[1]:
                own, said = power[row, FRAMES_PER_TIMESTEP * end :][None], speech[row, end:][None]
                rest = normalise(own, said.to(own.device), self._data.normaliser)
                features[row, end:] = rest[0]
                levels[row, end:] = levels_of(own.cpu(), said)[0]
                levels[row, :end] += float(offsets[row])

    def _power(self, placements: Sequence[Sequence[Placement]], generator: Generator) -> Tensor:
        """Return augmented spectra of arranged stretches, ``(batch, frames, 201)``."""
        ranges = self._ranges
        phoned = generator.random(len(placements)) < ranges.telephone
        power = power_spectra(self._heard(placements, phoned, generator))
        colours = torch.from_numpy(draw_colours(ranges, phoned, generator))
        power *= colours.to(power)[:, None]
        thin_out(power, ranges.codec, generator)
        return power

    def _heard(
        self,
        placements: Sequence[Sequence[Placement]],
        phoned: Bools,
        generator: Generator,
    ) -> Tensor:
        length, ranges = samples_of(self._streams.timesteps), self._ranges
        bank = self._data.bank
        is_denoised = generator.random(len(placements)) < ranges.denoise
        heard = torch.zeros(len(placements), length, device=self._device)
        for samples, chosen in ((self._denoised, is_denoised), (self._recorded, ~is_denoised)):
            rows = np.flatnonzero(chosen).tolist()
            if rows:
                heard[rows] = place(samples, bank, [placements[row] for row in rows], length)
        levels = torch.from_numpy(np.array([self._level(one) for one in placements])).to(heard)
        return surround(heard, levels, ranges, self._surroundings, phoned, generator)

    def _level(self, stretch: Sequence[Placement]) -> float:
        """Return the mean active level of a stretch's speech; 1 is full scale."""
        powers = [
            (self._data.bank.levels[one.recording] * 10.0 ** (one.gain_db / 20.0)) ** 2
            for one in stretch
        ]
        return float(np.sqrt(np.mean(powers)))

    def _speech(self, sources: Int64) -> Float32:
        """Return the speech probability at the bank's timesteps, 0 where there is no source."""
        return np.where(sources >= 0, self._data.bank.speech[sources], 0.0).astype(np.float32)

    def _marks(self, placements: Sequence[Sequence[Placement]]) -> tuple[Int64, Float32]:
        """Return each timestep's source in the bank ``(batch, timesteps)`` and weighted targets."""
        timesteps, data = self._streams.timesteps, self._data
        sources = np.full((len(placements), timesteps), -1, np.int64)
        weighted = np.zeros((len(placements), timesteps, data.targets.shape[1]), np.float32)
        starts, ends = data.bank.speech_starts, data.bank.speech_ends
        for row, stretch in enumerate(placements):
            for one, following in zip(stretch, [*stretch, None][1:], strict=True):
                start, known = starts[one.recording], ends[one.recording] - starts[one.recording]
                if not known:
                    continue
                first = one.at // TIMESTEP_SAMPLES
                last = min(-(-(one.at + one.samples) // TIMESTEP_SAMPLES), timesteps)
                middles = (np.arange(first, last) + 0.5) * TIMESTEP_SAMPLES - one.at
                index = (middles * one.speed / TIMESTEP_SAMPLES).astype(int)
                sources[row, first:last] = start + np.clip(index, 0, known - 1)
                if one.is_known:  # known speech has no target
                    continue
                stop = timesteps if following is None else following.at // TIMESTEP_SAMPLES
                stop = min(stop, last + round(AFTERWARDS_S / TIMESTEP_S))
                if stop <= first:  # the next utterance begins in the same timestep
                    continue
                weights = own_weights(self._speech(sources[row, first:stop]))
                target = self._target(one.recording, sources[row, first:stop])
                weighted[row, first:stop] = weights[:, None] * target
        total = weighted.sum()
        return sources, weighted * (len(placements) / total if total else 0.0)

    def _target(self, recording: int, sources: Int64) -> Float32:
        """Return a recording's distribution, ``(classes,)``, or that at each of its timesteps.

        Args:
            recording: index of the recording.
            sources: ``(timesteps,)`` its timesteps in the bank; after its end, -1.
        """
        data = self._data
        if recording >= len(data.targets):
            return data.ordinary
        if data.timestep_targets is None:
            return np.asarray(data.targets[recording])
        last = sources.max()
        return np.asarray(data.timestep_targets[np.where(sources >= 0, sources, last)])


def own_weights(speech: Float32) -> Float32:
    """Weight an utterance's estimates, ``(timesteps,)``, by its speech heard so far."""
    heard_s = np.cumsum(speech >= SPEECH_THRESHOLD) * TIMESTEP_S
    weights = np.clip(heard_s / FULL_OWN_SPEECH_S, 0, 1) * (heard_s >= FIRST_SPEECH_S)
    return np.asarray(weights, np.float32)


class DrawnBatches:
    """Freshly drawn batches; on a CPU, another process draws them ahead of the training."""

    def __init__(self, data: StreamSet, recipe: Recipe, place: Place) -> None:
        self._data, self._recipe, self._place = data, recipe, place
        self._own = -(-recipe.batch // place.ranks)
        self._threads = torch.get_num_threads()
        self._drawer: Drawer | None = None
        self._pool: WorkerPool | None = None
        if place.device.type == "cpu" and recipe.draws_ahead:
            torch.set_num_threads(max(1, self._threads - 1))
            spawn = multiprocessing.get_context("spawn")
            self._pool = WorkerPool(1, spawn, _start_drawing, (data, recipe))
        else:
            self._drawer = Drawer(data, recipe, place.device)

    @property
    def examples(self) -> int:
        """Number of stretches in an epoch."""
        return self._recipe.batch * self._recipe.epoch_steps

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""
        return self._recipe.epoch_steps

    def epoch(self, seed: Sequence[int]) -> Iterator[Batch]:
        """Yield this process's share of every batch; the same seed gives the same batches."""
        seeds = [[*seed, step, self._place.rank] for step in range(self.steps)]
        yield from self._ahead(seeds) if self._pool else self._at_once(seeds)

    def close(self) -> None:
        """End the drawing process."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            torch.set_num_threads(self._threads)

    def _at_once(self, seeds: Sequence[Sequence[int]]) -> Iterator[Batch]:
        assert self._drawer is not None
        for seed in seeds:
            yield self._drawer.draw(self._own, seed)

    def _ahead(self, seeds: Sequence[Sequence[int]]) -> Iterator[Batch]:
        assert self._pool is not None
        waiting: deque[Future[tuple[NDArray[np.generic], ...]]] = deque()
        for seed in seeds:
            waiting.append(self._pool.submit(_draw, self._own, seed))
            if len(waiting) >= AHEAD:
                yield _received(waiting.popleft().result())
        while waiting:
            yield _received(waiting.popleft().result())


_drawer: Drawer | None = None


def _start_drawing(data: StreamSet, recipe: Recipe) -> None:
    """Set up the worker's drawer."""
    global _drawer
    torch.set_num_threads(1)
    _drawer = Drawer(data, recipe, CPU)


def _draw(batch: int, seed: Sequence[int]) -> tuple[NDArray[np.generic], ...]:
    """Draw a batch in the worker, as NumPy arrays; NumPy has no bfloat16."""
    assert _drawer is not None
    drawn = _drawer.draw(batch, seed)
    assert drawn.sources is not None
    heard = () if drawn.heard is None else (drawn.heard.numpy(),)
    return (
        drawn.features.view(torch.int16).numpy(),
        drawn.targets.numpy(),
        drawn.sources.numpy(),
        *heard,
    )


def _received(drawn: tuple[NDArray[np.generic], ...]) -> Batch:
    features, targets, *rest = (torch.from_numpy(one) for one in drawn)
    return Batch(features.view(torch.bfloat16), targets, len(targets), *rest)
