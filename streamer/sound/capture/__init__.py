"""Microphones: which there are, what they capture, and what they lose."""
