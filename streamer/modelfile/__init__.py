"""Model files: whether one is safe to run, what it says of itself, and how it is run."""
