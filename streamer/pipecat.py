"""A processor for Pipecat: tells a voice agent how its user spoke (extra ``pipecat``).

Put it after the transport's input. Every frame passes at once and unchanged; the recognizer runs
beside the pipeline, on this machine, and sends frames of its own: :class:`EmotionFrame` when the
label changes, :class:`TurnEmotionFrame` at the end of a turn.

>>> pipeline = Pipeline([transport.input(), EmotionProcessor(), stt, user, llm, tts,
...                      transport.output()])
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

try:
    from pipecat.frames.frames import (
        CancelFrame,
        EndFrame,
        Frame,
        InputAudioRawFrame,
        StartFrame,
        SystemFrame,
        UserStartedSpeakingFrame,
        UserStoppedSpeakingFrame,
    )
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
except ImportError as error:
    raise ImportError("streamer.pipecat needs Pipecat: pip install 'ser-live[pipecat]'") from error

from streamer.recognition.decision import SILENCE, Verdict
from streamer.recognition.estimate import Estimate
from streamer.recognition.profile import Profile
from streamer.recognition.recognizer import Recognizer
from streamer.serve.hearing import ArrivalClock
from streamer.signal import TIMESTEP_S
from streamer.sound.resampler import Resampler

#: Most audio that waits; if a machine is too slow, the oldest is skipped.
MOST_WAITING_S = 5.0
_log = logging.getLogger(__name__)


@dataclass
class EmotionFrame(SystemFrame):  # type: ignore[misc]  # Pipecat is an extra
    """The label has changed.

    Attributes:
        label: an emotion, `silence`, `uncertain` or `warming up`.
        probabilities: of this moment alone, by emotion; the label is averaged, so another may lead.
        time_s: end of the timestep, in audio heard.
        latency_ms: time since the audio of that moment came.
    """

    label: str = SILENCE
    probabilities: dict[str, float] = field(default_factory=dict)
    time_s: float = 0.0
    latency_ms: float = 0.0


@dataclass
class TurnEmotionFrame(SystemFrame):  # type: ignore[misc]
    """The emotion of a turn that has ended.

    Attributes:
        overall: the verdict, an emotion; `silence` if there was too little speech.
        probabilities: the verdict's, by emotion.
        summary: share of the turn, by label.
        start_s: start of the turn, in audio heard.
        end_s: end of the turn.
        latency_ms: time since the end was signalled.
    """

    overall: str = SILENCE
    probabilities: dict[str, float] = field(default_factory=dict)
    summary: dict[str, float] = field(default_factory=dict)
    start_s: float = 0.0
    end_s: float = 0.0
    latency_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class _Audio:
    data: bytes
    sample_rate: int
    channels: int
    came_s: float

    @property
    def duration_s(self) -> float:
        return len(self.data) / 2 / max(1, self.sample_rate * self.channels)


@dataclass(frozen=True, slots=True)
class _TurnBegins:
    pass


@dataclass(frozen=True, slots=True)
class _TurnEnds:
    told_s: float


class _Over:
    """Marks the end of the audio."""


_Item = _Audio | _TurnBegins | _TurnEnds | _Over


class _Turn:
    """Results since a turn began."""

    def __init__(self, recognizer: Recognizer, start_s: float) -> None:
        metadata = recognizer.metadata
        self._labels = metadata.labels
        self._verdict = Verdict(
            metadata.labels, metadata.window_timesteps, metadata.decision.speech_on
        )
        self._counts: dict[str, int] = {}
        self._start_s = self._end_s = start_s

    @property
    def has_speech(self) -> bool:
        return any(label != SILENCE for label in self._counts)

    def add(self, estimate: Estimate) -> None:
        self._verdict.add(estimate.probabilities, estimate.speech, estimate.label)
        self._counts[estimate.label] = self._counts.get(estimate.label, 0) + 1
        self._end_s = estimate.time

    def frame(self, told_s: float) -> TurnEmotionFrame:
        total = max(1, sum(self._counts.values()))
        return TurnEmotionFrame(
            self._verdict.overall,
            dict(zip(self._labels, self._verdict.probabilities.tolist(), strict=True)),
            {label: count / total for label, count in self._counts.items()},
            self._start_s,
            self._end_s,
            1000.0 * (time.monotonic() - told_s),
        )


class EmotionProcessor(FrameProcessor):  # type: ignore[misc]
    """Analyses the passing audio of one user.

    The pipeline defines turns (``UserStartedSpeakingFrame``, ``UserStoppedSpeakingFrame``). If it
    never does, a turn ends when `silence` begins. The verdict on a turn uses the audio up to its
    end: it does not wait for any look-ahead.

    If the analysis fails, an ``ErrorFrame`` goes upstream, and the stream starts again, at time 0.

    Attributes:
        left_out_s: audio skipped because the machine was too slow.
    """

    def __init__(
        self,
        recognizer: Recognizer | None = None,
        *,
        profile: Profile | None = None,
        adapts: bool = True,
        name: str | None = None,
    ) -> None:
        """Use a recognizer, which any number of processors can share.

        Args:
            recognizer: it has the model and the prior; None for the shipped model with the everyday
                prior, as in ``listen``.
            profile: prior knowledge of the user's voice, made with that model; None for nothing.
            adapts: whether it learns the voice further as it hears it.
            name: name of the processor.

        Raises:
            SerLiveError: the shipped model cannot be loaded, or the profile belongs to another.
        """
        super().__init__(name=name)
        self._recognizer = recognizer or Recognizer.load(prior="everyday")
        if profile is not None:
            self._recognizer.check_profile(profile)
        self._profile, self._adapts = profile, adapts
        self._waiting: deque[_Item] = deque()
        self._has_come = asyncio.Event()
        self._waiting_s = self.left_out_s = 0.0
        self._hearing: asyncio.Task[None] | None = None
        self._tells_turns = False
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._stream = self._recognizer.stream(self._profile, self._adapts)
        self._resampler: Resampler | None = None
        self._clock: ArrivalClock | None = None
        self._format = (0, 0)
        self._heard = 0
        self._begins_s = self._time_s = 0.0
        self._label = ""
        self._turn: _Turn | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass a frame on, and process its content."""
        await super().process_frame(frame, direction)
        match frame:
            case StartFrame():
                if self._hearing is None:
                    self._hearing = asyncio.create_task(self._hear())
            case InputAudioRawFrame():
                self._take(frame)
            case UserStartedSpeakingFrame():
                self._note(_TurnBegins())
            case UserStoppedSpeakingFrame():
                self._note(_TurnEnds(time.monotonic()))
            case EndFrame():
                await self._finish()
            case CancelFrame():
                await self._stop()
        await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        """Stop everything."""
        await self._stop()
        await super().cleanup()

    def _take(self, frame: InputAudioRawFrame) -> None:
        """Queue audio."""
        audio = _Audio(frame.audio, frame.sample_rate, frame.num_channels, time.monotonic())
        self._waiting_s += audio.duration_s
        while self._waiting_s > MOST_WAITING_S and self._leave_oldest_out():
            pass
        self._note(audio)

    def _leave_oldest_out(self) -> bool:
        """Skip the oldest audio, as the machine is too slow; return whether there was any."""
        oldest = next((one for one in self._waiting if isinstance(one, _Audio)), None)
        if oldest is None:
            return False
        self._waiting.remove(oldest)
        self._waiting_s -= oldest.duration_s
        if not self.left_out_s:
            _log.warning("%s: this machine is too slow; audio is left out", self.name)
        self.left_out_s += oldest.duration_s
        return True

    def _note(self, item: _Item) -> None:
        self._waiting.append(item)
        self._has_come.set()

    async def _finish(self) -> None:
        """Process the waiting audio to its end."""
        if self._hearing is not None:
            self._note(_Over())
            await asyncio.gather(self._hearing, return_exceptions=True)  # the end must go on
            self._hearing = None

    async def _stop(self) -> None:
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
            self._hearing = None

    async def _hear(self) -> None:
        item: _Item | None = None
        while not isinstance(item, _Over):
            while not self._waiting:
                self._has_come.clear()
                await self._has_come.wait()
            item = self._waiting.popleft()
            try:
                await self._take_up(item)
            except Exception as error:  # whatever it is, the conversation goes on
                self._begin_anew()
                _log.exception("%s: hearing failed", self.name)
                await self.push_error(f"hearing failed: {error}")

    async def _take_up(self, item: _Item) -> None:
        match item:
            case _Audio() as audio:
                try:
                    estimates = await asyncio.to_thread(self._estimates, audio)
                finally:
                    self._waiting_s -= audio.duration_s
                await self._tell(estimates)
            case _TurnBegins():
                self._tells_turns = True
                self._turn = self._turn or _Turn(self._recognizer, self._time_s)
            case _TurnEnds(told_s):
                await self._end_turn(told_s)
            case _Over():
                await self._tell(await asyncio.to_thread(self._last_estimates))
                if not self._tells_turns:
                    await self._end_turn(time.monotonic())

    def _estimates(self, audio: _Audio) -> list[Estimate]:
        """Return the audio's estimates; runs in another thread, one piece after the other."""
        estimates = []
        if self._resampler is None or (audio.sample_rate, audio.channels) != self._format:
            if self._resampler is not None:  # the user came back on another line
                estimates = self._stream.accept(self._resampler.flush())
                self._begins_s += self._heard / self._format[0]
            self._format = audio.sample_rate, audio.channels
            self._resampler, self._heard = Resampler(audio.sample_rate), 0
            self._clock = ArrivalClock(audio.sample_rate)
        assert self._clock is not None
        whole = len(audio.data) // (2 * audio.channels) * 2 * audio.channels
        frames = np.frombuffer(audio.data[:whole], "<i2").reshape(-1, audio.channels)
        self._heard += len(frames)
        self._clock.arrived(self._heard, audio.came_s)
        mono = frames.mean(axis=1, dtype=np.float32) / np.float32(32_768)
        return estimates + self._stream.accept(self._resampler.accept(mono))

    def _last_estimates(self) -> list[Estimate]:
        if self._resampler is None:
            return []
        return self._stream.accept(self._resampler.flush()) + self._stream.flush()

    async def _tell(self, estimates: list[Estimate]) -> None:
        for estimate in estimates:
            self._time_s = estimate.time
            if self._turn is None and not self._tells_turns and estimate.label != SILENCE:
                self._turn = _Turn(self._recognizer, estimate.time - TIMESTEP_S)
            if self._turn is not None:
                self._turn.add(estimate)
            if estimate.label == self._label:
                continue
            self._label = estimate.label
            await self.push_frame(self._frame(estimate))
            if estimate.label == SILENCE and not self._tells_turns:
                await self._end_turn(time.monotonic())

    async def _end_turn(self, told_s: float) -> None:
        turn, self._turn = self._turn, None
        if turn is not None and turn.has_speech:
            await self.push_frame(turn.frame(told_s))

    def _frame(self, estimate: Estimate) -> EmotionFrame:
        assert self._clock is not None
        self._clock.now_s = time.monotonic()
        latency_ms = self._clock.latency_ms(estimate.time - self._begins_s)
        labels = self._recognizer.metadata.labels
        return EmotionFrame(
            estimate.label,
            dict(zip(labels, estimate.probabilities.tolist(), strict=True)),
            estimate.time,
            latency_ms or 0.0,
        )
