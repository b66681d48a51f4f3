"""Corpora -> weights: ``python -m train fit|export|evaluate``."""
