"""Scoring on a cluster: the same rows as on one machine, whatever is lost on the way."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

pytest.importorskip("distributed")

from streamer.commands.score.cluster.client import Cluster
from streamer.commands.score.cluster.grouping import Grouping, Load
from streamer.commands.score.cluster.spec import spec_of
from streamer.commands.score.cluster.task import Disagreement, Heard, hear_group
from streamer.commands.score.cluster.watch import Vigil, Watch
from streamer.commands.score.finding.places import Url
from streamer.commands.score.hearing.work import Answer, Task, empty_row, hear
from streamer.commands.score.plan import ScorePlan
from streamer.commands.score.results.sums import identity_of_run
from streamer.errors import RunFailure, SerLiveError
from streamer.recognition.profile import UNKNOWN_VOICE
from streamer.session.interrupts import Interrupts
from streamer.version import UNKNOWN, version
from tests.helpers.clusters import Networks, Processes
from tests.helpers.command import COMMAND, complaint, ser_live
from tests.helpers.places import CLIPS, ROOT

KILLING = Path(__file__).parent / "killing"
HANGING = Path(__file__).parent / "hanging"
VIGIL = Vigil("topic", 600.0)


def score(*arguments):
    return ser_live("score", *arguments)


def rows_of(path):
    """The rows in the order of their files, each of which is there once."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = sorted(csv.DictReader(lines), key=lambda row: row["file"])
    assert len({row["file"] for row in rows}) == len(rows)
    return rows


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Processes(tmp_path_factory.mktemp("cluster")) as processes:
        processes.start_worker()
        yield processes


@pytest.fixture(scope="module")
def archive(tmp_path_factory, speech):
    """24 recordings of a minute, in tasks of five or so."""
    root = tmp_path_factory.mktemp("archive")
    soundfile.write(root / "00.wav", np.tile(speech, 7)[: 60 * 16_000], 16_000)
    for number in range(1, 24):
        (root / f"{number:02}.wav").symlink_to("00.wav")
    return root


@pytest.fixture(scope="module")
def alone(archive, tmp_path_factory):
    """The rows of one machine."""
    output = tmp_path_factory.mktemp("alone") / "r.csv"
    result = score(archive, "--output", output)
    assert result.returncode == 0, result.stderr
    assert "core-hours for 1000 h of audio" in complaint(result)
    return rows_of(output)


def test_rows_equal_those_of_one_machine(cluster, tmp_path):
    (tmp_path / "noise.mp3").write_bytes(b"no audio" * 100)
    places = [*CLIPS, tmp_path / "noise.mp3", "missing.wav"]
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    assert score(*places, "--output", here).returncode == 2
    result = score(*places, "--output", there, "--scheduler", cluster.address)
    assert result.returncode == 2
    assert "2 with an error" in complaint(result)
    assert sorted(there.read_text().splitlines()) == sorted(here.read_text().splitlines())


def test_a_model_of_the_users_travels(cluster, knowing):
    here = score(*CLIPS, "--model", knowing.path)
    there = score(*CLIPS, "--model", knowing.path, "--scheduler", cluster.address)
    assert there.returncode == 0, there.stderr
    assert sorted(there.stdout.splitlines()) == sorted(here.stdout.splitlines())


def test_what_only_the_client_sees_is_said(tmp_path, shipped):
    """As a worker does that has no such folder."""
    task = Task(tmp_path / "x.wav", "x.wav", None)
    spec = spec_of(None, shipped, UNKNOWN_VOICE)
    heard = hear_group(spec, None, [task, Task(CLIPS[0], "y", None)], False, VIGIL)
    assert heard.missing == {0}
    assert heard.answers[1] == hear(Task(CLIPS[0], "y", None), shipped)


def test_the_row_of_what_only_the_client_sees_says_what_to_do(shipped):
    cluster = Cluster("tcp://host:1", spec_of(None, shipped, UNKNOWN_VOICE), Interrupts(), print)
    tasks = [Task(CLIPS[0], "x", None), Task(Path("nowhere.wav"), "y", None)]
    error = "No such file or directory"
    answers = [Answer(empty_row(shipped.metadata.labels, task, error)) for task in tasks]
    load = Load(list(enumerate(tasks)))
    rows = [answer.row for _, answer in cluster.rows(load, Heard(answers, {0, 1}, "h", 1.0))]
    assert rows[0]["error"].startswith("only this machine sees it, not the worker on h: ")
    assert rows[1] == answers[1].row


@pytest.mark.parametrize("is_alone", [False, True])
@pytest.mark.parametrize("wrong", [{"version": "0.0.1"}, {"digest": "0" * 64, "prior": "everyday"}])
def test_a_worker_of_another_kind_is_an_error(shipped, is_alone, wrong):
    spec = replace(spec_of(None, shipped, UNKNOWN_VOICE), **wrong)
    with pytest.raises(Disagreement, match="install one version everywhere"):
        hear_group(spec, None, [Task(CLIPS[0], "x", None)], is_alone, VIGIL)


def test_rows_and_workers_name_the_version_that_the_program_names(shipped, monkeypatch):
    def find(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", find)  # a checkout needs none
    assert identity_of_run(shipped, UNKNOWN_VOICE)["version"] == version() != UNKNOWN
    assert spec_of(None, shipped, UNKNOWN_VOICE).version == version()


def test_tasks_hold_some_minutes_of_audio():
    minute = 60 * 32_000
    tasks = [Task(Path(f"{n}.wav"), f"{n}", None, size=minute) for n in range(12)]
    grouping = Grouping()
    assert [len(group) for group in grouping.groups(tasks)] == [5, 5, 2]
    for task in tasks * 1000:  # they are twice as long
        grouping.learn(task, 120.0)
    assert [len(group) for group in grouping.groups(tasks)] == [3, 3, 3, 3]
    empty = [Task(Path("x.wav"), "x", None, size=0)] * 450
    assert [len(group) for group in grouping.groups(empty)] == [200, 200, 50]
    url = Url("zip://x.opus::file:///x.zip")
    opus = [Task(url, url, None, size=minute)] * 2  # of 8 minutes
    assert [len(group) for group in grouping.groups(opus)] == [1, 1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scheduler": "host:8786"}, "an address as tcp://HOST:8786"),
        ({"scheduler": "bogus://host:8786"}, "an address as tcp://HOST:8786"),
        ({"scheduler": "inproc://host:8786"}, "an address as tcp://HOST:8786"),
        ({"scheduler": "tcp://host"}, "an address as tcp://HOST:8786"),
        ({"scheduler": "tcp://host:99999"}, "an address as tcp://HOST:8786"),
        ({"workers": 2}, "--workers are processes here"),
        ({"timeline": Path("T")}, "--timeline is written on one machine"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused(options, said):
    with pytest.raises(SerLiveError, match=said):
        ScorePlan(("x.wav",), **{"scheduler": "tcp://host:8786"} | options)


def test_without_dask_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RunFailure, match="pip install 'ser-live\\[cluster\\]'"):
        ScorePlan(("x.wav",), scheduler="tcp://host:8786").check_extras()


def test_a_scheduler_that_is_not_there_is_said():
    result = score(CLIPS[0], "--scheduler", "tcp://127.0.0.1:9")
    assert result.returncode == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in complaint(result)


def test_a_client_that_cannot_begin_is_one_line():
    result = score(CLIPS[0], "--scheduler", "tls://127.0.0.1:9")
    assert result.returncode == 1
    assert "no Dask scheduler answers at tls://127.0.0.1:9: TLS expects" in complaint(result)


def start(archive, output, address):
    arguments = ["score", archive, "--output", output, "--scheduler", address]
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s"},
    )


def wait_for_rows(output, process, count):
    deadline = time.monotonic() + 120
    while not (output.exists() and output.read_bytes().count(b"\n") > count):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.long
def test_workers_and_clients_that_die_lose_no_row(tmp_path, archive, alone):
    output = tmp_path / "r.csv"
    with Processes(tmp_path) as processes:
        first, _ = processes.start_worker(), processes.start_worker()
        client = start(archive, output, processes.address)
        wait_for_rows(output, client, 1)
        processes.kill(first)
        wait_for_rows(output, client, 6)
        client.kill()  # a row may be cut in the middle
        client.communicate()
        output.write_bytes(output.read_bytes()[:-9])
        client = start(archive, output, processes.address)
        wait_for_rows(output, client, 11)
        client.send_signal(signal.SIGINT)
        _, said = client.communicate(timeout=60)
        assert client.returncode == 130, said
        assert b"the same command goes on" in said
        assert b"Traceback" not in said
        assert 11 <= len(rows_of(output)) < 24
        processes.start_worker()
        result = score(archive, "--output", output, "--scheduler", processes.address)
    assert result.returncode == 0, result.stderr
    assert rows_of(output) == alone


@pytest.mark.long
def test_a_scheduler_that_restarts_costs_what_was_under_way(tmp_path, archive, alone):
    output = tmp_path / "r.csv"
    with Processes(tmp_path) as processes:
        processes.start_worker()
        client = start(archive, output, processes.address)
        wait_for_rows(output, client, 1)
        processes.kill(processes.scheduler)
        processes.start_scheduler(int(processes.address.rpartition(":")[2]))
        processes.start_worker()
        _, said = client.communicate(timeout=200)
    assert client.returncode == 0, said
    assert b"lost the connection" in said
    assert b"Traceback" not in said
    assert rows_of(output) == alone


def test_a_recording_that_kills_its_workers_ends_as_a_row(tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    for clip in CLIPS:
        (folder / clip.name).symlink_to(clip)
    (folder / "killer.wav").symlink_to(CLIPS[0])
    output = tmp_path / "r.csv"
    with Processes(tmp_path) as processes:
        path = f"{KILLING}{os.pathsep}{ROOT}"
        processes.start_worker("--nanny", environment={"PYTHONPATH": path})
        result = score(folder, "--output", output, "--scheduler", processes.address)
    assert result.returncode == 2, result.stderr
    errors = {Path(row["file"]).name: row["error"] for row in rows_of(output)}
    died = "the process that heard it died (signal 9)"
    assert errors == {clip.name: "" for clip in CLIPS} | {"killer.wav": died}


@pytest.fixture
def unwatched(tmp_path):
    """A cluster whose scheduler never takes a silent worker for lost."""
    with Processes(tmp_path, environment={"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "1h"}) as one:
        yield one


def hear_on(cluster, shipped, recordings, silent_s, said, model=None):
    """Yield the rows of a cluster, as they come."""
    spec = spec_of(model, shipped, UNKNOWN_VOICE)
    tasks = [Task(path, path.name, None, size=path.stat().st_size) for path in recordings]
    with Cluster(cluster.address, spec, Interrupts(), said.append, silent_s) as pool:
        for _, answer in pool.answers(tasks):
            yield answer.row


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
@pytest.mark.parametrize(
    ("is_own", "later_s"),
    [(False, 0.0), (False, 3.0), pytest.param(True, 0.0, marks=pytest.mark.long)],
)
def test_the_task_of_a_worker_that_stands_still_goes_to_others(
    unwatched, shipped, model_file, archive, tmp_path, is_own, later_s
):
    """It alone has the user's model; it wakes up late, and its answer changes nothing.

    After a few seconds all that it was given is done, and nobody can have the answers.
    """
    model = Path(shutil.copy(model_file, tmp_path / "own.onnx")) if is_own else None
    stopped = unwatched.start_worker()
    recordings, said = sorted(archive.iterdir()), []
    rows = []
    for row in hear_on(unwatched, shipped, recordings, 5.0, said, model):
        if not rows:
            unwatched.start_worker()
            time.sleep(later_s)
            os.killpg(stopped.pid, signal.SIGSTOP)
        if len(rows) == 20:
            os.killpg(stopped.pid, signal.SIGCONT)
        rows.append(row)
    assert sorted(row["file"] for row in rows) == [path.name for path in recordings]
    assert {row["error"] for row in rows} == {None}
    assert any("gave no sign of life for 5 s; others hear its recordings" in line for line in said)


def test_a_recording_that_hangs_its_worker_ends_as_a_row(unwatched, shipped, tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    for clip in CLIPS:
        (folder / clip.name).symlink_to(clip)
    (folder / "hanger.wav").symlink_to(CLIPS[0])
    path = f"{HANGING}{os.pathsep}{ROOT}"
    for _ in range(2):
        unwatched.start_worker(environment={"PYTHONPATH": path})
    rows = list(hear_on(unwatched, shipped, sorted(folder.iterdir()), 5.0, []))
    errors = {row["file"]: row["error"] for row in rows}
    silent = "the process that heard it gave no sign of life for 5 s"
    assert errors == {clip.name: None for clip in CLIPS} | {"hanger.wav": silent}
    assert len(rows) == len(errors)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
@pytest.mark.long
def test_where_all_workers_hang_others_are_waited_for(unwatched, shipped, archive):
    stopped = unwatched.start_worker()
    said, rows = [], []
    heard = hear_on(unwatched, shipped, sorted(archive.iterdir())[:10], 3.0, said)
    rows.append(next(heard))
    os.killpg(stopped.pid, signal.SIGSTOP)
    later = Thread(target=lambda: (time.sleep(15), unwatched.start_worker()))
    later.start()
    rows += heard
    later.join()
    assert len({row["file"] for row in rows}) == len(rows) == 10
    assert {row["error"] for row in rows} == {None}


def test_recordings_with_which_workers_hang_again_and_again_have_an_error(shipped):
    spec = spec_of(None, shipped, UNKNOWN_VOICE)
    cluster = Cluster("tcp://host:1", spec, Interrupts(), print)
    load = Load([(0, Task(Path("x"), "x", None)), (1, Task(Path("y"), "y", None))])
    for _ in range(2):
        assert not list(cluster._hung(load, "tcp://one:1"))
        load = cluster._again.pop()
        assert load.is_alone
    rows = [answer.row for _, answer in cluster._hung(load, "tcp://two:1")]
    assert [row["file"] for row in rows] == ["x", "y"]
    last = "the workers that heard it gave no sign of life, the last at tcp://two:1"
    assert {row["error"] for row in rows} == {last}


def test_the_wait_for_an_answer_begins_anew_when_a_task_is_done_again(shipped):
    class Future:
        add_done_callback = print

    cluster = Cluster("tcp://host:1", spec_of(None, shipped, UNKNOWN_VOICE), Interrupts(), print)
    cluster._client = SimpleNamespace(submit=lambda *_, **__: Future())
    cluster._submit(Load([(0, Task(Path("x"), "x", None))], done_s=1.0))
    (load,) = cluster._under_way.values()
    assert load.done_s is None


class Watched:
    """A watch in simulated time, with a worker a."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        self.watch = Watch(600.0)

    def wait(self, seconds, last_seen=None):
        for _ in range(seconds // 5):
            self.now += 5
            self.watch.look()
            self.watch.see({"a": self.now} if last_seen is None else last_seen)

    def sign(self, key, is_over=False):
        self.watch.take({"key": key, "worker": "a", "is_over": is_over})


def test_a_task_without_signs_is_silent_and_its_worker_avoided_until_it_ends(monkeypatch):
    watched = Watched(monkeypatch)
    watched.sign("one")
    watched.sign("two")
    watched.wait(400)
    watched.sign("two")
    watched.wait(400)
    assert watched.watch.silent() == {"one": "a"}
    assert watched.watch.silent() == {}
    watched.sign("one")
    assert watched.watch.avoided == {"a"}
    watched.sign("one", is_over=True)
    assert watched.watch.avoided == frozenset()
    assert watched.watch.has_begun("two")


def test_a_worker_that_the_scheduler_does_not_hear_from_is_avoided(monkeypatch):
    watched = Watched(monkeypatch)
    watched.wait(300)
    assert not watched.watch.avoided
    watched.wait(900, {"a": 300.0})
    assert watched.watch.avoided == {"a"}
    watched.wait(5)
    assert not watched.watch.avoided


def test_a_task_whose_worker_is_gone_is_not_silent(monkeypatch):
    watched = Watched(monkeypatch)
    watched.sign("one")
    watched.wait(900, {"b": 1.0})
    assert watched.watch.silent() == {}


@pytest.mark.skipif(Networks.missing() is not None, reason=f"needs {Networks.missing()}")
@pytest.mark.long
def test_machines_that_are_killed_or_cut_off_lose_no_row(tmp_path, archive, alone):
    """Three workers in networks of their own: one is killed, one cut off, the client restarted."""
    output = tmp_path / "r.csv"
    with Networks(3) as networks, Processes(tmp_path, networks.HOST) as processes:
        killed, _, _ = [processes.start_worker(prefix=networks.inside(n)) for n in range(3)]
        client = start(archive, output, processes.address)
        wait_for_rows(output, client, 1)
        processes.kill(killed)
        networks.cut(1)
        wait_for_rows(output, client, 11)
        client.kill()
        client.communicate()
        result = score(archive, "--output", output, "--scheduler", processes.address)
    assert result.returncode == 0, result.stderr
    assert rows_of(output) == alone
