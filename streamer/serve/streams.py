"""The open streams: admission, options, and shutdown."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence

from starlette.websockets import WebSocket, WebSocketDisconnect

from streamer.counting import counted_are
from streamer.errors import SerLiveError
from streamer.recognition.prior import EVERYDAY, PRIORS, Prior
from streamer.recognition.profile import Adaptation
from streamer.recognition.recognizer import Recognizer
from streamer.serve.config import ServerConfig
from streamer.serve.connection import Connection, close
from streamer.serve.hearing import Hearing
from streamer.serve.log import log
from streamer.serve.metrics import Metrics
from streamer.serve.protocol import Code, Ending, Refused, Start, read_start, start_in_address
from streamer.serve.stepping import Outcome, Stepper

_GOING = Ending(Code.GOING_AWAY, "the server is shutting down")


class Streams:
    """All connections for streams; call its methods from the event loop.

    Attributes:
        is_going: whether the server is shutting down.
    """

    def __init__(
        self, config: ServerConfig, recognizers: Sequence[Recognizer], metrics: Metrics
    ) -> None:
        """Serve the recognizers' streams, under any prior; the first is the default."""
        self._config = config
        self._limits = config.limits
        self._first = recognizers[0]
        self._recognizers: dict[tuple[str, Prior], Recognizer] = {
            (one.metadata.name, prior): one.with_prior(prior)
            for one in recognizers
            for prior in PRIORS
            if prior != EVERYDAY or one.metadata.everyday_prior
        }
        self._metrics = metrics
        self._connections: dict[object, Connection] = {}
        self._numbers = itertools.count(1)
        self._open = self._taken = 0
        self.is_going = False
        self._loop = asyncio.get_running_loop()
        self._stepper = Stepper(self._hand_over, self._complain, metrics)

    @property
    def models(self) -> dict[str, list[Prior]]:
        """The available models, each with its priors."""
        found: dict[str, list[Prior]] = {}
        for model, prior in self._recognizers:
            found.setdefault(model, []).append(prior)
        return found

    @property
    def knows_voices(self) -> list[str]:
        """The models that adapt to a voice, and take a profile."""
        return sorted(
            {model for (model, _), one in self._recognizers.items() if one.metadata.knows_voices}
        )

    @property
    def is_well(self) -> bool:
        """Whether streams are being stepped and new ones accepted."""
        return self._stepper.is_alive and not self.is_going

    @property
    def has_room(self) -> bool:
        """Whether one more connection may come, even if only to be refused a stream."""
        return self._open < self._limits.streams + self._limits.waiting

    def count(self) -> None:
        """Update the metrics to the current state."""
        self._metrics.streams = self._taken
        self._metrics.backlog_s = sum(one.backlog_s for one in self._connections.values())

    def close(self) -> None:
        """Stop stepping."""
        self._stepper.close()

    async def drain(self) -> None:
        """Accept no more clients, and give every stream its last lines."""
        self.is_going = True
        for connection in self._connections.values():
            connection.end(_GOING)
        until_s = time.monotonic() + self._limits.drain_s
        while self._taken and time.monotonic() < until_s:
            await asyncio.sleep(0.02)

    async def serve(self, websocket: WebSocket) -> None:
        """Serve an admitted client, from the handshake to the end."""
        self._open += 1
        try:
            await websocket.accept()
            await self._talk(websocket)
        except (WebSocketDisconnect, OSError):
            pass  # the client left before it began
        finally:
            self._open -= 1

    def _hand_over(self, outcomes: list[Outcome]) -> None:
        """Pass results from the stepper's thread into the event loop."""
        self._loop.call_soon_threadsafe(self._take, outcomes)

    def _take(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if connection := self._connections.get(outcome.member):
                connection.take(outcome)

    @staticmethod
    def _complain(error: Exception) -> None:
        log("failure", error=f"{type(error).__name__}: {error}")

    async def _talk(self, websocket: WebSocket) -> None:
        """Handle a connection from its first message to its last."""
        number = next(self._numbers)
        facts: dict[str, object] = {"stream": number}
        if self._config.logs_addresses and websocket.client is not None:
            facts["address"] = websocket.client.host
        began_s = time.monotonic()
        duration_s, streams = 0.0, 1
        try:
            connection = await self._begin(websocket, facts)
        except Refused as refused:
            ending = refused.ending
            await close(websocket, ending)
        else:
            try:
                await connection.run()
            finally:
                del self._connections[connection.member]
                self._taken -= connection.streams
            streams = connection.streams
            ending = connection.ending or _GOING
            duration_s = connection.member.hearing.duration_s
            self._metrics.seconds_heard += duration_s
        self._metrics.ended[ending.code] += streams
        log(
            "end",
            **facts,
            code=int(ending.code),
            reason=ending.reason,
            audio_s=round(duration_s, 3),
            open_s=round(time.monotonic() - began_s, 3),
        )

    async def _begin(self, websocket: WebSocket, facts: Mapping[str, object]) -> Connection:
        """Read the first message, and make room for the stream.

        Raises:
            Refused: it is not such a message, or there is no room.
        """
        start = start_in_address(websocket.query_params)
        if start is None:
            start = read_start(await self._first_text(websocket))
        if self.is_going:
            raise Refused(Code.TRY_LATER, _GOING.reason)
        most = self._limits.streams
        if start.streams > most:
            raise Refused(
                Code.POLICY,
                f"start: {counted_are(start.streams, 'stream')} wanted, this server has {most}",
            )
        if self._taken + start.streams > most:
            self._metrics.refused["streams"] += 1
            raise Refused(
                Code.TRY_LATER,
                f"all {most} streams of this server are taken; try again later",
            )
        recognizer = self._recognizer(start)
        adapts = self._config.adapts if start.adapts is None else start.adapts
        adaptation = Adaptation(start.profile, adapts)
        self._taken += start.streams
        try:
            hearing = await asyncio.to_thread(Hearing, start, recognizer, adaptation)
        except BaseException:
            self._taken -= start.streams
            raise
        connection = Connection(websocket, hearing, self._stepper, self._limits, self._metrics)
        connection.streams = start.streams
        self._connections[connection.member] = connection
        if self.is_going:  # the server began to stop meanwhile
            connection.end(_GOING)
        self._metrics.started += start.streams
        log(
            "start",
            **facts,
            sample_rate=start.sample_rate,
            channels=start.channels,
            sample_format=start.sample_format,
            model=recognizer.metadata.name,
            prior=recognizer.prior,
            channels_wanted=str(start.wanted),
            streams=self._taken,
        )
        return connection

    def _recognizer(self, start: Start) -> Recognizer:
        """Return the recognizer for a client's request.

        Raises:
            Refused: there is none, the profile belongs to another model, or none can be made.
        """
        model = start.model or self._first.metadata.name
        prior = start.prior or self._first.prior
        priors = self.models.get(model)
        if priors is None:
            there = ", ".join(self.models)
            raise Refused(Code.POLICY, f"start: there is no model {model!a}; there are {there}")
        if prior not in priors:
            raise Refused(
                Code.POLICY, f"start: the model {model} has no prior {prior}; say balanced"
            )
        recognizer = self._recognizers[model, prior]
        try:
            if start.profile is not None:
                recognizer.check_profile(start.profile)
            if start.enrols:
                recognizer.check_knows_voices()
        except SerLiveError as error:
            field = "enrols" if start.enrols else "profile"
            raise Refused(Code.POLICY, f"start: {field}: {error}") from error
        return recognizer

    async def _first_text(self, websocket: WebSocket) -> str:
        """Return the first message.

        Raises:
            Refused: it does not come, or is binary.
        """
        try:
            async with asyncio.timeout(self._limits.start_s):
                message = await websocket.receive()
        except TimeoutError as error:
            raise Refused(Code.POLICY, "the first message did not come in time") from error
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        text: str | None = message.get("text")
        if text is None:
            raise Refused(Code.UNSUPPORTED, "the first message must be text, the start message")
        return text
