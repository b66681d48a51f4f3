"""The screen's keys: what they change, and how the screen explains them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.cells import cell_len, set_cell_size

from streamer.appearance import STATE_LOOKS
from streamer.errors import printable
from streamer.screen.drawing.palette import BACKGROUND, FAINT, TEXT, TRACK
from streamer.screen.drawing.segments import Line, text, width_of
from streamer.screen.monitor import Snapshot
from streamer.signal import TIMESTEP_S

#: Spans of the timeline, in seconds.
SPANS_S = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0)
#: An arrow key moves the timeline by this share of its span.
_STEP = 0.25

_NAMES_IN = {"+": 1, "=": 1, "-": -1, "_": -1}
_STEPS = {"left": -1, "h": -1, "right": 1, "l": 1, "page up": -4, "page down": 4}


@dataclass(frozen=True, slots=True)
class View:
    """The user's changes to the screen.

    Attributes:
        is_paused: whether the picture stands still.
        is_help: whether it shows the help on top.
        can_record: whether there is a microphone.
        is_recording: whether the audio is being recorded.
        message: text shown instead of the keys.
        marks: marked moments in stream time, seconds.
        span_s: span of the timeline, in seconds.
        until_s: stream time at its right edge, None while it follows.
    """

    is_paused: bool = False
    is_help: bool = False
    can_record: bool = False
    is_recording: bool = False
    message: str = ""
    marks: tuple[float, ...] = ()
    span_s: float = 30.0
    until_s: float | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A key and its explanation.

    Attributes:
        name: label of the key.
        word: what it does, in a word.
        what: the rest of the explanation.
        worth: a narrow line omits the keys with the least worth first.
    """

    name: str
    word: str
    what: str
    worth: int


KEYS = (
    Key("q", "quit", "end the session", 8),
    Key("p", "pause", "audio goes on", 6),
    Key("r", "record", "start or stop", 5),
    Key("s", "snapshot", "screen to an SVG", 1),
    Key("m", "mark", "in --output too", 4),
    Key("+-", "zoom", "15 s to 10 min", 2),
    Key("←→", "back", "in time; also h l", 3),
    Key("0", "live", "also End", 0),
    Key("?", "help", "any key closes it", 7),
)


def pressed(view: View, key: str, snapshot: Snapshot) -> View:
    """Return the view after a key that changes only the view."""
    if view.is_help:
        return replace(view, is_help=False)
    if key == "?":
        return replace(view, is_help=True)
    if key == "p":
        return replace(view, is_paused=not view.is_paused)
    if key in ("0", "end"):
        return replace(view, until_s=None)
    if key == "home":
        return _scrolled(view, snapshot, 0.0)
    if key in _NAMES_IN:
        nearest = SPANS_S.index(view.span_s) - _NAMES_IN[key]
        view = replace(view, span_s=SPANS_S[min(max(nearest, 0), len(SPANS_S) - 1)])
        return view if view.until_s is None else _scrolled(view, snapshot, view.until_s)
    if key in _STEPS:
        before_s = snapshot.time if view.until_s is None else view.until_s
        return _scrolled(view, snapshot, before_s + _STEPS[key] * _STEP * view.span_s)
    return view


def _scrolled(view: View, snapshot: Snapshot, until_s: float) -> View:
    """Return the view that ends there, or as near to it as the history allows."""
    return replace(view, until_s=edge_of(replace(view, until_s=until_s), snapshot))


def edge_of(view: View, snapshot: Snapshot) -> float | None:
    """Return the stream time at the timeline's right edge, None for the newest.

    A view scrolled back moves on once its time is too old to be kept.
    """
    if view.until_s is None:
        return None
    oldest_s = max(0.0, snapshot.time - len(snapshot.history) * TIMESTEP_S)
    until_s = max(view.until_s, oldest_s + view.span_s)
    return until_s if until_s < snapshot.time else None


def back_plate(view: View, snapshot: Snapshot) -> Line:
    """Return a note on how far back the timeline is; empty while it follows."""
    until_s = edge_of(view, snapshot)
    if until_s is None:
        return []
    back_s = max(1, round(snapshot.time - until_s))
    back = f"{back_s} s" if back_s < 120 else f"{back_s // 60} min {back_s % 60} s"
    return [text(f" {back} back, End: live ", BACKGROUND, TEXT, bold=True)]


def key_line(view: View, width: int) -> Line:
    """Return the keys in a line, or the message."""
    if view.message:
        shown = printable(view.message)
        if cell_len(shown) > width:
            shown = set_cell_size(shown, max(0, width - 1)).rstrip() + "…"
        return [text(shown, BACKGROUND, TEXT, bold=True)]
    keys = _keys_of(view)
    for gap in (2, 1):
        line = _line_of(keys, gap)
        if width_of(line) <= width:
            return line
    while len(keys) > 1 and width_of(_line_of(keys, 1)) > width:
        keys.remove(min(keys, key=lambda key: key.worth))
    return _line_of(keys, 1) if width_of(_line_of(keys, 1)) <= width else []


def _line_of(keys: list[Key], gap: int) -> Line:
    line: Line = []
    for key in keys:
        line += [text(" " * gap)] if line else []
        if key.word.startswith(key.name):  # the key is the first letter of its word
            line += [text(key.name, bold=True), text(key.word[len(key.name) :], FAINT)]
        else:
            line += [text(key.name, bold=True), text(f" {key.word}", FAINT)]
    return line


def _keys_of(view: View) -> list[Key]:
    """Return the keys that work now, with words for what they do now."""
    keys = [key for key in KEYS if view.can_record or key.name != "r"]
    if view.is_paused:
        keys = [replace(key, word="go on") if key.name == "p" else key for key in keys]
    if view.until_s is None:
        keys = [key for key in keys if key.name != "0"]
    return keys


def help_lines(view: View, width: int, height: int) -> list[Line]:
    """Return a box that explains the keys and the timeline, no larger than the screen."""
    keys = [key for key in KEYS if view.can_record or key.name != "r"]
    words = max(len(key.word) for key in keys)
    texts = [f"{key.name:<2}  {key.word:<{words}}  {key.what}" for key in keys]
    if max(map(len, texts)) + 4 > width:  # no explanation is better than half of one
        texts = [f"{key.name:<2}  {key.word}" for key in keys]
    signs = [f"{look.texture:<2}  {look.name}" for look in STATE_LOOKS.values() if look.name]
    if height >= len(texts) + len(signs) + 6:
        texts += ["", "on the timeline", *signs]
    inner = min(max(map(len, texts)), max(1, width - 4))
    rows = [
        [text("│ ", FAINT, TRACK), text(f"{line[:inner]:<{inner}}", TEXT, TRACK)] for line in texts
    ]
    lines = [[*row, text(" │", FAINT, TRACK)] for row in rows]
    if height < len(lines) + 2:
        return lines
    rule = "─" * inner
    head = [text("╭─ ", FAINT, TRACK), text("keys", TEXT, TRACK, bold=True)]
    head.append(text(f" {rule[6:]}─╮", FAINT, TRACK))
    return [head, *lines, [text(f"╰─{rule}─╯", FAINT, TRACK)]]
