"""Corpora -> weights: ``python -m train prepare|fit|export|evaluate|tune``."""
