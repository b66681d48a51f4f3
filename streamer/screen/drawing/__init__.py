"""Draws the screen: pure functions from data to lines of text."""
