"""Picture of a comparison: what look-ahead buys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from train.comparing.tables import Price
from train.judging.plots import figure


def plot_look_ahead(
    curve: Sequence[Price], others: Sequence[Price], title: str, path: Path
) -> None:
    """UA against look-ahead: the price of latency.

    Args:
        curve: of one network with several look-aheads; the bars are the intervals of what each
            gains on the live one.
        others: networks that stand beside it.
        title: what was tested.
        path: file to write.
    """
    with figure(path) as axes:
        axes.plot([one.look_ahead_ms for one in curve], [one.ua for one in curve], "C0o-")
        for one in curve:
            if one.gained is not None:
                base = one.ua - one.gained.value
                bar = (base + one.gained.low, base + one.gained.high)
                axes.vlines(one.look_ahead_ms, *bar, color="C0", lw=0.8)
        for one in others:
            axes.plot(one.look_ahead_ms, one.ua, "C1s")
        for one in (*curve, *others):
            place = (one.look_ahead_ms, one.ua)
            axes.annotate(one.system, place, (0, 6), textcoords="offset points", ha="center")
        axes.set(xscale="log", xlabel="look-ahead (ms)", ylabel="UA (%)", title=title)
        axes.margins(x=0.15)
        measured = sorted({one.look_ahead_ms for one in (*curve, *others)})
        axes.set_xticks(measured, [f"{one:.0f}" for one in measured])
        axes.minorticks_off()
