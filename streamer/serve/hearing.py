"""Turns a client's audio into JSON lines; runs entirely in the worker's thread."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from streamer.counting import counted
from streamer.formats.lines import JsonLines
from streamer.recognition.enrolment import GOOD_SPEECH_S, LEAST_SPEECH_S
from streamer.recognition.estimate import Estimate
from streamer.recognition.profile import ALL, UNKNOWN_VOICE, Adaptation, Profile
from streamer.recognition.recognizer import Recognizer
from streamer.recognition.stream import Stream
from streamer.serve.protocol import Code, Refused, Start
from streamer.session.events import SessionStarted
from streamer.session.profile_level import ProfileLevel
from streamer.session.report import Report, Sinks, deliver_by_time
from streamer.signal import (
    FRAME_TAIL_SAMPLES,
    LARGEST_SAMPLE,
    SPEECH_THRESHOLD,
    TIMESTEP_S,
    TIMESTEP_SAMPLES,
)
from streamer.sound.channels import Mixer
from streamer.sound.pcm import CONTAINERS, ENCODINGS
from streamer.sound.resampler import Resampler
from streamer.sound.source import Float32, audible

#: Arrival times closer together than this count as one.
_SAME_MOMENT_S = 0.001


class Lines:
    """Collects lines, as the output of :class:`JsonLines`."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def write(self, text: str, /) -> None:
        self._lines.append(text[:-1])

    def flush(self) -> None:
        """Do nothing: a line is passed on when it is taken."""

    def add(self, kind: str, message: str) -> None:
        """Add a line that is not an event of a session."""
        self._lines.append(json.dumps({"type": kind, "message": message}, separators=(",", ":")))

    def add_profile(self, profile: Profile) -> None:
        """Add a profile of the stream's voice."""
        self._lines.append(profile.to_json())

    def take(self) -> list[str]:
        """Return the lines since the last call."""
        lines, self._lines = self._lines, []
        return lines


class ArrivalClock:
    """Arrival times of the samples at the server; a session's clock.

    Queries come in ascending order, so it forgets what lies before the last one.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._marks: deque[tuple[int, float]] = deque()
        self.now_s = 0.0

    def arrived(self, position: int, moment_s: float) -> None:
        """Note that all samples before ``position`` have come by a monotonic time."""
        if self._marks and moment_s - self._marks[-1][1] < _SAME_MOMENT_S:
            moment_s = self._marks.pop()[1]
        self._marks.append((position, moment_s))

    def wait_until(self, stream_s: float, block_s: float) -> None:
        """Return at once: audio comes when it comes."""

    def latency_ms(self, time_s: float) -> float | None:
        """Return how long before ``now_s`` the sample at ``time_s`` of the stream came."""
        if not self._marks:
            return None
        position = round(time_s * self._rate)
        while len(self._marks) > 1 and self._marks[0][0] < position:
            self._marks.popleft()
        return 1000.0 * (self.now_s - self._marks[0][1])


class _Channel:
    """A stream, and its waiting audio at 16 kHz."""

    def __init__(
        self, recognizer: Recognizer, start: Start, report: Report, adaptation: Adaptation
    ) -> None:
        if start.enrols:
            self.stream = Stream(recognizer, takes_in=ALL)
        else:
            self.stream = recognizer.stream(adaptation.profile, adaptation.adapts)
        self.report = report
        self.level = ProfileLevel(adaptation.profile, recognizer.metadata)
        self._enrols = start.enrols
        self.speech_timesteps = 0
        self.resampler = Resampler(start.sample_rate)
        self._pieces: list[Float32] = []
        self._waiting = 0
        self._wanted = TIMESTEP_SAMPLES + FRAME_TAIL_SAMPLES

    def add(self, samples: Float32) -> None:
        if len(samples):
            self._pieces.append(samples)
            self._waiting += len(samples)

    def owe(self, estimates: list[Estimate]) -> None:
        if self._enrols:
            self.speech_timesteps += sum(one.speech >= SPEECH_THRESHOLD for one in estimates)
        self.report.owe(estimates)

    @property
    def is_due(self) -> bool:
        return self._waiting >= self._wanted

    def next_block(self) -> Float32:
        """Return just the samples that complete the next timestep: streams then step together."""
        waiting = self.rest()
        block, after = waiting[: self._wanted], waiting[self._wanted :]
        self._wanted = TIMESTEP_SAMPLES
        self.add(after)
        return block

    def rest(self) -> Float32:
        pieces, self._pieces, self._waiting = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else np.concatenate([*pieces, np.zeros(0, np.float32)])


class Hearing:
    """A client's audio: takes bytes, makes blocks for its streams, and returns result lines.

    Attributes:
        recognizer: recognizer of its streams.
    """

    def __init__(
        self, start: Start, recognizer: Recognizer, adaptation: Adaptation = UNKNOWN_VOICE
    ) -> None:
        """Prepare for the audio that will come.

        Raises:
            SerLiveError: the profile belongs to another model.
        """
        self.recognizer = recognizer
        self._start = start
        self._encoding = ENCODINGS[start.sample_format]
        self.frame_bytes = self._encoding.size * start.channels
        self._lines = lines = Lines()
        self._mixer = Mixer(
            start.channels,
            start.sample_rate,
            start.wanted,
            lambda line: lines.add("note", line.replace("--channels", "channels_wanted")),
        )
        self._clock = ArrivalClock(start.sample_rate)
        self._heard = 0
        self._odd = b""
        sinks = Sinks([JsonLines(self._lines, names_file=False)])
        streams = self._mixer.streams
        numbers = [None] if streams is None else range(1, streams + 1)
        self._channels = [
            _Channel(
                recognizer,
                start,
                Report(recognizer, sinks, self._clock, number),
                adaptation,
            )
            for number in numbers
        ]
        look_ahead_s = self._channels[0].resampler.look_ahead_s
        for channel in self._channels:
            channel.report.start(
                SessionStarted(
                    start.source,
                    start.sample_rate,
                    recognizer.metadata.name,
                    recognizer.metadata.labels,
                    recognizer.metadata.look_ahead_ms + 1000.0 * look_ahead_s,
                    datetime.now(UTC),
                    recognizer.prior,
                    adaptation.told(recognizer.metadata),
                    channel.report.channel,
                )
            )

    @property
    def duration_s(self) -> float:
        """Length of the audio so far."""
        return self._heard / self._start.sample_rate

    def bytes_in(self, seconds: float) -> int:
        """Return the bytes of so much audio, in whole samples of all channels."""
        return max(1, round(seconds * self._start.sample_rate)) * self.frame_bytes

    @property
    def is_due(self) -> bool:
        """Whether audio for a timestep waits."""
        return self._channels[0].is_due

    def take(self, data: bytes, moment_s: float) -> None:
        """Decode bytes that came at a moment of the monotonic clock.

        Raises:
            Refused: they are not audio; the samples before are still processed.
        """
        if self._heard == 0 and (data.startswith(CONTAINERS) or data[4:8] == b"ftyp"):
            raise Refused(
                Code.BAD_AUDIO,
                "a sound file came where raw PCM belongs: leave its header out "
                "(ffmpeg -i FILE -f s16le -)",
            )
        data = self._odd + data
        whole = len(data) // self.frame_bytes * self.frame_bytes
        self._odd = data[whole:]
        if not whole:
            return
        values = self._encoding.decode(data[:whole]).reshape(-1, self._start.channels)
        frames, is_audio = audible(values)
        if len(frames):
            self._heard += len(frames)
            self._clock.arrived(self._heard, moment_s)
            mixed = self._mixer.accept(frames)
            by_channel = [mixed] if mixed.ndim == 1 else np.ascontiguousarray(mixed.T)
            for channel, samples in zip(self._channels, by_channel, strict=True):
                channel.add(_bounded(channel.resampler.accept(np.ascontiguousarray(samples))))
        if not is_audio:
            self._odd = b""
            raise Refused(
                Code.BAD_AUDIO,
                f"a sample at {self.duration_s:.3f} s is NaN, infinite or beyond all scale; "
                "check sample_format",
            )

    def next_blocks(self) -> Iterator[tuple[Stream, Float32]]:
        """Yield a timestep of each channel."""
        for channel in self._channels:
            yield channel.stream, channel.next_block()

    def owe(self, estimates: Sequence[list[Estimate]]) -> None:
        """Take the streams' estimates, by channel."""
        for channel, own in zip(self._channels, estimates, strict=True):
            channel.owe(own)
            if note := channel.level.heard(channel.stream):
                self._lines.add("note", note)

    def lines(self, now_s: float) -> list[str]:
        """Return the lines for all results so far, at a moment of the monotonic clock."""
        self._clock.now_s = now_s
        deliver_by_time([channel.report for channel in self._channels])
        return self._lines.take()

    def finish(self, now_s: float) -> list[str]:
        """Return the last lines, with the verdict, and the profile if one is wanted."""
        for channel in self._channels:
            channel.add(_bounded(channel.resampler.flush()))
            channel.owe(channel.stream.accept(channel.rest()))
            channel.owe(channel.stream.flush())
        lines = self.lines(now_s)
        if self._start.enrols:
            self._enrol(self._channels[0])
        for channel in self._channels:
            channel.report.end(self.duration_s)
        return lines + self._lines.take()

    def _enrol(self, channel: _Channel) -> None:
        speech_s = channel.speech_timesteps * TIMESTEP_S
        if speech_s >= LEAST_SPEECH_S:
            self._lines.add_profile(channel.stream.profile())
        else:
            self._lines.add(
                "note",
                f"{speech_s:.1f} s of speech were heard; a profile takes {LEAST_SPEECH_S:g} s at "
                f"least, and {GOOD_SPEECH_S:g} s make a good one",
            )

    def check_whole(self) -> None:
        """Check that the audio ended at the end of a sample.

        Raises:
            Refused: it ended within a sample.
        """
        if self._odd:
            raise Refused(
                Code.BAD_AUDIO,
                f"the audio ends {counted(len(self._odd), 'byte')} into a sample of "
                f"{self.frame_bytes}; "
                "check channels and sample_format",
            )


def _bounded(samples: Float32) -> Float32:
    """Limit resampled audio: near full scale the resampler may overshoot a little."""
    return np.clip(samples, -LARGEST_SAMPLE, LARGEST_SAMPLE)
