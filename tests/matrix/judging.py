"""Compares the audio that the program reads with ffmpeg's, or with the original."""

from __future__ import annotations

import re
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import soxr

from streamer.errors import SerLiveError
from streamer.sound.files import media
from streamer.sound.files.recording import Recording
from tests.matrix.kinds import Float32

#: Audio that a decoder may add or leave out at each end of a joined file.
TOLERATED_S = 0.05
#: Samples are compared at this rate.
_RATE = 16_000
#: Each stretch of this length must be found again, at most this much earlier or later.
_WINDOW_S, _SHIFT_S = 0.5, 0.06
#: ... that much alike; and all of them together.
_LIKENESS, _LIKENESS_OF_ALL = 0.9, 0.95
_EXACT = 1e-3
#: Power below which a stretch is too quiet to be found.
_QUIET = 5e-5
#: Pattern of a line with advice.
_WAY_OUT = re.compile(r"ffmpeg -v error -i|pip install|ser-live replay|name the files in it")

HEARD = "heard"
NOTICED = "heard with a notice"
PARTIAL = "partial, told, exit code 2"
REFUSED = "refused with a way out"
NO_WAY_OUT = "REFUSED WITHOUT A WAY OUT"
LOSS = "SILENT LOSS"
WRONG = "WRONG SOUND"
TRACEBACK = "TRACEBACK"
FALSE_ALARM = "WHOLE, AND CALLED DAMAGED"
GOOD = (HEARD, NOTICED, PARTIAL, REFUSED)
FAILURES = (NO_WAY_OUT, LOSS, WRONG, TRACEBACK, FALSE_ALARM)


@dataclass(frozen=True, eq=False)
class Sound:
    """Samples ``(n,)``, the mean of all channels."""

    samples: Float32
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def compared(self) -> Float32:
        """Resample to the rate of the comparison."""
        if self.rate == _RATE:
            return self.samples
        return np.asarray(soxr.resample(self.samples, self.rate, _RATE), np.float32)


@dataclass(frozen=True)
class Truth:
    """The audio that a file should give.

    Attributes:
        sound: all of it.
        lengths: seconds of each joined file.
        is_cut: whether the file lacks some of it; then a beginning is enough, if reported ...
        is_told: ... which its container allows.
        least_s: ... and least length of that beginning.
        may_lose_s: audio that the fault itself destroyed.
        may_add_s: noise that a decoder cannot tell from sound.
        delay_s: a decoder's delay before the audio, which ffmpeg may keep and others leave out.
        ending: required end of the audio, if the beginning was cut.
    """

    sound: Sound
    lengths: tuple[float, ...]
    is_cut: bool = False
    is_told: bool = True
    least_s: float = 0.0
    may_lose_s: float = 0.0
    may_add_s: float = 0.0
    delay_s: float = 0.0
    ending: Sound | None = None

    @property
    def parts(self) -> int:
        """Number of joined files."""
        return len(self.lengths)


@dataclass(frozen=True)
class Verdict:
    """How a file was read."""

    kind: str
    line: str = ""


def joined(sounds: list[Sound]) -> Sound:
    """Join sounds at the rate of the first."""
    rate = sounds[0].rate
    return Sound(
        np.concatenate(
            [
                one.samples if one.rate == rate else soxr.resample(one.samples, one.rate, rate)
                for one in sounds
            ]
        ),
        rate,
    )


def decoded(path: Path) -> Sound | None:
    """Decode with ffmpeg; None if it decodes nothing."""
    done = subprocess.run(
        [
            *("ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-i", path),
            *("-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "-bitexact", "pipe:1"),
        ],
        capture_output=True,
    )
    data = done.stdout
    at = data.find(b"data", 36)
    if len(data) < 44 or at < 0:
        return None
    form = data.index(b"fmt ") + 8
    channels, rate = struct.unpack("<HI", data[form + 2 : form + 8])
    samples = np.frombuffer(data[at + 8 :], "<f4")
    frames = samples[: len(samples) // channels * channels].reshape(-1, channels)
    return Sound(frames.mean(axis=1), rate) if len(frames) else None


def judge_both(path: Path, truth: Truth, is_exact: bool = False) -> tuple[Verdict, Verdict]:
    """Judge the file with the extra ``media`` and without it."""
    asked = False
    real = media.is_at_hand

    def is_at_hand() -> bool:
        nonlocal asked
        asked = True
        return real()

    with patch.object(media, "is_at_hand", is_at_hand):
        verdict = judge(path, truth, is_exact)
    if not asked:  # soundfile read it: PyAV makes no difference
        return verdict, verdict
    with patch.object(media, "is_at_hand", lambda: False):
        return verdict, judge(path, truth, is_exact)


def judge(path: Path, truth: Truth, is_exact: bool = False) -> Verdict:
    """Read the file with the project's reader, and judge the result."""
    blocks: list[Float32] = []
    notices: list[str] = []
    error, is_open, rate = "", False, 1
    try:
        with Recording(path, say=notices.append) as recording:
            is_open, rate = True, recording.sample_rate
            blocks.extend(recording.blocks(1000))
    except SerLiveError as caught:
        error = str(caught)
    except Exception as caught:
        return Verdict(TRACEBACK, repr(caught))
    if any("\n" in line for line in (error, *notices)):
        return Verdict(TRACEBACK, f"more than one line: {error or notices}")
    if error and not is_open:
        return Verdict(REFUSED if _WAY_OUT.search(error) else NO_WAY_OUT, error)
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    is_told = bool(error) or any("cut short" in line for line in notices)
    fault = _fault(Sound(samples, rate), truth, is_exact, bool(error), is_told)
    if fault:
        return Verdict(fault[0], f"{fault[1]}; said: {error or notices}")
    if error:
        return Verdict(PARTIAL, error)
    return Verdict(NOTICED, notices[0]) if notices else Verdict(HEARD)


def _fault(
    heard: Sound, truth: Truth, is_exact: bool, is_error: bool, is_told: bool
) -> tuple[str, str] | None:
    """Return what is wrong, and how much; None if nothing is."""
    if truth.ending is not None:
        return _fault_of_ending(heard, truth, truth.ending, is_told)
    tolerated = (TOLERATED_S + truth.delay_s) * truth.parts + truth.may_lose_s
    missing = truth.sound.seconds - heard.seconds
    if missing > tolerated and not is_error:
        if not truth.is_cut:
            return LOSS, f"{missing:.3f} s of {truth.sound.seconds:.3f} s missing"
        if truth.is_told and not is_told:
            return LOSS, f"cut, {missing:.3f} s missing, and not told"
        if heard.seconds < truth.least_s - tolerated:
            return LOSS, f"{heard.seconds:.3f} s of {truth.least_s:.3f} s that are there"
    if -missing > tolerated + truth.may_add_s:
        return WRONG, f"{-missing:.3f} s more than there are"
    likenesses = _likenesses(truth.sound, truth.lengths, heard, tolerated + truth.may_add_s)
    found, looked = sum(one >= _LIKENESS for one in likenesses), len(likenesses)
    spared = 1 + round(truth.may_lose_s / _WINDOW_S) if truth.may_lose_s else 0
    spared += truth.parts if truth.may_add_s else 0  # added noise may be next to a quiet stretch
    if is_error:
        spared += 2 + round(max(0.0, missing) / _WINDOW_S)
    if found < looked - spared:
        return WRONG, f"{looked - found} of {looked} stretches are other than ffmpeg's"
    if not spared and likenesses and np.mean(likenesses) < _LIKENESS_OF_ALL:
        return WRONG, f"only {np.mean(likenesses):.3f} like what ffmpeg decodes"
    length = min(len(heard.samples), len(truth.sound.samples))
    if is_exact and heard.rate == truth.sound.rate:
        apart = float(np.abs(heard.samples[:length] - truth.sound.samples[:length]).max(initial=0))
        if apart > _EXACT:
            return WRONG, f"samples differ by up to {apart:.4f}"
    return None


def _fault_of_ending(
    heard: Sound, truth: Truth, ending: Sound, is_told: bool
) -> tuple[str, str] | None:
    """Return what is wrong with a file whose beginning is cut and whose ending is whole."""
    if truth.is_told and not is_told:
        return LOSS, "its first part is cut, and that is not told"
    reach = TOLERATED_S + truth.may_add_s
    first = max(0, len(heard.samples) - round((ending.seconds + reach) * heard.rate))
    near = Sound(heard.samples[first:], heard.rate)
    likenesses = _likenesses(ending, (ending.seconds,), near, 2 * reach)
    found, looked = sum(one >= _LIKENESS for one in likenesses), len(likenesses)
    # The decoder may need earlier data for the first stretch.
    return (LOSS, f"only {found} of {looked} stretches of the end") if found < looked - 1 else None


def _likenesses(
    wanted: Sound, lengths: tuple[float, ...], heard: Sound, tolerated_s: float
) -> list[float]:
    """Compare each stretch of the wanted sound with the heard sound near its place."""
    window = round(_WINDOW_S * _RATE)
    reach = round(max(_SHIFT_S, tolerated_s) * _RATE)
    all_wanted, own = wanted.compared(), heard.compared()
    all_heard = np.pad(own, reach)  # a decoder's delay may be left out
    found = []
    begin = 0
    for seconds in lengths:  # no stretch reaches over a joint
        end = begin + round(seconds * _RATE)
        for first in range(begin, min(end, len(all_wanted)) - window + 1, window):
            stretch = all_wanted[first : first + window].astype(np.float64)
            if np.mean(stretch**2) < _QUIET or first + window > len(own):
                continue
            near = all_heard[first : first + window + 2 * reach].astype(np.float64)
            found.append(_likeness(stretch, near))
        begin = end
    return found


def _likeness(stretch: np.ndarray, near: np.ndarray) -> float:
    """Return the greatest correlation of a stretch with stretches of its length in ``near``."""
    size = 1 << (len(near) + len(stretch)).bit_length()
    spectrum = np.fft.rfft(near, size) * np.conj(np.fft.rfft(stretch, size))
    places = len(near) - len(stretch) + 1
    products = np.fft.irfft(spectrum, size)[:places]
    energies = np.cumsum(np.concatenate([[0.0], near**2]))
    energy = energies[len(stretch) :] - energies[: len(near) - len(stretch) + 1]
    norms = np.sqrt(np.maximum(energy, 1e-12) * np.sum(stretch**2))
    best = int(np.argmax(products / norms))
    gain = products[best] / np.sum(stretch**2)
    return float(products[best] / norms[best]) if 0.8 < gain < 1.25 else 0.0
