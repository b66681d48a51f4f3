"""The report on the installation and the machine: what it holds, and what it calls wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib

import pytest

from streamer.commands.doctor import hearing
from streamer.commands.doctor.findings import Section, as_json, as_text, examine, without_home
from streamer.commands.doctor.software import EXTRAS
from streamer.commands.program import main
from streamer.errors import RunFailure
from streamer.session.interrupts import Interrupts
from streamer.sound.capture import devices
from streamer.version import version
from tests.helpers.command import COMMAND, ser_live
from tests.helpers.places import CLIPS, ROOT


@pytest.fixture
def no_microphone(monkeypatch):
    def missing():
        raise RunFailure("PortAudio, which opens microphones, is missing: apt install it")

    monkeypatch.setattr(devices, "portaudio", missing)


def report(capsys, *arguments):
    """The exit code and the report of a run in this process."""
    code = main(["doctor", "--json", *map(str, arguments)], Interrupts())
    out, err = capsys.readouterr()
    assert err == ""
    return code, json.loads(out)


def broken(document):
    return [one["what"] for one in document["problems"] if one["is_broken"]]


@pytest.mark.usefixtures("no_microphone")
def test_a_whole_installation_hears_what_it_should(capsys, shipped):
    code, found = report(capsys)
    assert code == 0
    assert broken(found) == []
    assert found["program"]["version"] == version()
    assert found["model"]["sha256"] == shipped.digest[:12]
    assert found["model"]["labels"] == ", ".join(shipped.metadata.labels)
    assert found["model"]["look_ahead_ms"] == shipped.metadata.look_ahead_ms
    assert 0 < found["model"]["step_ms_p50"] <= found["model"]["step_ms_p95"]
    heard = found["streaming"]
    assert heard["estimates_at_once"] == heard["estimates_in_random_blocks"] > 200
    assert heard["labels_are_equal"]
    assert heard["acted"] == "neutral, angry, sad, happy"
    assert heard["shown"] == "neutral, angry, sad, happy"


@pytest.mark.usefixtures("no_microphone")
def test_without_portaudio_it_can_replay_and_says_what_to_do(capsys):
    code, found = report(capsys)
    assert code == 0
    (problem,) = found["problems"]
    assert problem == {
        "part": "microphones",
        "what": "PortAudio, which opens microphones, is missing: apt install it",
        "is_broken": False,
    }


@pytest.mark.usefixtures("pulse")
def test_a_microphone_is_listed(capsys):
    code, found = report(capsys)
    assert (code, found["problems"]) == (0, [])
    assert any(found["microphones"]["default"] in one for one in found["microphones"]["devices"])
    assert "V19" in found["microphones"]["PortAudio"]
    assert main(["doctor"], Interrupts()) == 0
    assert capsys.readouterr().out.endswith("\n\nnothing is wrong\n")


@pytest.mark.usefixtures("no_microphone")
def test_a_damaged_model_is_told_once(capsys, tmp_path, model_file):
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(model_file.read_bytes()[:100_000])
    code, found = report(capsys, "--model", damaged)
    assert code == 1
    (what,) = broken(found)
    assert what.startswith(f"model {damaged}: ")
    assert found["streaming"] == {"not_examined": "what it needs is broken"}


def test_a_damaged_installation_is_a_report_too(tmp_path):
    """Neither the model nor the demo is where it should be."""
    shutil.copytree(ROOT / "streamer", tmp_path / "streamer")
    (tmp_path / "assets").mkdir()
    result = subprocess.run(
        [*COMMAND, "doctor"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (result.returncode, result.stderr) == (1, "")
    assert "ser-live.onnx: no such file; install ser-live again" in result.stdout


@pytest.mark.parametrize("library", ["numpy", "onnxruntime", "soundfile", "soxr", "rich"])
def test_a_library_that_does_not_start_is_a_line_of_the_report(tmp_path, library):
    (tmp_path / f"{library}.py").write_text("raise ImportError('it is damaged\\nTwice.')")
    result = subprocess.run(
        [*COMMAND, "doctor"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (result.returncode, result.stderr) == (1, "")
    assert f"{library} does not start (it is damaged): python -m pip install" in result.stdout
    assert "Traceback" not in result.stdout
    assert result.stdout.count("it is damaged") == 1


@pytest.mark.usefixtures("no_microphone")
@pytest.mark.parametrize(
    ("changed", "value", "said"),
    [
        (
            "_random_blocks",
            lambda samples: [samples[1_000:]],
            "a stream does not give what the whole recording gives",
        ),
        ("DEMO_PARTS", ((0.0, "happy"), (3.07, "angry")), "the labels of the demo"),
    ],
    ids=["stream", "labels"],
)
def test_results_other_than_everywhere_are_found(capsys, monkeypatch, changed, value, said):
    monkeypatch.setattr(hearing, changed, value)
    code, found = report(capsys)
    assert code == 1
    (what,) = broken(found)
    assert said in what


@pytest.mark.usefixtures("no_microphone")
def test_a_slow_machine_is_told_and_is_not_broken(capsys, monkeypatch):
    monkeypatch.setattr(hearing, "_BUSY_SHARE", 1e-6)
    code, found = report(capsys)
    assert code == 0
    assert any("close other programs" in one["what"] for one in found["problems"])


def test_the_configuration_file_is_named_and_what_is_wrong_in_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))
    path = tmp_path / "ser-live.toml"
    path.write_text('[replay]\nspeed = "max"\nblock-ms = 20\n')
    assert report(capsys)[1]["configuration"] == {
        "file": str(path),
        "sets": ["replay: speed = 'max', block-ms = 20"],
    }
    assert report(capsys, "--no-config")[1]["configuration"] == {"file": "none"}
    path.write_text("speed = 3")
    code, found = report(capsys)
    assert code == 1
    assert f"{path}: 'speed' cannot be set for all commands" in broken(found)[0]


def test_the_home_folder_is_not_named(tmp_path, monkeypatch, model_file):
    home = tmp_path / "anna"
    home.mkdir()
    shutil.copy(model_file, home / "mine.onnx")
    (home / "voices").write_text("no folder")
    for arguments in (["--json"], []):
        result = ser_live(
            *("doctor", *arguments, "--model", home / "mine.onnx"),
            environment={"HOME": str(home), "USERPROFILE": str(home)},
        )
        assert result.returncode == 0
        assert b"anna" not in result.stdout
        assert b"~/mine.onnx" in result.stdout.replace(b"\\\\", b"/")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    assert without_home(f"{home}s {home}/x ({home})") == f"{home}s ~/x (~)"
    monkeypatch.setenv("HOME", ROOT.anchor)
    monkeypatch.setenv("USERPROFILE", ROOT.anchor)
    assert without_home("/a/b") == "/a/b"


def test_whatever_a_check_raises_is_a_problem_after_its_facts():
    def check(section):
        section.facts["first"] = 1.0
        raise ZeroDivisionError("line\n\x1b[2Jtwo")

    section = examine("part", check)
    assert section.facts == {"first": 1.0}
    text = as_text([section])
    assert "part: ZeroDivisionError: line\\n\\x1b[2Jtwo; install ser-live again" in text
    assert json.loads(as_json([section]))["problems"][0]["is_broken"]
    assert as_text([Section("empty")]).endswith("nothing is wrong")


def test_the_extras_are_those_that_can_be_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {
        extra: {line.split(">")[0].split("=")[0] for line in lines}
        for extra, lines in project["optional-dependencies"].items()
    }
    assert set(EXTRAS) == set(named) - {"train", "dev", "baselines"}
    assert all(set(packages) <= named[extra] for extra, packages in EXTRAS.items())


def test_the_exit_code_of_a_process_is_that_of_the_report():
    result = ser_live("doctor", "--model", CLIPS[0])
    assert result.returncode == 1
    assert b"what is wrong\n" in result.stdout
    assert result.stderr == b""
