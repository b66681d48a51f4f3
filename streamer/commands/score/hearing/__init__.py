"""Analyses recordings in processes of this machine."""
