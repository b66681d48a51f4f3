"""Draws the latency of the estimates: a histogram and a timeline."""

from __future__ import annotations

from pathlib import Path

from streamer.commands.latency.probe import SETTLING_S, Passage
from streamer.commands.latency.spread import Spread
from streamer.counting import counted
from streamer.errors import SerLiveError, printable
from streamer.plotting import check_matplotlib, save


def check_plot(path: Path) -> None:
    """Check the file before anything is measured.

    Raises:
        SerLiveError: the name does not end in .png.
        RunFailure: matplotlib is not installed.
    """
    if path.suffix.lower() != ".png":
        raise SerLiveError(f"{path}: a plot is a .png file")
    check_matplotlib("--plot")


def draw(passage: Passage, source: str, path: Path) -> None:
    """Draw a session's estimates after it had settled.

    Raises:
        RunFailure: the file cannot be written.
    """
    from matplotlib.figure import Figure

    settled = passage.after(SETTLING_S)
    spread = Spread.of(settled.end_to_end_ms)
    figure = Figure(figsize=(9, 6), layout="constrained")
    histogram, timeline = figure.subplots(2, 1)
    figure.suptitle(
        f"Sound to label, {counted(len(settled.labels), 'estimate')} of {printable(source)}",
        parse_math=False,  # a name may hold dollars
    )
    histogram.hist(settled.end_to_end_ms, bins=60, color="0.6")
    for name, style in (("p50", "-"), ("p95", "--"), ("p99", ":")):
        value = getattr(spread, name)
        histogram.axvline(value, color="C3", ls=style, lw=1, label=f"{name} {value:.1f} ms")
        timeline.axhline(value, color="C3", ls=style, lw=1)
    histogram.legend()
    histogram.set(xlabel="end to end (ms)", ylabel="estimates")
    timeline.plot(settled.time_s, settled.end_to_end_ms, color="0.3", linewidth=0.8)
    timeline.set(xlabel="stream time (s)", ylabel="end to end (ms)")
    save(figure, path, format="png", dpi=120)
