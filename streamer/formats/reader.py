"""Reads sessions back from JSON lines; the file need not be trusted."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from heapq import merge
from math import isnan
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from streamer.errors import SerLiveError
from streamer.formats.other_files import what_else
from streamer.formats.values import (
    LONGEST_S,
    Wrong,
    channel_of,
    end_of,
    gap_of,
    header_of,
    shown,
    time_of,
)
from streamer.recognition.decision import names_of
from streamer.recognition.estimate import Estimate
from streamer.session.events import Estimated, Event, Gap, Marked, SessionEnded, SessionStarted

#: Far longer than any line written, and quick to read.
LONGEST_LINE = 1 << 20
#: A timestep is 40 ms; formats with milliseconds can distinguish these too.
SHORTEST_STEP_S = 0.005
#: Name of an open file in messages.
_STREAM = "standard input"
_NUMBERS = {int, float}  # but not bool

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RecordedSession:
    """The session of one recording.

    Attributes:
        header: the first line.
        times: ``(n,)`` end of each timestep in stream time, seconds, ascending.
        codes: ``(n,)`` int64, the label of each estimate as an index into :attr:`names`.
        probabilities: ``(n, labels)`` calibrated.
        speech: ``(n,)`` speech probability.
        latency_ms: ``(n,)``, NaN if no clock applied.
        gaps: lost audio, by time.
        marks: ``(marks,)`` moments that the user marked, seconds, ascending.
        end: the last line; None if the session was killed.
    """

    header: SessionStarted
    times: Float64
    codes: NDArray[np.int64]
    probabilities: Float32
    speech: Float32
    latency_ms: Float64
    gaps: tuple[Gap, ...]
    marks: Float64
    end: SessionEnded | None

    @property
    def title(self) -> str:
        """The source, and the channel if it is a separate stream."""
        channel = self.header.channel
        return self.header.source + ("" if channel is None else f", channel {channel}")

    @property
    def names(self) -> tuple[str, ...]:
        """Every label that an estimate may have: the emotions, then the states."""
        return names_of(self.header.labels)

    @property
    def labels(self) -> list[str]:
        """The label of each estimate."""
        names = self.names
        return [names[code] for code in self.codes.tolist()]

    @property
    def duration_s(self) -> float:
        """Stream time: from the last line, or as far as the file goes."""
        newest_s = float(self.times[-1]) if len(self.times) else 0.0
        if self.end is not None:  # the last timestep may end up to a sample later
            return max(self.end.duration_s, newest_s)
        rate = self.header.sample_rate
        lost_until = (gap.time_s + gap.lost_samples / rate for gap in self.gaps)
        return float(max([newest_s, *self.marks.tolist(), *lost_until]))

    def events(self) -> Iterator[Event]:
        """Yield the session's events by time, without the last event if it is missing.

        The file holds neither the attention nor which estimates were computed from silence.
        """
        yield self.header
        gaps = ((gap.time_s, gap) for gap in self.gaps)
        marks = ((time_s, Marked(time_s, self.header.channel)) for time_s in self.marks.tolist())
        for _, event in merge(gaps, self._estimated(), marks, key=itemgetter(0)):
            yield event
        if self.end is not None:
            yield self.end

    def _estimated(self) -> Iterator[tuple[float, Event]]:
        nothing = np.zeros(0, np.float32)
        rows = zip(
            self.times.tolist(),
            self.labels,
            self.probabilities,
            self.speech.tolist(),
            self.latency_ms.tolist(),
            strict=True,
        )
        for time_s, label, probabilities, speech, latency_ms in rows:
            estimate = Estimate(time_s, label, probabilities, speech, nothing)
            late_ms = None if isnan(latency_ms) else latency_ms
            yield time_s, Estimated(estimate, late_ms, channel=self.header.channel)


def read_sessions(path: Path | str | BinaryIO, say: Callable[[str], None]) -> list[RecordedSession]:
    """Read the output of ``--format jsonl``: one session, or one after another.

    Blank lines, lines of unknown types and unknown keys are ignored. A last line that was cut
    short, as by a power failure, is dropped.

    ::

        for session in read_sessions("session.jsonl", print):
            angry_s = session.times[session.codes == session.names.index("angry")]

    Args:
        path: path of a file or a pipe, or an open binary file, such as ``sys.stdin.buffer``.
        say: prints a line for the user.

    Raises:
        SerLiveError: it cannot be read, holds no session, or has a wrong line.
    """
    source = Path(path) if isinstance(path, Path | str) else path
    name = str(source) if isinstance(source, Path) else _STREAM
    reader = _Reader(name)
    for number, line in enumerate(_lines(source, name), 1):
        reader.take(number, line)
    sessions = reader.finish()
    if reader.cut_line is not None:
        say(f"{name} ends in the middle of line {reader.cut_line}, which is left out")
    return sessions


def _lines(source: Path | BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the lines of a file; of a line that is too long, its first part."""
    try:
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
            # One extra byte distinguishes the longest line from a longer one.
            yield from iter(partial(file.readline, LONGEST_LINE + 1), b"")
    except (OSError, ValueError) as error:  # ValueError: a name that is not valid for a file
        reason = error.strerror if isinstance(error, OSError) else error
        raise SerLiveError(f"cannot read {name}: {reason}") from error


class _Reader:
    """Parses lines in order."""

    def __init__(self, name: str) -> None:
        self.cut_line: int | None = None
        self._path = name
        self._number = 0
        self._done: list[RecordedSession] = []
        # By channel; a session without a channel is alone.
        self._open: dict[int | None, _OpenSession] = {}

    def take(self, number: int, line: bytes) -> None:
        """Parse a line.

        Raises:
            SerLiveError: it is wrong.
        """
        self._number = number
        if number == 1 and (what := what_else(line)) is not None:
            raise SerLiveError(f"{self._path}: {what}")
        if len(line) > LONGEST_LINE:
            self._fail(number, f"longer than {LONGEST_LINE} bytes")
        try:
            text = line.decode("utf-8-sig")  # editors put a byte order mark before the first line
            if not text.strip():
                return
            values = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            if not line.endswith(b"\n"):  # only the last line of a file can lack it
                self.cut_line = number
                return
            self._fail(number, f"not JSON ({_reason(error)})")
        try:
            self._take(values)
        except Wrong as error:
            self._fail(number, str(error))

    def finish(self) -> list[RecordedSession]:
        """Return the sessions.

        Raises:
            SerLiveError: there is none.
        """
        self._close_all()
        if not self._done:
            raise SerLiveError(f"{self._path}: holds no session")
        return self._done

    def _take(self, values: Any) -> None:
        if type(values) is not dict:
            raise Wrong("must be an object")
        kind = values.get("type")
        if kind == "session":
            self._begin(header_of(values))
            return
        if kind not in ("estimate", "gap", "mark", "end"):
            if type(kind) is not str:
                raise Wrong("type must be text")
            return
        channel = channel_of(values)
        session = self._open.get(channel)
        if session is None:
            raise Wrong(f"{kind} without a session line before it")
        if values.get("file", session.header.source) != session.header.source:
            raise Wrong(f"of another file than {session.header.source!r}")
        if kind == "end":
            self._close(channel, end_of(values, session.header.labels))
        else:
            session.take(kind, values, self._number)

    def _begin(self, header: SessionStarted) -> None:
        """Begin a session and end the open ones, except other channels of the same source."""
        channel = header.channel
        others = [one.header.source for one in self._open.values()]
        if channel in self._open or channel is None or others != [header.source] * len(others):
            self._close_all()
        self._open[channel] = _OpenSession(header)

    def _close_all(self) -> None:
        for channel in sorted(self._open, key=lambda one: one or 0):
            self._close(channel, None)

    def _close(self, channel: int | None, end: SessionEnded | None) -> None:
        session = self._open.pop(channel)
        wrong = session.first_wrong()
        if wrong is not None:
            self._fail(*wrong)
        self._done.append(session.recorded(end))

    def _fail(self, number: int, what: str) -> NoReturn:
        raise SerLiveError(f"{self._path}, line {number}: {what}")


class _OpenSession:
    """A session that is still being read.

    Estimates are rows of one flat array: there are 180,000 of them in two hours.
    """

    def __init__(self, header: SessionStarted) -> None:
        self.header = header
        self._rows = array("d")
        self._codes = array("q")
        self._numbers = array("q")
        self._code_of = {name: code for code, name in enumerate(names_of(header.labels))}
        self._of_labels = itemgetter(*header.labels)
        self._gaps: list[Gap] = []
        self._marks = array("d")

    def take(self, kind: str, values: dict[str, Any], number: int) -> None:
        """Parse a line between the first and the last.

        Raises:
            Wrong: it is not valid.
        """
        if kind == "estimate":
            self._estimate(values, number)
        elif kind == "gap":
            self._gap(values)
        else:
            time_s = time_of(values)
            if self._marks and time_s < self._marks[-1]:
                raise Wrong("time goes backwards")
            self._marks.append(time_s)

    def _estimate(self, values: dict[str, Any], number: int) -> None:
        # Runs once per estimate; checks that NumPy can do are left to first_wrong.
        try:
            latency_ms = values["latency_ms"]
            row = (values["time"], values["speech"], *self._of_labels(values["probabilities"]))
            code = self._code_of[values["label"]]
        except (KeyError, TypeError, IndexError) as error:
            raise Wrong(self._what_is_missing(values)) from error
        if not _NUMBERS.issuperset(map(type, row)):
            raise Wrong("time, speech and probabilities must be numbers")
        if latency_ms is None:
            latency_ms = np.nan
        elif type(latency_ms) not in _NUMBERS or not abs(latency_ms) <= 1000 * LONGEST_S:
            raise Wrong("latency_ms must be a number of milliseconds or null")
        try:
            self._rows.extend((latency_ms, *row))
        except OverflowError as error:
            raise Wrong("a number is too large") from error
        self._codes.append(code)
        self._numbers.append(number)

    def _what_is_missing(self, values: dict[str, Any]) -> str:
        for key in ("time", "label", "probabilities", "speech", "latency_ms"):
            if key not in values:
                return f"an estimate without {key}"
        if type(values["label"]) is not str or values["label"] not in self._code_of:
            return f"label {shown(values['label'])} is none of the session's"
        return f"probabilities must have a number for each of {', '.join(self.header.labels)}"

    def _gap(self, values: dict[str, Any]) -> None:
        gap = gap_of(values, self.header.sample_rate)
        if self._gaps and gap.time_s < self._gaps[-1].time_s:
            raise Wrong("time goes backwards")
        self._gaps.append(gap)

    def first_wrong(self) -> tuple[int, str] | None:
        """Return the line number and error of the first estimate with impossible numbers."""
        rows = self._table()
        times, shares = rows[:, 1], rows[:, 2:]
        steps = np.diff(times, prepend=0.0)
        wrongs = (
            (times <= 0.0, "time must be more than 0"),
            (times > LONGEST_S, f"time must be at most {LONGEST_S:g} s"),
            (steps <= 0.0, "time goes backwards"),
            (steps < SHORTEST_STEP_S, f"time is less than {SHORTEST_STEP_S} s after the last"),
            (
                ~((shares >= 0.0) & (shares <= 1.0)).all(axis=1),
                "speech and probabilities must lie in 0..1",
            ),
        )
        found = [(int(where.argmax()), what) for where, what in wrongs if where.any()]
        if not found:
            return None
        index, what = min(found, key=itemgetter(0))
        return self._numbers[index], what

    def recorded(self, end: SessionEnded | None) -> RecordedSession:
        rows = self._table()
        return RecordedSession(
            header=self.header,
            times=rows[:, 1].copy(),
            codes=np.array(self._codes, np.int64),
            probabilities=rows[:, 3:].astype(np.float32),
            speech=rows[:, 2].astype(np.float32),
            latency_ms=rows[:, 0].copy(),
            gaps=tuple(self._gaps),
            marks=np.array(self._marks, np.float64),
            end=end,
        )

    def _table(self) -> Float64:
        """``(n, 3 + labels)``: latency, time, speech, probabilities; a view of the rows."""
        return np.asarray(self._rows).reshape(-1, 3 + len(self.header.labels))


def _reason(error: ValueError | RecursionError) -> str:
    """Return why a line is not JSON; the decoder's positions do not refer to the file."""
    match error:
        case RecursionError():
            return "nested too deeply"
        case json.JSONDecodeError():
            return error.msg
        case UnicodeDecodeError():
            return "not UTF-8"
    return str(error)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
