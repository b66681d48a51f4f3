"""Splits of a corpus into training, validation and test, each defined by its name.

fixed               each corpus's own default, also for several corpora; used in training
ravdess-5/1         RAVDESS, five folds of actors with validation actors (ResLSTM-SER study)
emobox-6/1          RAVDESS, six folds of actors (EmoBox)
iemocap-random/1    IEMOCAP at random, as in the paper, with shared speakers; 1 is the seed
iemocap-sessions/1  IEMOCAP, test: one session, validation: the next one
speakers/NAME       test: one speaker, validation: the next one
folds-5/1           speakers in any number of folds, test: one, validation: the next one
random/1            by recording, where fewer than three speakers are known; 1 is the seed

Only random splits share speakers between parts; :attr:`Split.warnings` then says so.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from streamer.counting import counted_are
from streamer.errors import SerLiveError
from train.corpora.known import CORPORA, Utterance
from train.corpora.own_recordings import UNKNOWN
from train.corpora.published_splits import AGREED, HeldOut

#: The parts of a split.
Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")

#: Number of folds that is listed; any other works, too.
OFFERED_FOLDS = 5


@dataclass(frozen=True)
class Split:
    """Utterances split into disjoint parts.

    Attributes:
        train: to fit the weights.
        validation: to choose the epoch, the temperature and the voice answer's bias.
        test: to measure, once.
    """

    train: tuple[Utterance, ...]
    validation: tuple[Utterance, ...]
    test: tuple[Utterance, ...]

    @property
    def shared_speakers(self) -> frozenset[tuple[str, str]]:
        """Corpus and name of every speaker in more than one part."""
        sides = (self.train, self.validation, self.test)
        seen = Counter(who for side in sides for who in {(one.corpus, one.speaker) for one in side})
        return frozenset(who for who, count in seen.items() if count > 1)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Caveats of figures measured on this split."""
        by_corpus = Counter(corpus for corpus, _ in self.shared_speakers)
        lines = [
            f"{corpus}: nobody says who speaks, so the same voice may be trained and tested on; "
            f"expect worse on new voices{_naming(corpus)}"
            if (corpus, UNKNOWN) in self.shared_speakers
            else f"{corpus}: {counted_are(count, 'speaker')} on more than one side; expect worse "
            "on new voices"
            for corpus, count in by_corpus.items()
        ]
        if not self.validation:
            lines.append("no speakers are left to choose the epoch on")
        return tuple(lines)


def _naming(corpus: str) -> str:
    """Return how own recordings name their speakers, to end a sentence; "" for a known corpus."""
    if corpus in CORPORA:
        return ""
    if corpus.lower().endswith(".csv"):
        return " (the table needs the columns file, label and speaker)"
    return " (folders LABEL/SPEAKER/ name the speakers)"


def too_few_speakers(utterances: Sequence[Utterance]) -> str:
    """Return which labels of own recordings have too few named speakers, "" if none."""
    speakers: dict[str, set[str]] = {}
    for one in utterances:
        speakers.setdefault(one.label, set()).add(one.speaker)
    few = {
        label: who for label, who in sorted(speakers.items()) if len(who - {UNKNOWN}) < len(PARTS)
    }
    if not few:
        return ""
    counts = ", ".join(f"{label} has {len(who - {UNKNOWN})}" for label, who in few.items())
    unnamed = next((one.corpus for one in utterances if one.speaker == UNKNOWN), None)
    return (
        f"each label needs recordings of at least {len(PARTS)} speakers; {counts}"
        f"{'' if unnamed is None else _naming(unnamed)}"
    )


def split_of(name: str, utterances: Sequence[Utterance]) -> Split:
    """Split utterances by the named split; ``fixed`` splits several corpora, each in its own way.

    Raises:
        SerLiveError: the corpus has no split of that name, or it leaves nothing to train or to
            test on.
    """
    corpora = list(dict.fromkeys(one.corpus for one in utterances))
    if name != "fixed" and len(corpora) > 1:
        raise SerLiveError(f"the split {name!r} is of one corpus, not of {', '.join(corpora)}")
    parts: dict[Part, list[Utterance]] = {part: [] for part in PARTS}
    for corpus in corpora:
        for part, found in _split_corpus(
            name, corpus, [one for one in utterances if one.corpus == corpus]
        ).items():
            parts[part].extend(found)
    for part in ("train", "test"):
        if not parts[part]:
            are_own = corpora and not any(corpus in CORPORA for corpus in corpora)
            if are_own and (few := too_few_speakers(utterances)):
                raise SerLiveError(f"{', '.join(corpora)}: {few}")
            raise SerLiveError(
                f"the split {name!r} leaves nothing for {part} of the {len(utterances)} recordings "
                f"of {', '.join(corpora) or 'no corpus'}"
            )
    return Split(*(tuple(parts[part]) for part in PARTS))


def split_names(utterances: Sequence[Utterance]) -> list[str]:
    """Return the names of the splits of the utterances' corpus, ``fixed`` first.

    Seeded splits appear with the first seed; those with a free number of folds, with
    :data:`OFFERED_FOLDS`.
    """
    corpus, speakers = utterances[0].corpus, _speakers(utterances)
    names = ["fixed", *(name for name in AGREED.get(corpus, {}) if name != "fixed")]
    if random := _random_scheme(corpus, speakers):
        names.append(f"{random}/1")
    if _can_leave_out(utterances):
        names += [f"speakers/{speaker}" for speaker in speakers]
        if len(speakers) >= OFFERED_FOLDS:
            folds = range(1, OFFERED_FOLDS + 1)
            names += [f"folds-{OFFERED_FOLDS}/{fold}" for fold in folds]
    return names


def _speakers(utterances: Sequence[Utterance]) -> list[str]:
    return sorted({one.speaker for one in utterances})


def _random_scheme(corpus: str, speakers: Sequence[str]) -> str | None:
    """Return the name of the random split, if any: the paper's, or one for lack of speakers."""
    if corpus == "iemocap":
        return "iemocap-random"
    return "random" if UNKNOWN in speakers or len(speakers) < len(PARTS) else None


def _can_leave_out(utterances: Sequence[Utterance]) -> bool:
    """Return whether single speakers can be held out: known, two or more, no shared sessions."""
    speakers = _speakers(utterances)
    return (
        UNKNOWN not in speakers and len(speakers) > 1 and not any(one.session for one in utterances)
    )


def _split_corpus(
    name: str, corpus: str, utterances: Sequence[Utterance]
) -> dict[Part, list[Utterance]]:
    speakers = _speakers(utterances)
    if name == "fixed" and corpus not in AGREED:
        name = _default(corpus, speakers)
    if held_out := AGREED.get(corpus, {}).get(name):
        return _by_speaker(utterances, held_out)
    scheme, _, which = name.partition("/")
    if scheme == _random_scheme(corpus, speakers) and which.isdecimal():
        return _at_random(utterances, int(which))
    if _can_leave_out(utterances):
        if scheme == "speakers" and which in speakers:
            return _by_speaker(utterances, _leave_one_out(speakers, which))
        if (folds := re.fullmatch(r"folds-(\d+)/(\d+)", name)) and (
            found := _fold(corpus, speakers, int(folds[1]), int(folds[2]))
        ):
            return _by_speaker(utterances, found)
    raise SerLiveError(
        f"{corpus} has no split {name!r}: it has {describe_names(split_names(utterances))}"
    )


def _default(corpus: str, speakers: Sequence[str]) -> str:
    """Return the ``fixed`` split of a corpus without a published split."""
    if random := _random_scheme(corpus, speakers):
        return f"{random}/1"
    few = len(speakers) < OFFERED_FOLDS
    return f"speakers/{speakers[-1]}" if few else f"folds-{OFFERED_FOLDS}/1"


def _leave_one_out(speakers: Sequence[str], tested: str) -> HeldOut:
    """Test on one speaker and validate on the next, cyclically; with two, on none."""
    following = speakers[(speakers.index(tested) + 1) % len(speakers)]
    return frozenset({following} if len(speakers) > 2 else ()), frozenset({tested})


def _fold(corpus: str, at_hand: Sequence[str], folds: int, tested: int) -> HeldOut | None:
    """Deal the sorted speakers to the folds in turn; test on one, validate on the next.

    This deals all of the corpus's speakers, so that none moves when some are missing.
    """
    speakers = CORPORA[corpus].speakers if corpus in CORPORA else at_hand
    if not (len(PARTS) <= folds <= len(speakers) and 1 <= tested <= folds):
        return None
    dealt = [frozenset(speakers[fold::folds]) for fold in range(folds)]
    return dealt[tested % folds], dealt[tested - 1]


def _side(speaker: str, held_out: HeldOut) -> Part:
    validation, test = held_out
    return "test" if speaker in test else "validation" if speaker in validation else "train"


def _by_speaker(utterances: Sequence[Utterance], held_out: HeldOut) -> dict[Part, list[Utterance]]:
    parts: dict[Part, list[Utterance]] = {part: [] for part in PARTS}
    for one in utterances:
        parts[_side(one.speaker, held_out)].append(one)
    return parts


def _at_random(utterances: Sequence[Utterance], seed: int) -> dict[Part, list[Utterance]]:
    """Draw a tenth for test and a tenth of the rest for validation (section 4.1 of the paper).

    The draw uses a digest of the recording's name, so it is the same on every machine and with
    every library version.
    """

    def draw(one: Utterance) -> tuple[str, str]:
        called = f"{seed} {one.label} {one.speaker} {one.path.stem}"
        return hashlib.sha256(called.encode(errors="surrogateescape")).hexdigest(), str(one.path)

    drawn = sorted(utterances, key=draw)
    test = max(1, round(len(drawn) / 10))
    validation = max(1, round((len(drawn) - test) / 10))
    return {
        "train": drawn[test + validation :],
        "validation": drawn[test : test + validation],
        "test": drawn[:test],
    }


def describe_names(names: Iterable[str]) -> str:
    """Format split names, with one for all that differ only after the slash."""
    behind: dict[str, list[str]] = {}
    for name in names:
        scheme, _, which = name.partition("/")
        behind.setdefault(scheme, []).append(which)
    described = []
    for scheme, (first, *more) in behind.items():
        if scheme.endswith("random"):
            described.append(f"{scheme}/SEED")
        else:
            described.append("/".join(filter(None, (scheme, first))))
            described[-1] += f" to {more[-1]}" if more else ""
    return ", ".join(described)
