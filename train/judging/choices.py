"""What can be measured, by name; no imports, for the command line."""

from __future__ import annotations

from typing import Literal, get_args

#: What a model is judged by: recordings in streams of their own, in sessions, one emotion held,
#: and ordinary speech.
Measured = Literal["alone", "sessions", "held", "ordinary"]
PARTS: tuple[Measured, ...] = get_args(Measured)

#: What is heard beside the recordings as they are.
Kind = Literal[
    "snr",
    "gain",
    "streams",
    "telephone",
    "opus",
    "clipping",
    "offset",
    "pitch",
    "tempo",
    "far",
    "profiles",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
