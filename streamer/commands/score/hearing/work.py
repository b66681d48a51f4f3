"""Analyses a recording, and runs the process that analyses one after the other."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from enum import Enum
from multiprocessing.connection import Connection, wait
from pathlib import Path

from streamer.commands.score.finding.places import Place
from streamer.commands.score.finding.remote import local_copy
from streamer.commands.score.hearing.signs import SILENT_S, Alive, no_sign, now_and_then
from streamer.commands.score.results.rows import Row, columns_of
from streamer.errors import RunFailure, SerLiveError, printable
from streamer.formats.lines import JsonLines
from streamer.formats.numbers import SHARE_DIGITS, TIME_DIGITS
from streamer.outputs import OutputFile
from streamer.recognition.decision import SILENCE, label_changes
from streamer.recognition.prior import Prior
from streamer.recognition.profile import UNKNOWN_VOICE, Adaptation
from streamer.recognition.recognizer import Recognizer
from streamer.session.clock import Pace
from streamer.session.events import TOO_SHORT, Estimated, Event, SessionEnded, Sink
from streamer.session.interrupts import Interrupts
from streamer.session.run import run_session
from streamer.signal import MANY_AT_ONCE, TIMESTEP_S
from streamer.sound.channels import MIX, Channels
from streamer.sound.files.recording import Recording

#: The results do not depend on it; two groups of timesteps, whose arrays stay in the cache.
_BLOCK_MS = 2_560


@dataclass(frozen=True, slots=True)
class Task:
    """A recording to analyse.

    Attributes:
        path: path of the recording, or URL.
        name: the path in the results.
        timeline: path for JSON lines; None for none.
        channels: channels to use.
        size: its bytes; None if unknown.
        called: what sessions and messages call it; None for the path.
        copy: what was fetched of a URL before; None to fetch it.
    """

    path: Place
    name: str
    timeline: Path | None
    channels: Channels = MIX
    size: int | None = None
    called: str | None = None
    copy: Path | None = None

    @property
    def source(self) -> str:
        """What sessions and messages call the recording."""
        return self.called or str(self.path)


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome for a recording.

    Attributes:
        row: all columns except those that name the model.
        failure: why the run cannot go on; the row is then void.
        notices: lines for the user.
    """

    row: Row
    failure: str | None = None
    notices: tuple[str, ...] = ()


class Sign(Enum):
    """What a worker process says beside answers."""

    READY = "ready"
    ALIVE = "alive"


class _Signs:
    """A sink that says that a session goes on."""

    def __init__(self, alive: Alive) -> None:
        self._alive = alive

    def take(self, _: Event) -> None:
        self._alive()


class Tally:
    """A sink that sums up a session in a row."""

    def __init__(self, recognizer: Recognizer) -> None:
        self._names = recognizer.metadata.labels
        self._speech_on = recognizer.metadata.decision.speech_on
        self._speech_timesteps = 0
        self._labels: list[str] = []
        self._end: SessionEnded | None = None

    def take(self, event: Event) -> None:
        match event:
            case Estimated():
                self._labels.append(event.estimate.label)
                self._speech_timesteps += event.estimate.speech >= self._speech_on
            case SessionEnded():
                self._end = event

    def row(self, task: Task, error: str | None) -> Row:
        """Return the row of a recording; with an error, it counts the part that was processed."""
        row = empty_row(self._names, task, error)
        end = self._end
        if end is None:
            return row
        row["duration_s"] = round(end.duration_s, TIME_DIGITS)
        if not end.estimates:
            row["error"] = error or TOO_SHORT
            return row
        minutes = end.estimates * TIMESTEP_S / 60
        row["speech_s"] = round(self._speech_timesteps * TIMESTEP_S, TIME_DIGITS)
        row["overall"] = end.overall
        if end.overall != SILENCE:  # without speech they mean nothing
            row |= {f"p_{name}": round(p, SHARE_DIGITS) for name, p in end.probabilities.items()}
        row |= {f"share_{name}": round(share, SHARE_DIGITS) for name, share in end.summary.items()}
        row["changes_a_minute"] = round(len(label_changes(self._labels)) / minutes, SHARE_DIGITS)
        return row


def empty_row(labels: tuple[str, ...], task: Task, error: str | None) -> Row:
    """Return a row with only an error."""
    own = {"file": task.name, "channel": str(task.channels), "error": error}
    return dict.fromkeys(columns_of(labels)) | own


def hear(
    task: Task,
    recognizer: Recognizer,
    adaptation: Adaptation = UNKNOWN_VOICE,
    folder: Path | None = None,
    say_at_once: Callable[[str], None] | None = None,
    alive: Alive = no_sign,
) -> Answer:
    """Analyse a recording as ``replay --speed max`` does; what is behind a URL is fetched first.

    Args:
        task: the recording.
        recognizer: the model.
        adaptation: how the stream adapts to its voice.
        folder: for what is fetched; None for the system's.
        say_at_once: prints a line that cannot wait for the answer: a URL is tried again.
        alive: is called as long as it goes on.
    """
    notices: list[str] = []
    tally = Tally(recognizer)
    error: str | None = None
    try:
        copied: AbstractContextManager[Path]
        if task.copy is not None and task.copy.exists():
            copied = nullcontext(task.copy)
        else:
            copied = local_copy(task.path, task.size, notices.append, folder, say_at_once, alive)
        with copied as path:

            def named(text: object) -> str:
                return str(text).replace(str(path), task.source)

            try:
                sinks: list[Sink] = [tally, _Signs(alive)]
                _hear(task, path, recognizer, adaptation, sinks, notices)
            except RunFailure:
                raise
            except SerLiveError as failure:
                raise SerLiveError(named(failure)) from failure
            finally:
                notices = [named(line) for line in notices]
    except RunFailure as failure:
        return Answer({}, str(failure))
    except SerLiveError as failure:
        error = str(failure).removeprefix(f"{task.source}: ")
    # Whatever is wrong with this recording, the others go on.
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    row = tally.row(task, None if error is None else printable(error))
    return Answer(row, notices=tuple(printable(line) for line in notices))


def _hear(
    task: Task,
    path: Path,
    recognizer: Recognizer,
    adaptation: Adaptation,
    sinks: list[Sink],
    notices: list[str],
) -> None:
    with ExitStack() as stack:
        if task.timeline is not None:
            out = stack.enter_context(_timeline(task.timeline))
            sinks.append(JsonLines(out, names_file=False))
        source = stack.enter_context(Recording(path, task.channels, notices.append))
        source.name = task.source
        run_session(
            source,
            recognizer,
            sinks,
            clock=Pace(None),
            block_ms=_BLOCK_MS,
            interrupts=Interrupts(),
            adaptation=adaptation,
            at_once=MANY_AT_ONCE,
            say=notices.append,
        )


def hear_all(
    tasks: Sequence[Task],
    recognizer: Recognizer,
    adaptation: Adaptation = UNKNOWN_VOICE,
    alive: Alive = no_sign,
) -> Iterator[tuple[int, Answer]]:
    """Analyse recordings; yield the index and the answer of each as it comes."""
    for index, task in enumerate(tasks):
        alive()
        yield index, hear(task, recognizer, adaptation, alive=alive)


def _timeline(path: Path) -> OutputFile:
    """Return a timeline's file, created with its folders when there is something to write.

    Raises:
        SerLiveError: it cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # left by a killed run
    except OSError as error:
        raise SerLiveError(f"cannot write {path}: {error.strerror}") from error
    return OutputFile(path, force=True)


def work(
    connection: Connection,
    model: Path,
    prior: Prior,
    adaptation: Adaptation,
    folder: Path | None = None,
    silent_s: float = SILENT_S,
) -> None:
    """Run a worker process: report that it is ready, then answer tasks in order.

    A text that it sends is a line for the user.
    """
    for name in ("SIGINT", "SIGHUP"):  # they reach the whole group; the parent ends this process
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    recognizer = Recognizer.load(model, prior)
    connection.send(Sign.READY)
    alive = now_and_then(lambda: connection.send(Sign.ALIVE), silent_s)
    while True:
        task = connection.recv()
        connection.send(hear(task, recognizer, adaptation, folder, connection.send, alive))


def _end_with_parent(folder: Path | None) -> None:
    """End this process if the parent is killed, even in the middle of a long recording."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)  # it is the parent's to delete, but it is gone
    os._exit(1)
