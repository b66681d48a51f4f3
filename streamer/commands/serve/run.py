"""Runs ``ser-live serve``."""

from __future__ import annotations

import argparse
import os

from streamer.recognition.prior import BALANCED
from streamer.serve.config import Limits, ServerConfig
from streamer.serve.host import serve
from streamer.session.interrupts import Interrupts


def run(options: argparse.Namespace, interrupts: Interrupts) -> int:
    """Serve until a signal comes.

    Raises:
        SerLiveError: wrong usage, or the address, the certificate or a model is not available.
        RunFailure: the extra is not installed, or the port is taken.
        Interrupted: a signal came; every stream has had its last line.
    """
    limits = {
        "streams": options.max_streams,
        "idle_s": options.max_idle,
        "longest_s": options.max_seconds,
    }
    config = ServerConfig(
        host=options.host,
        port=options.port,
        token=options.token or os.environ.get("SER_LIVE_TOKEN") or None,
        allow_origins=tuple(options.allow_origin),
        certfile=options.certfile,
        keyfile=options.keyfile,
        model=options.model,
        also=tuple(options.also_model),
        prior=options.prior or BALANCED,
        adapts=options.adapts,
        logs_addresses=options.log_addresses,
        limits=Limits(**{name: value for name, value in limits.items() if value is not None}),
    )
    serve(config, interrupts)
    return 0
