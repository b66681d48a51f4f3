"""One session as a panel: what it was, timelines, shares and latency."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.looks import GAP_CODE, Look
from streamer.report.axis import clock
from streamer.report.ink import FAINT, INK, TRACK, chip, paper_looks
from streamer.report.latencies import histogram
from streamer.report.overview import Overview, overview
from streamer.report.shapes import Box, Shape, Text, fitted
from streamer.report.timelines import AXIS_HEIGHT, Frame, Scales, timelines
from streamer.session_file import RecordedSession

_TITLE_SIZE, _SIZE = 15.0, 11.0
_TIMELINES_BELOW = 60.0
_SHARE_ROW = 18.0
_BETWEEN = 28.0
_LEAST_LOWER = 140.0


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """A session that was drawn.

    Attributes:
        shapes: all of it.
        frame: where the timelines are.
        seen: what they show.
        looks: of its codes.
        height: of all of it.
    """

    shapes: tuple[Shape, ...]
    frame: Frame
    seen: Overview
    looks: dict[int, Look]
    height: float


def draw_panel(
    session: RecordedSession,
    at: tuple[float, float],
    width: float,
    scales: Scales,
) -> Panel:
    """Draw a session that has estimates.

    Args:
        session: to be drawn.
        at: upper left corner.
        width: of the panel.
        scales: those of the page.
    """
    x, y = at
    seen, looks = overview(session), paper_looks(session.header.labels)
    shapes: list[Shape] = _heading(session, x, y, width)
    frame, drawn = timelines(session, seen, looks, (x, y + _TIMELINES_BELOW), width, scales)
    lower = frame.bottom + AXIS_HEIGHT + _BETWEEN
    half = (width - _BETWEEN) / 2
    rows = _shares(seen, looks, x, lower, half)
    height = max(_LEAST_LOWER, _SHARE_ROW * len(seen.codes) + 8)
    lateness = histogram(
        session.latency_ms, scales.latency_ms, (x + half + _BETWEEN, lower), (half, height)
    )
    return Panel((*shapes, *drawn, *rows, *lateness), frame, seen, looks, lower + height - y)


def _heading(session: RecordedSession, x: float, y: float, width: float) -> list[Shape]:
    title = fitted(session.title, _TITLE_SIZE, width, keeps_end=True)
    lines = [" · ".join(_happened(session)), " · ".join(_circumstances(session))]
    return [
        Text(x, y + 14, title, _TITLE_SIZE, INK, is_bold=True),
        *(
            Text(x, y + 32 + 16 * row, fitted(line, _SIZE, width), _SIZE, colour)
            for row, (line, colour) in enumerate(zip(lines, (INK, FAINT), strict=True))
        ),
    ]


def _happened(session: RecordedSession) -> list[str]:
    end = session.end
    duration_s = session.duration_s
    shown_s = clock(round(duration_s, 1), duration_s)
    parts = [f"{shown_s} s" if duration_s < 60.0 else shown_s]
    if end is None:
        parts.append("cut short, no verdict")
    elif end.overall in end.probabilities:
        parts.append(f"overall {end.overall} ({end.probabilities[end.overall]:.0%})")
    else:
        parts.append(f"overall {end.overall}")
    if session.gaps:
        lost_s = sum(gap.lost_samples for gap in session.gaps) / session.header.sample_rate
        parts.append(f"{_counted(len(session.gaps), 'gap')}, {lost_s:.3g} s lost")
    if len(session.marks):
        parts.append(_counted(len(session.marks), "mark"))
    return parts


def _circumstances(session: RecordedSession) -> list[str]:
    header = session.header
    return [
        f"model {header.model}, {header.prior} prior",
        f"{header.sample_rate / 1000:g} kHz",
        f"look-ahead {header.look_ahead_ms:.0f} ms",
        f"{header.started:%Y-%m-%d %H:%M %Z}",
    ]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _shares(
    seen: Overview, looks: dict[int, Look], x: float, y: float, width: float
) -> list[Shape]:
    """How much of the time each label took, as bars on one scale."""
    shapes: list[Shape] = [Text(x, y, "Share of time", _SIZE, INK, is_bold=True)]
    name_width, number_width = 92.0, 44.0
    track = width - 20 - name_width - number_width
    shares = dict(zip(seen.codes, seen.total.tolist(), strict=True))
    if not shares[GAP_CODE]:  # as nearly always
        del shares[GAP_CODE]
    for row, (code, share) in enumerate(shares.items()):
        top = y + 8 + _SHARE_ROW * row
        look, left = looks[code], x + 20 + name_width
        shapes += [
            *chip(look, x, top),
            Text(x + 20, top + 11, fitted(look.name, _SIZE, name_width), _SIZE, INK),
            Box(left, top + 1, track, 12, TRACK),
            Box(left, top + 1, track * share, 12, look.colour),
            Text(x + width, top + 11, f"{share:.1%}", _SIZE, INK, "end"),
        ]
    return shapes
