"""Drawings of recorded sessions, and how they are written."""
