"""What ``--version`` says, and where it comes from."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib

import pytest

from streamer.errors import SerLiveError
from streamer.modelfile.identity import identify
from streamer.recognition.recognizer import Recognizer
from streamer.version import commit, version
from tests.helpers.command import ser_live
from tests.helpers.places import CLIPS, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def git(folder, *arguments):
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    return subprocess.run(
        ["git", "-C", folder, *who, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A repository with a package in it and one commit."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    (tmp_path / "streamer").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "ser-live"\nversion = "9.8.7"\n')
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=one")
    git(tmp_path, "tag", "v9.8.7")
    return tmp_path


def test_it_names_the_version_and_the_default_model(shipped, model_file):
    result = ser_live("--version")
    assert result.returncode == 0
    first, second = result.stdout.decode().splitlines()
    assert first.split()[:2] == ["ser-live", PROJECT["version"]]
    assert second == f"model {shipped.metadata.name}, sha256 {shipped.digest[:12]}"
    assert shipped.digest == hashlib.sha256(model_file.read_bytes()).hexdigest()


def test_a_checkout_says_its_own_version_and_commit(checkout):
    package = checkout / "streamer"
    assert version(package) == "9.8.7"
    assert commit(package) == git(checkout, "rev-parse", "HEAD")[:12]
    (checkout / "pyproject.toml").write_text("changed")
    assert commit(package) == git(checkout, "rev-parse", "HEAD")[:12] + ", changed"


def test_a_git_hook_of_another_repository_is_not_asked(checkout, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(ROOT / "nowhere"))
    assert commit(checkout / "streamer")


def test_the_repository_around_an_installed_package_says_nothing(checkout):
    package = checkout / "site-packages" / "streamer"
    package.mkdir(parents=True)
    assert commit(package) == ""
    (package / "commit.txt").write_text("0123456789ab\n")
    assert commit(package) == "0123456789ab"


def test_without_git_there_is_no_commit(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit(checkout / "streamer") == ""


def test_what_is_not_a_model_is_one_line(tmp_path):
    for path, said in (
        (CLIPS[0], "ONNX"),
        (tmp_path / "none.onnx", "No such file"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(SerLiveError, match=f"^model .*{said}"):
            identify(path)


def test_the_identity_is_that_of_the_loaded_model(exported):
    loaded = Recognizer.load(exported.path)
    assert identify(exported.path).name == loaded.metadata.name
    assert identify(exported.path).digest == loaded.digest


def test_finding_the_version_imports_nothing_slow():
    code = (
        "import sys; from streamer.commands.parser import parse\n"
        "try: parse(['--version'])\n"
        "except SystemExit: pass\n"
        "slow = {'numpy', 'onnxruntime', 'soundfile', 'rich', 'shtab'} & {*sys.modules}\n"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
