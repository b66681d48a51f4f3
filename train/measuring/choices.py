"""Names of what can be measured; for the command line, so without heavy imports."""

from __future__ import annotations

from typing import Literal, get_args

#: Parts of an evaluation: recordings in streams of their own, in sessions, one emotion held, and
#: ordinary speech.
Measured = Literal["alone", "sessions", "held", "ordinary"]
PARTS: tuple[Measured, ...] = get_args(Measured)

#: Kinds of conditions in addition to the unchanged recordings.
Kind = Literal[
    "snr",
    "gain",
    "streams",
    "telephone",
    "narrowband",
    "opus",
    "clipping",
    "offset",
    "pitch",
    "tempo",
    "far",
    "profiles",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
