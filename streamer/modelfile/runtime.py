"""Runs ONNX networks on one thread: a step is too small to split, and cores serve streams.

onnxruntime reports its use to its makers over the network, since 1.29 under Linux and macOS too,
with a machine identifier that it keeps in the home folder. This module turns that off.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock, Timer
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnxruntime

# onnxruntime reads this once, on import; hence the lazy imports below, and none before this.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

#: Most streams that a network takes at once; the state of more does not fit in the cache.
LARGEST_BATCH = 16

#: Memory for all untrusted networks together, in bytes; ours take 12 MB per variant.
MEMORY_LIMIT = 512 * 2**20
#: Largest constant that onnxruntime computes when it loads a network, in bytes.
FOLDED_LIMIT = 256 * 2**10
#: Time to load a network, and for its test run; ours take a tenth of a second on a busy machine.
TIME_LIMIT_S = 20.0


def open_session(model: Path) -> onnxruntime.InferenceSession:
    """Open an ONNX file of our own; raises what onnxruntime raises, a dozen unrelated types."""
    return _open(str(model), _options())


class NetworkFile:
    """A network, opened in variants of which some dimensions are fixed.

    A network whose shapes are known when it is opened takes a tenth less time per run: its
    arithmetic on shapes is done once.
    """

    def __init__(self, model: bytes, is_own: bool = False) -> None:
        """Take a file's bytes.

        An untrusted network is opened within limits of memory and time. onnxruntime checks both
        only between operators, so a long operator runs to its end. Memory and time for reading the
        file itself do not count.

        Args:
            model: bytes that :func:`streamer.modelfile.inspection.read_onnx` accepted, or of a file
                of our own.
            is_own: whether it is one of our own.
        """
        self._model = model
        self._is_own = is_own
        self._variants: dict[frozenset[tuple[str, int]], onnxruntime.InferenceSession] = {}
        self._lock = Lock()

    def variant(self, **sizes: int) -> onnxruntime.InferenceSession:
        """Return the network with some of its dimensions fixed, opened when first asked for.

        Raises what onnxruntime raises, a dozen unrelated types.

        Args:
            sizes: the fixed dimensions by name; names that the network does not use are ignored.
        """
        key = frozenset(sizes.items())
        found = self._variants.get(key)  # a dictionary is read safely without the lock
        if found is not None:
            return found
        with self._lock:
            if key not in self._variants:
                options = _options(sizes)
                opened = _open if self._is_own else _open_stranger
                self._variants[key] = opened(self._model, options)
            return self._variants[key]


def _open_stranger(
    model: bytes, options: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession:
    _limit_memory()
    for key, value in {
        "session.load_model_format": "ONNX",  # whatever the first bytes say
        "session.use_env_allocators": "1",  # those with the limit
        "optimization.constant_folding_max_output_size_in_bytes": str(FOLDED_LIMIT),
    }.items():
        options.add_session_config_entry(key, value)
    with _time_limit(lambda: options.set_load_cancellation_flag(True)):
        return _open(model, options)


def try_run(
    session: onnxruntime.InferenceSession, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]
) -> list[NDArray[Any]]:
    """Run a network once, within the time limit; raises what onnxruntime raises."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    with _time_limit(lambda: setattr(options, "terminate", True)):
        results: list[NDArray[Any]] = session.run(names, feeds, options)
    return results


@cache
def _limit_memory() -> None:
    import onnxruntime

    memory = onnxruntime.OrtMemoryInfo(
        "Cpu",
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    )
    arena = onnxruntime.OrtArenaCfg({"max_mem": MEMORY_LIMIT})
    onnxruntime.create_and_register_allocator(memory, arena)


@contextmanager
def _time_limit(stop: Callable[[], object]) -> Iterator[None]:
    timer = Timer(TIME_LIMIT_S, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _options(sizes: Mapping[str, int] = MappingProxyType({})) -> onnxruntime.SessionOptions:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # failures are raised; the caller reports them
    for name, size in sizes.items():
        options.add_free_dimension_override_by_name(name, size)
    return options


def _open(model: str | bytes, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows ignores the environment variable
    # The fallback would try again, and print a message.
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model, options, providers, enable_fallback=False)
