"""Measures the true latency of speaker and microphone by playing chirps and capturing them.

Between the moments at which PortAudio gets the chirp and returns it are the speaker's buffers, the
air and the microphone's buffers. PortAudio dates both ends; the rest, beyond its dates, is the air
and whatever the drivers do not report.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from streamer.commands.latency.chirp import CHIRP_S, chirp, find_chirp
from streamer.commands.latency.probe import SETTLING_S
from streamer.commands.latency.spread import Spread
from streamer.errors import RunFailure
from streamer.sound.capture.devices import (
    Device,
    cannot_open,
    find_device,
    find_microphone,
    output_devices,
    portaudio,
)
from streamer.sound.capture.losses import Mark
from streamer.sound.capture.microphone import CALLBACK_S, CAPTURE_BLOCK_MS, Microphone
from streamer.sound.source import Float32

#: Time between chirps; the search for one lasts until the next, as wireless speakers are slow.
SPACING_S = 0.8


@dataclass(frozen=True)
class RoundTrips:
    """Chirps from the speaker to the microphone.

    Attributes:
        speaker: speaker device.
        microphone: microphone device.
        played: number of chirps played.
        found: number of those found in the captured audio.
        round_trip_ms: from passing the chirp to PortAudio until PortAudio returns it, without the
            rest of its block.
        speaker_ms: from passing it to PortAudio to the converter, by PortAudio's dates.
        microphone_ms: from the converter until PortAudio returns it, by its dates.
        unsaid_ms: remainder of the round trip beyond those two.
        speaker_claim_ms: latency that PortAudio states for the output stream when it opens.
        microphone_claim_ms: the same for the input stream.
        underflows: how often the speaker's device flagged that it ran out of audio; a chirp during
            an underflow is late, or torn.
    """

    speaker: str
    microphone: str
    played: int
    found: int
    round_trip_ms: Spread
    speaker_ms: Spread
    microphone_ms: Spread
    unsaid_ms: Spread
    speaker_claim_ms: float
    microphone_claim_ms: float
    underflows: int


class Played(NamedTuple):
    """A chirp that was played.

    Attributes:
        handed_s: monotonic time at which PortAudio got its first sample.
        converter_s: monotonic time of that sample at the converter, according to PortAudio.
    """

    handed_s: float
    converter_s: float


class Captured(NamedTuple):
    """Audio from the microphone.

    Attributes:
        samples: ``(samples,)``.
        marks: marks of all callbacks.
        sample_rate: in Hz.
    """

    samples: Float32
    marks: Sequence[Mark]
    sample_rate: int


class _MarkedMicrophone(Microphone):
    """A microphone that keeps the mark of every callback."""

    def __init__(self, device: Device) -> None:
        # Silence apart from the chirps is normal, so notices of the level are dropped.
        super().__init__(device, lambda _notice: None, reconnects=False)
        self.marks: list[Mark] = []

    @property
    def claim_ms(self) -> float:
        """The latency that PortAudio states for the stream."""
        return 1000.0 * float(self._stream.latency)

    def _capture(self, frames: Float32, count: int, dates: Any, status: Any) -> None:
        super()._capture(frames, count, dates, status)
        if self._mark is not None:
            self.marks.append(self._mark)


class _Speaker:
    """Plays a chirp on request, and silence otherwise.

    Attributes:
        played: chirps played so far.
        underflows: underflows that the device has flagged so far.
    """

    def __init__(self, device: Device, sound: Float32) -> None:
        self.played: list[Played] = []
        self.underflows = 0
        self._device = device
        self._sound = sound
        self._position = len(sound)
        self._is_due = False
        self._stream: Any = None

    def __enter__(self) -> Self:
        """Open the device.

        Raises:
            RunFailure: it is busy, forbidden or gone.
        """
        sounddevice = portaudio()
        try:
            self._stream = sounddevice.OutputStream(
                device=self._device.index,
                samplerate=self._device.sample_rate,
                channels=self._device.channels,
                dtype="float32",
                blocksize=round(CALLBACK_S * self._device.sample_rate),
                latency="low",
                callback=self._fill,
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise cannot_open(self._device, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close(ignore_errors=True)

    @property
    def claim_ms(self) -> float:
        """The latency that PortAudio states for the stream."""
        return 1000.0 * float(self._stream.latency)

    def play(self) -> None:
        """Begin with the next block."""
        self._is_due = True

    def _fill(self, out: Float32, count: int, dates: Any, status: Any) -> None:
        """PortAudio's callback."""
        now_s = time.monotonic()
        if status.output_underflow:
            self.underflows += 1
        if self._is_due:
            self._is_due, self._position = False, 0
            # Some host APIs give no times, only 0.
            ahead_s = max(0.0, dates.outputBufferDacTime - dates.currentTime)
            self.played.append(Played(now_s, now_s + ahead_s))
        part = self._sound[self._position : self._position + count]
        self._position += len(part)
        out[: len(part)] = part[:, None]
        out[len(part) :] = 0.0


def measure_loopback(
    chirps: int, device: str | None, output_device: str | None, say: Callable[[str], None]
) -> RoundTrips:
    """Play chirps and find them.

    Args:
        chirps: number of chirps.
        device: microphone, number or part of its name; None for the default.
        output_device: speaker, likewise.
        say: prints a line for the user.

    Raises:
        SerLiveError: there is no such device.
        RunFailure: a device cannot be opened or loses audio, or the chirp is not heard.
    """
    microphone = _MarkedMicrophone(find_microphone(device))
    speaker_device = find_device(output_device, output_devices(), "output")
    lowest_rate = min(microphone.sample_rate, speaker_device.sample_rate)
    speaker = _Speaker(speaker_device, chirp(speaker_device.sample_rate, lowest_rate))
    with microphone, speaker:
        say(f"chirps to play: {chirps}, about {_end_s(chirps):.0f} s")
        captured = _capture(microphone, speaker, chirps)
        claims_ms = speaker.claim_ms, microphone.claim_ms
    wanted = chirp(microphone.sample_rate, lowest_rate)
    times_ms = round_trips_ms(captured, speaker.played, wanted)
    if not len(times_ms) or 2 * len(times_ms) < chirps:
        raise RunFailure(
            f"the chirp was not found in the microphone's signal ({len(times_ms)} of {chirps}): "
            + _remedy(speaker.underflows)
        )
    round_trip, said_of_speaker, said_of_microphone, unsaid = map(Spread.of, times_ms.T)
    return RoundTrips(
        str(speaker_device),
        microphone.name,
        chirps,
        len(times_ms),
        round_trip,
        said_of_speaker,
        said_of_microphone,
        unsaid,
        *claims_ms,
        speaker.underflows,
    )


def _remedy(underflows: int) -> str:
    """Return advice if chirps are not found."""
    remedy = "unmute both and turn the speaker up, or choose others: --output-device, --device"
    if underflows:
        return f"the speaker ran out of audio: close other programs and try again; else {remedy}"
    return remedy


def _capture(microphone: _MarkedMicrophone, speaker: _Speaker, chirps: int) -> Captured:
    """Let the devices settle, play the chirps, and wait for the last one.

    Raises:
        RunFailure: audio was lost, so that positions after it are wrong.
    """
    due = [SETTLING_S + number * SPACING_S for number in range(chirps)]
    blocks = []
    for block in microphone.blocks(CAPTURE_BLOCK_MS):
        if not isinstance(block, np.ndarray):
            raise RunFailure(
                f"{microphone.name} lost audio meanwhile; close other programs and try again"
            )
        blocks.append(block)
        now_s = microphone.position / microphone.sample_rate
        if due and now_s >= due[0]:
            due.pop(0)
            speaker.play()
        if now_s >= _end_s(chirps):
            break
    return Captured(np.concatenate(blocks), microphone.marks, microphone.sample_rate)


def _end_s(chirps: int) -> float:
    """Return the time at which the wait for the last chirp ends."""
    return SETTLING_S + (chirps + 1) * SPACING_S


def round_trips_ms(
    captured: Captured, played: Sequence[Played], wanted: Float32
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return ``(found, 4)`` in ms: round trip, speaker, microphone, unsaid (:class:`RoundTrips`).

    Args:
        captured: audio from before the first chirp until after the last.
        played: the chirps.
        wanted: ``(samples,)`` the chirp at the microphone's rate.
    """
    rate = captured.sample_rate
    positions, captured_s, arrived_s = np.array(captured.marks).T
    span = round((SPACING_S - CHIRP_S) * rate) + len(wanted)
    rows = []
    for one in played:
        # Audio returned before the chirp was passed on cannot contain it.
        first = int(np.searchsorted(arrived_s, one.handed_s)) - 1
        start = int(positions[max(0, first)])
        signal = captured.samples[start : start + span]
        found = find_chirp(signal, wanted) if len(signal) > len(wanted) + 2 else None
        if found is None:
            continue
        place = start + found.position
        mark = min(int(np.searchsorted(positions, place)), len(positions) - 1)
        in_block_s = (positions[mark] - place) / rate
        round_trip_s = arrived_s[mark] - in_block_s - one.handed_s
        speaker_s = one.converter_s - one.handed_s
        microphone_s = arrived_s[mark] - captured_s[mark]
        unsaid_s = round_trip_s - speaker_s - microphone_s
        rows.append((round_trip_s, speaker_s, microphone_s, unsaid_s))
    return 1000.0 * np.array(rows).reshape(-1, 4)
