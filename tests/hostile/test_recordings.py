"""Damaged and malicious sound files: read or refused, in bounded time and memory, never a crash.

Set SER_LIVE_FUZZ to the number of files to try; SER_LIVE_FUZZ_SEED tries others.
"""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from tests.hostile.mutation import mutated, whole_files
from tests.hostile.trial import try_files

FILES = int(os.environ.get("SER_LIVE_FUZZ", "300"))
SEED = int(os.environ.get("SER_LIVE_FUZZ_SEED", "1"))
#: Processor time; a sixth of a second of speech takes a thousandth of that.
LONGEST_S = 5.0
LARGEST_MB = 200.0
#: Files to a process.
BATCH = 500


def test_any_mutated_header_is_read_or_refused(tmp_path, speech):
    whole = whole_files(tmp_path, speech)
    chance = random.Random(SEED)
    kinds, found = Counter(), {}
    for first in range(0, FILES, BATCH):
        paths = []
        for number in range(first, min(first + BATCH, FILES)):
            suffix = chance.choice(list(whole))
            path = tmp_path / f"{number}.{suffix}"
            path.write_bytes(mutated(whole[suffix], chance))
            paths.append(path)
        for path, outcome in try_files("recordings", paths).items():
            kinds[outcome.kind] += 1
            is_bounded = outcome.seconds < LONGEST_S and outcome.peak_mb < LARGEST_MB
            if outcome.kind in ("read", "refused") and is_bounded and "\n" not in outcome.line:
                path.unlink()
            else:
                found[path] = outcome
    print(dict(kinds))
    assert not found
    assert min(kinds["read"], kinds["refused"]) > FILES / 10  # neither is all there is
