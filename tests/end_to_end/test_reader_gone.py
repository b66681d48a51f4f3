"""Every command that prints data ends alike when nobody reads it."""

from __future__ import annotations

import os
import subprocess

import pytest

from streamer.commands import COMMANDS
from tests.helpers.command import COMMAND, replay
from tests.helpers.places import CLIPS, ROOT

#: What each command prints; SESSION and LABELS are made by the fixture.
PRINTED = [
    "--help",
    "--version",
    "replay --help",
    "info",
    "replay CLIP --speed max",
    *(
        f"replay CLIP --speed max --format {name}"
        for name in ("changes", "jsonl", "csv", "audacity", "textgrid", "srt", "vtt")
    ),
    "completion bash",
    "demo --format jsonl",
    "doctor",
    "convert SESSION --format csv",
    "convert SESSION --format textgrid",
    "picture CLIP --at 1",
    "score CLIP --workers 1",
    "score CLIP --workers 1 --output RESULTS --labels LABELS",
    "latency CLIP --source replay --seconds 1",
    "latency --streams 2 --seconds 1",
]
#: These print data only with a microphone, or none at all.
OTHERS = {"devices", "listen", "enrol", "report", "serve"}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gone")
    session, labels = folder / "session.jsonl", folder / "labels.csv"
    assert replay(CLIPS[0], "--output", session).returncode == 0
    labels.write_text(f"file,label\n{CLIPS[0]},angry\n")
    results = folder / "results.csv"
    return {"CLIP": CLIPS[0], "SESSION": session, "LABELS": labels, "RESULTS": results}


@pytest.mark.parametrize("arguments", PRINTED)
def test_a_command_whose_reader_is_gone_ends_as_after_sigpipe(arguments, places):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(
            [*COMMAND, *(str(places.get(word, word)) for word in arguments.split())],
            cwd=ROOT,
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=120,
        )
    finally:
        os.close(writer)
    assert result.returncode == 141, result.stderr
    assert b"pipe" not in result.stderr.lower()
    assert b"closed" not in result.stderr


def test_every_command_is_tried_or_prints_no_data():
    tried = {arguments.split()[0] for arguments in PRINTED if arguments[0] != "-"}
    assert tried | OTHERS == set(COMMANDS)
    assert not tried & OTHERS
