"""Where an extra is missing, what else is wrong is told first."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers.command import complaint, without
from tests.helpers.places import CLIPS, ROOT

#: Packages of the extras, by what they are asked for.
SERVE = ("starlette", "uvicorn", "websockets")
CLIP = str(CLIPS[0])


def run_without(packages, *arguments):
    return subprocess.run(
        [sys.executable, "-c", without(*packages), *arguments],
        capture_output=True,
        cwd=ROOT,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("packages", "arguments", "mistake", "extra"),
    [
        (SERVE, "serve --port 0", "--port 99999", "serve"),
        (SERVE, "serve --port 0", "--host no.such.host.invalid", "serve"),
        (SERVE, "serve --port 0", "--model no.onnx", "serve"),
        (SERVE, "latency --server ws://127.0.0.1:1", "no.wav", "serve"),
        (["distributed"], f"score {CLIP} --scheduler tcp://h:1", "--channels split", "cluster"),
        (["distributed"], f"score {CLIP} --scheduler tcp://h:1", "--scheduler h", "cluster"),
        (["distributed"], f"score {CLIP} --scheduler tcp://h:1", "--model no.onnx", "cluster"),
        (["fsspec"], "score s3://b/x.wav", "s3://", "remote"),
        (["fsspec"], "score s3://b/x.wav", "-o x.xlsx", "remote"),
        (["pyarrow"], f"score {CLIP} -o /nowhere/x.parquet", "--model no.onnx", "parquet"),
        (["matplotlib"], "report {session} -o {folder}/x.pdf", "no.jsonl", "plot"),
        (["matplotlib"], "latency --plot {folder}/x.png", "--source stopped", "plot"),
    ],
)
def test_a_mistake_is_told_before_a_missing_extra(tmp_path, packages, arguments, mistake, extra):
    session = tmp_path / "s.jsonl"
    command = arguments.format(session=session, folder=tmp_path).split()
    if "{session}" in arguments:
        heard = run_without((), "replay", CLIP, "--speed", "max", "--output", str(session))
        assert heard.returncode == 0
    told = complaint(run_without(packages, *command, *mistake.split()))
    assert "pip install" not in told
    right = run_without(packages, *command)
    assert right.returncode == 1
    assert f"pip install 'ser-live[{extra}]'" in complaint(right)
