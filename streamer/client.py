"""A client of ``ser-live serve``, for asyncio; websockets is the extra ``serve``.

>>> async def main(blocks):
...     async with connect("ws://127.0.0.1:8765", sample_rate=48_000) as stream:
...         async for message in stream.hear(blocks):
...             print(message)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from streamer.errors import RunFailure, SerLiveError
from streamer.recognition.prior import Prior

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

    from streamer.recognition.profile import Profile

#: Audio to send: bytes in the start message's format, or samples.
Block = bytes | NDArray[np.float32] | NDArray[np.int16]

PATH = "/v1/stream"
#: NumPy's types of samples, by their names in the start message.
_TYPES = {"f32le": "<f4", "s16le": "<i2"}
#: Size of a message; the server limits it.
_PIECE_BYTES = 1 << 16
_NORMAL = (1000, 1001)


@asynccontextmanager
async def connect(
    url: str,
    *,
    sample_rate: int = 16_000,
    channels: int = 1,
    sample_format: str = "f32le",
    channels_wanted: str | int | None = None,
    prior: Prior | None = None,
    model: str | None = None,
    source: str | None = None,
    profile: Profile | None = None,
    adapts: bool | None = None,
    enrols: bool = False,
    token: str | None = None,
) -> AsyncIterator[RemoteStream]:
    """Begin a stream at a server; it closes with the ``async with`` block.

    Args:
        url: the server's URL, ``ws://`` or ``wss://``; the path is optional.
        sample_rate: sample rate of the audio, in Hz.
        channels: number of interleaved channels.
        sample_format: ``f32le``, ``s16le``, or for bytes any format that the server accepts.
        channels_wanted: ``mix``, ``split`` or a channel's number; None for the mix.
        prior: ``everyday`` or ``balanced``; None for the server's default.
        model: name of one of the server's models; None for its first.
        source: name of the audio.
        profile: the voice's profile, made with the server's model; None if unknown.
        adapts: whether the stream adapts to the voice; None for the server's default.
        enrols: whether a profile is wanted: a message before the last, for
            ``Profile.from_values``, or a note if there was too little speech.
        token: the server's token, if it requires one.

    Raises:
        SerLiveError: the URL is not valid.
        RunFailure: the server is not there or refuses, or websockets is not installed.
        ValueError: the profile is something else.
    """
    try:
        from websockets.asyncio.client import connect as open_websocket
        from websockets.exceptions import InvalidStatus, WebSocketException
    except ImportError as error:
        raise RunFailure("connect needs websockets: pip install 'ser-live[serve]'") from error

    if profile is not None:
        from streamer.recognition.profile import check_type

        check_type(profile)
    address = _address(url)
    asked = {
        "sample_rate": sample_rate,
        "channels": channels,
        "sample_format": sample_format,
        "channels_wanted": channels_wanted,
        "prior": prior,
        "model": model,
        "source": source,
        "profile": None if profile is None else profile.to_values(),
        "adapts": adapts,
        "enrols": enrols or None,
    }
    start = {"type": "start"} | {key: one for key, one in asked.items() if one is not None}
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        websocket = await open_websocket(
            address,
            additional_headers=headers,
            compression=None,
            max_queue=None,
            ping_timeout=None,  # a pong may wait behind audio that the server is not ready for
        )
    except InvalidStatus as error:
        raise RunFailure(f"{url}: {_why(error.response.body)}") from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise RunFailure(f"{url}: no server answers there ({error})") from error
    async with websocket:
        with suppress(WebSocketException):  # the server's messages tell why it closed
            await websocket.send(json.dumps(start))
        yield RemoteStream(url, websocket, sample_format, channels)


class RemoteStream:
    """A stream at a server: ``send`` audio, ``end`` it, and iterate over the messages.

    Messages wait here until they are read. :meth:`hear` sends and yields at once.
    """

    def __init__(
        self, url: str, websocket: ClientConnection, sample_format: str, channels: int = 1
    ) -> None:
        """Use a connection that has sent its start message; :func:`connect` makes it."""
        self._url = url
        self._websocket = websocket
        self._type = _TYPES.get(sample_format)
        self._channels = channels
        self._error: str | None = None

    async def send(self, block: Block) -> None:
        """Send samples ``(n,)`` or ``(n, channels)``, or bytes; wait if the server is slow.

        Raises:
            SerLiveError: the samples are not of the type or the channels declared at the start.
            RunFailure: the server has closed the connection.
        """
        from websockets.exceptions import ConnectionClosed

        data = self._bytes_of(block)
        try:
            for at in range(0, len(data), _PIECE_BYTES):
                await self._websocket.send(data[at : at + _PIECE_BYTES])
        except ConnectionClosed as error:
            raise self._failure() from error

    async def end(self) -> None:
        """Signal the end of the audio; the last messages follow.

        Raises:
            RunFailure: the server has closed the connection.
        """
        from websockets.exceptions import ConnectionClosed

        try:
            await self._websocket.send('{"type":"end"}')
        except ConnectionClosed as error:
            raise self._failure() from error

    async def hear(self, blocks: AsyncIterable[Block] | Iterable[Block]) -> AsyncIterator[Any]:
        """Send all blocks and then the end; yield messages meanwhile.

        Raises:
            SerLiveError: as in :meth:`send`.
            RunFailure: the server refused.
        """
        sending = asyncio.create_task(self._send_all(blocks))
        try:
            async for message in self:
                yield message
            await sending
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, Exception):  # already reported, or nobody waits
                await sending

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the server's messages as dictionaries, keys as in JSON lines, to the end.

        Raises:
            RunFailure: the server refused, with its reason.
        """
        from websockets.exceptions import ConnectionClosed

        has_end = False  # once true, nothing is lost, whatever closes the server
        try:
            async for text in self._websocket:
                message = json.loads(text)
                has_end = has_end or message["type"] == "end"
                if message["type"] == "error":
                    self._error = message["message"]
                else:
                    yield message
        except ConnectionClosed as error:
            if self._error is None and has_end:
                return
            raise self._failure() from error
        if self._error is not None or not (has_end or self._websocket.close_code in _NORMAL):
            raise self._failure()

    async def _send_all(self, blocks: AsyncIterable[Block] | Iterable[Block]) -> None:
        try:
            if isinstance(blocks, AsyncIterable):
                async for block in blocks:
                    await self.send(block)
            else:
                for block in blocks:
                    await self.send(block)
            await self.end()
        except Exception:  # otherwise the server and we would wait for each other
            await self._websocket.close()
            raise

    def _bytes_of(self, block: Block) -> bytes:
        if isinstance(block, bytes | bytearray | memoryview):
            return bytes(block)
        given = getattr(block, "dtype", type(block).__name__)
        if self._type is None or given != np.dtype(self._type):
            raise SerLiveError(
                f"samples are {given}; for this sample_format they must be bytes"
                f"{'' if self._type is None else f' or an array of {np.dtype(self._type)}'}"
            )
        samples = np.ascontiguousarray(block, self._type)
        if samples.ndim > 2 or (samples.ndim == 2 and samples.shape[1] != self._channels):
            raise SerLiveError(
                f"samples are {samples.shape}; they must be (n,), or (n, {self._channels}) for "
                f"channels={self._channels}"
            )
        return samples.tobytes()

    def _failure(self) -> RunFailure:
        reason = self._error or self._websocket.close_reason or "the connection was lost"
        return RunFailure(f"{self._url}: {reason}")


def is_address(url: str, schemes: Collection[str] = ("ws", "wss")) -> bool:
    """Return whether a URL may be the address of a server."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        return parts.scheme in schemes and host != b"" and parts.port != 0
    except ValueError:  # half an IPv6 address, a port that is none, a name that is too long
        return False


def _address(url: str) -> str:
    """Return the address of a server's streams.

    Raises:
        SerLiveError: the URL is not valid.
    """
    if not is_address(url):
        raise SerLiveError(f"{url!r} is no address of a server, such as ws://127.0.0.1:8765")
    parts = urlsplit(url)
    return url if parts.path.strip("/") else parts._replace(path=PATH).geturl()


def _why(body: bytes | bytearray | None) -> str:
    """Return the reason that a server gives for refusing."""
    try:
        return str(json.loads(body or b"")["message"])
    except (ValueError, KeyError, TypeError):
        return "the server refused the connection"
