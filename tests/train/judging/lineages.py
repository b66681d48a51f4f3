"""Lineages of models, as `train evaluate` and `train tune` read them."""

from __future__ import annotations

from streamer.modelfile.lineage import HeardCorpus, Lineage


def heard(name, split="fixed", *, trained=("1003",), validation=("1002",), test=("1001", "1008")):
    """Make a lineage of one corpus with held-back speakers; for CREMA-D, by its own split."""
    corpus = HeardCorpus(name, False, "-", split, "speakers", trained, validation, test)
    return Lineage((corpus,))
