"""The assumed frequency of each emotion: all equal, or as in everyday life.

The network's probabilities hold for balanced classes, as actors speak them. At a laptop most
speech is neutral. By Bayes' rule label ``i`` then has ``p_i w_i / sum_j p_j w_j``, where ``w_i``
is the label's everyday frequency over its frequency in training, which is one over the number of
labels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:  # the command line needs the names, and starts without NumPy
    import numpy as np
    from numpy.typing import NDArray

Prior = Literal["everyday", "balanced"]
EVERYDAY: Prior = "everyday"
BALANCED: Prior = "balanced"
PRIORS: tuple[Prior, ...] = get_args(Prior)

#: How far the sum of the shares may be from 1.
_TOLERANCE = 1e-6


def check_shares(shares: tuple[float, ...], labels: tuple[str, ...]) -> None:
    """Check the frequencies of the labels; an empty tuple means that they are unknown.

    Raises:
        ValueError: they are not one per label, not above 0, or do not sum to 1.
    """
    if not shares:
        return
    if len(shares) != len(labels):
        raise ValueError(f"everyday_prior must have {len(labels)} shares, one a label, or none")
    if not all(isinstance(share, float) and 0.0 < share < 1.0 for share in shares):
        raise ValueError("everyday_prior must have shares between 0 and 1")
    if abs(math.fsum(shares) - 1.0) > _TOLERANCE:
        raise ValueError("everyday_prior must sum to 1")


def under_prior(
    balanced: NDArray[np.float32],
    shares: NDArray[np.float64],
    ordinary: NDArray[np.float32] | None = None,
    ordinary_share: float = 0.0,
) -> NDArray[np.float32]:
    """Return the probabilities if the labels have these frequencies.

    If the network tells ordinary speech from acted emotions, the usual label is frequent because
    most speech is ordinary; the rest is shared as among actors. Each row is computed by itself and
    in double precision, so the other rows do not change it.

    Args:
        balanced: ``(batch, labels)``, each row summing to 1.
        shares: ``(labels,)``, frequencies of the labels, summing to 1.
        ordinary: ``(batch, 1)``, probability of ordinary speech; None if not computed.
        ordinary_share: share of ordinary speech for which that probability holds.
    """
    if ordinary is None:
        return _shared(balanced * (shares * shares.size))
    usual = shares.argmax()
    others = (1.0 - shares[usual]) / (shares.size - 1)
    # Acted speech has the usual label as often as each of the others.
    everyday = 1.0 - others * shares.size
    met = shares.copy()
    met[usual] = others
    acted = _shared(balanced * met).astype("float64")
    likely = ordinary.astype("float64")
    for_it = likely * everyday * (1.0 - ordinary_share)
    against = (1.0 - likely) * (1.0 - everyday) * ordinary_share
    both = for_it + against
    likely = for_it / (both + (both == 0.0))
    acted *= 1.0 - likely
    acted[:, usual] += likely[:, 0]
    return _shared(acted)


def _shared(weighted: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scale rows to sum to 1, ``(batch, labels)``."""
    total = weighted.sum(axis=-1, keepdims=True)
    # A damaged network may return only zeros; they stay zeros.
    probabilities: NDArray[np.float32] = (weighted / (total + (total == 0.0))).astype("float32")
    return probabilities
