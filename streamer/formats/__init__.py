"""Sessions as files: writers of several formats, and a reader of JSON lines."""
