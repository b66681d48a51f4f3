"""Microphones: finding them, capturing from them, and detecting losses."""
