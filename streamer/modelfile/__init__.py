"""Model files: safety checks, metadata, and how they run."""
