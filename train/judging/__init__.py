"""Judgement of a model by its measurements: tables, plots, and the choice of its settings."""
