"""A live pipe: when each sample came, how late its label is, and how to catch up.

A thread takes audio from the pipe as it comes, so that the waiting audio is known, not hidden in
the pipe. Latency counts from the moment at which a sample could have been heard; a burst at the
start is a backlog and counts as one, and a pause of the writer adds no latency.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import BinaryIO

from streamer.sound.pcm import RawPcm
from streamer.sound.source import (
    MAX_LAG_S,
    NO_SIGNALS,
    Away,
    Float32,
    Loss,
    Signals,
    keep_quiet,
)

#: Most audio that waits; beyond it the writer waits.
MOST_WAITING_S = 30.0
#: Backlog that is reported to the user, once.
_BACKLOG_S = 1.5
_READ_BYTES = 1 << 16
#: Least number of pieces with a known arrival time: enough for minutes.
_MARKS = 20_000
_LOOK_S = 0.1


class Arrivals:
    """Bytes of a pipe with arrival times; one thread reads the pipe, another takes the bytes.

    Attributes:
        taken: bytes taken or dropped so far.
    """

    def __init__(self, stream: BinaryIO, most_bytes: int, signals: Signals = NO_SIGNALS) -> None:
        """Read bytes from a stream, ahead of the taker.

        Args:
            stream: binary stream.
            most_bytes: most bytes that wait; beyond that the writer is blocked.
            signals: end the taker's wait.
        """
        self.taken = 0
        self._most = most_bytes
        self._stream = stream
        self._signals = signals
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._marks: list[tuple[int, float]] = []
        self._came = 0
        self._waiting = 0
        self._is_over = False
        self._error: OSError | None = None
        self._changed = threading.Condition()
        reader = self._reader()
        threading.Thread(target=self._take_in, args=(reader,), daemon=True).start()

    @property
    def waiting(self) -> int:
        """Number of bytes that have come and were not taken."""
        return self._waiting

    def read(self, count: int) -> bytes:
        """Return the next bytes, once all have come; fewer at the end.

        Raises:
            OSError: the pipe cannot be read.
        """
        while True:
            with self._changed:
                if self._waiting >= count or self._is_over:
                    if self._error is not None and not self._waiting:
                        raise self._error
                    return self._pop(count)
                self._changed.wait(_LOOK_S)
            self._signals.check()  # not above: it must not be raised while a lock changes hands

    def drop(self, count: int) -> None:
        """Drop the oldest waiting bytes."""
        with self._changed:
            self._pop(count)

    def came_with(self, position: int) -> tuple[int, float]:
        """Find the piece with the byte before ``position``.

        Returns:
            position after the piece's last byte, and its arrival in monotonic seconds.
        """
        with self._changed:
            if not self._marks:
                return position, time.monotonic()
            found = bisect_left(self._marks, position, key=itemgetter(0))
            return self._marks[min(found, len(self._marks) - 1)]

    def _pop(self, count: int) -> bytes:
        parts = []
        while count > 0 and self._chunks:
            came_s, chunk = self._chunks.popleft()
            part, rest = chunk[:count], chunk[count:]
            if rest:
                self._chunks.appendleft((came_s, rest))
            parts.append(part)
            count -= len(part)
            self._waiting -= len(part)
            self.taken += len(part)
        self._changed.notify_all()
        return b"".join(parts)

    def _take_in(self, read: Callable[[int], bytes]) -> None:
        try:
            while chunk := read(_READ_BYTES):
                self._add(chunk)
        except OSError as error:
            self._error = error
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _reader(self) -> Callable[[int], bytes]:
        """Return a read that avoids the stream's buffer: at exit its lock would be held."""
        try:
            # Its own descriptor: if the stream is closed, the thread must not read another file.
            descriptor = os.dup(self._stream.fileno())
        except (OSError, AttributeError):  # not a file, as in tests
            return self._stream.read
        return lambda count: os.read(descriptor, count)

    def _add(self, chunk: bytes) -> None:
        with self._changed:
            now_s = time.monotonic()
            self._came += len(chunk)
            self._waiting += len(chunk)
            self._chunks.append((now_s, chunk))
            self._marks.append((self._came, now_s))
            if len(self._marks) > 2 * _MARKS:
                del self._marks[:_MARKS]
            self._changed.notify_all()
            while self._waiting > self._most:
                self._changed.wait()


class LivePipe:
    """Raw PCM from a pipe at the pace of a clock, and that clock.

    Attributes:
        name: ``-``.
        sample_rate: in Hz.
    """

    def __init__(
        self,
        stream: BinaryIO,
        make: Callable[[BinaryIO], RawPcm],
        *,
        speed: float,
        is_live: bool,
        say: Callable[[str], None] = keep_quiet,
        signals: Signals = NO_SIGNALS,
    ) -> None:
        """Begin to read audio.

        Args:
            stream: binary stream.
            make: makes its decoder.
            speed: playback speed; 1 is real time.
            is_live: whether to process audio as it comes, and drop the oldest if more than
                :data:`MAX_LAG_S` waits.
            say: prints a line for the user.
            signals: end a wait for the writer or the clock.

        Raises:
            SerLiveError: as in :class:`RawPcm`.
        """
        self._pcm = make(stream)  # checks its arguments before reading
        self._frame_bytes = self._pcm.frame_bytes
        self.name, self.sample_rate = self._pcm.name, self._pcm.sample_rate
        self.streams = self._pcm.streams
        self._bytes_a_second = self.sample_rate * self._frame_bytes
        most_bytes = round(MOST_WAITING_S * self._bytes_a_second)
        self._arrivals = Arrivals(stream, most_bytes, signals)
        self._pcm.read_from(self._arrivals.read)
        self._signals = signals
        self._speed = speed
        self._is_live = is_live
        self._say = say
        self._start: float | None = None

    @property
    def clipped(self) -> int:
        return self._pcm.clipped

    @property
    def overflows(self) -> int:
        return 0

    def unheard(self, position: int) -> None:
        """Return None: a pipe waits."""

    def blocks(self, block_ms: int) -> Iterator[Float32 | Loss | Away]:
        """Yield blocks as :class:`RawPcm` does, and the losses of a live pipe.

        Raises:
            SerLiveError: it is not PCM, or ends within a sample.
            RunFailure: it cannot be read.
        """
        blocks = self._pcm.blocks(block_ms)
        has_begun = False  # with the bytes that tell PCM from a sound file
        while True:
            if self._is_live and has_begun and (lost := self._too_old()):
                reason = f"more than {MAX_LAG_S:g} s of audio waited in the pipe"
                yield Loss.after(lost, self.sample_rate, reason)
            block = next(blocks, None)
            if block is None:
                return
            has_begun = True
            yield block

    def _too_old(self) -> int:
        """Return how many frames to drop now, so that little waits."""
        kept = round(MAX_LAG_S * self.sample_rate)
        old = self._arrivals.waiting // self._frame_bytes - kept
        if old <= 0:
            return 0
        self._arrivals.drop(old * self._frame_bytes)
        return old

    def wait_until(self, stream_s: float, block_s: float) -> None:
        """Wait until the block that ends at ``stream_s`` is due.

        After a pause the pipe goes on at the same speed.
        """
        if self._is_live:
            return
        now_s = time.monotonic()
        if self._start is None:
            self._start = now_s - block_s / self._speed
        due_s = self._start + stream_s / self._speed
        if due_s < now_s - MAX_LAG_S and not self._arrivals.waiting:
            self._start = now_s - stream_s / self._speed
        self._tell_backlog()
        if due_s > now_s:
            with self._signals.waiting():
                time.sleep(due_s - now_s)

    def _tell_backlog(self) -> None:
        waiting_s = self._arrivals.waiting / self._bytes_a_second
        if waiting_s > _BACKLOG_S:
            self._say(
                f"standard input is {waiting_s:.1f} s ahead of what is heard, which makes labels "
                "as late: --live drops what is old, --speed max hears it at once"
            )
            self._say = keep_quiet

    def latency_ms(self, time_s: float) -> float:
        """Return how long ago, at most, the sample at ``time_s`` of the stream was heard.

        A piece was heard before it came: its first sample earlier by the piece's length, up to
        :data:`MAX_LAG_S`; more at once is not a piece but a backlog.
        """
        position = round(time_s * self.sample_rate) * self._frame_bytes
        end, came_s = self._arrivals.came_with(position)
        behind_s = max(0, end - position) / self._bytes_a_second
        return 1000.0 * (time.monotonic() - came_s + min(behind_s, MAX_LAG_S))
