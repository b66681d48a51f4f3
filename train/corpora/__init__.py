"""Recordings and their speakers: layouts, splits and lineages."""
