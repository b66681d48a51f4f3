"""``ser-live serve``: a WebSocket for other programs, and a page in the browser."""

from __future__ import annotations

import argparse

from streamer.commands.numbers import Number, Whole
from streamer.commands.options import add_model, add_no_adaptation, add_prior, local_file

HELP = "a WebSocket for other programs, and a page in the browser"
DESCRIPTION = (
    "Serve streams at /v1/stream (WebSocket; its protocol is at /v1/asyncapi.json) and a page at / "
    "that listens to the browser's microphone; /healthz and /metrics say how it is doing. Without "
    "a token only this machine can connect. Ctrl-C or SIGTERM ends every stream with its verdict."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="H",
        help="address to listen at (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=Whole(0, 65_535),
        default=8765,
        metavar="P",
        help="port to listen at; 0: any free one (default: %(default)s)",
    )
    parser.add_argument(
        "--token",
        metavar="T",
        help="token that clients must show, 16 characters or more; SER_LIVE_TOKEN in the "
        "environment is safer: no list of processes shows it",
    )
    parser.add_argument(
        "--max-streams", type=Whole(1), metavar="N", help="streams at once (default: 200)"
    )
    parser.add_argument(
        "--max-idle",
        type=Number("seconds", 0, excludes_low=True),
        metavar="S",
        help="end a stream that sends nothing for S seconds (default: 60)",
    )
    parser.add_argument(
        "--max-seconds",
        type=Number("seconds", 0, excludes_low=True),
        metavar="S",
        help="end a stream after S seconds (default: 14400)",
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="origin of other pages that may connect, as https://example.org; may be repeated",
    )
    parser.add_argument(
        "--certfile",
        type=local_file,
        metavar="FILE.pem",
        help="certificate; the server then speaks TLS only",
    )
    parser.add_argument("--keyfile", type=local_file, metavar="FILE.pem", help="its private key")
    parser.add_argument(
        "--log-addresses", action="store_true", help="name each client's address in the log"
    )
    add_model(parser)
    parser.add_argument(
        "--also-model",
        type=local_file,
        action="append",
        default=[],
        metavar="NAME|FILE",
        help="another model, which a client may ask for by name; may be repeated",
    )
    add_prior(parser)
    add_no_adaptation(parser, "; a client may set adapts itself")
