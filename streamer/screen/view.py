"""The terminal UI as a picture: a pure function of a snapshot, a view and a size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO

import numpy as np
from rich.console import Console
from rich.segment import Segment, Segments
from rich.terminal_theme import TerminalTheme

from streamer.decision import SILENCE
from streamer.errors import printable
from streamer.looks import STATE_LOOKS, Look, code_of, looks
from streamer.screen import widgets
from streamer.screen.layout import Plan, plan
from streamer.screen.monitor import Snapshot
from streamer.screen.palette import ALERT, BACKGROUND, FAINT, TEXT, TRACK
from streamer.screen.timeline import Timeline, timeline
from streamer.screen.widgets import Line, spread, text

#: Columns left free on either side.
_MARGIN = 1
#: Columns between the label and what is said beside it.
_BESIDE = 4
#: From this width on there is room for words rather than letters.
_WIDE = 70

KEYS = (
    ("q", "quit", "end the session"),
    ("p", "pause", "picture; audio goes on"),
    ("r", "record", "start or stop recording"),
    ("s", "snapshot", "screen to an SVG file"),
    ("m", "mark", "moment, in --output too"),
    ("?", "help", "any key closes it"),
)
_THEME = TerminalTheme((16, 20, 24), (216, 222, 228), [(0, 0, 0)] * 8, [(255, 255, 255)] * 8)


@dataclass(frozen=True, slots=True)
class View:
    """What the person did to the screen.

    Attributes:
        is_paused: the picture stands still.
        is_help: the keys are explained on top of it.
        can_record: there is a microphone.
        is_recording: what is heard is being written.
        message: shown instead of the keys.
        marks: marked moments in stream time, seconds.
    """

    is_paused: bool = False
    is_help: bool = False
    can_record: bool = False
    is_recording: bool = False
    message: str = ""
    marks: tuple[float, ...] = ()


def svg(snapshot: Snapshot, view: View, width: int, height: int) -> str:
    """The picture as SVG, ``width`` by ``height`` cells."""
    console = Console(
        file=StringIO(),
        record=True,
        width=width,
        height=height,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
        _environ={},
    )
    lines = draw(snapshot, view, width, height)
    console.print(Segments([piece for line in lines for piece in _pieces(line)]))
    return console.export_svg(title="ser-live", theme=_THEME)


def _pieces(line: Line) -> Iterator[Segment]:
    """A line with blanks before words as pieces of their own: some SVG viewers swallow them."""
    for segment in line:
        words = segment.text.lstrip(" ")
        if blanks := len(segment.text) - len(words):
            yield Segment(" " * blanks, segment.style)
        if words:
            yield Segment(words, segment.style)
    yield Segment.line()


def draw(snapshot: Snapshot, view: View, width: int, height: int) -> list[Line]:
    """All ``height`` lines of the picture, each exactly ``width`` cells."""
    inner = max(1, width - 2 * _MARGIN)
    lines = _body(snapshot, view, inner, height)[:height]
    if view.is_help:
        _put_in_the_middle(lines, _help(view, inner))
    edge = text(" " * _MARGIN)
    return [
        Segment.adjust_line_length([edge, *line], width, style=widgets.style()) for line in lines
    ]


def _body(snapshot: Snapshot, view: View, width: int, height: int) -> list[Line]:
    appearance = looks(snapshot.labels)
    emotions = [appearance[index] for index in range(len(snapshot.labels))]
    current = appearance[code_of(snapshot.label, snapshot.labels)]
    rows = plan(height, len(emotions))
    blank: list[Line] = [[]] * rows.blank
    shown = list(zip(emotions, snapshot.probabilities.tolist(), strict=True))[: rows.bars]
    is_named = snapshot.label in snapshot.labels
    top = [
        *[_header(snapshot, view, width)][: rows.header],
        *blank,
        *_label(snapshot, current, rows.label, width),
        *blank,
        *widgets.bar_lines(
            shown, rows.bar_gap, width, [look is current for look, _ in shown], is_named
        ),
        *blank,
        *_timeline(snapshot, view, rows, width),
        *blank,
        *_attention(snapshot, rows, width),
    ]
    is_speaking = None if snapshot.is_away else snapshot.label not in ("", SILENCE)
    bottom = [
        *blank,
        *[widgets.level_line(snapshot.meter, snapshot.speech, is_speaking, width)][: rows.level],
        *(widgets.fact_lines(_facts(snapshot, width), rows.status, width) if rows.status else []),
        *[_keys(view, width)][: rows.keys],
    ]
    spare: list[Line] = [[]] * max(0, height - len(top) - len(bottom))
    return [*top, *spare, *bottom]


def _label(snapshot: Snapshot, look: Look, rows: int, width: int) -> list[Line]:
    """The label, and beside it how sure and how late it is."""
    beside = []
    if snapshot.label in snapshot.labels:
        share = float(snapshot.probabilities[snapshot.labels.index(snapshot.label)])
        beside.append([text(f"{share:.0%} sure", bold=True)])
    if snapshot.latencies_ms and not snapshot.is_away:
        beside.append([text(f"{snapshot.latencies_ms[-1]:.0f} ms late")])
    lines = widgets.label_lines(look, rows, width)
    if len(lines) < len(beside):  # one row: side by side
        beside = [[*beside[0], text("  "), *beside[1]]]
    taken = max(map(widgets.width_of, lines)) + _BESIDE
    first = (len(lines) - len(beside)) // 2
    for number, piece in enumerate(beside, first):
        gap = taken - widgets.width_of(lines[number])
        if taken + widgets.width_of(piece) <= width:
            lines[number] = [*lines[number], text(" " * gap), *piece]
    return lines


def _header(snapshot: Snapshot, view: View, width: int) -> Line:
    left = [text("ser-live", bold=True)]
    tenths = round(10 * snapshot.time)
    right = [text(f" {tenths // 600}:{tenths // 10 % 60:02}.{tenths % 10}")]
    is_wide = width >= _WIDE  # narrow, all of them fit together
    if snapshot.is_away:
        says = " NO DEVICE " if is_wide else " NO MIC "
        right.insert(0, text(says, "#ffffff", ALERT, bold=True))
    if view.is_recording:
        says = " ● REC " if is_wide else " REC "
        right.insert(0, text(says, "#ffffff", ALERT, bold=True))
    if view.is_paused:
        says = " PAUSED, audio goes on " if is_wide else " PAUSED "
        right.insert(0, text(says, BACKGROUND, TEXT, bold=True))
    room = width - widgets.width_of(left) - widgets.width_of(right) - 3
    if snapshot.session and room > 0:
        left.append(text("  " + _shortened(snapshot.session.source, room), FAINT))
    return spread(left, right, width)


def _shortened(name: str, width: int) -> str:
    """A name without what a terminal could take for a command, its end kept if it is long."""
    shown = printable(name)
    return shown if len(shown) <= width else "…" + shown[max(1, len(shown) - width + 1) :]


def _timeline(snapshot: Snapshot, view: View, rows: Plan, width: int) -> list[Line]:
    past = timeline(snapshot, width - 2)
    appearance = looks(snapshot.labels)
    emotions = [appearance[index] for index in range(len(snapshot.labels))]
    window_s = widgets.seconds(len(snapshot.attention))
    lines = [_timeline_title(past, width)][: rows.title]
    if rows.lane:
        lines += widgets.lane_lines(past, emotions, rows.lane)
    lines += [widgets.ribbon_line(past, appearance)] * rows.ribbon
    lines += [widgets.letter_line(past, appearance)][: rows.letters]
    return lines + [widgets.axis_line(past, view.marks, window_s)][: rows.axis]


def _timeline_title(past: Timeline, width: int) -> Line:
    left = [text("timeline", bold=True), text(f"  {len(past.cells) * past.cell_s:.0f} s", FAINT)]
    legend = [
        text(f"   {look.letter} {look.name}", FAINT) for look in STATE_LOOKS.values() if look.name
    ]
    return spread(left, legend, width)


def _attention(snapshot: Snapshot, rows: Plan, width: int) -> list[Line]:
    weights = snapshot.attention
    title = [text("attention", bold=True)]
    title.append(text(f"  which of the last {widgets.seconds(len(weights)):g} s decided", FAINT))
    times = float(weights.max()) * len(weights)
    strongest = [text(f"strongest {times:.1f} times the mean", FAINT)] if times else []
    lines = [spread(title, strongest, width)][: rows.attention_title]
    if rows.attention:
        codes = widgets.window_codes(snapshot.codes, len(weights))
        appearance = looks(snapshot.labels)
        lines += widgets.attention_lines(weights, codes, appearance, rows.attention, width)
    return lines


def _facts(snapshot: Snapshot, width: int) -> list[tuple[str, str]]:
    """Name and value, the most important first."""
    session = snapshot.session
    if session is None:
        return [("", "waiting for audio")]
    latency = compute = "-"
    if snapshot.latencies_ms:
        p50, p95 = np.percentile(snapshot.latencies_ms, (50, 95))
        latency = f"{p50:.0f}/{p95:.0f} ms"
    if snapshot.compute_ms is not None:
        compute = f"{snapshot.compute_ms:.1f} ms"
    rate = f"{session.sample_rate / 1000:g} kHz"
    losses = [("gaps", f"{snapshot.gaps}"), ("overflows", f"{snapshot.overflows}")]
    if snapshot.held_up:
        losses.append(("held up", f"{snapshot.held_up}"))
    if width < _WIDE:
        return [("late", latency), ("step", compute), *losses, ("", rate)]
    return [
        ("latency p50/p95", latency),
        ("compute", f"{compute} a step"),
        *losses,
        ("look-ahead", f"{session.look_ahead_ms:.0f} ms"),
        ("rate", rate),
        ("model", _shortened(session.model, 32)),
        ("prior", session.prior),
    ]


def _keys(view: View, width: int) -> Line:
    """The keyboard in a line, or what there is to say."""
    if view.message:
        shown = printable(view.message)
        shown = shown if len(shown) <= width else shown[: width - 1] + "…"
        return [text(shown, BACKGROUND, TEXT, bold=True)]
    keys = _keys_of(view)
    if width >= _WIDE:
        pieces = [[text(f" {key} ", TEXT, TRACK, bold=True), text(f" {word}   ", FAINT)]
                  for key, word, _ in keys]  # fmt: skip
    else:  # the key is the first letter of its word
        pieces = [
            [text(key, bold=True), text((word[1:] if word[0] == key else "") + " ", FAINT)]
            for key, word, _ in keys
        ]
    return [segment for piece in pieces for segment in piece]


def _keys_of(view: View) -> list[tuple[str, str, str]]:
    return [key for key in KEYS if view.can_record or key[0] != "r"]


def _help(view: View, width: int) -> list[Line]:
    names = max(len(word) for _, word, _ in KEYS)
    texts = [f"  {key}  {word:<{names}}  {what}" for key, word, what in _keys_of(view)]
    box = min(width, max(map(len, texts)) + 2)
    left = text(" " * ((width - box) // 2))
    return [[left, text(line[:box].ljust(box), TEXT, TRACK)] for line in ("", "  KEYS", *texts, "")]


def _put_in_the_middle(lines: list[Line], box: list[Line]) -> None:
    first = max(0, (len(lines) - len(box)) // 2)
    lines[first : first + len(box)] = box[: len(lines) - first]
