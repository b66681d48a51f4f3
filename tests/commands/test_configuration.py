"""Options from a configuration file: what it may set, and that the command line wins."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from streamer.commands.configuration import GENERAL, SETTABLE, Applied, default_path
from streamer.commands.parser import command_parsers, parse
from streamer.commands.program import main
from streamer.errors import SerLiveError, told
from streamer.session.interrupts import Interrupts
from tests.helpers.command import complaint, lines, ser_live
from tests.helpers.places import CLIPS, ROOT
from tests.hostile.rows import writing_options

EXAMPLE = """
model = "research"
prior = "everyday"
device = 3
no-adaptation = true

[replay]
speed = 2
block-ms = 20
prior = "balanced"

[serve]
port = 9000
max-idle = 5
allow-origin = ["https://example.org"]
log-addresses = true
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Writes the file where it is looked for."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))

    def write(text):
        path = tmp_path / "ser-live.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def values(*arguments):
    """The options without what is said of the file."""
    return {
        name: value
        for name, value in vars(parse(list(arguments))).items()
        if name not in ("configuration", "config", "no_config")
    }


def test_its_options_are_those_of_the_command_line(config):
    path = config(EXAMPLE)
    shared = ["--model", "research", "--no-adaptation"]
    assert values("listen") == values(
        "listen", "--device", "3", "--prior", "everyday", *shared, "--no-config"
    )
    assert values("replay", "x.wav") == values(
        *("replay", "x.wav", "--speed", "2", "--block-ms", "20", "--prior", "balanced"),
        *("--no-config", *shared),
    )
    assert values("serve") == values(
        *("serve", "--port", "9000", "--max-idle", "5", "--prior", "everyday"),
        *("--allow-origin", "https://example.org", "--log-addresses", "--no-config", *shared),
    )
    assert parse(["listen"]).configuration.path == path


def test_the_command_line_wins(config):
    config(EXAMPLE)
    arguments = ["serve", "--port", "1", "--allow-origin", "https://other.org"]
    options = parse([*arguments, "--model", "mine.onnx"])
    assert (options.port, options.allow_origin) == (1, ["https://other.org"])
    assert options.model == Path("mine.onnx")
    assert set(options.configuration.values) == {
        *("max-idle", "log-addresses", "prior", "no-adaptation"),
    }
    # The default's value counts too, if it is given.
    assert parse(["replay", "x.wav", "--speed", "1"]).speed == "1"


@pytest.mark.parametrize("command", SETTABLE)
def test_every_settable_option_is_an_option_that_writes_nothing(command):
    options = command_parsers()[command]._option_string_actions
    assert {f"--{name}" for name in SETTABLE[command]} <= set(options)
    names = {f"--{name}" for name in SETTABLE[command]}
    assert not names & {*writing_options(command), "--force", "--token"}


def test_the_help_still_shows_the_defaults(capsys, config):
    config(EXAMPLE)
    with pytest.raises(SystemExit):
        parse(["serve", "--help"])
    assert "(default: 8765)" in capsys.readouterr().out


def test_paths_begin_at_the_file_or_at_home(config, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("USERPROFILE", "/home/somebody")
    path = config('model = "mine.onnx"\nprofile = "~/anna.profile"')
    options = parse(["listen"])
    assert options.model == path.parent / "mine.onnx"
    assert options.profile == Path("/home/somebody/anna.profile")


@pytest.mark.parametrize("name", ["--config", "--config="])
def test_a_named_file_is_read_wherever_the_option_stands(config, tmp_path, name):
    config('prior = "everyday"')
    other = tmp_path / "other.toml"
    other.write_text('prior = "balanced"')
    named = [f"--config={other}"] if name.endswith("=") else ["--config", str(other)]
    for arguments in ([*named, "replay", "x.wav"], ["replay", "x.wav", *named], named):
        assert parse(arguments).prior == "balanced"
    assert parse(["--no-config"]).prior is None
    assert parse(["--no-config", "devices"]).command == "devices"
    with pytest.raises(SerLiveError, match="not allowed with"):
        parse(["--no-config", *named])


WRONG = {
    "colour = 1": "'colour' cannot be set for all commands; allowed are device, channels, format",
    "port = 9000": "'port' cannot be set for all commands",
    'output = "x"': "'output' cannot be set for all commands",
    '[listen]\noutput = "x"': r"\[listen\] 'output' cannot be set; allowed are device, channels",
    "[listens]": r"no table \[listens\]; allowed are \[listen\], \[replay\]",
    "[demo]": r"no table \[demo\]",
    'prior = "none"': "prior must be one of balanced, everyday, is 'none'|everyday, balanced",
    "prior = 1": "prior must be one of",
    "prior = [1]": "prior must be one of",
    "[replay]\nspeed = true": r"\[replay\] speed must be one of 1, 2, max, is true",
    '[replay]\nblock-ms = "10"': r"block-ms must be a whole number from 1 to 10000, is '10'",
    "[replay]\nblock-ms = true": "must be a whole number from 1 to 10000, is true",
    "[replay]\nblock-ms = 0": r"\[replay\] block-ms must be a whole number from 1 to 10000, is 0",
    "[serve]\nport = 65536": r"\[serve\] port must be a whole number from 0 to 65535, is 65536",
    "[serve]\nmax-idle = 1979-05-27": "max-idle must be a number of seconds, more than 0",
    f"[serve]\nmax-idle = {'9' * 400}": "max-idle is too large",
    "no-adaptation = 1": "no-adaptation must be true or false, is 1",
    'device = ""': "device must be text",
    f"device = 0x{'f' * 9_000}": "device is too large",
    f"device = [0x{'f' * 9_000}]": "device must be text, is something else",
    f"device = [{'1, ' * 900}]": r"device must be text, is \[1, 1.*…",
    "device = 1.5": "device must be text",
    "device = false": "device must be text",
    'model = "a\\u0000b"': "model must be text",
    '[serve]\nallow-origin = "https://example.org"': "allow-origin must be a list",
    "[serve]\nallow-origin = [true]": "allow-origin must be text",
    "device = ": "not TOML: Invalid value",
    b"device = '\xff'": "not TOML: it is no text in UTF-8",
    f"device = {'[' * 100_000}": "not TOML",
    "[listen.more]": r"\[listen\] 'more' cannot be set",
    "device.x = 1": r"no table \[device\]",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: str(text[:30]))
def test_what_is_wrong_in_it_is_one_line_with_its_name(config, text):
    path = config(text)
    for command in ("listen", "info"):  # the whole file is checked, whatever is run
        with pytest.raises(SerLiveError, match=WRONG[text]) as caught:
            parse([command])
        assert caught.value.exit_code == 2
        assert str(caught.value).startswith(f"{path}: ")
        assert told(caught.value).isprintable()
        assert len(str(caught.value)) < 2_000
    for command in ("demo", "devices", "convert x.jsonl"):  # these take nothing from it
        parse(command.split())
    parse(["listen", "--no-config"])


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(SerLiveError, match=r"No such file.*--no-config"):
        parse(["--config", str(tmp_path / "none.toml")])
    with pytest.raises(SerLiveError, match=r"directory|denied"):
        parse(["--config", str(tmp_path)])


def test_an_editor_of_windows_may_have_written_it(config):
    config(b'\xef\xbb\xbfprior = "everyday"\r\n')
    assert parse(["listen"]).prior == "everyday"


CONTRADICTIONS = [
    ('profile = "a.profile"', "listen --channels split", "profile", "--channels split"),
    ('profile = "a.profile"', "replay x.wav --model research", "profile", "--model"),
    ('channels = "split"', "listen --profile a.profile", "channels", "--profile"),
    ('channels = "split"', "listen --record x.wav", "channels", "--record"),
    ('channels = "1"', "replay - --rate 8000", "channels", "-, which needs"),
    ('format = "jsonl"', "replay x.wav --output x.csv", "format", "--output"),
    ('[replay]\nspeed = "max"', "replay - --rate 8000 --live", "speed", "--live"),
    ('[serve]\nkeyfile = "k.pem"', "serve --certfile c.pem", "keyfile", "--certfile"),
]


@pytest.mark.parametrize(("text", "line", "key", "reason"), CONTRADICTIONS)
def test_what_the_command_line_rules_out_gives_way_and_is_told(config, text, line, key, reason):
    path = config(text)
    arguments = line.split()
    assert values(*arguments) == values(*arguments, "--no-config")
    (notice,) = parse(arguments).configuration.notices
    assert notice.startswith(f"{path}: {key} is left out, since the command line has {reason}")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("device = 1", "enrol a.profile x.wav"),
        ('channels = "split"', "enrol a.profile"),
        ("device = 1", "latency"),
        ("device = 1", "latency --source stopped"),
        ('prior = "balanced"\nmodel = "research"', "latency --loopback"),
        ('prior = "balanced"\ndevice = 1', "latency --server ws://127.0.0.1:1"),
        ("[latency]\noutput-device = 1", "latency --source mic"),
    ],
)
def test_what_a_run_has_no_use_for_is_left_alone(config, text, line):
    config(text)
    arguments = line.split()
    assert values(*arguments) == values(*arguments, "--no-config")
    assert parse(arguments).configuration.notices == ()


def test_what_is_of_use_is_used(config):
    config('device = 1\nchannels = "split"\n[latency]\noutput-device = 2')
    assert parse(["enrol", "a.profile"]).device == "1"
    assert parse(["latency", "--source", "mic"]).device == "1"
    loopback = parse(["latency", "--loopback"])
    assert (loopback.device, loopback.output_device) == ("1", "2")
    assert parse(["listen"]).channels == "split"


def test_a_value_that_is_refused_later_is_traced_to_the_file(config, capfd):
    path = config("channels = 2")
    assert main(["replay", str(CLIPS[0])], Interrupts()) == 2
    assert capfd.readouterr().err.endswith(f"there is one channel ({path} sets channels)\n")
    assert main(["score", str(CLIPS[0]), "--workers", "1"], Interrupts()) == 2
    assert capfd.readouterr().err.endswith(f"there is one channel ({path} sets channels)\n")


def test_a_path_is_traced_to_the_file_however_it_is_written(config, capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for written in ("~/none.onnx", "./none.onnx"):
        path = config(f'model = "{written}"')
        assert main(["info"], Interrupts()) == 2
        assert capfd.readouterr().err.endswith(f"none.onnx: no such file ({path} sets model)\n")


def test_what_contradicts_itself_in_the_file_is_not_laid_to_the_command_line(config, capfd):
    path = config('channels = "split"\nprofile = "a.profile"')
    assert main(["replay", str(CLIPS[0])], Interrupts()) == 2
    told = capfd.readouterr().err
    assert "--profile is of one voice" in told
    assert told.endswith(f"({path} sets channels, profile)\n")


def test_a_run_with_it_is_a_run_with_the_options(tmp_path):
    (tmp_path / "ser-live.toml").write_text('prior = "everyday"\n[replay]\nspeed = "max"\n')
    here = {"XDG_CONFIG_HOME": str(tmp_path), "APPDATA": str(tmp_path)}
    result = ser_live("replay", CLIPS[0], "--format", "jsonl", environment=here)
    assert result.returncode == 0
    assert lines(result)[0]["prior"] == "everyday"
    (tmp_path / "ser-live.toml").write_text("prior = 3")
    result = ser_live("replay", CLIPS[0], environment=here)
    assert (result.returncode, result.stdout) == (2, b"")
    assert "ser-live.toml: prior must be one of" in complaint(result)


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "/x/ser-live.toml"),
        ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": "x"}, "/h/.config/ser-live.toml"),
        ("darwin", {"HOME": "/h"}, "/h/.config/ser-live.toml"),
        ("win32", {"APPDATA": "/a", "XDG_CONFIG_HOME": "/x"}, "/a/ser-live.toml"),
        ("win32", {}, None),
    ],
)
def test_where_it_is_looked_for(monkeypatch, platform, environment, expected):
    for name in ("HOME", "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert default_path() == (expected and Path(expected))


def test_general_options_are_those_of_several_commands():
    assert set(GENERAL) == {
        *("device", "channels", "format", "model", "prior", "profile", "no-adaptation"),
    }


def test_the_example_of_the_manual_is_a_file_that_is_read(config):
    manual = (ROOT / "streamer" / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", manual, re.DOTALL)
    config(example)
    assert parse(["listen"]).prior == "everyday"
    replay = parse(["replay", "x.wav"])
    assert (replay.prior, replay.speed) == ("balanced", "2")
    assert parse(["serve"]).port == 9000
    named = re.search(r"At the top may stand (.*?)\.", manual, re.DOTALL)[1]
    assert set(re.findall(r"`([\w-]+)`", named)) == set(GENERAL)


@pytest.mark.parametrize(
    ("values", "message", "told"),
    [
        ({"block-ms": 20}, "cannot write /nodir/20.jsonl: no such folder", False),
        ({"workers": 1}, "cannot write /nodir-1/x.csv: no such folder", False),
        ({"prior": "balanced"}, "cannot write /nodir/balanced.jsonl: no such folder", False),
        ({"max-streams": 3}, "--max-streams-more is unknown", False),
        ({"block-ms": 20}, "--block-ms is wrong", True),
        ({"model": "mine.onnx"}, "model /home/me/mine.onnx: no such file", True),
        ({"model": "mine.onnx"}, "cannot write mine.onnx.csv: no such folder", False),
        ({"device": "USB"}, "no input device is called USB", True),
        ({"channels": 2}, "x.wav: no channel 2: there is one channel", True),
        ({"channels": 2}, "x.wav: no channel 23: there is one channel", False),
        ({"format": "srt"}, "srt holds one recording at a time; csv holds several", True),
        ({"format": "csv"}, "srt holds one recording at a time; csv holds several", False),
        ({"also-model": ["a.onnx", "b.onnx"]}, "model /x/b.onnx: no such file", True),
    ],
)
def test_the_file_is_named_where_its_value_is_what_is_wrong(values, message, told):
    applied = Applied(Path("c.toml"), values)
    assert applied.origin(message) == (f" (c.toml sets {next(iter(values))})" if told else "")


def test_commands_that_take_nothing_from_a_file_refuse_one(capsys):
    assert main(["demo", "--config", "c.toml"], Interrupts()) == 2
    assert "--config" in capsys.readouterr().err
