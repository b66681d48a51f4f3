"""The terminal UI: its data, its drawing, and the terminal."""
