"""Judging a model where it works: in running streams, and on speech that nobody acts."""
