"""The terminal UI: what is known, how it is drawn, and the terminal it is drawn on."""
