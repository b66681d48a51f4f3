"""Which parts of the screen get how many rows: the less important go first."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows of each part, in the order from top to bottom; 0 leaves a part out.

    Attributes:
        header: source and time.
        label: the current label, 5 or 3 rows in large letters, 1 in plain ones.
        bars: emotions that get a bar.
        bar_gap: blank rows between two bars.
        title: of the timeline.
        lane: rows of each emotion's lane over time.
        ribbon: the timeline of labels.
        letters: letters under it.
        axis: time under those.
        attention_title: of the strip.
        attention: over the rolling window.
        level: meter, and speech or not.
        status: facts about the session.
        keys: what the keyboard does.
        blank: rows between the parts.
    """

    header: int = 1
    label: int = 5
    bars: int = 4
    bar_gap: int = 1
    title: int = 1
    lane: int = 2
    ribbon: int = 2
    letters: int = 1
    axis: int = 1
    attention_title: int = 1
    attention: int = 2
    level: int = 1
    status: int = 2
    keys: int = 1
    blank: int = 1

    @property
    def rows(self) -> int:
        """Rows of the whole."""
        bars = self.bars + self.bar_gap * max(0, self.bars - 1)
        timeline = self.title + self.lane * self.bars + self.ribbon + self.letters + self.axis
        rest = self.header + self.label + self.attention_title + self.attention
        return bars + timeline + rest + self.level + self.status + self.keys + 5 * self.blank


_REDUCTIONS: tuple[dict[str, int], ...] = (
    {"bar_gap": 0},
    {"lane": 1},
    {"lane": 0},
    {"attention": 1},
    {"label": 3},
    {"status": 1},
    {"blank": 0},
    {"ribbon": 1},
    {"attention_title": 0},
    {"title": 0},
    {"label": 1},
    {"axis": 0},
    {"attention": 0},
    {"level": 0},
    {"letters": 0},
    {"status": 0},
    {"keys": 0},
    {"ribbon": 0},
    {"header": 0},
)


def plan(height: int, emotions: int) -> Plan:
    """The most that fits into ``height`` rows."""
    result = Plan(bars=emotions)
    for reduction in _REDUCTIONS:
        if result.rows <= height:
            return result
        result = replace(result, **reduction)
    # Nothing is left but the label and the bars, of which the first ones stay.
    return replace(result, bars=max(0, min(emotions, height - result.label)))
