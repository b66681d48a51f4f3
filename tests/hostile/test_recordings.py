"""Damaged and malicious sound files: read or refused, in bounded time and memory, never a crash.

Set SER_LIVE_FUZZ to the number of files to try; SER_LIVE_FUZZ_SEED tries others.
"""

from __future__ import annotations

import os
import random
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("resource", reason="this system limits no memory")

from tests.helpers.command import lines, replay
from tests.hostile.mutation import mutated, whole_files
from tests.hostile.trial import try_files

FILES = int(os.environ.get("SER_LIVE_FUZZ", "300"))
SEED = int(os.environ.get("SER_LIVE_FUZZ_SEED", "1"))
#: Processor time; a sixth of a second of speech takes a thousandth of that.
LONGEST_S = 5.0
LARGEST_MB = 200.0
REGRESSIONS = Path(__file__).parent / "regressions"
#: Files to a process.
BATCH = 500


def test_any_mutated_header_is_read_or_refused(tmp_path, speech):
    whole = whole_files(tmp_path, speech)
    chance = random.Random(SEED)
    kinds, found, worst_s, worst_mb = Counter(), {}, 0.0, 0.0
    for first in range(0, FILES, BATCH):
        paths = []
        for number in range(first, min(first + BATCH, FILES)):
            suffix = chance.choice(list(whole))
            path = tmp_path / f"{number}.{suffix}"
            path.write_bytes(mutated(whole[suffix], chance))
            paths.append(path)
        for path, outcome in try_files("recordings", paths).items():
            kinds[outcome.kind] += 1
            worst_s, worst_mb = max(worst_s, outcome.seconds), max(worst_mb, outcome.peak_mb)
            is_bounded = outcome.seconds < LONGEST_S and outcome.peak_mb < LARGEST_MB
            if outcome.kind in ("read", "refused") and is_bounded and "\n" not in outcome.line:
                path.unlink()
            else:
                found[path] = outcome
    print(f"{dict(kinds)}, at most {worst_s:.2f} s and {worst_mb:.0f} MB for one file")
    assert not found
    assert min(kinds["read"], kinds["refused"]) > FILES / 10  # neither is all there is


def wav(path, *, channels=1, rate=16_000, data_bytes=32_000):
    """Make a second of silence as a wav file with an arbitrary header."""
    size = struct.pack("<IIHH", rate, 2 * rate * channels % 2**32, 2 * channels % 2**16, 16)
    header = b"RIFF" + struct.pack("<I", data_bytes + 36 & 0xFFFF_FFFF) + b"WAVEfmt "
    header += struct.pack("<IHH", 16, 1, channels) + size
    path.write_bytes(header + b"data" + struct.pack("<I", data_bytes) + bytes(32_000))


def au(path, **fields):
    values = {"offset": 24, "size": 2**32 - 1, "encoding": 3, "rate": 16_000, "channels": 1}
    path.write_bytes(b".snd" + struct.pack(">5I", *(values | fields).values()) + bytes(32_000))


def rf64(path, frames):
    """Make a file that promises this many frames of two bytes."""
    soundfile.write(path, np.zeros(16_000), 16_000, format="RF64")
    data = bytearray(path.read_bytes())
    at = data.index(b"ds64") + 8
    data[at : at + 24] = struct.pack("<3Q", 2 * frames + 72, 2 * frames, frames)
    path.write_bytes(data)


def flac(path):
    """Make a file that promises 2^36 - 1 frames."""
    soundfile.write(path, np.zeros(16_000), 16_000)
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)


#: File -> its maker, and the error; None if it is read as far as it goes.
LIES = {
    "no channels.wav": (lambda p: wav(p, channels=0), "Channel count is zero"),
    "1024 channels.wav": (lambda p: wav(p, channels=1024), None),
    "65535 channels.wav": (lambda p: wav(p, channels=65_535), "Too many channels"),
    "10^9 channels.au": (lambda p: au(p, channels=10**9), "Too many channels"),
    "rate 0.wav": (lambda p: wav(p, rate=0), "no sound file that can be read"),
    "rate 1.wav": (lambda p: wav(p, rate=1), "impossible sample rate 1 Hz"),
    "rate 2^31.wav": (lambda p: wav(p, rate=2**31), "no sound file that can be read"),
    "rate 10^6.au": (lambda p: au(p, rate=10**6), "impossible sample rate 1000000 Hz"),
    "twice as long.wav": (lambda p: wav(p, data_bytes=64_000), "truncated"),
    "streamed.wav": (lambda p: wav(p, data_bytes=2**32 - 1), None),
    "2^60 frames.rf64": (lambda p: rf64(p, 2**60), None),
    "2^36 frames.flac": (flac, "truncated"),
    "huge tag.mp3": (
        lambda p: p.write_bytes(b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(999)),
        "no sound",
    ),
}


def test_false_sizes_in_headers_cost_no_memory(tmp_path):
    for name, (make, _) in LIES.items():
        make(tmp_path / name)
    outcomes = try_files("recordings", [tmp_path / name for name in LIES])
    for path, outcome in outcomes.items():
        line = LIES[path.name][1]
        assert outcome.kind == ("read" if line is None else "refused"), (path.name, outcome)
        assert line is None or line in outcome.line
        assert outcome.peak_mb < 50


@pytest.mark.parametrize("path", sorted(REGRESSIONS.iterdir()), ids=lambda path: path.name)
def test_faults_found_earlier_stay_fixed(path):
    """Stdout holds only JSON lines, whatever a decoder prints."""
    result = replay(path)
    assert result.returncode in (0, 2)
    assert lines(result)[-1]["type"] == "end"


def signals(speech):
    """Return samples and their verdict by name."""
    sad = speech[-40_000:]
    tone = np.sin(2 * np.pi * 200 * np.arange(len(sad)) / 16_000)
    noise = np.random.default_rng(0).normal(0, 1e-39, len(sad))
    return {
        "zeros": (np.zeros(len(sad)), "silence"),
        "denormal constant": (np.full(len(sad), 1e-40), "silence"),
        "denormal noise": (noise, "silence"),
        "nothing but an offset": (np.full(len(sad), 0.5), "silence"),
        "full-scale square wave": (np.where(tone < 0, -1.0, 1.0), "silence"),
        "largest square wave": (np.where(tone < 0, -1e4, 1e4), "silence"),
        "click": (np.eye(1, len(sad), 8_000)[0], "silence"),
        "speech": (sad, "sad"),
        "speech and a dead channel": (np.stack([sad, np.zeros(len(sad))], axis=1), "sad"),
        "very quiet speech": (sad * 1e-4, "sad"),
    }


def test_extreme_signals_get_the_right_verdict(tmp_path, speech):
    expected = {}
    for name, (samples, overall) in signals(speech).items():
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, samples.astype(np.float32), 16_000, subtype="FLOAT")
        expected[str(path)] = overall
    result = replay(*expected)
    assert result.returncode == 0
    (told,) = result.stderr.decode().splitlines()  # on the signal with a dead channel
    assert "channel 2 is dead" in told
    said = lines(result)
    assert {line["file"]: line["overall"] for line in said if line["type"] == "end"} == expected
    for line in said:
        if line["type"] == "estimate":
            assert all(0 <= share <= 1 for share in line["probabilities"].values())
