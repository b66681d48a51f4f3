"""Evaluation of a model in running streams and on unacted speech."""
