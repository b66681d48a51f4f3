"""Drawings of recorded sessions, and their writers."""
