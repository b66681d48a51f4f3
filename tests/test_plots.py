"""Plots of a run, drawn from its files."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from train import plots


def written_texts(monkeypatch, draw):
    """Everything that a plot says, and the figure."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    draw()
    (axes,) = figures[0].axes
    return axes, [text.get_text() for text in axes.texts]


def test_a_confusion_matrix_shows_shares_of_the_true_class(monkeypatch, tmp_path):
    axes, texts = written_texts(
        monkeypatch,
        lambda: plots.plot_confusion([[3, 1], [0, 0]], ["angry", "sad"], "title", tmp_path),
    )
    assert texts == ["75.0", "25.0", "0.0", "0.0"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["angry", "sad"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["angry", "sad"]


def test_recordings_without_a_verdict_have_a_column(monkeypatch, tmp_path):
    axes, texts = written_texts(
        monkeypatch,
        lambda: plots.plot_confusion([[2, 1, 1], [0, 4, 0]], ["a", "b"], "title", tmp_path),
    )
    assert texts == ["50.0", "25.0", "25.0", "0.0", "100.0", "0.0"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "none"]


def test_a_reliability_diagram_leaves_out_empty_bins(monkeypatch, tmp_path):
    bins = np.array([[0.0, 0.0, 0], [0.55, 0.5, 8], [0.9, 0.7, 20]])
    axes, texts = written_texts(
        monkeypatch, lambda: plots.plot_reliability(bins, "title", tmp_path)
    )
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), [0.55, 0.9])
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [0.5, 0.7])
    assert texts == ["8", "20"]


def test_curves_show_every_set_and_corpus_and_the_epoch_that_was_kept(monkeypatch, tmp_path):
    records = [
        {"epoch": epoch, "validation_uar": [[50, 60], [40, 30]], "mean": 45} for epoch in (1, 2)
    ]
    axes, _ = written_texts(
        monkeypatch, lambda: plots.plot_uar(records, ["cremad", "ravdess"], 2, tmp_path)
    )
    assert [line.get_label() for line in axes.lines] == [
        "cremad, as recorded",
        "ravdess, as recorded",
        "cremad, augmented",
        "ravdess, augmented",
        "mean",
        "kept",
    ]
    np.testing.assert_array_equal(axes.lines[2].get_ydata(), [40, 40])
    np.testing.assert_array_equal(axes.lines[5].get_xdata(), [2, 2])
