"""Rows of results: written as files, continued, summed up, and compared with true labels."""
