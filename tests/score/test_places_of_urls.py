"""Behind URLs: chains, names with wildcards, what cannot be opened, and what is left of a copy."""

from __future__ import annotations

import csv
import errno
import os
import signal
import subprocess
import time
import zipfile

import numpy as np
import pytest
import soundfile

from streamer.commands.score.cluster.alone import hear_alone
from streamer.commands.score.cluster.spec import spec_of
from streamer.commands.score.finding import patience
from streamer.commands.score.finding.copies import MOST_BYTES, Copies
from streamer.commands.score.finding.listing import Listing
from streamer.commands.score.finding.places import Url
from streamer.commands.score.finding.remote import folder_of_copies, local_copy
from streamer.commands.score.hearing.work import Task, hear
from streamer.commands.score.plan import ScorePlan
from streamer.commands.score.run import score
from streamer.errors import SerLiveError
from streamer.modelfile.shipped import model_path
from streamer.recognition.profile import UNKNOWN_VOICE
from streamer.session.interrupts import Interrupts
from streamer.sound.channels import Channels
from tests.helpers.command import COMMAND
from tests.helpers.faulty_server import HALF, FaultyServer
from tests.helpers.places import CLIPS, ROOT

fsspec = pytest.importorskip("fsspec")


def listed(*places):
    with Listing([*map(str, places)]) as listing:
        listing.wait()
        return [(str(item.place), item.problem) for item in listing], listing


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(patience, "WAITS_S", (0.0, 0.0, 0.0))


@pytest.mark.usefixtures("hasty")
def test_a_url_that_cannot_be_opened_is_told_and_the_others_are_listed(monkeypatch):
    tries = []

    def refuse(*_, **__):
        tries.append(1)
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr(fsspec, "url_to_fs", refuse)
    found, listing = listed(CLIPS[0], "ftp://host/x.wav")
    reason = "Connection refused (after 4 tries)"
    assert found == [(str(CLIPS[0]), None), ("ftp://host/x.wav", reason)]
    assert listing.complaints == [f"ftp://host/x.wav: {reason}"]
    assert len(tries) == 4


@pytest.fixture
def archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        for name in ("in/x.wav", "y.wav", ".hidden.wav", "z.txt"):
            file.write(CLIPS[0], name)
    return f"file://{tmp_path}/z.zip"


def test_a_chain_of_urls_is_listed(archive, tmp_path):
    found, listing = listed(f"zip://::{archive}")
    assert sorted(found) == [
        (f"zip://in/x.wav::{archive}", None),
        (f"zip://y.wav::{archive}", None),
    ]
    assert listing.passed_over == {"hidden": 1, ".txt": 1}
    assert listed(f"zip://in/*::{archive}")[0] == [(f"zip://in/x.wav::{archive}", None)]
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x.wav").write_bytes(CLIPS[0].read_bytes())
    cached = f"simplecache::file://{tmp_path}/d"
    assert listed(cached)[0] == [(f"{cached}/x.wav", None)]
    for name in (f"zip://in/x.wav::{archive}", f"{cached}/x.wav"):
        with local_copy(Url(name), None, print) as path:
            assert path.suffix == ".wav"
            assert path.read_bytes() == CLIPS[0].read_bytes()


def test_an_archive_that_is_not_there_is_told(tmp_path):
    url = f"zip://::file://{tmp_path}/missing.zip"
    assert listed(url)[0] == [(url, "No such file or directory")]


def test_a_name_with_wildcards_goes_before_what_it_matches():
    system = fsspec.filesystem("memory")
    for name in ("a[1].raw", "a1.raw", "b[1]/x.wav", "b1/x.wav"):
        system.pipe(f"/w/{name}", b"x")
    try:
        assert listed("memory://w/a[1].raw")[0] == [("memory://w/a[1].raw", None)]
        assert listed("memory://w/b[1]")[0] == [("memory:///w/b[1]/x.wav", None)]
        assert listed("memory://w/a[12].raw")[0] == [("memory:///w/a1.raw", None)]
    finally:
        system.rm("/w", recursive=True)


@pytest.mark.parametrize("url", ["s3://", "s3a:///x.wav", "s3://*/x.wav", "simplecache::s3://"])
def test_a_url_without_a_bucket_is_refused(url):
    with pytest.raises(SerLiveError, match="names no bucket"):
        ScorePlan((url,))


def test_what_s3_refuses_is_not_tried_again():
    errors = pytest.importorskip("botocore.exceptions")
    wrong = errors.ParamValidationError(report="Invalid bucket name")
    assert patience.is_lasting(wrong)
    assert patience.reason_of(wrong) == "Parameter validation failed: Invalid bucket name"
    assert patience.is_lasting(errors.NoCredentialsError())
    assert not patience.is_lasting(errors.EndpointConnectionError(endpoint_url="x"))

    def answer(status, code):
        response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        return errors.ClientError(response, "GetObject")

    assert patience.is_lasting(answer(400, "InvalidRequest"))
    assert not patience.is_lasting(answer(400, "RequestTimeout"))
    assert not patience.is_lasting(answer(503, "SlowDown"))


def test_copies_lie_in_the_folder_of_the_run(shipped):
    system = fsspec.filesystem("memory")
    system.pipe("/w/x.wav", CLIPS[0].read_bytes())
    url = Url("memory://w/x.wav")
    with folder_of_copies([url]) as folder:
        with local_copy(url, None, print, folder) as path:
            assert path.parent == folder
        (folder / "left by a killed process").touch()
        assert hear(Task(url, "x", None), shipped, folder=folder).row["error"] is None
    assert not folder.exists()
    with folder_of_copies([CLIPS[0]]) as folder:
        assert folder is None
    system.rm("/w", recursive=True)


def environment(folder):
    return os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}


def until(is_so, process):
    deadline = time.monotonic() + 60
    while not is_so():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(os.name == "nt", reason="no process can send Ctrl-C there")
@pytest.mark.parametrize("split", [(), ("--channels", "split")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_no_copies(tmp_path, split, number):
    pytest.importorskip("aiohttp")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with FaultyServer({"/x.flac": CLIPS[0].read_bytes()}) as server:
        server.fault = lambda _method, _path: HALF
        arguments = ["score", f"{server.url}/x.flac", "--output", tmp_path / "r.csv", *split]
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stderr=subprocess.PIPE,
            env=environment(temporary),
            start_new_session=True,
        )
        until(lambda: any(one.stat().st_size for one in temporary.rglob("*.flac")), process)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    assert b"Traceback" not in said
    assert list(temporary.iterdir()) == []


def test_a_process_for_single_recordings_leaves_no_copies(shipped, tmp_path, monkeypatch):
    """It is killed while it fetches."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    url = Url("memory://w/x.wav")

    class Dying:
        returncode = -9

        def __init__(self, *_, **__):
            (folder,) = tmp_path.iterdir()
            (folder / "x.wav").write_bytes(b"half")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def communicate(self, *_):
            return b"", b""

    monkeypatch.setattr("subprocess.Popen", Dying)
    spec = spec_of(None, shipped, UNKNOWN_VOICE)
    with pytest.raises(SerLiveError, match="failed"):
        hear_alone(model_path(None), spec, [Task(url, "x", None)], 600.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("hasty")
def test_a_full_temporary_disk_ends_the_run_in_a_line(shipped, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    system = fsspec.filesystem("memory")
    system.pipe("/w/x.wav", b"x")
    monkeypatch.setattr(type(system), "get_file", full)
    answer = hear(Task(Url("memory://w/x.wav"), "x", None), shipped)
    assert answer.failure is not None
    assert answer.failure.startswith("cannot write to ")
    assert answer.failure.endswith(": disk full")
    system.rm("/w", recursive=True)


@pytest.mark.parametrize("most_bytes", [MOST_BYTES, 0])
def test_a_url_is_fetched_once_for_all_its_channels(tmp_path, monkeypatch, most_bytes):
    """Without room for a copy, the channels are the same."""
    pytest.importorskip("aiohttp")
    target = "streamer.commands.score.finding.listing.Copies"
    monkeypatch.setattr(target, lambda: Copies(most_bytes))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stereo, output = tmp_path / "stereo.wav", tmp_path / "r.csv"
    voices = [soundfile.read(clip)[0] for clip in CLIPS[:2]]
    length = max(map(len, voices))
    frames = [np.pad(voice, (0, length - len(voice))) for voice in voices]
    soundfile.write(stereo, np.stack(frames, axis=1), 16_000)
    with FaultyServer({"/x.wav": stereo.read_bytes()}) as server:
        plan = ScorePlan(
            (f"{server.url}/x.wav",), output=output, wanted=Channels.parse("split"), workers=1
        )
        assert score(plan, Interrupts()) == 0
        fetched = [path for method, path in server.requests if method == "GET"]
    assert fetched == ["/x.wav"] * (1 if most_bytes else 3)
    rows = {row["channel"]: row["overall"] for row in csv.DictReader(output.open())}
    assert rows == {"1": "angry", "2": "happy"}
    assert {path.name for path in tmp_path.iterdir()} == {"stereo.wav", "r.csv"}


def test_a_copy_is_there_until_the_last_channel_was_heard(tmp_path):
    copies = Copies(10)
    (tmp_path / "a").write_bytes(bytes(6))
    (tmp_path / "b").write_bytes(bytes(6))
    kept = copies.keep(tmp_path / "a", 2)
    assert copies.keep(tmp_path / "b", 1) is None
    copies.release(kept)
    assert kept.exists()
    copies.release(kept)
    assert not kept.exists()
    assert copies.keep(tmp_path / "b", 1).read_bytes() == bytes(6)
