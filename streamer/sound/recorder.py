"""Records a source to a wav file.

A recording of a whole session replays to the same labels; one begun in mid-session starts with a
new stream.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import numpy as np

from streamer.errors import RunFailure, SerLiveError
from streamer.outputs import dated_path
from streamer.sound.source import Away, Float32, Loss, Source

#: RIFF, fmt of 18 bytes, fact, data. Sizes: the RIFF chunk, the samples, the data.
_HEADER = struct.Struct("<4sI4s 4sIHHIIHHH 4sII 4sI")
_IEEE_FLOAT = 3
_SAMPLE_BYTES = 4
#: The sizes in a wav header have 32 bits.
MAX_DATA_BYTES = 2**32 - 1 - _HEADER.size


def _header(sample_rate: int, data_bytes: int) -> bytes:
    return _HEADER.pack(
        *(b"RIFF", _HEADER.size - 8 + data_bytes, b"WAVE"),
        *(b"fmt ", 18, _IEEE_FLOAT, 1, sample_rate, sample_rate * _SAMPLE_BYTES),
        *(_SAMPLE_BYTES, 8 * _SAMPLE_BYTES, 0),
        *(b"fact", 4, data_bytes // _SAMPLE_BYTES),
        *(b"data", data_bytes),
    )


class WavWriter:
    """Writes a mono float32 wav, which keeps samples exact; updates its header once a second.

    If the process is killed, the file opens and lacks at most the last second. soundfile writes the
    sizes only when it closes a file, so this class writes its own header.
    """

    def __init__(self, path: Path, sample_rate: int, force: bool) -> None:
        """Create the file; overwrite an existing one only with ``force``.

        Raises:
            SerLiveError: it exists, or its folder does not or is not writable.
        """
        self.path = path
        self._rate = sample_rate
        self._uncounted = 0
        if path.exists() and not path.is_file():
            raise SerLiveError(f"{path}: no regular file; a recording is rewritten as it grows")
        try:
            # Unbuffered: written samples are in the file, and closing cannot fail for lack of room.
            self._file = path.open("wb" if force else "xb", buffering=0)
        except FileExistsError as error:
            raise SerLiveError(f"{path} exists; --force overwrites it") from error
        except OSError as error:
            raise SerLiveError(f"cannot write {path}: {error.strerror}") from error
        try:
            self._write(_header(sample_rate, 0))
        except RunFailure:
            self._file.close()
            path.unlink(missing_ok=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        """Length of the audio written."""
        return self._data_bytes() / _SAMPLE_BYTES / self._rate

    def write(self, samples: Float32) -> bool:
        """Append samples ``(n,)``; False if they no longer fit into a wav file (4 GiB).

        Raises:
            RunFailure: the disk is full or gone.
        """
        if self._data_bytes() + samples.nbytes > MAX_DATA_BYTES:
            return False
        self._write(samples.astype("<f4", copy=False).tobytes())
        self._uncounted += len(samples)
        if self._uncounted >= self._rate:
            self._complete()
        return True

    def close(self) -> None:
        """Finish the file; a second call does nothing.

        Raises:
            RunFailure: the disk is full or gone.
        """
        if self._file.closed:
            return
        try:
            self._complete()
        finally:
            self._file.close()

    def _data_bytes(self) -> int:
        # Ask the file: a signal may come between a write and its count.
        return self._file.tell() - _HEADER.size

    def _complete(self) -> None:
        """Update the header to the samples that are there; it never promises too many."""
        end = self._file.tell()
        data_bytes = self._data_bytes() // _SAMPLE_BYTES * _SAMPLE_BYTES
        self._file.seek(0)
        self._write(_header(self._rate, data_bytes))
        self._file.seek(end)
        self._uncounted = 0

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> RunFailure:
        return RunFailure(f"cannot write {self.path}: {error.strerror}")


class Recorder:
    """A source that writes its blocks to a file while recording is switched on.

    The file holds exactly the samples behind the estimates, including the silence in place of lost
    audio. The thread that takes the blocks opens and writes files; the screen only requests it.
    """

    def __init__(
        self, source: Source, say: Callable[[str], None], path: Path | None, force: bool
    ) -> None:
        """Wrap ``source``, recording from the start if there is a path.

        A recording requested with a path must succeed; one switched on later may fail without
        ending the session.

        Args:
            source: a live source.
            say: prints a line for the user.
            path: wav file of the first recording; later ones are named by their time.
            force: whether that file may exist.

        Raises:
            SerLiveError: the file cannot be created.
        """
        self._source = source
        self._say = say
        self._writer = None if path is None else WavWriter(path, source.sample_rate, force)
        self._is_wanted = self._must_succeed = path is not None
        self._is_away = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def sample_rate(self) -> int:
        return self._source.sample_rate

    @property
    def clipped(self) -> int:
        return self._source.clipped

    @property
    def overflows(self) -> int:
        return self._source.overflows

    @property
    def is_recording(self) -> bool:
        """Whether a file is being written; any thread may ask."""
        return self._writer is not None

    def toggle(self) -> None:
        """Start or stop with the next block, from any thread, and print what is done then."""
        self._is_wanted = not self._is_wanted
        if self._is_away:
            word = "starts" if self._is_wanted else "stops"
            self._say(f"recording {word} when the device is back")

    def blocks(self, block_ms: int) -> Iterator[Float32 | Loss | Away]:
        for block in self._source.blocks(block_ms):
            self._is_away = isinstance(block, Away)
            if not self._is_away and self._is_wanted != self.is_recording:
                self._switch()
            self._record(block)
            yield block

    def unheard(self, position: int) -> Loss | None:
        loss = self._source.unheard(position)
        if loss is not None:
            self._record(loss)
        return loss

    def _switch(self) -> None:
        if self._writer is not None:
            self._stop("wrote {path}, {seconds:.1f} s")
            return
        path = dated_path(".wav")
        try:
            self._writer = WavWriter(path, self.sample_rate, force=False)
        except SerLiveError as error:
            self._is_wanted = False
            self._say(str(error))
        else:
            self._say(f"recording to {path}")

    def _record(self, block: Float32 | Loss | Away) -> None:
        if self._writer is None or isinstance(block, Away):
            return
        samples = np.zeros(block.filled, np.float32) if isinstance(block, Loss) else block
        try:
            if not self._writer.write(samples):
                self._stop("{path} is full: a wav file holds 4 GiB; listening goes on")
        except RunFailure as error:
            if self._must_succeed:
                raise
            self._say(f"{error}; listening goes on")
            self._stop("{path} has {seconds:.1f} s")

    def _stop(self, line: str) -> None:
        """Finish the file and print a line."""
        writer, self._writer = self._writer, None
        assert writer is not None
        self._is_wanted = self._must_succeed = False
        seconds = writer.seconds
        with suppress(RunFailure):  # the header is right up to a second ago
            writer.close()
        self._say(line.format(path=writer.path, seconds=seconds))
