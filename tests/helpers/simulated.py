"""Simulated microphones: in simulated time, or with all samples available at once."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from streamer.commands.listen import run as listen
from streamer.session.clock import Pace
from streamer.sound.capture import losses as accounting
from streamer.sound.capture import microphone
from streamer.sound.capture.devices import Device
from streamer.sound.capture.microphone import CALLBACK_S, Microphone

DEVICE = Device(0, "webcam", "ALSA", 16_000, 1, True)


class World:
    """Simulated time, which passes while code sleeps or works; callbacks come when they are due.

    Attributes:
        now_s: time of the monotonic clock.
        asleep_s: time asleep, which that clock leaves out.
        pace: samples that the device delivers, over those that its rate promises.
        overflows_at: numbers of the callbacks that the device flags.
        back_s: moment at which an unplugged device opens again.
        refusal: error of opening it before.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, samples=None) -> None:
        self.now_s = 1000.0
        self.asleep_s = 0.0
        self.pace = 1.0
        self.overflows_at: set[int] = set()
        self.back_s = 0.0
        self.refusal: tuple[object, ...] = ()
        self.callbacks = 0
        self.said: list[str] = []
        self._samples = samples
        clock = SimpleNamespace(monotonic=lambda: self.now_s, sleep=self.pass_s)
        monkeypatch.setattr(microphone, "time", clock)
        monkeypatch.setattr(accounting, "asleep_s", lambda: self.asleep_s)
        monkeypatch.setattr(microphone, "rescan", lambda: None)
        monkeypatch.setattr(microphone, "input_devices", lambda: [DEVICE])
        library = SimpleNamespace(PortAudioError=Refused)
        monkeypatch.setattr(microphone, "portaudio", lambda: library)

    def microphone(self, duration_s: float | None = None) -> Microphone:
        self.heard_by = _Simulated(self, duration_s)
        self._due_s = self.now_s + CALLBACK_S / self.pace
        return self.heard_by

    def pass_s(self, seconds: float) -> None:
        """Let time pass; the device delivers."""
        end_s = self.now_s + seconds
        while self._due_s <= end_s:
            self.now_s = self._due_s
            if self.now_s >= self.back_s:
                self._call_back()
            self._due_s += CALLBACK_S / self.pace
        self.now_s = end_s

    def sleep_s(self, seconds: float) -> None:
        """Let the machine sleep: only the clock that counts sleep goes on."""
        self.asleep_s += seconds

    def unplug(self, seconds: float, *refusal: object) -> None:
        """Remove the device for this long; opening it meanwhile is refused."""
        self.back_s, self.refusal = self.now_s + seconds, refusal
        self.heard_by._stream.active = False

    def _call_back(self) -> None:
        count = round(CALLBACK_S * DEVICE.sample_rate)
        first = self.callbacks * count
        frames = np.full((count, 1), 0.1, np.float32)
        if self._samples is not None:
            frames = np.take(self._samples, np.arange(first, first + count), mode="wrap")[:, None]
        dates = SimpleNamespace(currentTime=0.0, inputBufferAdcTime=-CALLBACK_S)
        is_flagged = SimpleNamespace(input_overflow=self.callbacks in self.overflows_at)
        self.callbacks += 1
        self.heard_by._capture(frames, count, dates, is_flagged)


class Refused(Exception):
    """Stands for PortAudio's error."""


class _Simulated(Microphone):
    def __init__(self, world: World, duration_s: float | None) -> None:
        super().__init__(DEVICE, world.said.append, duration_s=duration_s)
        self._world = world

    def _open(self) -> None:
        if self._world.now_s < self._world.back_s:
            raise Refused(*self._world.refusal)
        self._stream = SimpleNamespace(active=True, close=lambda **_: None)


class InMemory(Pace):
    """Replaces a :class:`Microphone`: samples captured before, without a clock."""

    name = "in memory"
    sample_rate = 16_000
    streams = None
    clipped = overflows = 0

    def __init__(self, samples):
        super().__init__(None)
        self._samples = samples

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def blocks(self, block_ms):
        step = 16 * block_ms
        for first in range(0, len(self._samples), step):
            yield self._samples[first : first + step]

    def unheard(self, _position):
        return None


def listen_to(monkeypatch: pytest.MonkeyPatch, samples) -> None:
    """Let ``ser-live listen`` hear samples instead of a microphone."""
    monkeypatch.setattr(listen, "find_microphone", lambda _device: DEVICE)
    monkeypatch.setattr(listen, "Microphone", lambda *_, **__: InMemory(samples))
