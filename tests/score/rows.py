"""Rows, results and listings, as several of these tests make them."""

from __future__ import annotations

from contextlib import ExitStack

from streamer.commands.score.finding.listing import Listing
from streamer.commands.score.results.lines import Keeping
from streamer.commands.score.results.opening import open_results
from streamer.commands.score.results.rows import Keys, columns_of, key_of

LABELS = ("angry", "happy", "neutral", "sad")
COLUMNS = columns_of(LABELS)
NOTHING_AGAIN = Keeping(lambda _: Keys(), lambda _: None)


def find(*places):
    """What is listed, to the end."""
    with Listing([*map(str, places)]) as listing:
        listing.check()
        listing.wait()
        return listing


def row_of(name, **values):
    own = {"file": name, "channel": "mix", "model": "m", "prior": "balanced", "version": "1"}
    return dict.fromkeys(COLUMNS) | own | {"duration_s": 1.5, "overall": "sad"} | values


ROWS = [
    row_of("a.wav"),
    row_of('b, "c".wav', error="no, it isn't"),
    row_of("ü.wav", p_angry=0.1, overall="silence"),
]


def record(path, rows, *, finishes=True, force=False, again=()):
    """Write rows to results, stopped or not; what is recorded then."""
    with ExitStack() as stack:
        kept = []
        keeping = Keeping(lambda _: Keys((name, "mix") for name in again), kept.append)
        results = open_results(path, COLUMNS, force, [], keeping, stack)
        assert all(key_of(row) in results.recorded for row in kept)
        for row in rows:
            results.add(row)
        if finishes:
            results.finish()
        return sorted(row["file"] for row in [*kept, *rows])
