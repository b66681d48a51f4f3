"""Splits: no recording is lost or doubled, and no speaker is on two sides without a warning."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from streamer.errors import SerLiveError
from tests.helpers.trees import make_corpus, make_tree
from train.corpora.known import CORPORA, Utterance, read_corpus
from train.corpora.own_recordings import UNKNOWN
from train.corpora.splits import PARTS, describe_names, split_names, split_of

UNPACKED = Path.home() / ".cache" / "ser-live" / "corpora"


def people(corpus, speakers=None, each=1):
    """Make this many utterances per speaker of a corpus; by default of all its speakers."""
    return [
        Utterance(
            Path(f"{speaker}-{number}.wav"),
            "sad",
            speaker,
            corpus,
            speaker[:5] * (corpus == "iemocap"),
        )
        for speaker in speakers or CORPORA[corpus].speakers
        for number in range(each)
    ]


def everyone():
    return [one for corpus in ("cremad", "ravdess", "nemo") for one in people(corpus)]


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    corpora = tmp_path_factory.mktemp("corpora")
    for name in CORPORA:
        make_corpus(corpora, name)
    return corpora


def sides(found):
    return [getattr(found, part) for part in PARTS]


def speakers(utterances):
    return {one.speaker for one in utterances}


def shares_speakers(corpus, name):
    """Return whether a split may share speakers: random splits, and those of two speakers."""
    return "random" in name or (corpus == "tess" and name == "fixed")


def check(name, utterances):
    found = split_of(name, utterances)
    assert Counter(one for side in sides(found) for one in side) == Counter(utterances)
    assert found.train
    assert found.test
    corpus = utterances[0].corpus
    if shares_speakers(corpus, name):
        assert found.shared_speakers
        assert "expect worse on new voices" in found.warnings[0]
        return
    train, validation, test = map(speakers, sides(found))
    assert not train & validation
    assert not train & test
    assert not validation & test
    if corpus == "tess":
        assert found.warnings == ("no speakers are left to choose the epoch on",)
    else:
        assert validation
        assert not found.warnings


EVERY_SPLIT = [(corpus, name) for corpus in CORPORA for name in split_names(people(corpus))]


@pytest.mark.parametrize(("corpus", "name"), EVERY_SPLIT)
def test_no_speaker_is_on_two_sides_and_nothing_is_lost(trees, corpus, name):
    check(name, read_corpus(corpus, trees))


@pytest.mark.parametrize("corpus", CORPORA)
def test_no_speaker_is_on_two_sides_of_the_corpora_at_hand(corpus):
    if not (UNPACKED / corpus).is_dir():
        pytest.skip(f"needs {CORPORA[corpus].title} in {UNPACKED / corpus}")
    utterances = read_corpus(corpus, UNPACKED)
    for name in split_names(utterances):
        check(name, utterances)


@pytest.mark.parametrize(
    ("corpus", "folds"),
    [("ravdess", "ravdess-5"), ("ravdess", "emobox-6"), ("cremad", "folds-5"), ("nemo", "speakers"),
     ("iemocap", "iemocap-sessions"), ("emodb", "speakers"), ("tess", "speakers")],
)  # fmt: skip
def test_over_all_folds_every_speaker_is_tested_once(corpus, folds):
    utterances = people(corpus)
    names = [name for name in split_names(utterances) if name.partition("/")[0] == folds]
    tested = Counter(one for name in names for one in split_of(name, utterances).test)
    assert tested == Counter(utterances)


def numbers(utterances):
    return {int(one.speaker) for one in utterances}


def test_the_actors_of_ravdess_are_the_agreed_ones():
    agreed = {
        "ravdess-5/1": ({2, 5, 14, 15, 16}, {3, 6}),
        "ravdess-5/2": ({3, 6, 7, 13, 18}, {10, 11}),
        "ravdess-5/3": ({10, 11, 12, 19, 20}, {8, 17}),
        "ravdess-5/4": ({8, 17, 21, 23, 24}, {1, 14}),
        "ravdess-5/5": ({1, 4, 9, 22}, {2, 5}),
        "emobox-6/1": ({1, 11, 20, 21}, {4, 9}),
        "emobox-6/2": ({4, 10, 12, 14}, {8, 9}),
        "emobox-6/3": ({8, 9, 19, 23}, {3, 24}),
        "emobox-6/4": ({3, 5, 7, 24}, {2, 15}),
        "emobox-6/5": ({2, 15, 16, 18}, {6, 13}),
        "emobox-6/6": ({6, 13, 17, 22}, {1, 20}),
    }
    for name, expected in agreed.items():
        found = split_of(name, people("ravdess"))
        assert (numbers(found.test), numbers(found.validation)) == expected
    assert split_of("fixed", people("ravdess")) == split_of("ravdess-5/1", people("ravdess"))


def test_validation_uses_a_whole_session_of_iemocap():
    found = split_of("iemocap-sessions/5", people("iemocap"))
    assert speakers(found.test) == {"Ses05F", "Ses05M"}
    assert speakers(found.validation) == {"Ses01F", "Ses01M"}
    assert split_of("fixed", people("iemocap")) == found


def test_the_random_split_has_the_papers_size_and_depends_only_on_the_seed():
    utterances = people("iemocap", each=50)
    first = split_of("iemocap-random/1", utterances)
    assert [len(side) for side in sides(first)] == [405, 45, 50]
    again = split_of("iemocap-random/1", utterances[::-1])
    assert [set(side) for side in sides(again)] == [set(side) for side in sides(first)]
    assert set(split_of("iemocap-random/2", utterances).test) != set(first.test)
    elsewhere = [
        Utterance(Path("/elsewhere") / one.path, one.label, one.speaker, one.corpus, one.session)
        for one in utterances
    ]
    moved = split_of("iemocap-random/1", elsewhere)
    assert [one.path.name for one in moved.test] == [one.path.name for one in first.test]


@pytest.mark.parametrize(
    ("corpus", "name"), [("cremad", "fixed"), ("ravdess", "emobox-6/4"), ("cremad", "folds-5/3")]
)
def test_adding_or_removing_a_speaker_moves_no_other(corpus, name):
    def parts(utterances):
        found = split_of(name, utterances)
        return {one: part for part in PARTS for one in getattr(found, part)}

    utterances = people(corpus)
    assert parts(utterances[::2] + utterances[1:12]).items() <= parts(utterances).items()


def test_one_call_splits_several_corpora_each_in_its_own_way():
    together = split_of("fixed", everyone())
    for corpus in ("cremad", "ravdess", "nemo"):
        alone = split_of("fixed", people(corpus))
        for part in PARTS:
            found = [one for one in getattr(together, part) if one.corpus == corpus]
            assert found == list(getattr(alone, part))
    with pytest.raises(SerLiveError, match="is of one corpus, not of cremad, ravdess, nemo"):
        split_of("folds-5/1", everyone())


@pytest.mark.parametrize(
    ("corpus", "name"),
    [
        ("nemo", "ravdess-5/1"),
        ("ravdess", "ravdess-5/6"),
        ("ravdess", "speakers/25"),
        ("ravdess", "random/1"),
        ("ravdess", "folds-2/1"),
        ("ravdess", "folds-25/1"),
        ("ravdess", "folds-5/0"),
        ("iemocap", "iemocap-random/one"),
        ("iemocap", "speakers/Ses01F"),  # the other speaker of the session is audible with her
        ("tess", "folds-5/1"),
        ("cremad", ""),
    ],
)
def test_an_unknown_split_names_the_known_ones(corpus, name):
    with pytest.raises(SerLiveError, match=f"{corpus} has no split {name!r}: it has fixed"):
        split_of(name, people(corpus))


def test_names_are_described_in_short():
    assert describe_names(split_names(people("ravdess"))) == (
        "fixed, ravdess-5/1 to 5, emobox-6/1 to 6, speakers/01 to 24, folds-5/1 to 5"
    )
    assert describe_names(split_names(people("iemocap"))) == (
        "fixed, iemocap-sessions/1 to 5, iemocap-random/SEED"
    )
    assert describe_names(split_names(people("tess"))) == ("fixed, random/SEED, speakers/OA to YA")


def test_too_little_to_split_is_reported():
    with pytest.raises(SerLiveError, match="leaves nothing for train of the 2 recordings"):
        split_of("fixed", people("ravdess", ["02"], each=2))
    with pytest.raises(SerLiveError, match="leaves nothing for train of the 0"):
        split_of("fixed", [])


@pytest.mark.parametrize(
    ("named", "fixed"),
    [
        (["anna"], "random/1"),
        (["anna", "ben"], "random/1"),
        (["anna", "ben", "cleo"], "speakers/cleo"),
        (["anna", "ben", "cleo", "dan", "eve", "finn"], "folds-5/1"),
        (["anna", "ben", "cleo", UNKNOWN], "random/1"),
    ],
)
def test_own_recordings_are_split_by_speaker_if_there_are_enough(tmp_path, named, fixed):
    folder = tmp_path / "mine"
    make_tree(
        folder,
        [f"{mood}/{who}/{n}.wav" for mood in ("keen", "bored") for who in named for n in range(9)],
    )
    utterances = read_corpus(str(folder), tmp_path, ("keen", "bored"))
    found = split_of("fixed", utterances)
    assert found == split_of(fixed, utterances)
    assert fixed in split_names(utterances)
    assert all(sides(found))
    assert bool(found.warnings) == (fixed == "random/1")
    for name in split_names(utterances):
        parts = split_of(name, utterances)
        assert Counter(one for side in sides(parts) for one in side) == Counter(utterances)
        is_random = "random/1" in (name, fixed if name == "fixed" else "")
        assert bool(parts.shared_speakers) == is_random


def test_unknown_speakers_give_a_warning(tmp_path):
    make_tree(
        tmp_path, [f"{mood}/{number}.wav" for mood in ("keen", "bored") for number in range(9)]
    )
    found = split_of("fixed", read_corpus(str(tmp_path), tmp_path))
    assert [len(side) for side in sides(found)] == [14, 2, 2]
    assert "nobody says who speaks" in found.warnings[0]
    assert found.warnings[0].endswith("(folders LABEL/SPEAKER/ name the speakers)")
    table = tmp_path / "table.csv"
    rows = [f"keen/{number}.wav,keen" for number in range(9)]
    table.write_text("\n".join(["file,label", *rows]))
    (warning,) = split_of("fixed", read_corpus(str(table), tmp_path)).warnings
    assert warning.endswith("(the table needs the columns file, label and speaker)")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["keen/anna/1.wav", "bored/ben/1.wav"], "bored has 1, keen has 1$"),
        (["keen/1.wav", "bored/1.wav"], r"bored has 0, keen has 0 \(folders LABEL/SPEAKER/ name"),
    ],
)
def test_too_few_own_recordings_to_split_are_reported_by_speakers(tmp_path, files, said):
    make_tree(tmp_path, files)
    with pytest.raises(SerLiveError, match=f"needs recordings of at least 3 speakers; {said}"):
        split_of("fixed", read_corpus(str(tmp_path), tmp_path))
