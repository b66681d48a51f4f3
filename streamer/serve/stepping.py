"""Steps all streams together, in one thread beside the event loop."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from streamer.recognition.recognizer import Recognizer
from streamer.recognition.stream import Stream
from streamer.serve.hearing import Hearing
from streamer.serve.metrics import Metrics
from streamer.serve.protocol import Code, Ending, Refused
from streamer.signal import TIMESTEP_S
from streamer.sound.source import Float32

_Result = TypeVar("_Result")

DONE = Ending(Code.DONE, "the stream was ended")
_FAILED = Ending(Code.FAILED, "the model failed; the stream is lost")

#: Most timesteps of one stream per tick: a client that sends more waits for the others.
MOST_A_TICK = 2
#: Time between the starts of two ticks, from so many streams in real time on: joint steps cost
#: less, and at 40 ms each stream is in every tick.
_TICKS_S = ((64, 0.04), (16, 0.02), (0, 0.005))
#: Such ticks are not cut short, even if there is more to do.
_LONG_TICK_S = 0.02
#: A stream is ahead of real time if this much more audio was heard than it has been open for.
_AHEAD_S = 0.5
#: Time that streams ahead of real time may take of a tick, beside others and alone.
_REST_S, _ALL_S = 0.005, _LONG_TICK_S
#: Share of a tick in the running mean of a turn's time.
_SHARE = 0.1
#: Time over which streams are counted, and age from which they count.
_COUNTED_S = 1.0
#: Sleep of an idle thread; arriving audio wakes it.
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A tick's result for one stream.

    Attributes:
        member: the stream.
        lines: lines for its client.
        taken: bytes of its audio that no longer wait.
        ending: why it ended, None while it goes on.
    """

    member: Member
    lines: list[str]
    taken: int
    ending: Ending | None = None


@dataclass(eq=False)
class Member:
    """One client among the others: its waiting audio, and its hearing.

    The event loop adds to it and the worker takes from it, both under the stepper's lock; the
    hearing is the worker's alone.

    Attributes:
        hearing: processes its audio.
        waiting: bytes that came and were not taken.
        ending: how it will end, once all its audio is processed.
        is_over: whether it has ended: none of its audio is processed any more.
        is_gone: whether its client has left: none of its results are needed any more.
        began_s: when it began, by the monotonic clock.
    """

    hearing: Hearing
    waiting: int = 0
    ending: Ending | None = None
    is_over: bool = False
    is_gone: bool = False
    began_s: float = field(default_factory=time.monotonic)
    _came: deque[tuple[float, memoryview]] = field(default_factory=deque)

    def add(self, data: bytes, moment_s: float) -> None:
        self._came.append((moment_s, memoryview(data)))
        self.waiting += len(data)

    def take(self, most: int) -> list[tuple[float, bytes]]:
        """Return the oldest bytes, at most so many."""
        taken = []
        while self._came and most > 0:
            moment_s, waiting = self._came.popleft()
            if len(waiting) > most:  # no copy of the rest, which may be a thousand times as large
                self._came.appendleft((moment_s, waiting[most:]))
            data = bytes(waiting[:most])
            taken.append((moment_s, data))
            most -= len(data)
            self.waiting -= len(data)
        return taken

    def is_ahead(self, now_s: float) -> bool:
        """Return whether more was heard than real time allows; for the worker."""
        return self.hearing.duration_s > now_s - self.began_s + _AHEAD_S

    def forget(self) -> int:
        """Drop the audio of an ended stream and return its bytes."""
        waiting, self.waiting = self.waiting, 0
        self._came.clear()
        self.is_over = True
        return waiting


class _Turn:
    """A member during a tick."""

    def __init__(self, member: Member) -> None:
        """Take its waiting audio; under the lock."""
        self.member = member
        self.hearing = member.hearing
        came = member.take(member.hearing.bytes_in(MOST_A_TICK * TIMESTEP_S))
        self.taken = sum(len(data) for _, data in came)
        self._came = came
        self._ending = member.ending
        self._is_all = member.waiting == 0
        self.ended: Ending | None = None
        self.lines: list[str] = []

    def hear(self) -> None:
        """Decode the audio."""
        try:
            for moment_s, data in self._came:
                self.hearing.take(data, moment_s)
        except Refused as refused:  # the audio ends here; the part before still gets a verdict
            self._ending, self._is_all = refused.ending, True

    @property
    def is_due(self) -> bool:
        return self.ended is None and self.hearing.is_due

    def fail(self, ending: Ending) -> None:
        """End the stream: nothing more can be processed."""
        self.ended = ending

    def conclude(self) -> None:
        """Collect the lines, and end the stream if all its audio was processed."""
        if self.ended is not None:
            return
        now_s = time.monotonic()
        self.lines = self.hearing.lines(now_s)
        if self._ending is None or not self._is_all:
            return
        try:
            self.lines += self.hearing.finish(now_s)
            self.ended = self._ending
            if not self._ending.is_refusal:
                self.hearing.check_whole()
        except Refused as refused:
            self.ended = refused.ending

    @property
    def goes_on(self) -> bool:
        """Whether there is more to do without new audio; under the lock."""
        member = self.member
        if member.is_gone or member.is_over:
            return False
        return self.hearing.is_due or member.waiting > 0 or member.ending is not None


class Speakers:
    """Counts the streams in real time, whatever else is connected, or was a moment ago.

    Attributes:
        number: how many there were in the last full second, as of the last count.
    """

    def __init__(self) -> None:
        self.number = 0
        self._spoke: set[Member] = set()
        self._until_s = -math.inf

    def count(self, members: Sequence[Member], now_s: float) -> None:
        """Note whose turn it is, at a moment of the monotonic clock."""
        if now_s >= self._until_s:
            is_next = now_s < self._until_s + _COUNTED_S
            self.number = len(self._spoke) if is_next else 0
            self._spoke, self._until_s = set(), now_s + _COUNTED_S
        self._spoke.update(one for one in members if now_s >= one.began_s + _COUNTED_S)


class Stepper:
    """Steps members in its own thread; call all methods from the event loop."""

    def __init__(
        self,
        hand_over: Callable[[list[Outcome]], None],
        complain: Callable[[Exception], None],
        metrics: Metrics,
    ) -> None:
        """Start the thread.

        Args:
            hand_over: takes a tick's results, in the worker's thread.
            complain: takes errors that are not a client's fault, in that thread too.
            metrics: counts the work.
        """
        self._hand_over = hand_over
        self._complain = complain
        self._metrics = metrics
        self._changed = threading.Condition()
        self._ready: dict[Member, None] = {}
        self._is_over = False
        self._turn_s = 0.001
        self._speakers = Speakers()
        self._thread = threading.Thread(target=self._run, name="stepper", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop; waiting audio is dropped."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join()

    def join(self, member: Member) -> None:
        """Add a client; its first line is sent at once."""
        with self._changed:
            self._wake(member)

    def feed(self, member: Member, data: bytes) -> bool:
        """Add a client's audio; return whether it will be processed: after the end it is not."""
        with self._changed:
            if member.is_over:
                return False
            member.add(data, time.monotonic())
            self._wake(member)
            return True

    def end(self, member: Member, ending: Ending) -> None:
        """End a client after its waiting audio; only the first ending counts."""
        with self._changed:
            member.ending = member.ending or ending
            self._wake(member)

    def leave(self, member: Member) -> None:
        """Remove a client that has gone, by itself or after its end."""
        with self._changed:
            member.is_gone = True
            self._ready.pop(member, None)

    def _wake(self, member: Member) -> None:
        if member.is_over:
            return
        self._ready[member] = None
        self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._ready and not self._is_over:
                    self._changed.wait(_LOOK_S)
                    self._speakers.count((), time.monotonic())
                if self._is_over:
                    return
                turns = self._next_turns()
                tick_s = next(
                    tick_s for least, tick_s in _TICKS_S if self._speakers.number >= least
                )
            began_s, began_cpu_s = time.monotonic(), time.thread_time()
            estimates = self._tick(turns)
            with self._changed:
                for turn in turns:
                    if turn.ended is not None:
                        turn.taken += turn.member.forget()
                        self._ready.pop(turn.member, None)
            self._hand_over([Outcome(t.member, t.lines, t.taken, t.ended) for t in turns])
            took_s = time.monotonic() - began_s
            self._turn_s += _SHARE * (took_s / len(turns) - self._turn_s)
            if estimates:
                self._metrics.estimates += estimates
                self._metrics.stepped(took_s, time.thread_time() - began_cpu_s)
            with self._changed:
                self._ready |= dict.fromkeys(turn.member for turn in turns if turn.goes_on)
                has_more = bool(self._ready)
            # Audio that comes meanwhile steps together. With many streams in real time, this also
            # limits a client that sends faster to so many times real time.
            if not has_more or tick_s >= _LONG_TICK_S:
                time.sleep(max(0.0, tick_s - took_s))

    def _next_turns(self) -> list[_Turn]:
        """Take the members whose turn it is, in the order in which they became ready.

        Members in real time come before those ahead of it, which share what time a tick has left.
        So a client that sends as fast as it can does not delay one that speaks.
        """
        now_s = time.monotonic()
        chosen: list[Member] = []
        ahead: list[Member] = []
        for member in self._ready:
            (ahead if member.is_ahead(now_s) else chosen).append(member)
        self._speakers.count(chosen, now_s)
        left_s = _REST_S if chosen else _ALL_S
        chosen += ahead[: max(1, int(left_s / self._turn_s))]
        for member in chosen:
            del self._ready[member]
        return [_Turn(member) for member in chosen]

    def _tick(self, turns: list[_Turn]) -> int:
        """Step every stream with audio and collect the lines; return the number of estimates."""
        estimates = 0
        for turn in turns:
            self._guard([turn], turn.hear)
        for _ in range(MOST_A_TICK):
            groups: dict[int, list[_Turn]] = {}
            for turn in turns:
                if turn.is_due:
                    groups.setdefault(id(turn.hearing.recognizer), []).append(turn)
            for group in groups.values():
                recognizer = group[0].hearing.recognizer
                estimates += self._guard(group, partial(self._step, recognizer, group)) or 0
        for turn in turns:
            self._guard([turn], turn.conclude)
        return estimates

    def _guard(self, turns: list[_Turn], work: Callable[[], _Result]) -> _Result | None:
        """Run ``work``; an error ends these streams and no others."""
        try:
            return work()
        except Exception as error:
            self._complain(error)
            for turn in turns:
                turn.fail(_FAILED)
            return None

    def _step(self, recognizer: Recognizer, turns: list[_Turn]) -> int:
        """Run one timestep of each; return the number of streams."""
        streams: list[Stream] = []
        blocks: list[Float32] = []
        counts = []
        for turn in turns:
            before = len(streams)
            for stream, block in turn.hearing.next_blocks():
                streams.append(stream)
                blocks.append(block)
            counts.append(len(streams) - before)
        results = recognizer.accept_many(streams, blocks)
        first = 0
        for turn, count in zip(turns, counts, strict=True):
            turn.hearing.owe(results[first : first + count])
            first += count
        return len(streams)
