"""Recorded sessions made by hand, to draw reports of."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from streamer.formats.reader import RecordedSession
from streamer.recognition.decision import STATES
from streamer.session.events import Gap, SessionEnded, SessionStarted
from streamer.signal import TIMESTEP_S

LABELS = ("angry", "happy", "neutral", "sad")
SILENCE_INDEX = len(LABELS)
HOSTILE = "</script><img src=x onerror=\"document.title='caught'\">&amp;$\\frac{会議\x1b\udc80"


def recorded(
    timesteps: int, *, labels=LABELS, source="a.wav", latencies=True, channel=None, **fields
):
    """A session that jumps between emotions and states, every 8 timesteps."""
    random = np.random.default_rng(timesteps)
    codes = np.repeat(random.integers(0, len(labels) + len(STATES), timesteps // 8 + 1), 8)
    probabilities = random.dirichlet(np.ones(len(labels)), timesteps).astype(np.float32)
    started = datetime(2026, 11, 22, tzinfo=UTC)
    return RecordedSession(
        **{
            "header": SessionStarted(
                source, 16_000, "open-1", tuple(labels), 175.0, started, channel=channel
            ),
            "times": np.arange(1, timesteps + 1) * TIMESTEP_S,
            "codes": codes[:timesteps],
            "probabilities": probabilities,
            "speech": random.random(timesteps, np.float32),
            "latency_ms": random.normal(200, 9, timesteps) * (1.0 if latencies else np.nan),
            "gaps": (),
            "marks": np.zeros(0),
            "end": None,
            **fields,
        }
    )


def labelled(*stretches, overall=None, probabilities=None, **fields):
    """Make a session of stretches, each a label and a length in timesteps, with an end line."""
    names = (*LABELS, *STATES)
    codes = np.concatenate([np.full(length, names.index(name)) for name, length in stretches])
    summary = {name: float(np.mean(codes == code)) for code, name in enumerate(names)}
    end = None
    if overall is not None:
        chances = probabilities or {name: 0.7 if name == overall else 0.1 for name in LABELS}
        end = SessionEnded(len(codes) * TIMESTEP_S, len(codes), summary, overall, chances)
    return recorded(len(codes), codes=codes, end=end, **{"latencies": False, **fields})


def several(number: int) -> list[RecordedSession]:
    """Make sessions of all kinds, some with long names."""
    gaps = (Gap(1.0, 16_000, "overflow"),)
    end = SessionEnded(
        5.0, 125, dict.fromkeys((*LABELS, *STATES), 0.1), "sad", dict.fromkeys(LABELS, 0.25)
    )
    kinds = [
        recorded(125, gaps=gaps, marks=np.array([0.5, 0.52, 4.99]), source="folder/" * 40),
        recorded(7500, labels=("W" * 40, "happy", *map(str, range(9))), end=None),
        recorded(180_000, latencies=False, source="会議" * 60),
        recorded(130, end=end),
    ]
    return list(itertools.islice(itertools.cycle(kinds), number))


def write_session(path: Path, source: str, timesteps: int, *channels: int) -> Path:
    """Write JSON lines: one session, or one per channel."""
    lines = []
    for channel in channels or (None,):
        of = {} if channel is None else {"channel": channel}
        head = {
            "type": "session",
            "schema": 1,
            "source": source,
            "sample_rate": 16_000,
            "model": "test",
            "labels": list(LABELS),
            "look_ahead_ms": 175.0,
            "started": "2026-01-02T03:04:05.678+00:00",
        }
        chances = {"angry": 0.7, "happy": 0.1, "neutral": 0.1, "sad": 0.1}
        estimates = [
            {
                "type": "estimate",
                "time": round((index + 1) * TIMESTEP_S, 6),
                "label": "angry",
                "probabilities": chances,
                "speech": 0.9,
                "latency_ms": None,
            }
            for index in range(timesteps)
        ]
        lines += [line | of for line in (head, *estimates)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
