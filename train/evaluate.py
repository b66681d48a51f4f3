"""How well a model file does on speakers it was not trained on, measured through the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.audio import read_recording
from streamer.decision import SILENCE, Verdict
from streamer.recognizer import Recognizer
from train.corpora import Utterance, at_hand, read_corpus
from train.scoring import Scores, score
from train.splits import split


@cache
def _recognizer(model: Path) -> Recognizer:
    return Recognizer.load(model)


def _hear(path: Path, model: Path, gain_db: float) -> tuple[NDArray[np.float64], bool]:
    """Worker: the verdict's probabilities on one recording, and whether it held speech."""
    recognizer = _recognizer(model)
    samples = np.clip(read_recording(path) * np.float32(10.0 ** (gain_db / 20.0)), -1.0, 1.0)
    stream = recognizer.stream()
    verdict = Verdict(recognizer.metadata.labels, recognizer.metadata.decision.speech_on)
    for estimate in stream.accept(samples) + stream.flush():
        verdict.add(estimate.probabilities, estimate.speech)
    return verdict.probabilities, verdict.overall != SILENCE


def evaluate(
    model: Path,
    corpora: Path,
    names: Sequence[str] = (),
    gain_db: float = 0.0,
    workers: int = 2,
) -> dict[str, tuple[Scores, int]]:
    """Score the test speakers of each corpus.

    Args:
        model: ONNX file.
        corpora: folder of the unpacked corpora.
        names: corpora to score; none for every known corpus at hand.
        gain_db: level change before the front end, clipped at full scale.
        workers: processes.

    Returns:
        by corpus the scores, and the number of recordings in which no speech was found; their
        verdict counts as it stands, all labels equal.
    """
    labels = _recognizer(model).metadata.labels
    results = {}
    for name in names or at_hand(corpora):
        test: list[Utterance] = split(read_corpus(name, corpora, labels))["test"]
        work = partial(_hear, model=model, gain_db=gain_db)
        with ProcessPoolExecutor(workers) as pool:
            heard = list(pool.map(work, [one.path for one in test], chunksize=32))
        truth = np.array([labels.index(one.label) for one in test], np.int64)
        unheard = sum(not has_speech for _, has_speech in heard)
        results[name] = score(np.stack([one for one, _ in heard]), truth), unheard
    return results


def describe(name: str, scores: Scores, unheard: int, labels: Sequence[str]) -> str:
    """Lines for people."""
    recalls = np.diag(scores.confusion) / np.maximum(scores.confusion.sum(axis=1), 1)
    parts = ", ".join(
        f"{label} {100 * recall:.1f}" for label, recall in zip(labels, recalls, strict=True)
    )
    return (
        f"{name}: UAR {scores.uar:.1f} %, WA {scores.wa:.1f} %, calibration error "
        f"{scores.calibration_error:.3f}, {scores.confusion.sum()} recordings "
        f"({unheard} without speech); recall {parts}"
    )
