"""Recordings and who speaks in them: layouts, splits, and who was held back."""
