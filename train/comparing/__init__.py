"""Comparison of the paper's systems, and the price of look-ahead."""
