"""The server's answers: the page, the streams, and its health."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import PurePath

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from streamer.appearance import looks, paper_looks
from streamer.recognition.enrolment import GOOD_SPEECH_S
from streamer.recognition.recognizer import Recognizer
from streamer.serve.access import Access
from streamer.serve.config import ServerConfig
from streamer.serve.metrics import Metrics
from streamer.serve.streams import Streams
from streamer.signal import SPEECH_THRESHOLD, TIMESTEP_S

#: The types of the page's files; each file is served under its name, and index.html as /.
_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}
#: Nothing from other servers, nothing inline, no framing by other pages.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """Everything that is served, in one event loop.

    Attributes:
        metrics: what has happened.
        streams: the open streams.
    """

    def __init__(self, config: ServerConfig, recognizers: Sequence[Recognizer]) -> None:
        """Begin to step the recognizers' streams; call it in the event loop."""
        self._limits = config.limits
        self._access = Access(config.token, config.allow_origins)
        self._recognizer = recognizers[0]
        self.metrics = Metrics()
        self.streams = Streams(config, recognizers, self.metrics)

    def app(self) -> Starlette:
        """Return the application for an ASGI server."""
        routes = [
            Route("/healthz", self._open_to_all(self._health)),
            Route("/metrics", self._for_clients(self._figures)),
            Route("/v1/info", self._for_clients(self._info)),
            Route("/v1/asyncapi.json", self._open_to_all(self._asyncapi)),
            *(
                Route(path, self._open_to_all(_file(content, kind)))
                for path, content, kind in _page()
            ),
            WebSocketRoute("/v1/stream", self._stream),
            Route("/v1/stream", self._open_to_all(self._no_websocket)),
            WebSocketRoute("/{anything:path}", self._unknown_stream),
        ]
        return Starlette(routes=routes, exception_handlers={404: self._unknown})

    def _open_to_all(self, handler: _Handler) -> _Handler:
        async def answer(request: Request) -> Response:
            if not self._access.is_own_host(request.headers):
                response: Response = _refusal(403, _FOREIGN_HOST)
            else:
                response = await handler(request)
            response.headers.update(_HEADERS)
            return response

        return answer

    def _for_clients(self, handler: _Handler) -> _Handler:
        async def answer(request: Request) -> Response:
            if refusal := self._why_not(request):
                self.metrics.refused[refusal[0]] += 1
                return _refusal(*refusal[1:])
            return await handler(request)

        return self._open_to_all(answer)

    def _why_not(self, request: HTTPConnection) -> tuple[str, int, str] | None:
        """Return why a client is refused: name for the metrics, HTTP status, and text; or None."""
        headers = request.headers
        if not self._access.is_own_host(headers):
            return "host", 403, _FOREIGN_HOST
        if not self._access.is_own_page(headers):
            return "origin", 403, "this page may not connect; the server's --allow-origin names it"
        if not self._access.has_token(headers, request.query_params):
            return (
                "token",
                401,
                "the right token is needed: Authorization: Bearer TOKEN, or ?token=TOKEN",
            )
        return None

    async def _health(self, _: Request) -> Response:
        if not self.streams.is_well:
            return PlainTextResponse("going\n", 503)
        return PlainTextResponse("ok\n")

    async def _figures(self, _: Request) -> Response:
        self.streams.count()
        return PlainTextResponse(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def _info(self, _: Request) -> Response:
        metadata = self._recognizer.metadata
        paper = paper_looks(metadata.labels)
        return JSONResponse(
            {
                "model": metadata.name,
                "labels": list(metadata.labels),
                "looks": [
                    {
                        "code": code,
                        "name": look.name,
                        "letter": look.letter,
                        "colour": look.colour,
                        "on_paper": paper[code].colour,
                    }
                    for code, look in looks(metadata.labels).items()
                ],
                "look_ahead_ms": metadata.look_ahead_ms,
                "timestep_ms": round(1000 * TIMESTEP_S),
                "window_s": metadata.window_timesteps * TIMESTEP_S,
                "prior": self._recognizer.prior,
                "priors": self.streams.models[metadata.name],
                "models": self.streams.models,
                "knows_voices": self.streams.knows_voices,
                "enrolment": {
                    "good_speech_s": GOOD_SPEECH_S,
                    "speech_threshold": SPEECH_THRESHOLD,
                },
                "limits": asdict(self._limits),
            }
        )

    async def _asyncapi(self, _: Request) -> Response:
        return Response(_read("asyncapi.json"), media_type="application/json")

    async def _no_websocket(self, _: Request) -> Response:
        response = _refusal(426, "a stream is a WebSocket: connect with a WebSocket client")
        response.headers.update({"Upgrade": "websocket", "Connection": "Upgrade"})
        return response

    async def _unknown(self, _: Request, __: Exception) -> Response:
        response = _refusal(404, "there is no such page; / is one")
        response.headers.update(_HEADERS)
        return response

    async def _unknown_stream(self, websocket: WebSocket) -> None:
        await websocket.send_denial_response(
            _refusal(404, "there is no such stream; /v1/stream is where they begin")
        )

    async def _stream(self, websocket: WebSocket) -> None:
        refusal = self._why_not(websocket)
        if refusal is None and not self.streams.has_room:
            refusal = "connections", 503, "too many connections; try again later"
        if refusal is None:
            await self.streams.serve(websocket)
            return
        self.metrics.refused[refusal[0]] += 1
        await websocket.send_denial_response(_refusal(*refusal[1:]))


_FOREIGN_HOST = (
    "without a token this server answers to the names of this machine only; start it with --token"
)


def _refusal(status: int, why: str) -> JSONResponse:
    response = JSONResponse({"type": "error", "message": why}, status)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _read(name: str) -> bytes:
    return files("streamer.serve").joinpath(name).read_bytes()


def _page() -> Iterator[tuple[str, bytes, str]]:
    """Yield the path, content and type of each file of the page."""
    for file in files("streamer.serve").joinpath("page").iterdir():
        if media_type := _TYPES.get(PurePath(file.name).suffix):
            path = "/" if file.name == "index.html" else f"/{file.name}"
            yield path, file.read_bytes(), media_type


def _file(content: bytes, media_type: str) -> _Handler:
    async def answer(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return answer
