"""The parts of the screen, each a panel with a title and lines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from rich.cells import cell_len

from streamer.appearance import STATE_LOOKS, UNCERTAIN_CODE, Look, code_of, looks
from streamer.errors import printable
from streamer.percentages import whole_percents
from streamer.recognition.decision import SILENCE
from streamer.screen.drawing import tracks, widgets
from streamer.screen.drawing.frame import PAD, Panel
from streamer.screen.drawing.layout import ATTENTION_ABOVE_FROM, ATTENTION_FROM, SHARES_FROM, Plan
from streamer.screen.drawing.palette import ALERT, BACKGROUND, FAINT, TEXT
from streamer.screen.drawing.segments import Line, text, width_of
from streamer.screen.drawing.timeline import session_strip, timeline
from streamer.screen.keys import View, back_plate, edge_of
from streamer.screen.monitor import Snapshot
from streamer.signal import TIMESTEP_S

#: From this width on there is room for words instead of letters.
WIDE = 64
#: Columns between the label and the text beside it.
_BESIDE = 4
#: Columns for the letters before lanes and ribbon.
_GUTTER = 2
#: Between panels side by side: a border, and the padding on both sides.
_BETWEEN = 2 * PAD + 1


def clock(time_s: float) -> str:
    """Format a moment of the session as minutes, seconds and tenths."""
    tenths = round(10 * time_s)
    return f"{tenths // 600}:{tenths // 10 % 60:02}.{tenths % 10}"


def shortened(name: str, width: int) -> str:
    """Return a name without terminal control characters; if it is long, its end is kept."""
    shown = printable(name)
    if cell_len(shown) <= width:
        return shown
    while shown and cell_len(shown) >= width:
        shown = shown[1:]
    return f"…{shown}"


_looks = cache(looks)


@dataclass(frozen=True, slots=True)
class Parts:
    """Makes the panels of a picture.

    Attributes:
        snapshot: the session's state.
        view: the user's changes to the screen.
        rows: rows of each part.
        width: cells from edge to edge.
    """

    snapshot: Snapshot
    view: View
    rows: Plan
    width: int

    @property
    def _looks(self) -> dict[int, Look]:
        return _looks(self.snapshot.labels)

    @property
    def _emotions(self) -> list[Look]:
        return [look for code, look in self._looks.items() if code >= 0]

    def top(self, spare: int) -> list[Panel]:
        """Return the label with these spare rows, and if it fits, the attention beside it."""
        if self.width < ATTENTION_ABOVE_FROM:
            return [self.label(spare, self.width)]
        decided = self.width * 3 // 10
        label = self.label(spare, self.width - decided - _BETWEEN)
        attention = self._attention(len(label.lines), decided)
        # The time stays in the corner, as on every screen.
        return [
            replace(label, status=label.status[:-1]),
            replace(attention, status=label.status[-1:]),
        ]

    def label(self, spare: int, width: int) -> Panel:
        """Return source and time, and the label with its certainty and latency beside it."""
        snapshot, rows = self.snapshot, self.rows
        look = self._looks[code_of(snapshot.label, snapshot.labels)]
        lines = widgets.label_lines(look, rows.label, width)
        if snapshot.is_away or not snapshot.label:
            says = f"waiting for the {'device' if snapshot.is_away else 'first sound'}"
            says = says if len(says) <= width else "waiting"
            lines[len(lines) // 2] = [text(says, FAINT)]
        blank: list[Line] = [[] for _ in range(rows.pad + max(0, spare))]
        above = (len(blank) + 1) // 2
        status = self._alerts()
        title = self._title(width - width_of(status) - 3)
        beside = self._beside()
        if not _put_beside(lines, beside, width) and (said := _joined(beside)):
            if len(blank) > 1:
                blank[-1] = said
            elif width_of(said) + width_of(status) < width:  # it matters more than the source
                title = said
        lines = [*blank[:above], *lines, *blank[above:]]
        return Panel(lines, width, title, status)

    def _title(self, width: int) -> Line:
        """Return the source; a frame takes some of the room."""
        title = [text("ser-live", bold=True)]
        room = width - width_of(title) - 5 * self.rows.is_framed
        if self.snapshot.session and room > 0:
            title.append(text("  " + shortened(self.snapshot.session.source, room), FAINT))
        return title

    def _beside(self) -> list[Line]:
        snapshot = self.snapshot
        beside = []
        if snapshot.label in snapshot.labels:
            share = float(snapshot.probabilities[snapshot.labels.index(snapshot.label)])
            beside.append([text(f"{share:.0%} sure", bold=True)])
        if snapshot.lateness.newest_ms is not None and not snapshot.is_away:
            beside.append([text(f"{snapshot.lateness.newest_ms:.0f} ms late")])
        return beside

    def _alerts(self) -> Line:
        """Return urgent notices, and the time."""
        is_wide = self.width >= WIDE  # narrow, all of them fit together
        alerts: Line = []
        if self.view.is_paused:
            says = " PAUSED, audio goes on " if is_wide else " PAUSED "
            alerts.append(text(says, BACKGROUND, TEXT, bold=True))
        if self.view.is_recording:
            says = " ● REC " if is_wide else " REC "
            alerts.append(text(says, "#ffffff", ALERT, bold=True))
        if self.snapshot.is_away:
            says = " NO DEVICE " if is_wide else " NO MIC "
            alerts.append(text(says, "#ffffff", ALERT, bold=True))
        alerts += [text(" ")] if alerts else []
        return [*alerts, text(clock(self.snapshot.time))]

    def emotions(self) -> list[Panel]:
        """Return bars of the emotions now, with shares and attention beside them if they fit."""
        rows, snapshot = self.rows, self.snapshot
        has_shares = rows.is_framed and self.width >= SHARES_FROM
        has_attention = ATTENTION_FROM <= self.width < ATTENTION_ABOVE_FROM and rows.bar_rows > 2
        decided = self.width // 4 if has_shares and has_attention else 0
        shares = max(28, self.width * 3 // 10) if has_shares else 0
        width = self.width - (shares and shares + _BETWEEN) - (decided and decided + _BETWEEN)
        shown = list(zip(self._emotions, snapshot.probabilities.tolist(), strict=True))[: rows.bars]
        current = code_of(snapshot.label, snapshot.labels)
        is_current = [index == current for index in range(len(shown))]
        bars = widgets.bar_lines(shown, rows.bar_gap, width, is_current, current >= 0)
        panels = [Panel(bars, width, [text("now", bold=True)])]
        if shares:
            panels.append(self._shares(shares))
        if decided:
            panels.append(self._attention(rows.bar_rows, decided))
        return panels

    def _shares(self, width: int) -> Panel:
        *shown, doubt = self._shown_shares()
        *wholes, unsure = whole_percents([*shown, doubt])
        lines = widgets.share_lines(
            list(zip(self._emotions, shown, wholes, strict=True))[: self.rows.bars],
            self.rows.bar_gap,
            width,
        )
        title = [text("labels so far", bold=True)]
        return Panel(lines, width, title, [text(f"{unsure}% unsure", FAINT)])

    def _shown_shares(self) -> list[float]:
        """Return the share of each emotion, and of none, in all time that is not `silence`."""
        shown = self.snapshot.history.shown
        return [float(share) for share in shown / max(1, shown.sum())]

    def shares(self) -> Line:
        """Return the shares in a line, as many as fit."""
        *shown, doubt = whole_percents(self._shown_shares())
        pairs = [*zip(self._emotions, shown, strict=True)]
        line = [text("so far", FAINT)]
        for look, share in [*pairs, (STATE_LOOKS[UNCERTAIN_CODE], doubt)]:
            piece = [text(f"  {look.letter}", look.colour, bold=True), text(f" {share}%", FAINT)]
            if width_of(line) + width_of(piece) > self.width:
                break
            line += piece
        return line

    def _attention(self, height: int, width: int) -> Panel:
        weights = self.snapshot.attention
        window_s = round(len(weights) * TIMESTEP_S, 2)
        codes = self.snapshot.history.codes(len(weights))
        lines = tracks.attention_lines(weights, codes, self._looks, height - 1, width)
        lines.append(tracks.attention_axis(window_s, width))
        return Panel(lines, width, [text("what decided the label", bold=True)])

    def timeline(self) -> Panel:
        """Return ribbon and lanes of the stretch that the user chose."""
        rows, view, snapshot = self.rows, self.view, self.snapshot
        until_s = edge_of(view, snapshot)
        past = timeline(snapshot, self.width - _GUTTER, view.span_s, until_s)
        lines = tracks.ribbon_lines(past, self._looks, rows.ribbon)
        lines += tracks.lane_lines(past, self._emotions, rows.lane)
        lines += [tracks.past_axis(past, view.marks, until_s is None)][: rows.axis]
        title = [text("timeline", bold=True), text(f"  {_duration(view.span_s)}", FAINT)]
        return Panel(lines, self.width, title, back_plate(view, snapshot))

    def session(self) -> Panel:
        """Return the whole session so far as a strip."""
        rows, snapshot = self.rows, self.snapshot
        strip = session_strip(snapshot, self.width - _GUTTER)
        lines = tracks.ribbon_lines(strip, self._looks, rows.strip)
        until_s = edge_of(self.view, snapshot) or snapshot.time
        seen = (max(0.0, until_s - self.view.span_s), until_s)
        lines += [tracks.session_axis(strip, self.view.marks, seen)][: rows.strip_axis]
        is_whole = snapshot.time <= strip.span_s
        says = "session so far" if is_whole else f"last {_duration(strip.span_s)}"
        legend = "   ".join(
            f"{look.texture} {look.name}" for look in STATE_LOOKS.values() if look.name
        )
        return Panel(lines, self.width, [text(says, bold=True)], [text(legend, FAINT)])

    def sound(self) -> Panel:
        """Return level and facts about the session."""
        rows, snapshot = self.rows, self.snapshot
        is_speaking = None if snapshot.is_away else snapshot.label not in ("", SILENCE)
        level = widgets.level_line(snapshot.meter, snapshot.speech, is_speaking, self.width)
        facts = widgets.fact_lines(facts_of(snapshot, self.width), rows.status, self.width)
        return Panel([*[level][: rows.level], *facts[: rows.status]], self.width)


def _joined(pieces: list[Line]) -> Line:
    """Join pieces in one line."""
    return [part for piece in pieces for part in ([text("  "), *piece])][1:]


def _put_beside(lines: list[Line], pieces: list[Line], width: int) -> bool:
    """Put pieces one below the other at the right of lines; return False if they do not fit."""
    if len(lines) < len(pieces):  # then side by side
        pieces = [_joined(pieces)]
    taken = max(map(width_of, lines), default=0) + _BESIDE
    if not lines or taken + max(map(width_of, pieces), default=0) > width:
        return False
    for number, piece in enumerate(pieces, (len(lines) - len(pieces)) // 2):
        gap = taken - width_of(lines[number])
        lines[number] = [*lines[number], text(" " * gap), *piece]
    return True


def _duration(time_s: float) -> str:
    return f"{time_s:.0f} s" if time_s <= 60.0 else f"{time_s / 60:.0f} min"


def facts_of(snapshot: Snapshot, width: int) -> list[tuple[str, str]]:
    """Return facts as name and value, the most important first."""
    session = snapshot.session
    if session is None:
        return [("", "waiting for audio")]
    latency = compute = "-"
    if percentiles_ms := snapshot.lateness.percentiles_ms:
        latency = "{:.0f}/{:.0f} ms".format(*percentiles_ms)
    if snapshot.compute_ms is not None:
        compute = f"{snapshot.compute_ms:.1f} ms"
    rate = f"{session.sample_rate / 1000:g} kHz"
    held_up = [("held up", f"{snapshot.lateness.held_up}")] if snapshot.lateness.held_up else []
    voice = [("adaptation", session.adaptation)] if session.adaptation and session.unusual else []
    losses = [("gaps", f"{snapshot.gaps}"), *held_up, ("overflows", f"{snapshot.overflows}")]
    if width < WIDE:
        return [("late", latency), *losses, ("step", compute), ("", rate)]
    return [
        ("latency p50/p95", latency),
        *losses,
        ("compute", f"{compute} of {1000 * TIMESTEP_S:.0f}"),
        ("look-ahead", f"{session.look_ahead_ms:.0f} ms"),
        ("rate", rate),
        ("model", shortened(session.model, 32)),
        ("prior", session.prior),
        *voice,
    ]
