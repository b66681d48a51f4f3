"""The screen as a picture: pure functions from what is known to lines of text."""
