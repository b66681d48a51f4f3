"""Model files: safety checks, lineage, and how they run."""
