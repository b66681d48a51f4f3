"""Keeps what a source hands over as a wav file.

A recording of the whole session replays to the same labels; one begun in the middle of it starts
with a stream that has heard nothing yet.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from streamer.audio import Away, Float32, Loss, Source
from streamer.errors import RunFailure, SerLiveError
from streamer.outputs import dated_path

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
    """A mono float32 wav, so that no sample changes; its header is true once a second.

    A process that is killed leaves a file that opens and lacks at most the last second. soundfile
    writes the sizes only when it closes a file, hence the header is ours.
    """

    def __init__(self, path: Path, sample_rate: int, force: bool) -> None:
        """Create the file, over an existing one only with ``force``.

        Raises:
            SerLiveError: it exists, or its folder does not or may not be written to.
        """
        self.path = path
        self._rate = sample_rate
        self._uncounted = 0
        if path.exists() and not path.is_file():
            raise SerLiveError(f"{path}: no regular file; a recording is rewritten as it grows")
        try:
            # Unbuffered: what was written is there, and closing cannot fail for lack of room.
            self._file = path.open("wb" if force else "xb", buffering=0)
        except FileExistsError as error:
            raise SerLiveError(f"{path} exists; --force overwrites it") from error
        except OSError as error:
            raise SerLiveError(f"cannot write {path}: {error.strerror}") from error
        try:
            self._write(_header(sample_rate, 0))
        except RunFailure:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        """How much was written."""
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
        # Asked of the file: a signal may come between a write and the counting of it.
        return self._file.tell() - _HEADER.size

    def _complete(self) -> None:
        """Make the header count the samples that are there: it never promises too much."""
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
    """A source, with what it hands over written to a file on the way while this is switched on.

    Losses take no room in the file but for the silence that the source puts in their place, so
    the file holds the very samples that the estimates were made of. Files are opened and written
    by the thread that takes the blocks; the screen only says what it wants.
    """

    def __init__(
        self, source: Source, say: Callable[[str], None], path: Path | None, force: bool
    ) -> None:
        """Pass on ``source``, recording from the start if there is a path.

        Args:
            source: a live source.
            say: takes a line for the person.
            path: wav file of the first recording; later ones are named by their time.
            force: it may exist.

        Raises:
            SerLiveError: the file cannot be made.
        """
        self.is_recording = path is not None
        self._source = source
        self._say = say
        self._writer = None if path is None else WavWriter(path, source.sample_rate, force)

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

    def toggle(self) -> None:
        """Start or stop with the next block, from any thread; what is done then is said."""
        self.is_recording = not self.is_recording

    def blocks(self, block_ms: int) -> Iterator[Float32 | Loss | Away]:
        for block in self._source.blocks(block_ms):
            if self.is_recording != (self._writer is not None):
                self._switch()
            if self._writer is not None and not isinstance(block, (Loss, Away)):
                self._record(self._writer, block)
            yield block

    def _switch(self) -> None:
        if self._writer is not None:
            self._say(f"wrote {self._writer.path}, {self._writer.seconds:.1f} s")
            self._writer.close()
            self._writer = None
            return
        path = dated_path(".wav")
        try:
            self._writer = WavWriter(path, self.sample_rate, force=False)
        except SerLiveError as error:  # asked for with a key: listening goes on
            self.is_recording = False
            self._say(str(error))
        else:
            self._say(f"recording to {path}")

    def _record(self, writer: WavWriter, block: Float32) -> None:
        if not writer.write(block):
            writer.close()
            self._writer = None
            self.is_recording = False
            self._say("the recording is full: a wav file holds 4 GiB; listening goes on")
