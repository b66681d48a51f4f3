"""Whole percentages with the same sum as the shares that they stand for."""

from __future__ import annotations

from collections.abc import Sequence


def whole_percents(shares: Sequence[float]) -> list[int]:
    """Return shares of 0 to 1 as whole percentages by the method of largest remainders.

    If each share were rounded separately, the shares of a whole might sum to 99 or 101.
    """
    exact = [100.0 * share for share in shares]
    found = [int(one) for one in exact]
    left = round(sum(exact)) - sum(found)
    by_remainder = sorted(range(len(exact)), key=lambda index: found[index] - exact[index])
    for index in by_remainder[: max(0, left)]:
        found[index] += 1
    return found
