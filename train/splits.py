"""Speaker-disjoint splits into training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from train.corpora import Utterance

#: What a speaker is used for.
Part = Literal["train", "validation", "test"]

#: First of the five actor folds used for RAVDESS (ResLSTM-SER study).
RAVDESS_TEST = frozenset({"02", "05", "14", "15", "16"})
RAVDESS_VALIDATION = frozenset({"03", "06"})


#: Every fifth of the 80 actors at hand, sorted, from the first and from the second. By name: on
#: the full corpus of 91 actors nobody moves, and the eleven more are for training.
# fmt: off
CREMAD_TEST = frozenset({
    "1001", "1008", "1013", "1018", "1023", "1028", "1033", "1039",
    "1044", "1050", "1056", "1061", "1067", "1073", "1078", "1087",
})
CREMAD_VALIDATION = frozenset({
    "1002", "1009", "1014", "1019", "1024", "1029", "1035", "1040",
    "1046", "1051", "1057", "1062", "1068", "1074", "1079", "1088",
})
# fmt: on

#: Speakers of each corpus that are kept from training; all others are trained on.
HELD_OUT: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "cremad": (CREMAD_VALIDATION, CREMAD_TEST),
    "ravdess": (RAVDESS_VALIDATION, RAVDESS_TEST),
}


def part_of(corpus: str, speaker: str) -> Part:
    """Part of a speaker, whoever else is at hand. A corpus without a split is all test."""
    if corpus not in HELD_OUT:
        return "test"
    validation, test = HELD_OUT[corpus]
    return "test" if speaker in test else "validation" if speaker in validation else "train"


def split(utterances: Sequence[Utterance]) -> dict[Part, list[Utterance]]:
    """Split utterances of any corpora; no speaker is in two parts."""
    parts: dict[Part, list[Utterance]] = {"train": [], "validation": [], "test": []}
    for utterance in utterances:
        parts[part_of(utterance.corpus, utterance.speaker)].append(utterance)
    return parts
