"""Speaker-disjoint splits into training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from train.corpora import Utterance

Part = Literal["train", "validation", "test"]

#: First of the five actor folds used for RAVDESS (ResLSTM-SER study).
RAVDESS_TEST = frozenset({"02", "05", "14", "15", "16"})
RAVDESS_VALIDATION = frozenset({"03", "06"})


def assign_speakers(corpus: str, speakers: Sequence[str]) -> dict[str, Part]:
    """Part of every speaker.

    CREMA-D: actors sorted; positions 0, 5, 10, ... test, 1, 6, 11, ... validation, the rest
    training. RAVDESS: the first of five actor folds. nEMO: all test, it is kept for transfer.
    """
    ordered = sorted(set(speakers))
    parts: dict[str, Part] = {}
    for position, speaker in enumerate(ordered):
        if corpus == "nemo":
            parts[speaker] = "test"
        elif corpus == "ravdess":
            in_test, in_validation = speaker in RAVDESS_TEST, speaker in RAVDESS_VALIDATION
            parts[speaker] = "test" if in_test else "validation" if in_validation else "train"
        else:
            remainder = position % 5
            parts[speaker] = {0: "test", 1: "validation"}.get(remainder, "train")  # type: ignore[assignment]
    return parts


def split(utterances: Sequence[Utterance]) -> dict[Part, list[Utterance]]:
    """Split utterances of any corpora; no speaker is in two parts."""
    speakers: dict[str, list[str]] = {}
    for utterance in utterances:
        speakers.setdefault(utterance.corpus, []).append(utterance.speaker)
    assigned = {corpus: assign_speakers(corpus, names) for corpus, names in speakers.items()}
    parts: dict[Part, list[Utterance]] = {"train": [], "validation": [], "test": []}
    for utterance in utterances:
        parts[assigned[utterance.corpus][utterance.speaker]].append(utterance)
    return parts
