"""Counts in texts for people."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """Format a number with its noun, which gets an ``s`` unless there is exactly 1."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def counted_are(number: int, what: str) -> str:
    """Format a number with its noun and the verb: ``1 file is``, ``2 files are``."""
    return f"{counted(number, what)} {'is' if number == 1 else 'are'}"
