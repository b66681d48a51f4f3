"""Estimates of a recognizer and of torch from the same samples."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st

from streamer.recognition.level import LevelState, levels_of
from streamer.recognition.spectra import Spectra, SpectralAnalysis
from streamer.recognition.voice_gate import SpeechDetector
from streamer.signal import SPEECH_THRESHOLD
from tests.helpers.networks import TEMPERATURE

#: Tolerance of probabilities, between torch and ONNX.
TOLERANCE = 1e-5
#: Block sizes of the contract: one sample to three seconds.
block_sizes = st.lists(
    st.one_of(st.integers(1, 700), st.integers(1, 48_000)), min_size=1, max_size=40
)


def run(recognizer, samples, sizes=(), at_once=1):
    """Return the estimates from the samples in blocks of the given sizes, the rest as one block."""
    stream, estimates = recognizer.stream(at_once=at_once), []
    for block in np.split(samples, np.minimum(np.cumsum(sizes, dtype=int), len(samples))):
        estimates += stream.accept(block)
    return estimates + stream.flush()


def probabilities(estimates):
    """A row for each estimate."""
    return np.array([estimate.probabilities for estimate in estimates])


def analyse(analysis, samples, ends=()):
    """Return the spectra of samples cut into blocks at the given places."""
    state = analysis.initial_state()
    parts = []
    for block in np.split(samples, sorted(ends)):
        part, state = analysis.accept(block, state)
        parts.append(part)
    part, state = analysis.flush(state)
    parts.append(part)
    return Spectra(
        np.concatenate([p.power for p in parts]), np.concatenate([p.speech for p in parts])
    )


def offline_torch(network, features, heard):
    return network(features, heard)


def told_of(exported, spectra, takes_in=1.0):
    """What a voice memory is told of whole streams, ``(timesteps,)`` or ``(timesteps, 2)``."""
    heard = takes_in * torch.from_numpy(spectra.speech >= SPEECH_THRESHOLD).float()
    if not exported.metadata.hears_level:
        return heard
    levels, _ = levels_of(spectra, LevelState())
    return torch.stack([heard, torch.tensor(levels)], dim=-1)


def torch_probabilities(exported, samples, forward=offline_torch):
    """Probabilities by torch, from the front end run on the whole recording at once.

    A voice memory takes in the timesteps with speech.
    """
    spectra = analyse(SpectralAnalysis(SpeechDetector()), samples)
    normaliser = exported.metadata.normaliser
    features, _ = normaliser.normalise(spectra, normaliser.initial_state())
    heard = told_of(exported, spectra)[None]
    with torch.no_grad():
        logits, _ = forward(exported.network, torch.from_numpy(features)[None], heard)
    return torch.softmax(logits[0] / TEMPERATURE, dim=-1).numpy()
