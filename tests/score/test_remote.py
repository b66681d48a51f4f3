"""Recordings behind URLs: the rows of local files, and what a network does to them."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from streamer.commands.score.finding import patience
from streamer.commands.score.finding.listing import Listing
from streamer.commands.score.finding.places import Url
from streamer.commands.score.finding.remote import local_copy
from streamer.commands.score.hearing.work import Task, hear
from streamer.commands.score.plan import ScorePlan
from streamer.errors import RunFailure, SerLiveError
from tests.helpers.command import complaint, ser_live
from tests.helpers.faulty_server import BROKEN, CUT, SLOW, FaultyServer
from tests.helpers.places import CLIPS

fsspec = pytest.importorskip("fsspec")


def score(*arguments, **options):
    return ser_live("score", *arguments, **options)


def table_of(text):
    """Rows by the last part of their file's name, without the rest of it."""
    rows = csv.DictReader(text.splitlines())
    return {row.pop("file").rpartition("/")[2]: row for row in rows}


@pytest.fixture(scope="module")
def local():
    return table_of(score(*CLIPS).stdout.decode())


def listed(*places):
    with Listing([*map(str, places)]) as listing:
        listing.wait()
        return [str(item.place) for item in listing], listing


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    for name in ("a/x.wav", "a/b/y.flac", "a/b/y.txt", "a/.z.wav", "a/.c/z.wav", "d/x.wav"):
        system.pipe(f"/m/{name}", CLIPS[0].read_bytes())
    yield system
    system.rm("/m", recursive=True)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("memory://m/a", ["memory:///m/a/x.wav", "memory:///m/a/b/y.flac"]),
        ("memory://m/*/x.wav", ["memory:///m/a/x.wav", "memory:///m/d/x.wav"]),
        ("memory://m/a/b/y.txt", ["memory://m/a/b/y.txt"]),
        ("memory://m/missing.wav", ["memory://m/missing.wav"]),
        ("memory://m/a/.c", ["memory:///m/a/.c/z.wav"]),
        ("memory://m/*/.c/*", ["memory:///m/a/.c/z.wav"]),
    ],
)
def test_a_url_is_listed_as_a_folder_is(url, found):
    assert listed(url)[0] == found


@pytest.mark.usefixtures("memory")
def test_what_is_passed_over_behind_a_url_is_counted():
    _, listing = listed("memory://m/a")
    assert listing.passed_over == {"hidden": 2, ".txt": 1}
    found, _ = listed("memory://m/a", "memory:///m/a/.c/z.wav", "memory://m/a/b/*.txt")
    assert {"memory:///m/a/.c/z.wav", "memory:///m/a/b/y.txt"} <= set(found)


@pytest.mark.usefixtures("memory")
def test_a_recording_behind_a_url_has_the_row_of_its_file(shipped, tmp_path):
    url = Url("memory://m/a/x.wav")
    here = hear(Task(CLIPS[0], str(url), None), shipped)
    timeline = tmp_path / "t.jsonl"
    assert hear(Task(url, str(url), timeline), shipped) == here
    assert f'"source":"{url}"' in timeline.read_text()


def test_no_message_names_the_temporary_file(shipped, memory):
    memory.pipe("/m/cut.wav", b"RIFF" + bytes(40))
    answer = hear(Task(Url("memory://m/cut.wav"), "cut", None), shipped)
    assert answer.row["error"]
    assert "ser-live-" not in answer.row["error"]
    missing = hear(Task(Url("memory://m/missing.wav"), "missing", None), shipped)
    assert missing.row["error"] == "No such file or directory"


@pytest.mark.usefixtures("memory")
def test_the_copy_is_gone_afterwards():
    with local_copy(Url("memory://m/a/x.wav"), None, print) as path:
        assert path.read_bytes() == CLIPS[0].read_bytes()
        assert path.suffix == ".wav"
    assert not path.exists()


@pytest.mark.usefixtures("memory")
def test_what_is_fetched_gives_signs_of_life():
    signs = []
    with local_copy(Url("memory://m/a/x.wav"), None, print, alive=lambda: signs.append(None)):
        assert len(signs) > 1  # at its beginning, and with bytes


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(patience, "WAITS_S", (0.0, 0.0, 0.0))


def once_each(*faults):
    """The faults, one at a time, for each path; then none."""
    left = {}

    def fault(method, path):
        if method != "GET" or not path.split("?")[0].endswith(".flac"):
            return None
        waiting = left.setdefault(path, list(faults))
        return waiting.pop(0) if waiting else None

    return fault


@pytest.mark.usefixtures("hasty")
def test_faults_of_a_web_server_are_tried_again_and_told(shipped):
    pytest.importorskip("aiohttp")
    data = CLIPS[0].read_bytes()
    with FaultyServer({"/x.flac": data}) as server:
        server.fault = once_each(BROKEN, CUT)
        url = Url(f"{server.url}/x.flac")
        at_once = []
        answer = hear(Task(url, url, None), shipped, say_at_once=at_once.append)
        (now,) = at_once
        assert now.startswith(f"{url}: the server answers 500")
        assert now.endswith("; trying again")
        assert answer.row == hear(Task(CLIPS[0], url, None), shipped).row
        (said,) = answer.notices
        assert said.startswith(f"{url}: fetched at try 3 (the server answers 500")
        server.fault = lambda _method, _path: BROKEN
        answer = hear(Task(url, url, None), shipped)
        assert answer.row["error"].startswith("the server answers 500")
        assert answer.row["error"].endswith("(after 4 tries)")
        server.fault = lambda _method, _path: None
        before = len(server.requests)
        gone = Url(f"{server.url}/gone.flac")
        assert hear(Task(gone, gone, None), shipped).row["error"] == "No such file or directory"
        assert len(server.requests) == before + 1


def test_a_process_that_waits_to_try_again_says_so_before_it_has_an_answer(tmp_path):
    pytest.importorskip("aiohttp")
    with FaultyServer({"/x.flac": CLIPS[0].read_bytes()}) as server:
        server.fault = once_each(BROKEN)
        url = f"{server.url}/x.flac"
        result = score(url, "--workers", "1", "--output", tmp_path / "r.csv")
    assert result.returncode == 0, result.stderr
    first, second, *_ = result.stderr.decode().splitlines()
    assert first.startswith(f"ser-live: {url}: the server answers 500")
    assert first.endswith("; trying again")
    assert second.startswith(f"ser-live: {url}: fetched at try 2")


def test_a_size_that_was_not_promised_is_tried_again(memory, monkeypatch):
    monkeypatch.setattr(patience, "WAITS_S", (0.0,))
    said = []
    data = CLIPS[0].read_bytes()

    def cut(_path, name, **_):
        Path(name).write_bytes(data[:100])

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "get_file", lambda _self, path, name, **_: cut(path, name))
        with (
            pytest.raises(SerLiveError, match=r"100 of \d+ bytes came \(after 2 tries\)"),
            local_copy(Url("memory://m/a/x.wav"), len(data), said.append),
        ):
            pass
    with local_copy(Url("memory://m/a/x.wav"), 5, said.append) as path:  # it was replaced
        assert path.read_bytes() == data
    assert not said


@pytest.mark.parametrize(
    ("url", "said"),
    [("nosuch://x/y.wav", "Protocol not known: nosuch"), ("gs://x/y.wav", "gcsfs")],
)
def test_what_cannot_be_listed_is_a_row_with_its_error(url, said, tmp_path):
    if said == "gcsfs" and find_spec(said):
        pytest.skip("gcsfs is installed")
    output = tmp_path / "r.csv"
    result = score(url, "--output", output)
    assert result.returncode == 2
    assert said in result.stderr.decode()
    assert "Traceback" not in result.stderr.decode()
    (row,) = csv.DictReader(output.read_text().splitlines())
    assert row["file"] == url
    assert said in row["error"]
    assert score(url, "--output", output).returncode == 2
    assert len(output.read_text().splitlines()) == 2


def test_without_fsspec_a_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(RunFailure, match="pip install 'ser-live\\[remote\\]'"):
        ScorePlan(("s3://bucket/x.wav",)).check_extras()
    ScorePlan(("x.wav",)).check_extras()


@pytest.fixture(scope="module")
def bucket():
    """A bucket of 2,004 objects: two pages and a bit."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0)
    boto3 = pytest.importorskip("boto3")
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    client.create_bucket(Bucket="voices")
    for clip in CLIPS:
        client.put_object(Bucket="voices", Key=f"some/{clip.name}", Body=clip.read_bytes())
    for number in range(2_000):
        client.put_object(Bucket="voices", Key=f"many/{number % 7}/{number:05}.txt", Body=b"")
    yield f"{host}:{port}"
    server.stop()


def environment(url):
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def test_an_archive_on_s3_has_the_rows_of_its_files(bucket, local, tmp_path):
    output, settings = tmp_path / "r.csv", environment(f"http://{bucket}")
    result = score("s3://voices", "--output", output, environment=settings)
    assert result.returncode == 0, result.stderr
    assert "passed over 2000 files" in result.stderr.decode()
    assert table_of(output.read_text()) == local
    again = score("s3://voices/*/*.flac", "--output", output, environment=settings)
    assert "r.csv keeps 4 earlier rows" in complaint(again)
    missing = score("s3://nothing-here/x", "--output", output, environment=settings)
    assert missing.returncode == 2
    assert "Traceback" not in missing.stderr.decode()


@pytest.mark.long
def test_faults_of_s3_cost_no_row(bucket, local, tmp_path):
    """A 500, a body that is cut, a slow answer: for each recording; then one that stays broken."""
    output = tmp_path / "r.csv"
    with FaultyServer(upstream=bucket) as server:
        settings = environment(server.url)
        server.fault = once_each(BROKEN, CUT, SLOW)
        result = score("s3://voices/some/", "--output", output, environment=settings)
        assert result.returncode == 0, result.stderr
        assert table_of(output.read_text()) == local
        asked = Counter(path for method, path in server.requests if path.endswith(".flac"))
        assert all(count >= 3 for count in asked.values())
        output.unlink()
        stays = CLIPS[0].name
        server.fault = lambda _method, path: BROKEN if path.endswith(stays) else None
        result = score("s3://voices/some/", "--output", output, environment=settings)
        assert result.returncode == 2
        rows = table_of(output.read_text())
        assert rows.pop(stays)["error"].endswith("(after 4 tries)")
        assert rows == {name: row for name, row in local.items() if name != stays}
        server.fault = lambda _method, _path: None
        result = score("s3://voices/some/", "--output", output, environment=settings)
    assert result.returncode == 0, result.stderr
    assert "1 recording, " in complaint(result)
    assert table_of(output.read_text()) == local
