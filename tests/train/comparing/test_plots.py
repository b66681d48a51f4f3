"""Plots of a run, drawn from its files."""

from __future__ import annotations

import numpy as np
import pytest

from train.comparing.plots import plot_look_ahead
from train.comparing.tables import Price, Spread
from train.judging import plots


def written_texts(monkeypatch, draw):
    """Return all texts of a plot, and the figure."""
    (axes,) = drawn_axes(monkeypatch, draw)
    return axes, [text.get_text() for text in axes.texts]


def drawn_axes(monkeypatch, draw):
    """Return all axes of the figure."""
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, *_, **__: figures.append(figure))
    draw()
    return figures[0].axes


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


@pytest.mark.parametrize(
    ("said", "sets"),
    [
        ({"validation_sets": ["alone", "in streams"]}, ("alone", "in streams")),
        ({}, ("as recorded", "augmented")),  # logs of older runs
    ],
)
def test_curves_show_every_set_and_corpus_and_the_epoch_that_was_kept(
    monkeypatch, tmp_path, said, sets
):
    records = [
        {"epoch": epoch, "validation_uar": [[50, 60], [40, 30]], "mean": 45} | said
        for epoch in (1, 2)
    ]
    axes, _ = written_texts(
        monkeypatch, lambda: plots.plot_uar(records, ["cremad", "ravdess"], 2, tmp_path)
    )
    assert [line.get_label() for line in axes.lines] == [
        *(f"{corpus}, {heard}" for heard in sets for corpus in ("cremad", "ravdess")),
        "mean",
        "kept",
    ]
    np.testing.assert_array_equal(axes.lines[2].get_ydata(), [40, 40])
    np.testing.assert_array_equal(axes.lines[5].get_xdata(), [2, 2])


def test_a_set_that_lacks_a_corpus_has_no_curve_of_it(monkeypatch, tmp_path):
    record = {"epoch": 1, "mean": 45, "validation_sets": ["alone", "in streams"]}
    records = [record | {"validation_uar": [[50, 60], [None, 30]]}]
    axes, _ = written_texts(
        monkeypatch, lambda: plots.plot_uar(records, ["own", "ravdess"], 1, tmp_path)
    )
    assert [line.get_label() for line in axes.lines] == [
        "own, alone", "ravdess, alone", "ravdess, in streams", "mean", "kept",
    ]  # fmt: skip


def test_confusion_matrices_of_systems_are_side_by_side(monkeypatch, tmp_path):
    confusions = {name: np.array([[3, 1, 0], [0, 4, 0]]) for name in "abcdef"}
    found = drawn_axes(monkeypatch, lambda: plots.plot_confusions(confusions, "xy", tmp_path))
    shown = [axes for axes in found if axes.axison]
    assert [axes.get_title() for axes in shown] == [*"abcdef"]
    assert shown[5].texts[0].get_text() == "75.0"


def test_the_curve_of_look_ahead_shows_what_each_gains(monkeypatch, tmp_path):
    curve = [
        Price("look-ahead-0", 15.0, 60.0, Spread(-2.0, -3.0, 0.5)),
        Price("live", 175.0, 62.0, Spread(0.0, 0.0, 0.0)),
    ]
    others = [Price("paper", 4375.0, 64.0, None)]
    axes, texts = written_texts(
        monkeypatch, lambda: plot_look_ahead(curve, others, "title", tmp_path)
    )
    np.testing.assert_array_equal(axes.lines[0].get_data(), [[15, 175], [60, 62]])
    bars = [bar.get_segments()[0][:, 1].tolist() for bar in axes.collections]
    assert bars == [[59.0, 62.5], [62.0, 62.0]]
    assert texts == ["look-ahead-0", "live", "paper"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["15", "175", "4375"]
