"""The microphone as a source: captures in a callback, delivers in order, reports losses.

Rule for lost audio. A :class:`Loss` states its length. Up to :data:`SILENCE_FOR_LOSS_S` of silence
takes its place: time stays right and the stream keeps its state. Anything beyond that is skipped,
and stream time jumps over it. A recording holds the same silence, so that it replays to the same
labels. A session that ends while audio is missing counts it too: :meth:`Microphone.unheard`.

Bound of the lag. At most :data:`MAX_LAG_S` of audio waits; when more comes, the oldest is lost.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Self

import numpy as np

from streamer.errors import RunFailure
from streamer.signal import LARGEST_SAMPLE
from streamer.sound.capture.devices import (
    INVALID_SAMPLE_RATE,
    Device,
    cannot_open,
    input_devices,
    portaudio,
    rescan,
    sound_server_sources,
)
from streamer.sound.capture.losses import LossWatch, Mark, Passed, SleepWatch
from streamer.sound.capture.ring import Ring
from streamer.sound.channels import MIX, Channels, Mixer
from streamer.sound.level import LevelWatch
from streamer.sound.source import MAX_LAG_S, NO_SIGNALS, Away, Float32, Loss, Signals

#: Block size; a timestep is 40 ms, so larger blocks would only add latency.
CAPTURE_BLOCK_MS = 10
#: Size of a callback's buffer.
CALLBACK_S = 0.01
#: A sound server may take a while to wake a device; a running device does not pause.
FIRST_AUDIO_S = 6.0
STALLED_S = 2.0
#: A running device delivers audio more often than this.
MISSING_S = 0.3
RETRY_S = 1.0
#: Devices also refuse while they disconnect or return; after this many tries the cause is another.
LASTING_REFUSALS = 10
#: Reasons for missing audio.
GONE = "the device was gone"
ASLEEP = "the machine was asleep"


class Microphone:
    """A live source, and the clock of its session.

    Attributes:
        name: the device, with its host API.
        sample_rate: the device's own, in Hz; kept when it comes back after an interruption.
        position: frames of stream time delivered: heard and lost.
        overflows: how often the device itself flagged a loss.
    """

    def __init__(
        self,
        device: Device,
        say: Callable[[str], None],
        *,
        duration_s: float | None = None,
        reconnects: bool = True,
        sample_rate: int | None = None,
        wanted: Channels = MIX,
        signals: Signals = NO_SIGNALS,
    ) -> None:
        """Set what to capture; entering the context opens the device.

        Args:
            device: device from :func:`streamer.sound.capture.devices.find_device`.
            say: prints a line for the user.
            duration_s: end after this much stream time, None for never.
            reconnects: whether to wait for a device that is gone, instead of failing.
            sample_rate: in Hz, None for the device's own.
            wanted: channels to use.
            signals: end a wait for the device.

        Raises:
            SerLiveError: the wanted channel does not exist.
        """
        self.name = str(device)
        self.sample_rate = sample_rate or device.sample_rate
        self.position = 0
        self.overflows = 0
        self._device = device
        self._channels = device.channels
        self._say = say
        self._end = math.inf if duration_s is None else round(duration_s * self.sample_rate)
        self._reconnects = reconnects
        self._signals = signals
        self._ring = Ring(round(MAX_LAG_S * self.sample_rate), device.channels)
        self._level = LevelWatch(self.sample_rate)
        self._mixer = Mixer(device.channels, self.sample_rate, wanted, say)
        self.streams = self._mixer.streams
        self._watch = LossWatch(self.sample_rate)
        self._mark: Mark | None = None
        self._passed = Passed()
        self._sleep = SleepWatch()
        self._stream: Any = None

    def __enter__(self) -> Self:
        """Open the device.

        Raises:
            RunFailure: it is busy, forbidden or gone.
        """
        try:
            self._open()
        except portaudio().PortAudioError as error:
            raise cannot_open(self._device, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def clipped(self) -> int:
        """Frames heard that were clipped on any channel."""
        return self._level.clipped

    def wait_until(self, stream_s: float, block_s: float) -> None:
        """Return at once: a block is delivered only after it was heard."""

    def latency_ms(self, time_s: float) -> float | None:
        """Return how long ago the moment ``time_s`` of the stream was at the converter."""
        mark = self._mark
        if mark is None:
            return None
        behind_s = (mark.position + self._passed.lost_outside) / self.sample_rate - time_s
        return 1000.0 * (time.monotonic() - mark.captured_s + behind_s)

    def blocks(self, block_ms: int) -> Iterator[Float32 | Loss | Away]:
        """Yield mono blocks of at most ``block_ms``, and losses, until the duration is over.

        Raises:
            RunFailure: the device is gone and ``reconnects`` is off, or it delivers no audio.
        """
        block = max(1, round(block_ms * self.sample_rate / 1000))
        idle_s, looked_s = 0.0, time.monotonic()
        while self._rest() > 0:
            if slept := round(self._sleep.newly_s() * self.sample_rate):
                self._passed = self._passed.with_loss(slept)
                yield from self._heard(self._ring.waiting, block)  # from before the sleep
                if self._rest() > 0:
                    yield self._loss(slept, ASLEEP)
                continue
            if self._ring.waiting:
                idle_s, looked_s = 0.0, time.monotonic()
                yield from self._heard(block, block)
                mark = self._mark
                if mark is not None and self._rest() > 0 and (lost := self._watch.observe(mark)):
                    self._passed = self._passed.with_loss(lost)
                    yield self._loss(lost, "the device lost it")
                continue
            # Count in short steps: while this process is stopped, no callback is missing.
            now_s = time.monotonic()
            idle_s += min(now_s - looked_s, 10 * CALLBACK_S)
            looked_s = now_s
            if self._is_gone(idle_s) and not self._ring.waiting:
                yield from self._interruption()
                idle_s, looked_s = 0.0, time.monotonic()
            else:
                self._pause(CALLBACK_S / 2)

    def _pause(self, seconds: float) -> None:
        """Wait for the device."""
        with self._signals.waiting():
            time.sleep(seconds)

    def _heard(self, most: int, block: int) -> Iterator[Float32 | Loss]:
        """Yield the loss before the waiting frames, then at most this many of them, in blocks."""
        reading = self._ring.read(int(min(most, self._rest())))
        if reading.lost:
            yield self._loss(reading.lost, f"more than {MAX_LAG_S:g} s of audio waited")
        # The loss may have used up the duration.
        frames = reading.frames[: int(min(most, self._rest()))]
        for first in range(0, len(frames), block):
            yield self._mono(frames[first : first + block])

    def _mono(self, frames: Float32) -> Float32:
        """Check the level, count clipping, and reduce the channels to those wanted."""
        if not np.all(np.abs(frames) <= LARGEST_SAMPLE):  # false for NaN too
            raise RunFailure(f"{self.name} delivers NaN or infinity; its driver is at fault")
        for notice in self._level.accept(frames):
            self._say(notice)
        self.position += len(frames)
        if frames.shape[1] < self._channels:  # it came back with fewer
            frames = np.repeat(frames.mean(axis=1, keepdims=True), self._channels, axis=1)
        return self._mixer.accept(frames)

    def _rest(self) -> float:
        """Return the number of frames until the duration is over."""
        return self._end - self.position

    def _loss(self, lost: int, reason: str) -> Loss:
        """Count a loss, as far as the duration goes."""
        lost = int(min(lost, self._rest()))
        self.position += lost
        return Loss.after(lost, self.sample_rate, reason)

    def unheard(self, position: int) -> Loss | None:
        """Return audio beyond ``position`` that passed at the device, or was lost there, at an end.

        The normal delay of a block does not count, nor does audio after the duration was over.
        """
        mark = self._passed.before_gone or self._mark
        if mark is None:
            return None
        lost = self._watch.settle()
        since_s = time.monotonic() - mark.arrived_s
        due = mark.position + self._passed.lost_outside + round(since_s * self.sample_rate)
        lost += int(max(0, min(due, self._end) - position))
        if lost < MISSING_S * self.sample_rate:
            return None
        reason = GONE if self._passed.before_gone else "held up, or lost by the device, at the end"
        return Loss.after(lost, self.sample_rate, reason)

    def _is_gone(self, idle_s: float) -> bool:
        return not self._stream.active or idle_s > (STALLED_S if self._mark else FIRST_AUDIO_S)

    def _interruption(self) -> Iterator[Loss | Away]:
        """Wait for the device, then account for the time without it."""
        self._close()
        before = self._mark
        if before is None:
            raise RunFailure(
                f"{self.name} delivers no audio; check that it is plugged in and not muted"
            )
        self._passed = self._passed.gone_after(before)
        if not self._reconnects:
            raise RunFailure(f"{self.name} is gone")
        self._say(f"{self.name} is gone; waiting for it to come back")
        yield Away()
        over_s = before.arrived_s + self._rest() / self.sample_rate
        refusals: Counter[str] = Counter()
        while not self._is_back(over_s, refusals):
            if time.monotonic() >= over_s:
                yield self._loss(round(self._rest()), GONE)
                return
            self._pause(min(RETRY_S, max(0.0, over_s - time.monotonic())))
        self._say(f"{self.name} is back")
        after = self._mark or before
        away = round((after.arrived_s - before.arrived_s) * self.sample_rate)
        lost = max(0, away - (after.position - before.position)) + self._watch.settle()
        self._passed = self._passed.with_loss(lost).back()
        self._watch = LossWatch(self.sample_rate)
        if lost:
            yield self._loss(lost, GONE)

    def _is_back(self, over_s: float, refusals: Counter[str]) -> bool:
        """Try to reopen the device; return True once it delivers.

        Args:
            over_s: monotonic time after which nobody waits for it.
            refusals: reasons why it does not open though it is there, reported once if they last.
        """
        before = self._mark
        try:
            rescan()
            devices = input_devices()
            if self._device.pulse_source:
                devices += sound_server_sources(devices)
            same = [device for device in devices if str(device) == self.name]
        except (RunFailure, portaudio().PortAudioError):  # no devices at all, or no PortAudio
            return False
        if not same:
            return False
        # Numbers change when devices come and go; of two with one name, take the nearest. It may be
        # another device by now: one channel serves for all, extra channels are ignored.
        found = min(same, key=lambda device: abs(device.index - self._device.index))
        self._device = replace(found, channels=min(found.channels, self._channels))
        try:
            self._open()
        except portaudio().PortAudioError as error:
            self._close()
            refusal = str(cannot_open(self._device, error))
            if INVALID_SAMPLE_RATE in error.args:
                refusal += ": end this session and start another"
            refusals[refusal] += 1
            if refusals[refusal] == LASTING_REFUSALS:
                self._say(refusal)
            return False
        deadline = min(time.monotonic() + FIRST_AUDIO_S, over_s)
        while self._mark is before and self._stream.active and time.monotonic() < deadline:
            self._pause(CALLBACK_S)
        if self._mark is before:
            self._close()
            return False
        return True

    def _open(self) -> None:
        sounddevice = portaudio()
        is_wasapi = "WASAPI" in self._device.host_api
        if self._device.pulse_source:
            os.environ["PULSE_SOURCE"] = self._device.pulse_source  # read on opening
        self._stream = sounddevice.InputStream(
            device=self._device.index,
            samplerate=self.sample_rate,
            channels=self._device.channels,
            dtype="float32",
            blocksize=round(CALLBACK_S * self.sample_rate),
            latency="low",
            callback=self._capture,
            # Shared mode has one rate; without this it refuses any other.
            extra_settings=sounddevice.WasapiSettings(auto_convert=True) if is_wasapi else None,
        )
        self._stream.start()

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close(ignore_errors=True)  # the device may be gone
            self._stream = None

    def _capture(self, frames: Float32, count: int, dates: Any, status: Any) -> None:
        """PortAudio's callback: copy into existing memory and date it; no lock, no wait.

        The mark is a new tuple, so that the consumer never sees half of one.
        """
        now_s = time.monotonic()
        self._ring.write(frames)
        # Age of the block's last frame; some host APIs give no times, only 0.
        age_s = dates.currentTime - dates.inputBufferAdcTime - count / self.sample_rate
        if not 0 <= age_s < FIRST_AUDIO_S:
            age_s = 0.0
        self._mark = Mark(self._ring.written, now_s - age_s, now_s)
        if status.input_overflow:
            self.overflows += 1
