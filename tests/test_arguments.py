"""What can be said on the command line."""

from __future__ import annotations

from streamer.arguments import parse


def test_no_arguments_listen():
    assert parse([]) == parse(["listen"])
