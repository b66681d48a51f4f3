"""What is installed: the runtime with its assets, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile

from streamer.version import checkout_commit
from tests.helpers.places import ROOT


def test_the_wheel_holds_the_runtime_and_its_assets_only(tmp_path):
    options = ["--quiet", "--no-deps", "--no-build-isolation", f"--wheel-dir={tmp_path}"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    archive = zipfile.ZipFile(wheel)
    names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"streamer", "ser_live-0.1.0.dist-info"}
    for needed in ("ser-live.onnx", "MODEL_CARD.md", "demo.flac"):
        assert f"streamer/assets/{needed}" in names
    for needed in ("hover.js", "page.css"):
        assert f"streamer/commands/report/{needed}" in names
    assert "streamer/py.typed" in names
    if known := checkout_commit(ROOT):
        assert archive.read("streamer/commit.txt").decode().strip() == known
    # Silero's licence wants its notice beside what is made of its work.
    licences = "ser_live-0.1.0.dist-info/licenses"
    for place in ("streamer/assets", f"{licences}/assets"):
        assert "Silero Team" in archive.read(f"{place}/voice-gate.LICENSE").decode()
    assert f"{licences}/LICENSE" in names


def test_the_runtime_needs_no_training_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {line.split(">")[0].split("=")[0] for line in project["dependencies"]}
    assert not needed & {"torch", "onnx", "onnxscript", "scikit-learn"}
    assert "torch==2.13.0" in project["optional-dependencies"]["train"]
