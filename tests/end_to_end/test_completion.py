"""Completion in the shells themselves."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from streamer.commands import COMMANDS
from tests.helpers.command import complaint, ser_live


def needs(shell):
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """The script of each shell, as a file."""
    folder = tmp_path_factory.mktemp("completion")

    def script(shell):
        result = ser_live("completion", shell)
        assert (result.returncode, result.stderr) == (0, b"")
        path = folder / f"ser-live.{shell}"
        path.write_bytes(result.stdout)
        return path

    return script


@pytest.fixture
def folder(tmp_path):
    """A folder with a recording and another folder in it."""
    (tmp_path / "recording.wav").touch()
    (tmp_path / "results").mkdir()
    return tmp_path


def in_bash(script, line, folder):
    code = (
        f"source {script}; COMP_WORDS=({line}); COMP_CWORD=$(({len(line.split(' '))} - 1));"
        '_shtab_ser_live; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "--norc", "-c", code]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    return set(result.stdout.split())


def in_fish(script, line, folder):
    code = f'source {script}; complete --do-complete "{line}"'
    command = ["fish", "--no-config", "--command", code]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert result.stderr == ""
    return {line.split("\t")[0].rstrip("/") for line in result.stdout.splitlines()}


SHELLS = [
    pytest.param("bash", in_bash, marks=needs("bash")),
    pytest.param("fish", in_fish, marks=needs("fish")),
]


@pytest.mark.parametrize(("shell", "completions"), SHELLS)
def test_commands_options_choices_and_files_are_completed(shell, completions, scripts, folder):
    script = scripts(shell)
    assert set(COMMANDS) <= completions(script, "ser-live ''" if shell == "bash" else "ser-live ",
                                        folder)  # fmt: skip
    for line, expected in (
        ("ser-live rep", {"replay", "report"}),
        ("ser-live listen --no-a", {"--no-adaptation"}),
        ("ser-live replay x.wav --speed m", {"max"}),
        ("ser-live completion f", {"fish"}),
        ("ser-live replay rec", {"recording.wav"}),
        ("ser-live listen --profile rec", {"recording.wav"}),
        ("ser-live score . --timeline res", {"results"}),
        ("ser-live listen --device rec", set()),
    ):
        assert completions(script, line, folder) == expected, line


@pytest.mark.parametrize("shell", [pytest.param(one, marks=needs(one)) for one in ("bash", "zsh")])
def test_the_script_is_one_that_the_shell_reads(shell, scripts):
    result = subprocess.run([shell, "-n", scripts(shell)], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@needs("zsh")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("ser-live rep", ("replay", "report")),
        ("ser-live listen --no-a", ("--no-adaptation",)),
        ("ser-live replay x.wav --speed m", ("max",)),
        ("ser-live replay rec", ("recording.wav",)),
    ],
)
def test_zsh_completes_what_is_typed(typed, completed, scripts, folder, terminal):
    scripts("zsh").rename(folder / "_ser-live")
    seen = terminal(code="import os; os.execvp('zsh', ['zsh', '-f', '-i'])", cwd=folder)
    seen.press("PS1='READY '; fpath=($PWD $fpath); autoload -U compinit; compinit -D; clear\n")
    seen.wait_for("READY", absent=["fpath"])
    seen.press(f"{typed}\t")
    seen.wait_for(*completed)


def test_an_unknown_shell_is_one_line():
    result = ser_live("completion", "csh")
    assert result.returncode == 2
    assert "invalid choice: 'csh'" in complaint(result)


def test_every_option_that_names_a_file_completes_files(scripts):
    fish = scripts("fish").read_text()
    for option in ("model", "also-model", "profile", "config", "record"):
        lines = [line for line in fish.splitlines() if f"-l {option} " in line]
        assert lines, option
        assert all("__fish_complete_path" in line for line in lines), option
