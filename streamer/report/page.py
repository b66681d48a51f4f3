"""Panels side by side on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamer.errors import SerLiveError, printable
from streamer.frontend import TIMESTEP_S
from streamer.report.latencies import common_range
from streamer.report.panel import Panel, draw_panel
from streamer.report.shapes import Shape
from streamer.report.timelines import Scales
from streamer.session_file import RecordedSession

#: More would be no page to look at, and a large file.
MOST_SESSIONS = 16
_MARGIN, _BETWEEN = 24.0, 40.0
_WIDTH_ALONE, _WIDTH_BESIDE = 920.0, 640.0
#: Sessions share the axis of time unless one would be too short to be seen on it.
_LEAST_OF_SPAN = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """What is drawn.

    Attributes:
        title: in words.
        width: of the page.
        height: of the page.
        panels: of the sessions, in their order.
    """

    title: str
    width: float
    height: float
    panels: tuple[Panel, ...]

    @property
    def shapes(self) -> list[Shape]:
        """All of them, later ones above earlier ones."""
        return [shape for panel in self.panels for shape in panel.shapes]


def draw_page(sessions: Sequence[RecordedSession]) -> Page:
    """Draw sessions, each with an estimate or more: one alone, more of them two in a row.

    Raises:
        SerLiveError: there are none, or too many.
    """
    if not sessions:
        raise SerLiveError("no estimates, so there is nothing to draw")
    if len(sessions) > MOST_SESSIONS:
        raise SerLiveError(
            f"{len(sessions)} recordings; a report shows 1..{MOST_SESSIONS} side by side"
        )
    durations_s = [max(session.duration_s, TIMESTEP_S) for session in sessions]
    shortest_s, longest_s = min(durations_s), max(durations_s)
    scales = Scales(
        span_s=longest_s if shortest_s >= _LEAST_OF_SPAN * longest_s else None,
        latency_ms=common_range([session.latency_ms for session in sessions]),
        has_strip=any(session.gaps or len(session.marks) for session in sessions),
    )
    in_row = min(2, len(sessions))
    width = _WIDTH_ALONE if in_row == 1 else _WIDTH_BESIDE
    panels: list[Panel] = []
    y = _MARGIN
    for first in range(0, len(sessions), in_row):
        row = [
            draw_panel(session, (_MARGIN + column * (width + _BETWEEN), y), width, scales)
            for column, session in enumerate(sessions[first : first + in_row])
        ]
        panels += row
        y += max(panel.height for panel in row) + _BETWEEN
    return Page(
        "Speech emotion: " + ", ".join(printable(one.title) for one in sessions),
        2 * _MARGIN + in_row * width + (in_row - 1) * _BETWEEN,
        y - _BETWEEN + _MARGIN,
        tuple(panels),
    )
