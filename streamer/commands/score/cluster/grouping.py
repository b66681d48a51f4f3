"""Groups recordings into tasks of some minutes of audio."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from streamer.commands.score.finding.places import suffix_of
from streamer.commands.score.hearing.work import Task

#: Long enough that handing a task out costs little, short enough to be done again.
_AUDIO_S = 300.0
#: Recordings in a task at most: so many empty ones take a while too.
_MOST = 200
#: Bytes of a second, until answers tell better: of most formats, and of uncompressed speech.
_BYTES_A_S = defaultdict(lambda: 16_000.0, {".wav": 32_000.0, ".mp3": 8_000.0, ".opus": 4_000.0})
#: Assumed length where neither duration nor bytes are known.
_UNKNOWN_S = 30.0
#: Seconds of audio after which what was heard weighs more than what was assumed.
_DOUBT_S = 600.0

Group = list[tuple[int, Task]]


@dataclass(frozen=True, slots=True)
class Load:
    """A task of the scheduler's.

    Attributes:
        group: its recordings.
        is_alone: whether they are heard in a process of their own, as they may have killed workers.
        tries: how often it failed so far.
        silent: how many workers hung with it so far.
        done_s: when its answer was first asked for in vain, by the monotonic clock; None if never.
        allowed: the workers that may do it; None for all.
    """

    group: Group
    is_alone: bool = False
    tries: int = 0
    silent: int = 0
    done_s: float | None = None
    allowed: frozenset[str] | None = None

    def waits_in_vain(self, avoided: frozenset[str], usable: frozenset[str]) -> bool:
        """Return whether it may be with a worker that hangs, or is for workers that are gone."""
        if self.allowed is None:
            return bool(avoided)
        return not self.allowed.isdisjoint(avoided) or self.allowed.isdisjoint(usable)


class Grouping:
    """Estimates durations by bytes, from what the recordings of a kind had so far."""

    def __init__(self) -> None:
        self._bytes: dict[str, float] = {}
        self._seconds: dict[str, float] = defaultdict(lambda: _DOUBT_S)

    def groups(self, tasks: Iterable[Task]) -> Iterator[Group]:
        """Yield tasks with their indices, grouped."""
        group: Group = []
        length_s = 0.0
        for index, task in enumerate(tasks):
            group.append((index, task))
            length_s += self._estimate_s(task)
            if length_s >= _AUDIO_S or len(group) == _MOST:
                yield group
                group, length_s = [], 0.0
        if group:
            yield group

    def learn(self, task: Task, duration_s: float | None) -> None:
        """Take the duration of a recording that was heard."""
        if task.size and duration_s:
            kind = _kind(task)
            self._bytes[kind] = self._total(kind) + task.size
            self._seconds[kind] += duration_s

    def _estimate_s(self, task: Task) -> float:
        if task.size is None:
            return _UNKNOWN_S
        kind = _kind(task)
        return task.size * self._seconds[kind] / self._total(kind)

    def _total(self, kind: str) -> float:
        return self._bytes.get(kind, _DOUBT_S * _BYTES_A_S[kind])


def _kind(task: Task) -> str:
    return suffix_of(task.path)
