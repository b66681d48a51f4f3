"""Runs ``ser-live info``."""

from __future__ import annotations

import argparse

from streamer.commands.choices import stdout
from streamer.outputs import write_line
from streamer.recognition.metadata import ModelMetadata
from streamer.recognition.recognizer import Recognizer
from streamer.session.interrupts import Interrupts
from streamer.signal import TIMESTEP_S


def run(options: argparse.Namespace, _interrupts: Interrupts) -> int:
    """Write a line for each fact in the model's metadata.

    Raises:
        SerLiveError: the file is missing, or not a model of ours.
    """
    metadata = Recognizer.load(options.model).metadata
    facts = {
        "model": metadata.name,
        "labels": ", ".join(metadata.labels),
        "look-ahead": f"{metadata.look_ahead_ms:g} ms, plus the resampler's at other rates "
        "than 16 kHz",
        "rolling window": f"{metadata.window_timesteps * TIMESTEP_S:g} s of sound, which an "
        "estimate weighs",
        "temperature": f"{metadata.temperature:.3f}, already applied to the probabilities",
        "everyday prior": _shares(metadata) or "not known",
        "voices": "it gets to know them, and takes a profile; see ser-live enrol"
        if metadata.knows_voices
        else "it does not get to know them, and takes no profile",
        **metadata.lineage.facts,
        **metadata.training,
    }
    if any("UAR" in fact for fact in metadata.training.values()):
        chance = round(100 / len(metadata.labels), 1)
        facts["UAR"] = f"recall, mean over the labels; chance is {chance:g} %"
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        write_line(stdout(), f"{name:<{width}}  {value}")
    return 0


def _shares(metadata: ModelMetadata) -> str:
    """Return each label's frequency in everyday life; empty if the model has none."""
    pairs = zip(metadata.labels, metadata.everyday_prior, strict=False)
    return ", ".join(f"{label} {100 * share:.3g} %" for label, share in pairs)
