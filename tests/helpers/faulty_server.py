"""An HTTP server that forwards or answers requests, and fails on demand."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

#: Faults: an error status, a body that ends early, an answer that comes late, a body whose second
#: half never comes.
BROKEN, CUT, SLOW, HALF = "broken", "cut", "slow", "half"
_LATE_S = 3.0


class FaultyServer:
    """A server for the length of its context.

    Attributes:
        url: address of the server.
        requests: method and path of each request so far.
        fault: returns the fault of a request with this method and path; None for no fault.
    """

    def __init__(self, files: dict[str, bytes] | None = None, upstream: str | None = None) -> None:
        """Set it up.

        Args:
            files: its own files, by path.
            upstream: host and port of the server for all other paths.
        """
        self.requests: list[tuple[str, str]] = []
        self.fault: Callable[[str, str], str | None] = lambda _method, _path: None
        self._is_closed = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                owner.requests.append((self.command, self.path))
                fault = owner.fault(self.command, self.path)
                if fault == BROKEN:
                    self.send_error(500)
                    return
                if fault == SLOW:
                    time.sleep(_LATE_S)
                if upstream is None:
                    status, headers, body = self._own()
                else:
                    status, headers, body = self._of(upstream)
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body[: len(body) // 2] if fault in (CUT, HALF) else body)
                if fault == HALF:
                    owner._is_closed.wait()
                if fault == CUT:
                    self.close_connection = True

            def _own(self) -> tuple[int, list[tuple[str, str]], bytes]:
                body = (files or {}).get(self.path)
                status = 404 if body is None else 200
                return status, [("Content-Length", str(len(body or b"")))], body or b""

            def _of(self, server: str) -> tuple[int, list[tuple[str, str]], bytes]:
                length = int(self.headers.get("Content-Length", 0))
                connection = http.client.HTTPConnection(server)
                connection.request(
                    self.command, self.path, self.rfile.read(length), dict(self.headers)
                )
                answer = connection.getresponse()
                body = answer.read()
                left_out = ("transfer-encoding", "connection", "content-length", "server", "date")
                headers = [one for one in answer.getheaders() if one[0].lower() not in left_out]
                size = answer.headers.get("Content-Length", str(len(body)))
                return answer.status, [*headers, ("Content-Length", size)], body

            def log_message(self, *_: object) -> None:
                pass

            do_GET = do_HEAD = do_PUT = do_POST = _answer  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed.set()
        self._server.shutdown()
        self._server.server_close()
