"""Plots of a run's epochs and of verdicts: loss, UAR, confusions, reliability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamer.plotting import save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Line styles of the validation sets.
STYLES = ("-", ":", "--")
#: Share of a class above which the confusion matrix prints it in white.
DARK = 50.0
#: Validation sets of older runs, whose logs do not name them.
EARLIER_SETS = ("as recorded", "augmented")
#: Confusion matrices per row.
MATRICES_ABREAST = 4


def plot_run(records: Sequence[Mapping[str, Any]], result: Mapping[str, Any], folder: Path) -> None:
    """Draw ``loss.png``, ``uar.png``, ``confusion.png`` and ``reliability.png`` of a finished run.

    Args:
        records: lines of its log.
        result: its result.
        folder: folder to draw in.
    """
    where = f"{result['recipe']['name']}, validation speakers"
    plot_loss(records, folder / "loss.png")
    plot_uar(records, result["recipe"]["corpora"], result["epoch"], folder / "uar.png")
    labels, validation = result["recipe"]["network"]["labels"], result["validation"]
    plot_confusion(validation["confusion"], labels, where, folder / "confusion.png")
    plot_reliability(validation["reliability"], where, folder / "reliability.png")


@contextmanager
def figure(path: Path, width: float = 6.0, height: float = 4.0) -> Iterator[Axes]:
    """Yield axes of a figure, which is written when the block ends."""
    with _figures(path, 1, 1, width, height) as (axes,):
        yield axes


@contextmanager
def _figures(
    path: Path, rows: int, columns: int, width: float, height: float
) -> Iterator[Sequence[Axes]]:
    """Yield the axes of a figure with several, row by row."""
    # Imported here because matplotlib takes a second. Not pyplot: it keeps figures and may open
    # windows.
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    yield figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    save(figure, path, dpi=120)


def plot_loss(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Plot training and validation loss by epoch; :mod:`train.fitting.epochs` explains them."""
    epochs = [record["epoch"] for record in records]
    with figure(path) as axes:
        axes.plot(epochs, [record["loss"] for record in records], label="training, an estimate")
        axes.plot(
            epochs, [record["validation_loss"] for record in records], label="validation, a verdict"
        )
        axes.set(xlabel="epoch", ylabel="cross-entropy (nats)")
        _count_epochs(axes)


def plot_uar(
    records: Sequence[Mapping[str, Any]], corpora: Sequence[str], best: int, path: Path
) -> None:
    """Plot the validation speakers' UAR by epoch: every set and corpus, and their mean.

    Args:
        records: lines of the log.
        corpora: names, in the log's order.
        best: the epoch that was kept.
        path: file to write.
    """
    epochs = [record["epoch"] for record in records]
    # (epochs, sets, corpora), NaN where a set lacks a corpus
    uars = np.array([record["validation_uar"] for record in records], float)
    with figure(path) as axes:
        for index in range(uars.shape[1]):
            heard = records[-1].get("validation_sets", EARLIER_SETS)[index]
            for corpus, name in enumerate(corpora):
                if np.isnan(uars[:, index, corpus]).all():
                    continue
                (line,) = axes.plot(epochs, uars[:, index, corpus], label=f"{name}, {heard}")
                line.set(color=f"C{corpus + 1}", linestyle=STYLES[index])
        axes.plot(epochs, [record["mean"] for record in records], "k", lw=2, label="mean")
        axes.axvline(best, color="grey", lw=0.8, label="kept")
        axes.set(xlabel="epoch", ylabel="UAR (%)")
        _count_epochs(axes)


def _count_epochs(axes: Axes) -> None:
    axes.locator_params("x", integer=True)
    axes.legend()


def plot_confusion(confusion: ArrayLike, labels: Sequence[str], title: str, path: Path) -> None:
    """Plot a confusion matrix in % of the true class, by row (the paper's figure 4).

    Args:
        confusion: counts ``(labels, labels)``, true label by row; a further column holds
            recordings without a verdict.
        labels: their names.
        title: what was tested.
        path: file to write.
    """
    size = _side(labels)
    with figure(path, size, size) as axes:
        _draw_confusion(axes, np.asarray(confusion), labels, title)


def plot_confusions(
    confusions: Mapping[str, NDArray[np.integer]], labels: Sequence[str], path: Path
) -> None:
    """Plot confusion matrices side by side, one per system, like :func:`plot_confusion`."""
    columns = min(len(confusions), MATRICES_ABREAST)
    rows = -(-len(confusions) // columns)
    size = _side(labels)
    with _figures(path, rows, columns, columns * size, rows * size) as grid:
        for axes in grid:
            axes.set_axis_off()
        for axes, (system, confusion) in zip(grid, confusions.items(), strict=False):
            axes.set_axis_on()
            _draw_confusion(axes, confusion, labels, system)


def _side(labels: Sequence[str]) -> float:
    """Return the side of a confusion matrix in inches."""
    return 2.0 + 0.8 * len(labels)


def _draw_confusion(
    axes: Axes, confusion: NDArray[np.integer], labels: Sequence[str], title: str
) -> None:
    shares = _row_percentages(confusion)
    answers = [*labels, "none"][: shares.shape[1]]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > DARK else "black"
        axes.text(column, row, f"{share:.1f}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(answers)), answers, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="heard as (%)", ylabel="label", title=title)


def _row_percentages(confusion: NDArray[np.integer]) -> NDArray[np.float64]:
    return np.asarray(100.0 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1))


def plot_reliability(reliability: ArrayLike, title: str, path: Path) -> None:
    """Plot a reliability diagram: how often verdicts of each confidence are right.

    Args:
        reliability: ``(bins, 3)`` from :func:`train.measuring.measures.reliability`.
        title: what was tested.
        path: file to write.
    """
    bins = np.asarray(reliability)
    confidence, accuracy, count = bins[bins[:, 2] > 0].T
    with figure(path, 5.0, 5.0) as axes:
        axes.plot([0, 1], [0, 1], color="grey", lw=0.8)
        axes.plot(confidence, accuracy, marker="o")
        for x, y, recordings in zip(confidence, accuracy, count, strict=True):
            axes.annotate(f"{recordings:.0f}", (x, y), (4, -12), textcoords="offset points")
        axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1), title=title)
