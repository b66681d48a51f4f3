"""Accuracy of verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rich.table import Table

Int64 = NDArray[np.int64]


def recalls(confusion: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return recalls in %, NaN without recordings: ``(..., labels, n)`` -> ``(..., labels)``.

    The diagonal counts right answers; every column counts as an answer, even no verdict.
    """
    counts = confusion.sum(axis=-1)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    share = np.divide(right, counts, out=np.full(right.shape, np.nan), where=counts > 0)
    return np.asarray(100.0 * share)


def confusion_matrix(labels: Int64, answered: Int64, classes: int) -> Int64:
    """Return counts ``(classes, classes + 1)``, rows by true label; the last column is no verdict.

    Args:
        labels: ``(recordings,)`` indices of the true labels.
        answered: ``(recordings,)`` indices of the verdicts, ``classes`` for no verdict.
        classes: number of labels.
    """
    confusion = np.zeros((classes, classes + 1), np.int64)
    np.add.at(confusion, (labels, answered), 1)
    return confusion


@dataclass(frozen=True)
class Accuracy:
    """Accuracy over recordings; a recording without a verdict counts as an error.

    Attributes:
        confusion: ``(labels, labels + 1)`` counts from :func:`confusion_matrix`.
    """

    confusion: Int64

    @property
    def recall(self) -> NDArray[np.float64]:
        """Recall ``(labels,)`` in %, NaN for a label without recordings."""
        return recalls(self.confusion)

    @property
    def uar(self) -> float:
        """Mean recall over the classes (the paper's UA), in %."""
        return float(np.nanmean(self.recall))

    @property
    def wa(self) -> float:
        """Share of right verdicts, in %."""
        return 100.0 * float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def macro_f1(self) -> float:
        """Mean over the classes of the harmonic mean of precision and recall, in %."""
        right = np.diag(self.confusion)
        true = self.confusion.sum(axis=1)
        answered = self.confusion[:, : len(right)].sum(axis=0)
        return 100.0 * float(np.mean((2 * right / np.maximum(true + answered, 1))[true > 0]))

    @property
    def without_verdict(self) -> int:
        """Number of recordings without a verdict."""
        return int(self.confusion[:, -1].sum())

    def table(self, labels: Sequence[str]) -> Table:
        """Return the confusion matrix for display, with the recall of each label."""
        from rich.table import Table

        table = Table(title="answers by true emotion", title_justify="left")
        table.add_column("true")
        for column in (*labels, "no verdict", "recall %"):
            table.add_column(column, justify="right")
        for label, counts, recall in zip(labels, self.confusion, self.recall, strict=True):
            shown = "-" if np.isnan(recall) else f"{recall:.1f}"
            table.add_row(label, *(str(count) for count in counts), shown)
        return table
