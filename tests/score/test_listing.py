"""What is listed: patterns, recordings in any number, and what one key costs."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from streamer.commands.score.finding.listing import Listing
from streamer.commands.score.finding.places import Url, base_name, below, place_of, suffix_of
from streamer.commands.score.results.rows import Keys
from streamer.errors import SerLiveError
from tests.helpers.trees import make_tree


def listed(*places):
    with Listing([*map(str, places)]) as listing:
        listing.wait()
        return sorted(str(item.place) for item in listing), listing


@pytest.fixture(autouse=True)
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_tree(tmp_path, ["a/x.wav", "a/b/y.flac", "a/b/y.txt", "a/.z.wav", "c/x.wav", "raw/u.raw"])


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*/x.wav", ["a/x.wav", "c/x.wav"]),
        ("a/**", ["a/b/y.flac", "a/x.wav"]),
        ("**/*.raw", ["raw/u.raw"]),
        ("[ac]", ["a/b/y.flac", "a/x.wav", "c/x.wav"]),
        ("a/b/*", ["a/b/y.flac"]),
        ("a/?.wav", ["a/x.wav"]),
    ],
)
def test_a_pattern_that_the_shell_left_is_expanded(pattern, found):
    assert listed(pattern)[0] == found


def test_a_pattern_counts_what_it_passes_over_and_says_where_nothing_matches():
    _, listing = listed("a/**", "nothing/*.wav")
    assert listing.passed_over == {"hidden": 1, ".txt": 1}
    assert list(listing.each_passed_over()) == ["a/.z.wav", "a/b/y.txt"]
    assert listing.complaints == ["nothing matches nothing/*.wav"]


@pytest.mark.parametrize(
    "places", [("raw/*", "raw/*.raw"), ("raw", "r*/u.raw"), ("r*/u.raw", "raw")]
)
def test_what_one_place_passes_over_another_may_find(places):
    found, listing = listed(*places)
    assert found == ["raw/u.raw"]
    others = [name for name in listing.each_passed_over() if name.endswith("u.raw")]
    assert others == []
    assert ".raw" not in listing.passed_over


def test_a_hidden_folder_is_counted_and_may_be_named(tmp_path):
    make_tree(tmp_path, ["a/.git/x.wav", "a/.git/y.txt"])
    found, listing = listed("a")
    assert found == ["a/b/y.flac", "a/x.wav"]
    assert listing.passed_over == {"hidden": 2, ".txt": 1}
    assert "a/.git" in listing.each_passed_over()
    found, listing = listed("a", "a/.git")
    assert found == ["a/.git/x.wav", "a/b/y.flac", "a/x.wav"]
    assert listing.passed_over == {".txt": 2, "hidden": 1}


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path):
    make_tree(tmp_path, ["d[1]/x.wav", "d1/y.wav"])
    assert listed("d[1]")[0] == ["d[1]/x.wav"]


def test_a_name_that_looks_like_a_url_is_a_name():
    make_tree(Path(), ["a::x.wav", "e/a::y.wav"])
    found = ["a/b/y.flac", "a/x.wav", "a::x.wav", "c/x.wav", "e/a::y.wav"]
    assert listed(".")[0] == found
    assert listed("*::x.wav")[0] == ["a::x.wav"]
    (item,) = listed("a::x.wav")[1]
    assert item.place == Path("a::x.wav")
    assert not isinstance(item.place, str)


def test_a_place_that_ends_in_any_error_is_told_and_the_others_are_listed(monkeypatch):
    def fail(*_, **__):
        raise LookupError("broken")

    monkeypatch.setattr("os.walk", fail)
    _, listing = listed("a", "c/x.wav")
    assert listing.complaints == ["cannot list a: broken"]
    assert [(item.name, item.problem) for item in listing] == [("a", "broken"), ("c/x.wav", None)]


def test_few_recordings_do_not_wait_for_more(tmp_path, monkeypatch):
    goes_on = threading.Event()

    def walk(*_, **__):
        yield str(tmp_path), [], ["1.wav", "2.wav", "3.wav"]
        goes_on.wait(60)

    monkeypatch.setattr("os.walk", walk)
    with Listing([str(tmp_path)]) as listing:
        found = iter(listing)
        assert [next(found).place.name for _ in range(3)] == ["1.wav", "2.wav", "3.wav"]
        assert listing.total is None
        goes_on.set()


def test_the_first_recordings_are_there_before_the_last_are_listed(tmp_path, monkeypatch):
    """A listing that never ends gives what it has found."""
    goes_on = threading.Event()

    def walk(*_, **__):
        yield str(tmp_path), [], ["x.wav"]
        yield str(tmp_path / "a"), [], [f"{n:04}.wav" for n in range(2_000)]
        goes_on.wait()

    monkeypatch.setattr("os.walk", walk)
    with Listing([str(tmp_path)]) as listing:
        first = iter(listing)
        assert next(first).place == tmp_path / "x.wav"
        assert [next(first).place.name for _ in range(3)] == ["0000.wav", "0001.wav", "0002.wav"]
        assert listing.total is None
        goes_on.set()
        assert listing.wait()
        assert listing.total == 2_001
        assert len(list(listing)) == len(list(listing)) == 2_001


def test_an_error_while_listing_is_raised_where_it_is_read(monkeypatch):
    def fail(*_, **__):
        raise SerLiveError("broken")

    monkeypatch.setattr("os.walk", fail)
    with Listing(["a"]) as listing, pytest.raises(SerLiveError, match="broken"):
        list(listing)


def test_keys_are_told_apart():
    keys = Keys([("a", "mix"), ("b", "1")])
    assert ("a", "mix") in keys
    assert ("a", "1") not in keys
    assert not keys.add(("b", "1"))
    assert keys.add(("\udcff", "mix"))
    assert len(keys) == 3


def test_urls_are_told_from_paths_and_have_timelines_of_their_own():
    assert isinstance(place_of("s3://bucket/x.wav"), Url)
    assert isinstance(place_of("zip://a.wav::s3://bucket/x.zip"), Url)
    assert place_of("a:b/x.wav") == Path("a:b/x.wav")
    assert base_name(Url("zip://a/x.wav::s3://bucket/x.zip")) == "x.wav"
    assert base_name(Url("simplecache::s3://bucket/y.wav")) == "y.wav"
    assert suffix_of(Url("zip://a/x.WAV::s3://bucket/x.zip")) == ".wav"
    found = below(Path("T"), place_of("https://host:1/../a?b=c/x.wav"), ".jsonl")
    assert found == Path("T/https/host_1/a_b=c/x.wav.jsonl")
