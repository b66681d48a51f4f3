"""The paper's systems side by side, and the price of look-ahead."""
