"""Plot of a comparison: the gain from look-ahead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from train.comparing.tables import Price
from train.judging.plots import figure


def plot_look_ahead(
    curve: Sequence[Price], others: Sequence[Price], title: str, path: Path
) -> None:
    """Plot UA against look-ahead: the price of latency.

    Args:
        curve: one network with several look-aheads; the bars are intervals of the gain over the
            live one.
        others: networks to compare it with.
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
