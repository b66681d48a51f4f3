"""Praat's TextGrid, written at the end because counts precede the items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streamer.errors import printable
from streamer.formats.intervals import Interval, Intervals, Kind
from streamer.formats.numbers import TIME_DIGITS
from streamer.outputs import Output, write_line
from streamer.session.events import Event, SessionEnded, SessionStarted
from streamer.signal import TIMESTEP_S


class TextGrid:
    """Long format, UTF-8: interval tiers ``label`` and ``gap``, a point tier ``mark``.

    The intervals of a tier cover the whole session; those between labels or gaps have an empty
    text. A session of no length is written as one timestep, because Praat requires a length.
    """

    def __init__(self, out: Output) -> None:
        self._out = out
        self._intervals = Intervals()
        self._complete: list[Interval] = []

    def take(self, event: Event) -> None:
        if isinstance(event, SessionStarted):
            self._out.write("")  # if the file cannot be created, this fails now
        self._complete += self._intervals.take(event)
        if isinstance(event, SessionEnded):
            self.finish(event.duration_s)

    def finish(self, duration_s: float) -> None:
        """Write everything, for a session without a last event."""
        found = self._complete + self._intervals.finish()
        # The last timestep may end up to a sample after the session.
        end_s = max([round(duration_s, TIME_DIGITS), *(one.end_s for one in found)]) or TIMESTEP_S
        tiers = (
            _interval_tier(Kind.LABEL, found, end_s),
            _interval_tier(Kind.GAP, found, end_s),
            _point_tier(Kind.MARK, found, end_s),
        )
        write_line(self._out, "\n".join(_file(tiers, end_s)))


def _file(tiers: Sequence[list[str]], end_s: float) -> Iterator[str]:
    yield 'File type = "ooTextFile"'
    yield 'Object class = "TextGrid"'
    yield ""
    yield from (
        "xmin = 0",
        f"xmax = {end_s}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    )
    for number, tier in enumerate(tiers, 1):
        yield f"    item [{number}]:"
        yield from (f"        {line}" for line in tier)


def _interval_tier(kind: Kind, found: Sequence[Interval], end_s: float) -> list[str]:
    fields = [
        (f"xmin = {one.start_s}", f"xmax = {one.end_s}", f"text = {_quoted(one.text)}")
        for one in _tiled(found, kind, end_s)
    ]
    return _tier("IntervalTier", "intervals", kind, fields, end_s)


def _point_tier(kind: Kind, found: Sequence[Interval], end_s: float) -> list[str]:
    points = (one for one in found if one.kind is kind)
    fields = [(f"number = {one.start_s}", f"mark = {_quoted(one.text)}") for one in points]
    return _tier("TextTier", "points", kind, fields, end_s)


def _tier(
    kind_of_tier: str, items: str, kind: Kind, fields: Sequence[Sequence[str]], end_s: float
) -> list[str]:
    """Return the lines of a tier; each item has fields of its own."""
    lines = [
        f'class = "{kind_of_tier}"',
        f'name = "{kind.value}"',
        "xmin = 0",
        f"xmax = {end_s}",
        f"{items}: size = {len(fields)}",
    ]
    for number, own in enumerate(fields, 1):
        lines += [f"{items} [{number}]:", *(f"    {field}" for field in own)]
    return lines


def _tiled(found: Sequence[Interval], kind: Kind, end_s: float) -> Iterator[Interval]:
    """Yield the intervals of a kind and those between, without gaps, overlaps or empty ones."""
    until_s = 0.0
    for one in (one for one in found if one.kind is kind):
        if one.start_s > until_s:
            yield Interval(until_s, one.start_s, kind, "")
        if one.end_s > one.start_s:
            yield one
        until_s = one.end_s
    if end_s > until_s:
        yield Interval(until_s, end_s, kind, "")


def _quoted(text: str) -> str:
    """Quote a text; quotes inside are doubled."""
    return '"' + printable(text).replace('"', '""') + '"'
