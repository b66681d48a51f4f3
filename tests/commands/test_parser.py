"""What can be said on the command line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from streamer.commands import COMMANDS
from streamer.commands.parser import parse
from streamer.errors import SerLiveError
from tests.helpers.places import CLIPS, ROOT


def test_no_arguments_listen():
    assert parse([]) == parse(["listen"])


def test_a_file_alone_is_told_what_hears_it():
    with pytest.raises(SerLiveError, match="is a file: ser-live replay FILE hears it"):
        parse([str(CLIPS[0])])


@pytest.mark.parametrize(
    "words",
    [
        *("replay -x.wav", "replay -x.wav --speed max", "score -o a.csv -x.wav", "-x.wav"),
        *("enrol a.profile -x.m4a", "picture -x.wav -o x.svg", "latency -x.wav"),
        *("convert -s.jsonl", "report -s.jsonl -o a.html"),
    ],
)
def test_a_name_that_begins_with_a_dash_is_told_how_to_name_it(words):
    name = next(one for one in words.split() if one[0] == "-" and "." in one)
    with pytest.raises(
        SerLiveError, match=f"^{name} begins with a dash, .*: write ./{name}, or --"
    ):
        parse(words.split())


def test_such_a_name_is_a_file_after_two_dashes_and_with_its_folder():
    assert parse(["replay", "--speed", "max", "--", "-x.wav"]).files == ["-x.wav"]
    assert parse(["replay", "./-x.wav", "--speed", "max"]).files == ["./-x.wav"]


def test_an_existing_file_is_told_whatever_its_name_is_like(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("--rate", "-output"):
        (tmp_path / name).touch()
        with pytest.raises(SerLiveError, match=f"^{name} begins with a dash"):
            parse(["replay", name])


@pytest.mark.parametrize("words", ["replay --bogus=a.wav x.wav", "replay -z x.wav"])
def test_an_option_is_not_taken_for_a_file(words):
    with pytest.raises(SerLiveError, match="see ser-live replay --help"):
        parse(words.split())


@pytest.mark.parametrize(
    ("words", "name", "files"),
    [
        (
            ["replay", "a.wav", "--speed", "max", "b.wav", "c.wav"],
            "files",
            ["a.wav", "b.wav", "c.wav"],
        ),
        (["enrol", "x.profile", "--force", "a.wav"], "files", ["a.wav"]),
        (["score", "a", "--workers", "1", "b"], "paths", ["a", "b"]),
        (["report", "a.jsonl", "-o", "x.html", "b.jsonl"], "sessions", ["a.jsonl", "b.jsonl"]),
    ],
)
def test_files_may_stand_before_and_after_an_option(words, name, files):
    assert list(map(str, getattr(parse(words), name))) == files


def test_a_command_of_one_file_takes_no_second():
    with pytest.raises(SerLiveError, match=r"unrecognized arguments: b\.wav"):
        parse(["picture", "a.wav", "--at", "1", "b.wav"])


@pytest.mark.parametrize(
    "words", [["score", ""], ["replay", "a.wav", "--output="], ["info", "--model", ""]]
)
def test_an_empty_argument_is_refused(words):
    with pytest.raises(SerLiveError, match="an argument is empty"):
        parse(words)


def test_an_unknown_option_points_to_the_help_of_its_command():
    with pytest.raises(SerLiveError, match="--foo; see ser-live convert --help"):
        parse(["convert", "x.jsonl", "--foo"])


@pytest.mark.parametrize("command", ["replay", "convert", "score", "report", "picture"])
def test_output_has_one_short_name(command):
    assert parse([command, "x", "-o", "y"]).output.name == "y"


def test_reading_the_command_line_imports_nothing_slow():
    code = (
        "import sys; from streamer.commands.parser import make_parser; make_parser()\n"
        "slow = {'numpy', 'onnxruntime', 'soundfile', 'rich', 'shtab', 'dataclasses', 'tomllib'}\n"
        "if sys.version_info >= (3, 14): slow -= {'dataclasses'}  # argparse imports it\n"
        "slow &= {*sys.modules}\n"
        "assert not slow, slow"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_options_without_a_command_are_those_of_listening():
    assert parse(["--device", "2"]) == parse(["listen", "--device", "2"])
    with pytest.raises(SerLiveError, match="unrecognized arguments: --bogus; see ser-live listen"):
        parse(["--bogus"])


def test_the_help_lists_every_command_on_one_line_and_the_first_minutes_first(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert [line.split()[0] for line in lines] == list(COMMANDS)
    assert all(len(line.split()) > 1 for line in lines)
    assert COMMANDS[:3] == ("demo", "listen", "replay")


def test_the_usage_of_a_command_names_it(capsys):
    with pytest.raises(SystemExit):
        parse(["demo", "--help"])
    assert capsys.readouterr().out.startswith("usage: ser-live demo [-h]")


@pytest.mark.parametrize(
    "words",
    [
        *("convert URL", "report URL -o x.html", "enrol me.profile URL", "picture URL"),
        *("latency URL", "listen --model URL", "replay x.wav --profile URL"),
        *("serve --also-model URL", "serve --certfile URL", "listen --config URL"),
    ],
)
def test_an_address_where_a_file_is_expected_is_told_as_it_was_given(words):
    url = "http://example.org/a.wav"
    with pytest.raises(SerLiveError, match=f"{url} is an address, and nothing is fetched"):
        parse(words.replace("URL", url).split())


def test_a_file_whose_name_looks_like_an_address_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:").mkdir()
    (tmp_path / "a:" / "x.jsonl").touch()
    assert parse(["convert", "a://x.jsonl"]).session.name == "x.jsonl"


def test_wrong_usage_of_the_training_is_one_line_too(monkeypatch, capsys):
    training = pytest.importorskip("train.__main__")
    for words in (["fit"], ["bogus"], ["export", "--bogus"]):
        monkeypatch.setattr(sys, "argv", ["train", *words])
        assert training.main() == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("train: ") and line.endswith("--help")
