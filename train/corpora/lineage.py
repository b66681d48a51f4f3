"""Lineage: the speakers that a training hears and holds out, recorded once for all judging.

A folder's contents may change after the training, so speakers are never split into training,
validation and test a second time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from streamer.counting import counted_are
from streamer.errors import SerLiveError, printable
from streamer.modelfile.lineage import LONGEST_NAME, HeardCorpus, HeldBy, Lineage
from streamer.recognition.metadata import ModelMetadata
from train.corpora.known import CORPORA, Utterance, licence_of, title_of
from train.corpora.own_recordings import UNKNOWN
from train.corpora.splits import Split
from train.corpora.voices import VOICES
from train.whole_file import whole_file

#: File in a run's folder that lists its recordings.
RECORDINGS = "recordings.json"
_DIGEST_BYTES = 8
#: Most recordings named in an error.
_NAMED = 3


def file_digest(path: Path) -> str:
    """Return a digest of a file's bytes, which identifies a recording in any place.

    Raises:
        SerLiveError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES))
    except OSError as error:
        raise SerLiveError(f"cannot read {path}: {error.strerror}") from error
    return found.hexdigest()


def heard_corpora(split: Split, name: str) -> tuple[HeardCorpus, ...]:
    """Return what a training on a split hears and holds out of each corpus.

    Args:
        split: split of all corpora.
        name: name of the split.

    Raises:
        SerLiveError: a name has unprintable characters.
    """
    corpora = dict.fromkeys(one.corpus for one in (*split.train, *split.validation, *split.test))
    names = [(corpus_name(corpus), corpus in CORPORA) for corpus in corpora]
    if len(set(names)) < len(names):
        raise SerLiveError(f"two of {', '.join(corpora)} have one name: give them different ones")
    return tuple(_heard_corpus(split, name, corpus) for corpus in corpora)


def _heard_corpus(split: Split, name: str, corpus: str) -> HeardCorpus:
    train, validation, test = (
        [one for one in part if one.corpus == corpus]
        for part in (split.train, split.validation, split.test)
    )
    is_own = corpus not in CORPORA
    is_mixed = any(corpus == name_of for name_of, _ in split.shared_speakers)
    held_by: HeldBy = "speakers"
    if is_mixed or any(one.speaker == UNKNOWN for one in (*train, *validation, *test)):
        held_by = "recordings"
    of_train, of_validation, of_test = (_names(part, held_by) for part in (train, validation, test))
    if held_by == "recordings":  # one copy may be trained on and another held out
        of_validation = _without(of_validation, of_train)
        of_test = _without(of_test, (*of_train, *of_validation))
    try:
        return HeardCorpus(
            name=corpus_name(corpus),
            is_own=is_own,
            licence=licence_of(corpus),
            split=printable(name),
            held_by=held_by,
            trained=of_train if held_by == "speakers" else (),
            validation=of_validation,
            test=of_test,
            digests=_names([*train, *validation], "recordings") if is_own else (),
        )
    except ValueError as error:  # unprintable names
        raise SerLiveError(f"{corpus}: the corpus and its speakers: {error}") from error


def corpus_name(corpus: str) -> str:
    """Return a corpus's name in lineages; own recordings appear without their folders."""
    title = corpus if corpus in CORPORA else Path(corpus).expanduser().resolve().name
    return printable(title)[:LONGEST_NAME]


def _without(names: Sequence[str], others: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names).difference(others)))


def _names(utterances: Iterable[Utterance], held_by: HeldBy) -> tuple[str, ...]:
    return tuple(sorted({_name(one, held_by) for one in utterances}))


def _name(utterance: Utterance, held_by: HeldBy) -> str:
    return file_digest(utterance.path) if held_by == "recordings" else printable(utterance.speaker)


def together(
    own: Lineage,
    found: Lineage,
    transfer: Sequence[str],
    folder: Path,
    is_refit: bool = False,
) -> Lineage:
    """Join a run's lineage with that of its start or of a teacher.

    Args:
        own: lineage of the run.
        found: lineage of the other run.
        transfer: corpora that the run is tested on and never trained on.
        folder: folder of the other run.
        is_refit: whether both are finally trained on their validation speakers, too.

    Raises:
        SerLiveError: the other run may have heard the run's held-out speakers.
    """
    corpora = {(one.name, one.is_own): one for one in own.corpora}
    for other in found.corpora:
        key = (other.name, other.is_own)
        mine = corpora.get(key)
        is_judge = mine is not None and other.may_have_heard(mine, is_refit)
        if is_judge or (not other.is_own and other.name in transfer):
            raise SerLiveError(
                f"{folder} has heard {other.name} by the split {other.split!r}: people among them "
                "on whom this run is judged"
            )
        trained = sorted({*other.trained, *(mine.trained if mine else ())})
        digests = sorted({*other.digests, *(mine.digests if mine else ())})
        corpora[key] = replace(mine or other, trained=tuple(trained), digests=tuple(digests))
    beside = {one.name: one for one in (*own.beside, *found.beside)}
    return Lineage(tuple(corpora.values()), tuple(beside.values()))


def corpus_of(lineage: Lineage, name: str) -> HeardCorpus | None:
    """Find a corpus by its name in a recipe or on the command line; None if it was not heard."""
    return lineage.corpus(corpus_name(name), name not in CORPORA)


def heard_corpus_of(name: str, metadata: ModelMetadata) -> HeardCorpus | None:
    """Return what a model has heard of a corpus; None if nothing.

    Raises:
        SerLiveError: the model file does not state its training data.
    """
    if not metadata.lineage.corpora:
        raise SerLiveError(
            f"model {metadata.name} does not say whom it was trained on: export it again"
        )
    return corpus_of(metadata.lineage, name)


@dataclass(frozen=True)
class HeldBack:
    """Recordings of a corpus held out from a training.

    Attributes:
        utterances: the recordings.
        warnings: caveats of figures measured on them.
    """

    utterances: tuple[Utterance, ...]
    warnings: tuple[str, ...]


def held_back(
    corpus: HeardCorpus, part: Literal["validation", "test"], utterances: Sequence[Utterance]
) -> HeldBack:
    """Select the present recordings that were held out then."""
    wanted = frozenset(corpus.validation if part == "validation" else corpus.test)
    found = tuple(one for one in utterances if _name(one, corpus.held_by) in wanted)
    if corpus.held_by == "recordings":
        return HeldBack(
            found,
            (
                f"{corpus.name}: recordings were held back, not speakers, so the model may have "
                "been trained on the same voices; expect worse on new voices",
            ),
        )
    new = sorted(set(_names(utterances, "speakers")).difference(corpus.names))
    if not new:
        return HeldBack(found, ())
    speakers = "speaker is" if len(new) == 1 else "speakers are"
    return HeldBack(
        found,
        (
            f"{corpus.name}: {len(new)} {speakers} left out, who came after the training "
            f"({_some(new)}); a folder that holds only them would test them",
        ),
    )


def check_recordings(
    utterances: Sequence[Utterance],
    corpora: Path,
    folder: Path,
    goes_on: bool,
    files: Iterable[Path] = (),
) -> dict[str, list[str]]:
    """Check that a resumed run has the recordings, and whatever else, that it began with.

    Args:
        utterances: the run's utterances.
        corpora: folder of the known corpora.
        folder: the run's folder.
        goes_on: whether the run has begun.
        files: what it depends on beside them: recordings without a label, an encoder, weights that
            it starts from, answers of teachers.

    Returns:
        label, speaker and digest of each recording by its name, and the digest of each file, for
        :func:`keep_recordings`.

    Raises:
        SerLiveError: some were added, removed or changed since, or one cannot be read.
    """
    now: dict[str, list[str]] = {_file_name(one, corpora): [file_digest(one)] for one in files}
    now |= {place_of(one, corpora): [one.label, one.speaker, file_digest(one.path)]
            for one in utterances}  # fmt: skip
    if not goes_on:
        return now
    then = _read_recordings(folder)
    if all(len(one) > 1 for one in then.values()):  # from before files were listed, or without any
        now = {name: one for name, one in now.items() if len(one) > 1}
    differences = {
        "new": sorted(now.keys() - then.keys()),
        "gone": sorted(then.keys() - now.keys()),
        "changed": sorted(name for name in now.keys() & then.keys() if now[name] != then[name]),
    }
    said = [
        f"{len(names)} {how} ({printable(_some(names))})"
        for how, names in differences.items()
        if names
    ]
    if said:
        raise SerLiveError(
            f"{folder} was trained on other recordings or files than these: {', '.join(said)}; "
            "train in another folder, with --run"
        )
    return now


def _read_recordings(folder: Path) -> dict[str, Any]:
    """Read the list that a run wrote at its start.

    Raises:
        SerLiveError: the file is missing or damaged.
    """
    try:
        found = json.loads((folder / RECORDINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SerLiveError(
            f"{folder} does not say which recordings its run began with ({RECORDINGS}): train in "
            "another folder, with --run"
        ) from error
    return dict(found)


def without_known(
    utterances: Sequence[Utterance], metadata: ModelMetadata
) -> tuple[list[Utterance], tuple[str, ...]]:
    """Leave out recordings that the model was trained on, whatever their names.

    Returns:
        the others, and warnings for the user.
    """
    digests = metadata.lineage.digests
    if not digests:
        return list(utterances), ()
    found = [one for one in utterances if file_digest(one.path) not in digests]
    if len(found) == len(utterances):
        return found, ()
    left = len(utterances) - len(found)
    recordings = counted_are(left, "recording")
    return found, (f"{recordings} left out, which {metadata.name} was trained on or chosen by",)


def keep_recordings(recordings: dict[str, list[str]], folder: Path) -> None:
    """Write the list of a run's recordings atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / RECORDINGS) as file:
        lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in recordings.items())
        file.write(f"{{\n{lines}\n}}\n".encode())


def place_of(utterance: Utterance, corpora: Path) -> str:
    """Return corpus and path within it, which stay when the corpora move."""
    if utterance.corpus in CORPORA or utterance.corpus in VOICES:
        root = corpora / utterance.corpus
    else:
        root = Path(utterance.corpus).expanduser()
        root = root if root.is_dir() else root.parent
    return f"{title_of(utterance.corpus)}/{os.path.relpath(utterance.path, root)}"


def _file_name(path: Path, corpora: Path) -> str:
    return str(path.relative_to(corpora) if path.is_relative_to(corpora) else path)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
