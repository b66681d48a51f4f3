"""``python -m train prepare``: compare a corpus's folder with the official corpus."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamer.errors import SerLiveError, printable
from streamer.sound.files.recording import Recording
from train.corpora.known import CORPORA, SOURCES, Utterance, at_hand, licence_of, read_corpus
from train.corpora.splits import describe_names, split_names, split_of
from train.workers import WorkerPool

#: A recording that never gets louder than this, in dB of full scale, is silent. The quietest
#: speech at hand, of RAVDESS, peaks at -47.
SILENT_DB = -70.0

#: Recordings that a worker takes at a time, and how much of one is decoded at a time.
CHUNK = 32
DECODED_MS = 10_000

#: Longest list of names in a remark.
NAMED = 12


@dataclass(frozen=True, slots=True)
class RecordingFacts:
    """The measurements of a recording.

    Attributes:
        duration_s: duration at its own rate.
        peak: largest magnitude; 1 is full scale.
        content: digest of the decoded samples, equal for equal audio.
        fault: why it cannot be read, "" if it can.
    """

    duration_s: float = 0.0
    peak: float = 0.0
    content: bytes = b""
    fault: str = ""

    @property
    def is_silent(self) -> bool:
        return not self.fault and self.peak < 10.0 ** (SILENT_DB / 20.0)


def _hear(path: Path) -> RecordingFacts:
    """Decode as the training does, but without resampling (in a worker)."""
    content = hashlib.blake2b(digest_size=16)
    samples, peak = 0, 0.0
    try:
        with Recording(path) as recording:
            rate = recording.sample_rate
            for block in recording.blocks(DECODED_MS):
                content.update(block.tobytes())
                samples += len(block)
                peak = max(peak, float(np.abs(block).max()))
    except SerLiveError as error:
        return RecordingFacts(fault=str(error))
    content.update(str(rate).encode())
    return RecordingFacts(samples / rate, peak, content.digest())


@dataclass(frozen=True)
class Findings:
    """A corpus as found in its folder.

    Attributes:
        name: key of :data:`train.corpora.known.CORPORA`, or path of own recordings.
        utterances: all utterances found, with any label.
        heard: measurements of each utterance.
        fault: why the corpus cannot be read, "" if it can.
    """

    name: str
    utterances: Sequence[Utterance] = ()
    heard: Sequence[RecordingFacts] = ()
    fault: str = ""

    @property
    def title(self) -> str:
        return (
            CORPORA[self.name].title if self.name in CORPORA else Path(self.name).name or self.name
        )

    @property
    def is_usable(self) -> bool:
        """Whether it can be trained on."""
        return not self.fault and not any(one.fault for one in self.heard)

    @property
    def labels(self) -> Counter[str]:
        return Counter(one.label for one in self.utterances)

    @property
    def speakers(self) -> list[str]:
        return sorted({one.speaker for one in self.utterances})

    @property
    def expected(self) -> Counter[str]:
        """Official number of recordings by label; for own recordings, the number found."""
        if self.name not in CORPORA:
            return self.labels
        return Counter(CORPORA[self.name].recordings)

    def identical(self) -> list[list[Utterance]]:
        """Groups of recordings with identical audio."""
        groups: dict[bytes, list[Utterance]] = defaultdict(list)
        for utterance, heard in zip(self.utterances, self.heard, strict=True):
            if not heard.fault and not heard.is_silent:
                groups[heard.content].append(utterance)
        return [group for group in groups.values() if len(group) > 1]


def examine(name: str, corpora: Path, workers: int = 2) -> Findings:
    """Read a corpus and measure every recording.

    Args:
        name: name of the corpus, or path of own recordings.
        corpora: folder of the corpora.
        workers: number of worker processes.
    """
    try:
        utterances = read_corpus(name, corpora)
    except SerLiveError as error:
        return Findings(name, fault=str(error))
    with WorkerPool(workers) as pool:
        heard = list(pool.map(_hear, [one.path for one in utterances], chunksize=CHUNK))
    return Findings(name, utterances, heard)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def remarks(findings: Findings) -> Iterator[str]:
    """Yield remarks on a corpus for the user, the worst first."""
    if findings.fault:
        yield f"cannot be used: {findings.fault}"
        return
    if faults := [one.fault for one in findings.heard if one.fault]:
        yield f"cannot be used before these are mended or removed: {_named(faults)}"
    if findings.name in CORPORA:
        yield from _completeness(findings)
    pairs = list(zip(findings.utterances, findings.heard, strict=True))
    if silent := [one.path.stem for one, heard in pairs if heard.is_silent]:
        yield f"silent: {_named(silent)}"
    yield from _repetitions(findings)
    try:
        yield from split_of("fixed", findings.utterances).warnings
    except SerLiveError as error:  # too little is here; all of it can still be tested on
        yield str(error)
    yield f"licence: {licence_of(findings.name)}"
    yield f"splits: {describe_names(split_names(findings.utterances))}"


def _completeness(findings: Findings) -> Iterator[str]:
    corpus = CORPORA[findings.name]
    found, whole = len(findings.utterances), findings.expected.total() - len(corpus.unusable)
    for name, reason in corpus.unusable.items():
        yield f"{name} is not read: {reason}"
    if found > whole:
        yield f"{found} recordings where the corpus holds {whole}: is something there twice?"
    elif found < whole:
        yield f"a part of the corpus: {found} of {whole} recordings"
    if missing := [one for one in corpus.speakers if one not in findings.speakers]:
        yield f"speakers that are not here: {_named(missing)}"


def _repetitions(findings: Findings) -> Iterator[str]:
    groups = findings.identical()
    for what, attribute in (("labels", "label"), ("speakers", "speaker")):
        if differ := [g for g in groups if len({getattr(one, attribute) for one in g}) > 1]:
            yield f"identical audio under different {what}: {_groups(differ)}"
            groups = [group for group in groups if group not in differ]
    if groups:
        yield f"identical audio: {_groups(groups)}"


def _groups(groups: Sequence[Sequence[Utterance]]) -> str:
    return _named([" = ".join(one.path.stem for one in group) for group in groups])


def _of(found: int, whole: int) -> str:
    return str(found) if found == whole else f"{found} of {whole}"


def _overview(all_findings: Sequence[Findings]) -> Table:
    table = Table("corpus", title="Corpora at hand")
    for column in ("recordings", "speakers", "hours", "min s", "median s", "max s"):
        table.add_column(column, justify="right")
    for one in all_findings:
        whole = CORPORA[one.name].speakers if one.name in CORPORA else one.speakers
        lengths = sorted(heard.duration_s for heard in one.heard if not heard.fault) or [0.0]
        table.add_row(
            Text(printable(one.title)),
            _of(len(one.utterances), one.expected.total()),
            _of(len(one.speakers), len(whole)),
            f"{sum(lengths) / 3600:.2f}",
            *(f"{length:.2f}" for length in (lengths[0], median(lengths), lengths[-1])),
        )
    return table


def _by_label(all_findings: Sequence[Findings]) -> Table:
    table = Table("label", title="Recordings by label")
    for one in all_findings:
        table.add_column(Text(printable(one.title)), justify="right")
    for label in dict.fromkeys(label for one in all_findings for label in one.expected):
        counts = [(one.labels[label], one.expected[label]) for one in all_findings]
        table.add_row(
            Text(printable(label)),
            *(_of(found, whole) if whole or found else "" for found, whole in counts),
        )
    return table


def prepare(names: Sequence[str], corpora: Path) -> int:
    """Examine corpora and print what was found.

    Args:
        names: names of corpora, or paths of own recordings; empty for every known corpus present.
        corpora: folder of the corpora.

    Returns:
        the exit code: 0 if all of these corpora can be used.

    Raises:
        SerLiveError: no corpus was named, and none is present.
    """
    wanted = names or at_hand(corpora)
    all_findings = []
    for name in wanted:
        print(f"train: listening to {printable(name)}", file=sys.stderr)
        all_findings.append(examine(name, corpora))
    _print(all_findings)
    if not names:
        for name in SOURCES:
            if name not in wanted:
                print(f"{CORPORA[name].title}: not here; get it at {SOURCES[name][1]}")
    return 0 if all(one.is_usable for one in all_findings) else SerLiveError.exit_code


def _print(all_findings: Sequence[Findings]) -> None:
    console = Console(highlight=False)
    if readable := [one for one in all_findings if not one.fault]:
        console.print(_overview(readable))
        console.print(_by_label(readable))
    for findings in all_findings:
        for remark in remarks(findings):
            print(printable(f"{findings.title}: {remark}"))
