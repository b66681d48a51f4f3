"""Finds recordings: files, folders, patterns and URLs."""
