"""``ser-live enrol`` and ``--profile``: from a voice to numbers, and from these to estimates."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from streamer.commands.enrol import run as enrolling_command
from streamer.commands.program import main
from streamer.errors import RunFailure
from streamer.formats.reader import read_sessions
from streamer.recognition import enrolment
from streamer.recognition.enrolment import GOOD_SPEECH_S
from streamer.recognition.profile import Profile
from streamer.recognition.recognizer import Recognizer
from streamer.session.events import SessionStarted
from streamer.session.interrupts import Interrupted, Interrupts
from streamer.sound.source import Loss
from tests.helpers.command import COMMAND, complaint, lines, ser_live
from tests.helpers.places import CLIPS, ROOT
from tests.helpers.recorded import recorded
from tests.helpers.sessions import Array
from tests.helpers.simulated import listen_to

SAD = CLIPS[3]
#: Five seconds of speech and more.
FILES = [*CLIPS, SAD]


@pytest.fixture(scope="module")
def enrolled(knowing, tmp_path_factory):
    """What the command makes of recordings, and the profile."""
    path = tmp_path_factory.mktemp("voices") / "me.profile"
    result = ser_live("enrol", path, *FILES, "--model", knowing.path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == b""
    return result.stderr.decode(), path


@pytest.fixture
def command(knowing, capfd):
    """Carries a command out with the model that knows voices: exit code, stdout, stderr."""

    def run_command(name, *arguments, model=knowing.path):
        code = main([name, *map(str, arguments), "--model", str(model)], Interrupts())
        return (code, *capfd.readouterr())

    return run_command


def results_of(text):
    return [line for line in map(json.loads, text.splitlines()) if line["type"] == "estimate"]


def first_of(text):
    return json.loads(text.splitlines()[0])


# From recordings


def test_recordings_become_a_profile_that_a_replay_takes(enrolled, knowing):
    said, path = enrolled
    warning, done = said.splitlines()
    assert warning == "ser-live: only 6 s of speech were heard: 20 s are better"
    assert done == f"ser-live: {path} knows this voice from 6 s of speech; --profile takes it"
    replay = ("replay", SAD, "--speed", "max", "--format", "jsonl", "--model", knowing.path)
    with_it, without = (ser_live(*replay, *more) for more in (["--profile", path], []))
    profile = Profile.load(path)
    assert lines(with_it)[0]["adaptation"] == f"profile {profile.short_digest}"
    assert lines(without)[0]["adaptation"] == "stream"
    stream = Recognizer.load(knowing.path).stream(profile)
    samples, _ = soundfile.read(SAD, dtype="float32")
    expected = stream.accept(samples) + stream.flush()
    told = [[*one["probabilities"].values()] for one in lines(with_it)[1:-1]]
    assert np.abs(np.array(told) - [one.probabilities for one in expected]).max() < 1e-5
    plain = [[*one["probabilities"].values()] for one in lines(without)[1:-1]]
    assert np.abs(np.array(told) - plain).max() > 1e-3


def test_a_profile_is_that_of_the_library(enrolled, knowing):
    made = Profile.load(enrolled[1])
    samples = np.concatenate([soundfile.read(file, dtype="float32")[0] for file in FILES])
    one = Recognizer.load(knowing.path).enrol(samples)
    assert made.digest == one.digest
    assert made.timesteps == pytest.approx(one.timesteps, abs=20)
    assert np.corrcoef(made.mean, one.mean)[0, 1] > 0.99


def test_enough_speech_is_not_warned_of(command, tmp_path):
    code, out, err = command("enrol", tmp_path / "me.profile", *FILES * 4)
    assert (code, out) == (0, "")
    assert err.count("\n") == 1
    assert "knows this voice from 24 s of speech" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["{folder}/me.wav", SAD],
            "me.wav: the first name is the profile to write, as anna.profile",
        ),
        (["{folder}/me.profile", SAD], "1.1 s of speech were heard; a profile takes 5 s at least"),
        (["{folder}/me.profile", *FILES, "missing.wav"], "No such file"),
        (["{folder}/me.profile", *FILES, "{folder}/text.wav"], "no sound file"),
        (["{folder}/me.profile", *FILES, "--device", "1"], "--device is for a microphone"),
        (["{folder}/me.profile", *FILES, "--channels", "split"], "a profile is of one voice"),
        (["{folder}/me.profile", *FILES, "--channels", "2"], "channel"),
        (["{folder}/nowhere/me.profile", *FILES], "no such folder"),
        (["{folder}/there.profile", *FILES], "exists; --force overwrites it"),
        (["{folder}/there.profile", *FILES, "--force"], "is there and is no profile"),
        (["/dev/stdout", *FILES], "the first name is the profile to write"),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(command, tmp_path, arguments, said):
    (tmp_path / "text.wav").write_text("text " * 100)
    (tmp_path / "there.profile").write_text("precious")
    before = sorted(tmp_path.iterdir())
    code, out, err = command("enrol", *(str(one).format(folder=tmp_path) for one in arguments))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert said in err
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.profile").read_text() == "precious"


def test_an_older_profile_is_overwritten_by_force_alone(command, enrolled, tmp_path):
    path = tmp_path / "me.profile"
    older = replace(Profile.load(enrolled[1]), timesteps=1.0)
    older.save(path)
    assert command("enrol", path, *FILES)[0] == 2
    assert Profile.load(path) == older
    assert command("enrol", path, *FILES, "--force")[0] == 0
    assert Profile.load(path).timesteps > 100


def test_a_model_that_knows_no_voices_is_one_line(command, export_lively, enrolled, tmp_path):
    plain = export_lively("live").path
    for arguments in (
        ("enrol", tmp_path / "me.profile", *FILES),
        ("enrol", tmp_path / "me.profile"),  # no microphone is opened for it
        ("replay", SAD, "--profile", enrolled[1]),
        ("score", SAD, "--profile", enrolled[1]),
        ("picture", SAD, "--profile", enrolled[1]),
        ("listen", "--profile", enrolled[1]),
    ):
        code, out, err = command(*arguments, model=plain)
        assert (code, out) == (2, ""), arguments
        assert err.endswith("the model test knows no voices: it makes and takes no profile\n")
        assert err.count("\n") == 1
    assert [*tmp_path.iterdir()] == []


# From a microphone


class Talker(Array):
    """A microphone that somebody talks into; a context manager."""

    def __init__(self, samples, **options):
        super().__init__(samples, **options)
        self.heard = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def blocks(self, block_ms):
        for index, block in enumerate(super().blocks(block_ms)):
            self.heard += len(block)
            yield block
            if index == 20:
                yield Loss(48_000, 32_000, "held up")


@pytest.fixture
def talk(monkeypatch):
    """Puts a talker in the place of the microphone."""

    def begin(samples, **options):
        talker = Talker(samples, **options)
        monkeypatch.setattr(enrolling_command, "Microphone", lambda *_, **__: talker)
        monkeypatch.setattr(enrolling_command, "find_microphone", lambda _: None)
        return talker

    return begin


def test_a_microphone_is_listened_to_until_enough_speech_was_heard(
    command, talk, speech, tmp_path, knowing
):
    talker = talk(np.tile(speech, 9))
    code, out, err = command("enrol", tmp_path / "me.profile")
    assert (code, out) == (0, "")
    first, *progress, lost, last = err.splitlines()
    assert "listens until 20 s of speech were heard" in first
    assert lost == f"ser-live: 3.0 s of {talker.name} were lost (held up)"
    assert progress == [f"ser-live: {s} s of speech; 20 s are enough" for s in (5, 10, 15)]
    assert last.endswith("knows this voice from 20 s of speech; --profile takes it")
    assert GOOD_SPEECH_S < talker.heard / 16_000 < 45
    made = Recognizer.load(knowing.path).load_profile(tmp_path / "me.profile")
    assert 0.8 * 500 < made.timesteps < 500


def test_a_microphone_that_ends_early_is_worth_what_was_heard(command, talk, speech, tmp_path):
    talk(np.tile(speech, 2))
    code, _, err = command("enrol", tmp_path / "me.profile")
    assert code == 0
    assert "only 1" in err.splitlines()[-2]
    talk(speech[:40_000])
    code, _, err = command("enrol", tmp_path / "two.profile")
    assert code == 2
    assert "of speech were heard; a profile takes 5 s at least" in err.splitlines()[-1]
    assert [one.name for one in tmp_path.iterdir()] == ["me.profile"]


@pytest.mark.parametrize("error", [Interrupted(signal.SIGINT), RunFailure("it is gone")])
def test_nothing_is_kept_of_what_was_cut_short(knowing, talk, speech, tmp_path, capfd, error):
    talk(np.tile(speech, 9), fail_at=200, error=error)
    words = ["enrol", str(tmp_path / "me.profile"), "--model", str(knowing.path)]
    if isinstance(error, Interrupted):
        with pytest.raises(Interrupted):
            main(words, Interrupts())
        assert capfd.readouterr().err.endswith("ser-live: stopped: nothing was kept\n")
    else:
        assert main(words, Interrupts()) == 1
        assert capfd.readouterr().err.endswith("ser-live: it is gone\n")
    assert [*tmp_path.iterdir()] == []


def enrolling(path, model):
    return subprocess.Popen(
        [*COMMAND, "enrol", path, "--model", model], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.usefixtures("pulse")
def test_ctrl_c_at_a_microphone_keeps_nothing_and_says_so(knowing, tmp_path):
    process = enrolling(tmp_path / "me.profile", knowing.path)
    assert "Ctrl-C stops and keeps nothing" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "ser-live: stopped: nothing was kept\n")
    assert [*tmp_path.iterdir()] == []


def test_a_real_microphone_hears_the_voice(pulse, command, monkeypatch, tmp_path):
    monkeypatch.setattr(enrolling_command, "GOOD_SPEECH_S", 1.5)  # in real time
    monkeypatch.setattr(enrolment, "LEAST_SPEECH_S", 1.0)
    with pulse.playing(SAD):
        code, out, err = command("enrol", tmp_path / "me.profile")
    assert (code, out) == (0, ""), err
    assert Profile.load(tmp_path / "me.profile").timesteps > 25


# What comes of it


def test_no_adaptation_is_a_stream_that_takes_nothing_in(command, knowing):
    code, out, _ = command("replay", SAD, "--speed", "max", "--format", "jsonl", "--no-adaptation")
    assert code == 0
    assert first_of(out)["adaptation"] == "off"
    stream = Recognizer.load(knowing.path).stream(adapts=False)
    samples, _ = soundfile.read(SAD, dtype="float32")
    expected = stream.accept(samples) + stream.flush()
    told = [[*one["probabilities"].values()] for one in results_of(out)]
    assert np.abs(np.array(told) - [one.probabilities for one in expected]).max() < 1e-5


@pytest.mark.parametrize("options", [[], ["--no-adaptation"], ["--profile"]])
def test_replay_does_not_depend_on_its_blocks(command, enrolled, options):
    options = [*options, *([enrolled[1]] if options == ["--profile"] else [])]
    texts = {
        command("replay", SAD, "--speed", "max", "--format", "jsonl", "--block-ms", ms, *options)[1]
        .partition("\n")[2]
        for ms in (7, 1_000)
    }  # fmt: skip
    assert len(texts) == 1


def test_a_profile_is_not_given_to_two_voices(command, enrolled):
    for arguments in (
        ("replay", SAD, "--channels", "split"),
        ("replay", "-", "--rate", 16_000, "--channels", "2,split"),
        ("listen", "--channels", "split"),
        ("score", SAD, "--channels", "split"),
    ):
        code, out, err = command(*arguments, "--profile", enrolled[1])
        assert (code, out) == (2, "")
        assert "--profile is of one voice, and --channels split hears several" in err


def test_a_profile_is_read_before_anything_is_opened_and_never_written_over(
    command, enrolled, tmp_path
):
    path = tmp_path / "me.profile"
    path.write_bytes(enrolled[1].read_bytes())
    damaged = tmp_path / "damaged.profile"
    damaged.write_text(path.read_text()[:-9])
    for arguments, said in (
        (("replay", SAD, "--profile", damaged), "no profile of a voice"),
        (("listen", "--profile", damaged), "no profile of a voice"),
        (("listen", "--profile", path, "--force", "--output", path), "is to be read"),
        (("replay", SAD, "--profile", path, "--force", "--output", path), "not a profile"),
    ):
        code, out, err = command(*arguments)
        assert (code, out) == (2, ""), arguments
        assert said in err
        assert err.count("\n") == 1
    assert path.read_bytes() == enrolled[1].read_bytes()


def test_listening_knows_the_voice(command, enrolled, monkeypatch, speech):
    listen_to(monkeypatch, speech[:32_000])
    _, out, _ = command("listen", "--format", "jsonl", "--profile", enrolled[1])
    assert first_of(out)["adaptation"] == f"profile {Profile.load(enrolled[1]).short_digest}"
    _, plain, _ = command("listen", "--format", "jsonl", "--no-adaptation")
    assert first_of(plain)["adaptation"] == "off"
    assert results_of(out) != results_of(plain)


def test_scores_say_how_they_went_about_the_voice_and_are_not_mixed(command, enrolled, tmp_path):
    output, path = tmp_path / "scores.csv", enrolled[1]
    digest = Profile.load(path).short_digest
    plan = ("score", SAD, "--workers", 1, "--output", output)
    assert command(*plan, "--profile", path)[0] == 0
    header, row = (line.split(",") for line in output.read_text().splitlines())
    assert dict(zip(header, row, strict=True))["adaptation"] == f"profile {digest}"
    code, _, err = command(*plan, "--no-adaptation")
    assert code == 2
    assert f"adaptation profile {digest}" in err
    assert "(balanced, off, " in err
    code, _, err = command(*plan, "--profile", path)
    assert (code, "nothing to do" in err) == (0, True)
    found = {}
    for name, options in {"off": ["--no-adaptation"], "stream": [], "known": []}.items():
        options = ["--profile", path] if name == "known" else options
        found[name] = command("score", SAD, "--workers", 1, *options)[1].splitlines()[1].split(",")
    assert len({one[header.index("p_sad")] for one in found.values()}) == 3


def test_a_timeline_of_another_adaptation_is_not_taken_for_ones_own(command, tmp_path):
    output, folder = tmp_path / "scores.csv", tmp_path / "T"
    plan = ("score", SAD, "--workers", 1, "--output", output, "--timeline", folder)
    assert command(*plan)[0] == 0
    header, _ = output.read_text().splitlines()
    output.write_text(header + "\n")  # the row is lost
    code, _, err = command(*plan, "--no-adaptation")
    assert code == 2
    assert "exists; --force overwrites it" in err
    assert command(*plan)[0] == 0


def test_the_session_line_is_read_back_and_told_to_people(command, enrolled, tmp_path):
    path = tmp_path / "session.jsonl"
    digest = Profile.load(enrolled[1]).short_digest
    options = ("--speed", "max", "--profile", enrolled[1])
    assert command("replay", SAD, *options, "--output", path)[0] == 0
    ([session]) = read_sessions(path, print)
    assert session.header.adaptation == f"profile {digest}"
    _, plain, _ = command("replay", SAD, *options, "--format", "plain")
    assert plain.splitlines()[0].endswith(f", adaptation: profile {digest}")
    text = path.read_text().replace(f"profile {digest}", "profile of\\u0007 me")
    path.write_text(text)
    with pytest.raises(Exception, match="adaptation"):
        read_sessions(path, print)


def test_reports_name_what_is_unusual():
    from streamer.commands.report.page import circumstances

    for adaptation, is_told in ((None, False), ("stream", False), ("off", True)):
        header: SessionStarted = replace(recorded(9).header, adaptation=adaptation)
        told = circumstances(SimpleNamespace(header=header))
        assert ("adaptation" in told) == is_told


def test_info_says_whether_voices_are_known(command, export_lively):
    _, knows, _ = command("info")
    _, knows_not, _ = command("info", model=export_lively("live").path)
    (line,) = [one for one in knows.splitlines() if one.startswith("voices")]
    assert "gets to know them, and takes a profile" in line
    (line,) = [one for one in knows_not.splitlines() if one.startswith("voices")]
    assert "does not get to know them" in line


@pytest.mark.parametrize("command_name", ["listen", "replay", "score", "picture"])
def test_help_explains_both_options(command_name, capsys):
    with pytest.raises(SystemExit):
        main([command_name, "--help"], Interrupts())
    text = " ".join(capsys.readouterr().out.split())
    assert "--profile FILE profile of the speaker, made by ser-live enrol" in text
    assert "--no-adaptation do not learn the voice" in text


def test_one_bad_profile_is_one_line_of_a_process(tmp_path):
    bad = tmp_path / "bad.profile"
    bad.write_text("{}")
    result = ser_live("replay", SAD, "--profile", bad)
    assert (result.returncode, result.stdout) == (2, b"")
    assert "no profile of a voice, as ser-live enrol makes them" in complaint(result)
