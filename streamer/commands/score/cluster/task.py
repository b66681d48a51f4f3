"""What a worker of the cluster does."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer.commands.score.cluster.alone import hear_alone
from streamer.commands.score.cluster.spec import Spec
from streamer.commands.score.cluster.watch import Vigil, signs
from streamer.commands.score.hearing.work import Answer, Task, hear_all
from streamer.errors import RunFailure, SerLiveError
from streamer.modelfile.shipped import model_path
from streamer.recognition.recognizer import Recognizer
from streamer.version import version

_loaded: dict[tuple[str, str], Recognizer] = {}
_lock = threading.Lock()


class Disagreement(RunFailure):
    """A worker would give other rows."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The answers to the recordings of a task.

    Attributes:
        answers: one for each, in order.
        missing: indices of those whose path leads nowhere on the worker.
        host: name of the worker's machine.
        core_s: how long it took, in seconds.
    """

    answers: list[Answer]
    missing: frozenset[int]
    host: str
    core_s: float


def hear_group(
    spec: Spec, data: bytes | None, tasks: Sequence[Task], is_alone: bool, vigil: Vigil
) -> Heard:
    """Analyse recordings.

    Args:
        spec: the model, and how it is used.
        data: the model file, if it is none that is shipped.
        tasks: the recordings; their paths are absolute.
        is_alone: whether to use a process of its own, which may die or hang.
        vigil: how to give signs of life.

    Raises:
        Disagreement: this machine has another version or model.
    """
    began = time.perf_counter()
    host = socket.gethostname()
    missing = frozenset(
        index
        for index, task in enumerate(tasks)
        if isinstance(task.path, Path) and not os.path.lexists(task.path)
    )
    _check_version(spec, host)
    with signs(vigil) as alive:
        if is_alone:
            path = _model_file(spec, data, host)
            try:
                answers = hear_alone(path, spec, tasks, vigil.silent_s, alive)
            finally:
                _tidy(path, data)
        else:
            recognizer = _recognizer(spec, data, host)
            found = dict(hear_all(tasks, recognizer, spec.adaptation, alive))
            answers = [found[index] for index in range(len(tasks))]
    return Heard(answers, missing, host, time.perf_counter() - began)


def given(data: bytes) -> bytes:
    """Return a model file: as a task of its own it is sent once, and again if it is lost."""
    return data


def _check_version(spec: Spec, host: str) -> None:
    own = version()
    if own != spec.version:
        raise Disagreement(
            f"the worker on {host} has ser-live {own}, this is {spec.version}: install one version "
            "everywhere"
        )


def _recognizer(spec: Spec, data: bytes | None, host: str) -> Recognizer:
    """Return the recognizer of this process, loaded once."""
    key = (spec.digest, spec.prior)
    with _lock:
        if key not in _loaded:
            path = _model_file(spec, data, host)
            try:
                recognizer = Recognizer.load(path, spec.prior)
            except SerLiveError as error:
                raise Disagreement(f"on {host}: {error}") from error
            finally:
                _tidy(path, data)
            _loaded[key] = recognizer
        return _loaded[key]


def _model_file(spec: Spec, data: bytes | None, host: str) -> Path:
    """Return the model file, which has the client's bytes.

    Raises:
        Disagreement: it has others, or cannot be read or kept.
    """
    try:
        if data is None:
            path = model_path(spec.shipped or None)
            own = hashlib.sha256(path.read_bytes()).hexdigest()
            if own != spec.digest:
                raise Disagreement(
                    f"the worker on {host} has another model ({own[:12]}) than this machine "
                    f"({spec.digest[:12]}): install one version everywhere"
                )
            return path
        descriptor, name = tempfile.mkstemp(".onnx", "ser-live-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        raise Disagreement(f"on {host}: no model: {error.strerror}") from error
    return Path(name)


def _tidy(path: Path, data: bytes | None) -> None:
    """Delete a model file that was written for a moment."""
    if data is not None:
        path.unlink(missing_ok=True)
