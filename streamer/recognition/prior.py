"""How often each emotion is taken to be met: all alike, or as in ordinary life.

The network's probabilities are those of balanced classes, as actors speak them. At a laptop most
speech is neutral. There, by Bayes' rule, label ``i`` has ``p_i w_i / sum_j p_j w_j``, where ``w_i``
is how often the label is met over how often it was in training, once in so many labels.
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

#: How far its shares may be from summing to 1.
_TOLERANCE = 1e-6


def check_shares(shares: tuple[float, ...], labels: tuple[str, ...]) -> None:
    """Whether they say how often each label is met; none at all say that nobody knows.

    Raises:
        ValueError: not one a label, not above 0, or not 1 in sum.
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
    """Probabilities where the labels are met so often.

    Where the network tells ordinary speech from acted emotions, what is usual is so often because
    most speech is ordinary: what is left is shared as among actors. Each row is reckoned by itself
    and in double precision: company changes nothing.

    Args:
        balanced: ``(batch, labels)``, each row summing to 1.
        shares: ``(labels,)``, how often each is met, summing to 1.
        ordinary: ``(batch, 1)``, how likely each is ordinary speech; None if nobody tells.
        ordinary_share: of ordinary speech where that likelihood holds.
    """
    if ordinary is None:
        return _shared(balanced * (shares * shares.size))
    usual = shares.argmax()
    others = (1.0 - shares[usual]) / (shares.size - 1)
    # What is usual is met as often as each of the others beside, by actors.
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
    """Rows that sum to 1, ``(batch, labels)``."""
    total = weighted.sum(axis=-1, keepdims=True)
    # A damaged network may give nothing but zeros; they stay zeros.
    probabilities: NDArray[np.float32] = (weighted / (total + (total == 0.0))).astype("float32")
    return probabilities
