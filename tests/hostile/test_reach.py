"""No command uses the network, or writes a file that was not named."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from streamer.commands import COMMANDS
from streamer.commands.program import main
from streamer.session.interrupts import Interrupts
from tests.helpers.command import COMMAND
from tests.helpers.places import CLIPS, ROOT
from tests.hostile.rows import ENDLESS, ROWS, writing_options

WATCHING = Path(__file__).parent / "watching"
#: System calls that change what is in a folder, or open a file to change it.
WRITING = re.compile(
    r"O_WRONLY|O_RDWR|O_CREAT|O_TMPFILE"
    r"|\b(creat|truncate|(mkdir|mknod|rename|link|symlink|unlink)(at2?)?|rmdir)\("
)
#: Only owner and group may read: neither the default umask nor the strictest.
UMASK = 0o027


@dataclass(frozen=True)
class Done:
    """A watched run of a command.

    Attributes:
        command: its name.
        result: result of the process.
        folder: folder for its outputs.
        temporary: its folder for temporary files, empty before.
        home: the user's home folder, empty before.
        written: files that it created, removed or opened to write.
        sockets: sockets that lead out of this machine.
    """

    command: str
    result: subprocess.CompletedProcess
    folder: Path
    temporary: Path
    home: Path
    written: set[str]
    sockets: list[str]


def without_network():
    """Return a prefix that runs a command without a network; empty if that is not permitted."""
    alone = ["unshare", "--user", "--map-current-user", "--net"]
    is_possible = (
        shutil.which("unshare")
        and not subprocess.run([*alone, "true"], capture_output=True).returncode
    )
    return alone if is_possible else []


def carry_out(command, files, base):
    folder, temporary, home = base / "results", base / "temporary", base / "home"
    for one in (folder, temporary, home):
        one.mkdir(parents=True)
    row, deeds = ROWS[command], base / "deeds"
    environment = os.environ | {
        "PYTHONPATH": f"{WATCHING}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "DEEDS": str(deeds),
        "TMPDIR": str(temporary),
        "MPLCONFIGDIR": str(base / "matplotlib"),  # its list of fonts
    }
    if not row.listens:  # the sound server wants its own
        environment["HOME"] = str(home)
    result = subprocess.run(
        [*without_network(), *COMMAND, command, *row.options(folder), *row.filled(**files)],
        capture_output=True, cwd=home, env=environment, umask=UMASK, timeout=120,
    )  # fmt: skip
    told = [line.split(" ", 1) for line in deeds.read_text().splitlines()]
    written = {what for kind, what in told if kind == "writes"}
    sockets = [what for kind, what in told if kind == "socket"]
    return Done(command, result, folder, temporary, home, written, sockets)


@pytest.fixture(scope="module")
def files(session, knowing):
    """Make the files that the rows name."""
    return {"wav": CLIPS[3], "session": session, "voices": knowing.path}


@pytest.fixture(scope="module", params=ROWS)
def done(request, files, tmp_path_factory):
    if ROWS[request.param].listens:
        request.getfixturevalue("sound_server").plug()
    one = carry_out(request.param, files, tmp_path_factory.mktemp(request.param))
    assert one.result.returncode == 0, one.result.stderr.decode()
    return one


def test_every_command_and_every_option_that_writes_has_a_row():
    assert set(COMMANDS) == set(ROWS) | ENDLESS
    for command in COMMANDS:
        named = set() if command in ENDLESS else set(ROWS[command].outputs) - {""}
        assert writing_options(command) == named, command


def test_no_command_wants_a_network(done):
    assert done.sockets == []


def test_only_files_that_were_named_are_written(done):
    """Audio and results stay in memory, and no temporary file remains."""
    strangers = [
        path
        for path in done.written
        if not Path(path).is_relative_to(done.folder)
        and not path.startswith(("/dev/", str(done.folder.parent / "matplotlib")))
    ]
    assert strangers == []
    assert list(done.temporary.iterdir()) == []
    assert list(done.home.iterdir()) == []


def test_files_have_the_permissions_that_the_user_wants(done):
    for path in done.folder.rglob("*"):
        wanted = 0o777 if path.is_dir() else 0o666
        assert path.stat().st_mode & 0o777 == wanted & ~UMASK, path


def test_every_output_that_was_named_is_there(done):
    names = {path.name for path in done.folder.iterdir()}
    assert names == set(ROWS[done.command].outputs.values())


@pytest.mark.parametrize(
    ("command", "option"), [(name, option) for name, row in ROWS.items() for option in row.outputs]
)
def test_no_file_is_overwritten_without_force(command, option, files, tmp_path, capfd):
    """The command also refuses before it opens a microphone."""
    row = ROWS[command]
    old = tmp_path / row.outputs[option]
    old.write_text("precious")
    arguments = [*row.option(option, tmp_path), *row.filled(**files)]
    assert main([command, *arguments], Interrupts()) == 2
    assert old.read_text() == "precious"
    out, err = capfd.readouterr()
    if old.suffix:  # in the place of a folder a file may be told of by what should be in it
        assert out == ""
        assert err.count("\n") == 1
        assert str(old) in err


def test_native_libraries_open_no_other_file_and_no_socket(tmp_path):
    """Watches every system call of decoder, network and resampler."""
    log, output = tmp_path / "calls", tmp_path / "out.jsonl"
    watch = ["strace", "-f", "-qq", "-o", log, "-e", "trace=%network,%file"]
    if shutil.which("strace") is None or subprocess.run([*watch, "true"]).returncode:
        pytest.skip("no strace, or not allowed")
    command = [*COMMAND, "replay", CLIPS[0], "--speed", "max", "--output", output]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([*watch, *command], check=True, env=environment, timeout=120)
    calls = log.read_text().splitlines()
    assert not [call for call in calls if "AF_INET" in call]
    writing = [call for call in calls if WRITING.search(call)]
    strangers = [call for call in writing if str(output) not in call and "/dev/" not in call]
    assert strangers == []
    assert any(str(output) in call for call in writing)
