"""The last screen, which stays in the terminal after a session."""

from __future__ import annotations

from itertools import groupby

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from streamer.appearance import GAP_CODE, Look, looks
from streamer.formats.lines import verdict_of
from streamer.percentages import whole_percents
from streamer.recognition.decision import SILENCE, UNCERTAIN, WARMING_UP
from streamer.screen.drawing.palette import BACKGROUND
from streamer.screen.drawing.panels import shortened
from streamer.screen.drawing.segments import Line
from streamer.screen.drawing.timeline import timeline
from streamer.screen.history import KEPT_TIMESTEPS
from streamer.screen.monitor import Snapshot
from streamer.session.events import SessionEnded
from streamer.signal import TIMESTEP_S

_MOST_COLUMNS = 100
_INDENT = 2
_LONGEST_NAME = 16
_EIGHTHS_RIGHT = " ▏▎▍▌▋▊▉"


def _plain(content: str, *, bold: bool = False, dim: bool = False) -> Segment:
    """Return a piece in the terminal's own colours, since its background may be dark or light."""
    return Segment(content, Style(bold=bold or None, dim=dim or None))


def _coloured(content: str, colour: str) -> Segment:
    return Segment(content, Style(color=colour))


def _on_colour(content: str, colour: str) -> Segment:
    return Segment(content, Style(color=BACKGROUND, bgcolor=colour, bold=True))


def ending_lines(snapshot: Snapshot, width: int, next_step: str) -> list[Line]:
    """Return the session in a few lines: verdict, shares of labels, strip, lateness, next step.

    Args:
        snapshot: the last snapshot of a session that has ended.
        width: width of the terminal.
        next_step: what to do next, in words.

    Raises:
        ValueError: the session has not ended.
    """
    ended, session = snapshot.ended, snapshot.session
    if ended is None or session is None:
        raise ValueError("the session has not ended")
    width = min(width, _MOST_COLUMNS) - 1  # a full last column wraps on some terminals
    appearance = looks(session.labels)
    verdict = _plain(verdict_of(ended), bold=True)
    source = shortened(session.source, max(8, width - len(verdict.text) - 2))
    return [
        [],
        [verdict, _plain(f"  {source}", dim=True)],
        [_plain(_duration(ended), dim=True)],
        *_share_lines(ended, [*appearance.values()], width),
        *_strip_lines(snapshot, appearance, width),
        *_wrapped(_facts(snapshot), width),
        # In full, however long, so that it can be copied.
        *([[_plain("next: ", dim=True), _plain(next_step)]] if next_step else []),
    ]


def _share_lines(ended: SessionEnded, appearance: list[Look], width: int) -> list[Line]:
    """Return a bar for each label shown during speech, the longest first."""
    shown = dict(ended.summary)
    shown.pop(SILENCE, None)
    # Before the first emotion the screen says "warming up", later "uncertain"; merge the two.
    shown[UNCERTAIN] = shown.get(UNCERTAIN, 0.0) + shown.pop(WARMING_UP, 0.0)
    total = sum(shown.values())
    colours = {look.name: look.colour for look in appearance}
    pairs = sorted(((share / total, name) for name, share in shown.items() if share), reverse=True)
    names = min(max((cell_len(name) for _, name in pairs), default=0), _LONGEST_NAME)
    track = max(0, width - _INDENT - names - 8)
    lines = []
    wholes = whole_percents([share for share, _ in pairs])
    for (share, name), whole in zip(pairs, wholes, strict=True):
        label = name if cell_len(name) <= names else set_cell_size(name, names - 1) + "…"
        full, part = divmod(round(share * track * 8), 8)
        bar = "█" * full + _EIGHTHS_RIGHT[part].strip()
        label = f"{' ' * _INDENT}{set_cell_size(label, names)}  {whole:3d}%  "
        lines.append([_plain(label), _coloured(bar, colours[name])])
    return lines


def _strip_lines(snapshot: Snapshot, appearance: dict[int, Look], width: int) -> list[Line]:
    """Return up to the last ten minutes as a strip of labels, with its start and end."""
    span_s = min(snapshot.time, KEPT_TIMESTEPS * TIMESTEP_S)
    cells = width - 2 * _INDENT
    if span_s <= 0.0 or cells <= 0:
        return []
    past = timeline(snapshot, cells, span_s)
    strip: Line = [_plain(" " * _INDENT)]
    for code, run in groupby(past.cells.tolist()):
        stretch, look = len(list(run)), appearance[code]
        if code >= 0:
            strip.append(_on_colour(look.letter.ljust(stretch), look.colour))
        else:
            strip.append(_plain(look.texture * stretch, dim=code != GAP_CODE))
    first, last = _clock(snapshot.time - span_s), _clock(snapshot.time)
    between = " " * max(1, len(past.cells) - len(first) - len(last))
    return [[], strip, [_plain(f"{' ' * _INDENT}{first}{between}{last}", dim=True)]]


def _duration(ended: SessionEnded) -> str:
    spoken_s = (1.0 - ended.summary.get(SILENCE, 1.0)) * ended.estimates * TIMESTEP_S
    return f"{spoken_s:.1f} s not silent, of {_clock(ended.duration_s)}"


def _facts(snapshot: Snapshot) -> list[str]:
    facts = []
    if snapshot.session_latency_ms:
        facts.append("latency p50/p95 {:.0f}/{:.0f} ms".format(*snapshot.session_latency_ms))
    lost = f", {snapshot.lost_s:.1f} s lost" if snapshot.gaps else ""
    facts.append(f"gaps {snapshot.gaps}{lost}")
    return facts


def _wrapped(facts: list[str], width: int) -> list[Line]:
    """Return facts side by side, in as many lines as they need."""
    lines = [""]
    for fact in facts:
        joined = f"{lines[-1]}   {fact}" if lines[-1] else fact
        if len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(fact)
    return [[], *([_plain(line)] for line in lines)]


def _clock(time_s: float) -> str:
    seconds = round(time_s)
    return f"{seconds // 60}:{seconds % 60:02}"
