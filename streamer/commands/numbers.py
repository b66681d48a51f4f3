"""Types of options that take a number; their errors say which numbers are allowed.

Both are types for argparse, and check the values of a configuration file too.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar

_Value = TypeVar("_Value")


class _Ranged(Generic[_Value]):
    """A number in a range.

    Attributes:
        wanted: what is allowed, for people: ``a whole number from 0 to 65535``.
    """

    __slots__ = ("_read", "wanted")

    def __init__(self, read: Callable[[str], _Value], wanted: str) -> None:
        self._read, self.wanted = read, wanted

    def __call__(self, text: str) -> _Value:
        """Return the number that a text says.

        Raises:
            argparse.ArgumentTypeError: it says none, or one that is not allowed.
        """
        try:
            return self.check(self._read(text))
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not {self.wanted}") from error

    def check(self, value: Any) -> _Value:
        """Return a value that is such a number.

        Raises:
            ValueError: it is no such number.
        """
        raise NotImplementedError


class Whole(_Ranged[int]):
    """A whole number in a range."""

    __slots__ = ("_high", "_low")

    def __init__(self, low: int, high: int | None = None) -> None:
        """Allow the numbers from ``low`` to ``high``, both included; None is no limit."""
        self._low, self._high = low, high
        bounds = f", {low} or more" if high is None else f" from {low} to {high}"
        super().__init__(int, f"a whole number{bounds}")

    def check(self, value: Any) -> int:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or value < self._low or (self._high is not None and value > self._high):
            raise ValueError(self.wanted)
        return int(value)


class Number(_Ranged[float]):
    """A finite number in a range."""

    __slots__ = ("_excludes_low", "_high", "_low")

    def __init__(
        self, unit: str, low: float, high: float = math.inf, *, excludes_low: bool = False
    ) -> None:
        """Allow the numbers from ``low`` to ``high``, both included.

        Args:
            unit: what is counted, in the plural.
            low: the smallest.
            high: the largest.
            excludes_low: whether it must be more than ``low``.
        """
        self._low, self._high, self._excludes_low = low, high, excludes_low
        if excludes_low:
            at_most = "" if high == math.inf else f", {high:g} at most"
            bounds = f", more than {low:g}{at_most}"
        else:
            bounds = f", {low:g} or more" if high == math.inf else f" from {low:g} to {high:g}"
        super().__init__(float, f"a number of {unit}{bounds}")

    def check(self, value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not self._low <= value <= self._high or math.isinf(value):
            raise ValueError(self.wanted)
        if self._excludes_low and value == self._low:
            raise ValueError(self.wanted)
        return float(value)
