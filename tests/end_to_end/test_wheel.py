"""What is installed, the runtime with its assets; and what the source archive holds."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import PurePosixPath

import pytest

from streamer.version import checkout_commit
from tests.helpers.places import ROOT


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the wheel and the source archive."""
    folder = tmp_path_factory.mktemp("built")
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    targets = ("-t", "wheel", "-t", "sdist", "-d", folder)
    command = [sys.executable, "-m", "hatchling", "build", *targets]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_wheel_holds_the_runtime_and_its_assets_only(built):
    (wheel,) = built.glob("*.whl")
    assert wheel.name == "ser_live-0.1.0-py3-none-any.whl"
    archive = zipfile.ZipFile(wheel)
    names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"streamer", "ser_live-0.1.0.dist-info"}
    for needed in ("ser-live.onnx", "ser-live-research.onnx", "voice-gate.onnx", "demo.flac"):
        assert f"streamer/assets/{needed}" in names
    for needed in ("MODEL_CARD.md", "MEASURED.md", "SOURCES.md"):
        assert f"streamer/assets/{needed}" in names
    assert not {name for name in names if name.endswith((".png", ".svg", ".conf", "Dockerfile"))}
    for needed in ("hover.js", "page.css"):
        assert f"streamer/commands/report/{needed}" in names
    for needed in (ROOT / "streamer" / "serve" / "page").iterdir():
        assert f"streamer/serve/page/{needed.name}" in names
    assert "streamer/py.typed" in names
    if known := checkout_commit(ROOT):
        assert archive.read("streamer/commit.txt").decode().strip() == known
    # Silero's licence wants its notice beside what is made of its work.
    licences = "ser_live-0.1.0.dist-info/licenses"
    for place in ("streamer/assets", f"{licences}/assets"):
        assert "Silero Team" in archive.read(f"{place}/voice-gate.LICENSE").decode()
    assert f"{licences}/LICENSE" in names


def test_the_source_archive_holds_the_project_and_nothing_that_runs_leave(built):
    (archive,) = built.glob("*.tar.gz")
    assert archive.name == "ser_live-0.1.0.tar.gz"
    with tarfile.open(archive) as opened:
        paths = [PurePosixPath(name).relative_to("ser_live-0.1.0") for name in opened.getnames()]
    folders = {".ci", ".github", "assets", "model", "streamer", "tests", "train"}
    files = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "pyproject.toml"}
    # The builder adds these two.
    assert {path.parts[0] for path in paths} == folders | files | {".gitignore", "PKG-INFO"}
    for needed in ("tests/conftest.py", "train/recipes/open.toml", "model/network.py"):
        assert PurePosixPath(needed) in paths
    left = {"__pycache__", ".mypy_cache", ".pytest_cache", "runs"}
    assert not {path for path in paths if left & set(path.parts)}


def test_the_runtime_needs_no_training_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {line.split(">")[0].split("=")[0] for line in project["dependencies"]}
    assert not needed & {"torch", "onnx", "onnxscript", "scikit-learn"}
    assert "torch==2.13.0" in project["optional-dependencies"]["train"]
