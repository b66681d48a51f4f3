"""Checks of settings, for configurations that are validated when made."""

from __future__ import annotations

import math
from typing import Any


def check_number(
    name: str, value: Any, low: float = 0.0, high: float = math.inf, *, whole: bool = False
) -> None:
    """Raise a ValueError unless the value is in the range, bounds included."""
    is_number = isinstance(value, int) or (isinstance(value, float) and not whole)
    if is_number and not isinstance(value, bool) and low <= value <= high:
        return
    allowed = f"{low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
    raise ValueError(f"{name} must be a {'whole ' * whole}number, {allowed}; is {value!r}")


def check_interval(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise a ValueError unless the value is a pair, lower end first, within the bounds."""
    is_pair = isinstance(value, tuple) and len(value) == 2
    is_pair = is_pair and all(isinstance(end, int | float) for end in value)
    if is_pair and low <= value[0] <= value[1] <= high:
        return
    bounds = "" if low == -math.inf else f", from {low:g} to {high:g}"
    raise ValueError(f"{name} must be two numbers, the lower one first{bounds}; is {value!r}")


def check_table(name: str, value: Any) -> None:
    """Raise a ValueError unless the value is a table."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a table, is {value!r}")


def check_names(name: str, value: Any) -> None:
    """Raise a ValueError unless the value is a list of strings."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{name} must be a list of names; is {value!r}")
