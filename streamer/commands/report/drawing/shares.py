"""Draws each label's share of the speech as bars."""

from __future__ import annotations

from streamer.appearance import GAP_CODE, SILENCE_CODE, Look
from streamer.commands.report.drawing.ink import FAINT, INK, TRACK, chip
from streamer.commands.report.drawing.picture import Drawing
from streamer.commands.report.drawing.shapes import Box, Shape, Text, fitted
from streamer.commands.report.facts import Facts
from streamer.commands.report.sentence import percents, times_of
from streamer.recognition.decision import SILENCE

_SIZE, _ROW = 11.0, 18.0
_NAME_WIDTH, _NUMBER_WIDTH = 92.0, 44.0


def draw_shares(
    facts: Facts, looks: dict[int, Look], at: tuple[float, float], width: float
) -> Drawing:
    """Draw the labels' bars on one scale; below a rule, silence and losses by share of time."""
    x, y = at
    by_name = {look.name: look for look in looks.values()}
    shares = [(by_name[name], share) for name, share in facts.shares.items()]
    title = "Share of speech" if facts.speech else "No speech"
    shapes: list[Shape] = [Text(x, y + 10, title, _SIZE, INK, is_bold=True)]
    y += 18
    shown, of_time = percents(facts.shares), times_of(facts)
    if facts.speech:
        for look, share in shares:
            shapes += _bar(look, look.name, share, shown[look.name], x, y, width)
            y += _ROW
        y += 10
    times = [(looks[SILENCE_CODE], SILENCE, facts.silence)]
    if facts.gaps:
        times.append((looks[GAP_CODE], "lost", min(1.0, facts.lost_s / facts.duration_s)))
    told = f"Share of time: speech {of_time['speech']}"
    shapes.append(Text(x, y + 10, told, _SIZE, FAINT))
    y += 18
    for look, name, share in times:
        shapes += _bar(look, name, share, of_time[name], x, y, width)
        y += _ROW
    return Drawing(width, y - at[1], tuple(shapes))


def _bar(
    look: Look, name: str, share: float, told: str, x: float, y: float, width: float
) -> list[Shape]:
    left = x + 20 + _NAME_WIDTH
    track = width - 20 - _NAME_WIDTH - _NUMBER_WIDTH
    return [
        *chip(look, x, y),
        Text(x + 20, y + 11, fitted(name, _SIZE, _NAME_WIDTH), _SIZE, INK),
        Box(left, y + 1, track, 12, TRACK),
        Box(left, y + 1, track * share, 12, look.colour),
        Text(x + width, y + 11, told, _SIZE, INK, "end"),
    ]
