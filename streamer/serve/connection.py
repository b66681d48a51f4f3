"""A client's connection: passes its messages to the stepper, and the stepper's lines to it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from streamer.serve.config import Limits
from streamer.serve.hearing import Hearing
from streamer.serve.metrics import Metrics
from streamer.serve.protocol import Code, Ending, Refused, read_end
from streamer.serve.stepping import DONE, Member, Outcome, Stepper
from streamer.serve.transport import ABORT

#: Time for the peer to read the last lines and answer the closing frame, before it is cut off.
_LAST_WORDS_S = 20.0
#: Errors from sending to a peer that has gone, or is about to.
_GONE = (WebSocketDisconnect, RuntimeError, OSError)
_DEAF = Ending(Code.POLICY, "the client does not read its results")


class Pace:
    """Limits messages per second, with bursts of a quarter of a second's number."""

    def __init__(self, a_second: float) -> None:
        self._a_second = a_second
        self._most = a_second / 4.0
        self._left = self._most
        self._counted_s = time.monotonic()

    def owed_s(self) -> float:
        """Count a message and return how long to wait after it."""
        now_s = time.monotonic()
        refilled = self._left + (now_s - self._counted_s) * self._a_second
        self._left = min(self._most, refilled) - 1.0
        self._counted_s = now_s
        return max(0.0, -self._left / self._a_second)


class Connection:
    """A client whose stream has begun.

    Attributes:
        ending: why it ended; None while it goes on.
        streams: how many of the server's streams it uses.
    """

    def __init__(
        self,
        websocket: WebSocket,
        hearing: Hearing,
        stepper: Stepper,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        """Take over a client; :meth:`run` talks to it."""
        self._websocket = websocket
        self._hearing = hearing
        self._stepper = stepper
        self._limits = limits
        self._metrics = metrics
        self.member = Member(hearing)
        self.ending: Ending | None = None
        self.streams = 1
        self._most_waiting = hearing.bytes_in(limits.backlog_s)
        self._waiting = 0
        self._has_room = asyncio.Event()
        self._unsent: deque[str] = deque()
        self._unsent_bytes = 0
        self._has_news = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None

    @property
    def backlog_s(self) -> float:
        """Length of the waiting audio."""
        return self._waiting / self._hearing.bytes_in(1.0)

    def take(self, outcome: Outcome) -> None:
        """Take the stepper's results for this client."""
        self._waiting -= outcome.taken
        if self._waiting < self._most_waiting:
            self._has_room.set()
        self._unsent.extend(outcome.lines)
        self._unsent_bytes += sum(map(len, outcome.lines))
        if outcome.ending is not None:
            self.ending = self.ending or outcome.ending
            self._wait_no_longer_than(_LAST_WORDS_S)
        if self._unsent_bytes > self._limits.unread_bytes:
            self._cut_off()
        self._has_news.set()

    async def run(self) -> None:
        """Talk to the client until either side ends the connection."""
        self._stepper.join(self.member)
        hearing = asyncio.create_task(self._hear())
        try:
            await self._tell()
        finally:
            hearing.cancel()
            with suppress(asyncio.CancelledError):
                await hearing
            if self._patience is not None:
                self._patience.cancel()
            self._stepper.leave(self.member)

    def end(self, ending: Ending) -> None:
        """Request the last lines, and then the end."""
        self._stepper.end(self.member, ending)

    def _wait_no_longer_than(self, seconds: float) -> None:
        """Cut the client off if it has not read everything by then."""
        if self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(seconds, self._cut_off)

    def _cut_off(self) -> None:
        """Cut off a client that does not read: sending to it fails from now on."""
        self.ending = _DEAF
        self._unsent.clear()
        self._has_news.set()
        abort: Callable[[], None] = self._websocket.scope["state"][ABORT]
        abort()

    async def _hear(self) -> None:
        """Process the client's messages, until its end."""
        pace = Pace(self._limits.messages_a_second)
        try:
            async with asyncio.timeout(self._limits.longest_s):
                while await self._hear_one():
                    if owed_s := pace.owed_s():
                        await asyncio.sleep(owed_s)
        except TimeoutError:
            reason = f"a stream may last {self._limits.longest_s:g} s"
            self.end(Ending(Code.POLICY, reason))
        except Refused as refused:
            self.end(refused.ending)
        except WebSocketDisconnect as gone:
            self.ending = self.ending or Ending(
                Code.GOING_AWAY, f"the client left, with code {gone.code}"
            )
            self._unsent.clear()
            self._has_news.set()
            self._wait_no_longer_than(_LAST_WORDS_S)  # the client may keep its side open

    async def _hear_one(self) -> bool:
        """Process a message and return whether more may come."""
        try:
            async with asyncio.timeout(self._limits.idle_s):
                message = await self._websocket.receive()
        except TimeoutError as error:
            raise Refused(Code.POLICY, f"nothing came for {self._limits.idle_s:g} s") from error
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        data = message.get("bytes")
        if data is None:
            read_end(message["text"])
            self.end(DONE)
            return False
        if data:
            await self._feed(data)
        return True

    async def _feed(self, data: bytes) -> None:
        """Pass audio to the stepper; return when there is room for more."""
        self._metrics.bytes_in += len(data)
        self._waiting += len(data)
        if self._waiting >= self._most_waiting:
            self._has_room.clear()
        if not self._stepper.feed(self.member, data):
            self._waiting -= len(data)
        if self._waiting >= self._most_waiting:
            await self._has_room.wait()

    async def _tell(self) -> None:
        """Send lines as they come, and close at the end."""
        while self.ending is None or self._unsent:
            await self._has_news.wait()
            self._has_news.clear()
            with suppress(*_GONE):
                while self._unsent:
                    line = self._unsent.popleft()
                    self._unsent_bytes -= len(line)
                    try:
                        async with asyncio.timeout(self._limits.idle_s):
                            await self._websocket.send_text(line)
                    except TimeoutError:
                        self._cut_off()
                        return
                    self._metrics.messages_out += 1
                continue
            self.ending = self.ending or Ending(Code.GOING_AWAY, "the client left")
            return
        await close(self._websocket, self.ending)


async def close(websocket: WebSocket, ending: Ending) -> None:
    """Send the reason and close; a peer that does not answer is cut off a little later."""
    abort: Callable[[], None] = websocket.scope["state"][ABORT]
    asyncio.get_running_loop().call_later(_LAST_WORDS_S, abort)
    with suppress(*_GONE):
        async with asyncio.timeout(_LAST_WORDS_S):
            if ending.is_refusal:
                await websocket.send_text(ending.message)
            await websocket.close(ending.code, ending.short_reason)
