"""The assumed frequency of the emotions: its arithmetic, its source and its use."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from streamer.commands.latency.stopwatch import TimedRecognizer
from streamer.commands.program import main
from streamer.errors import SerLiveError
from streamer.recognition.decision import Decision
from streamer.recognition.metadata import ModelMetadata
from streamer.recognition.prior import PRIORS, under_prior
from streamer.recognition.recognizer import Recognizer
from streamer.session.interrupts import Interrupts
from tests.helpers.estimates import block_sizes, probabilities, run
from tests.helpers.many_streams import Client, assert_as_if_alone
from tests.helpers.model_files import altered
from tests.helpers.networks import describe, lively_network
from tests.helpers.places import CLIPS
from tests.helpers.simulated import listen_to

SHARES = np.array([0.05, 0.08, 0.8, 0.07])


@pytest.fixture(scope="module")
def everyday(shipped):
    return shipped.with_prior("everyday")


@pytest.fixture
def without_prior(model_file, tmp_path):
    """A model file without an everyday prior."""
    return altered(model_file, tmp_path / "own.onnx", lambda v: v.update(everyday_prior=[]))


def test_a_label_sixteen_times_as_frequent_has_sixteen_times_the_odds():
    balanced = np.array([[0.5, 0.25, 0.25, 0.0]], np.float32)
    ((angry, happy, neutral, sad),) = under_prior(balanced, np.array([0.05, 0.05, 0.8, 0.1]))
    assert neutral / angry == pytest.approx(16 * 0.25 / 0.5)
    assert happy / angry == pytest.approx(0.25 / 0.5)
    assert sad == 0.0
    assert angry + happy + neutral == pytest.approx(1.0)


def test_uniform_probabilities_become_the_prior():
    blank = np.full((1, 4), 0.25, np.float32)
    np.testing.assert_allclose(under_prior(blank, SHARES)[0], SHARES, rtol=1e-6)


def test_a_uniform_prior_changes_nothing():
    balanced = np.random.default_rng(0).dirichlet(np.ones(4), 1_000).astype(np.float32)
    alike = under_prior(balanced, np.full(4, 0.25))
    np.testing.assert_allclose(alike, balanced, rtol=1e-6)


rows = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.integers(2, 20)),
    elements=st.floats(0, 1, width=32),
)


@given(rows, st.integers(0, 2**32 - 1))
def test_rows_are_independent_and_stay_shares(balanced, seed):
    shares = np.random.default_rng(seed).dirichlet(np.ones(balanced.shape[1]))
    together = under_prior(balanced, shares)
    alone = [under_prior(row[None], shares)[0] for row in balanced]
    np.testing.assert_array_equal(together, alone)
    assert together.dtype == np.float32
    assert together.min() >= 0.0
    assert together.max() <= 1.0
    sums = together.sum(axis=1)
    is_something = balanced.max(axis=1) > 1e-30
    np.testing.assert_allclose(sums[is_something], 1.0, atol=1e-6)
    assert not together[balanced.max(axis=1) == 0.0].any()  # zero stays zero


def ordinary_rows(values):
    return np.array(values, np.float32)[:, None]


def test_the_probability_of_ordinary_speech_raises_the_usual_label_by_its_odds():
    balanced = np.array([[0.4, 0.2, 0.1, 0.3]], np.float32)
    shares, trained = np.array([0.05, 0.05, 0.85, 0.05]), 0.2
    # Of neutral's 0.85, acted speech has 0.05, as for each other label, and ordinary speech 0.8.
    ((angry, _, neutral, _),) = under_prior(balanced, shares, ordinary_rows([0.3]), trained)
    odds = (0.3 / 0.7) * (0.8 / 0.2) * (0.8 / 0.2)
    ordinary = odds / (1 + odds)
    assert neutral == pytest.approx(ordinary + (1 - ordinary) * 0.1, abs=1e-6)
    assert angry == pytest.approx((1 - ordinary) * 0.4, abs=1e-6)


def test_surely_acted_speech_is_shared_as_among_actors():
    balanced = np.random.default_rng(1).dirichlet(np.ones(4), 50).astype(np.float32)
    shares = np.array([0.05, 0.05, 0.85, 0.05])
    acted = under_prior(balanced, shares, ordinary_rows(np.zeros(50)), 0.12)
    np.testing.assert_allclose(acted, balanced, atol=1e-6)
    ordinary = under_prior(balanced, shares, ordinary_rows(np.ones(50)), 0.12)
    np.testing.assert_allclose(ordinary[:, 2], 1.0)


@given(rows, st.integers(0, 2**32 - 1))
def test_rows_with_ordinary_speech_are_independent_and_stay_shares(balanced, seed):
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.ones(balanced.shape[1]))
    likely = ordinary_rows(generator.random(len(balanced)))
    together = under_prior(balanced, shares, likely, 0.12)
    alone = [
        under_prior(row[None], shares, each[None], 0.12)[0]
        for row, each in zip(balanced, likely, strict=True)
    ]
    np.testing.assert_array_equal(together, alone)
    assert together.min() >= 0.0
    assert together.max() <= 1.0


def metadata_with(*shares):
    return replace(describe(lively_network("immediate")), everyday_prior=shares)


def test_metadata_is_read_back_with_the_prior_it_was_written_with():
    shares = (0.1, 1 / 3, 0.5, math.fsum((1, -0.1, -1 / 3, -0.5)))
    assert ModelMetadata.from_json(metadata_with(*shares).to_json()).everyday_prior == shares
    assert ModelMetadata.from_json(metadata_with().to_json()).everyday_prior == ()


@pytest.mark.parametrize("sum_of_all", [1 - 9e-7, 1 + 9e-7])
def test_a_prior_may_be_rounded(sum_of_all):
    metadata_with(0.1, 0.1, 0.1, sum_of_all - 0.3)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.5, 0.5), "4 shares"),
        ((0.2,) * 5, "4 shares"),
        ((0.0, 0.1, 0.8, 0.1), "between 0 and 1"),
        ((-0.1, 0.3, 0.7, 0.1), "between 0 and 1"),
        ((math.nan, 0.1, 0.8, 0.1), "between 0 and 1"),
        ((True, 0.1, 0.8, 0.1), "between 0 and 1"),
        (("0.25",) * 4, "between 0 and 1"),
        ((0.1, 0.1, 0.1, 0.700002), "sum to 1"),
        ((0.1, 0.1, 0.1, 0.699998), "sum to 1"),
    ],
)
def test_an_impossible_prior_is_refused(shares, said):
    with pytest.raises(ValueError, match=said):
        metadata_with(*shares)


@pytest.mark.parametrize("model", [None, "research"])
def test_the_shipped_models_have_an_everyday_prior(model):
    metadata = Recognizer.load(model).metadata
    assert max(zip(metadata.everyday_prior, metadata.labels, strict=True))[1] == "neutral"


def test_only_the_prior_comes_between_network_and_decision(shipped, everyday, speech):
    """Bit for bit: the decision sees the reported probabilities and no others."""
    plain, estimates = run(shipped, speech), run(everyday, speech)
    shares = np.array(shipped.metadata.everyday_prior)
    likely = ordinary_rows([estimate.ordinary for estimate in plain])
    share = shipped.metadata.ordinary_share
    expected = under_prior(probabilities(plain), shares, likely, share)
    np.testing.assert_array_equal(probabilities(estimates), expected)
    assert (probabilities(plain) != expected).any()
    metadata = shipped.metadata
    decision = Decision(metadata.labels, metadata.window_timesteps, metadata.decision)
    state, labels = decision.initial_state(), []
    for row, estimate in zip(expected, plain, strict=True):
        label, state = decision.decide(row, estimate.speech, state)
        labels.append(label)
    assert [e.label for e in estimates] == labels
    assert labels != [e.label for e in plain]


@settings(max_examples=8, deadline=None)
@given(sizes=block_sizes)
def test_blocks_change_nothing_under_the_prior(everyday, speech, sizes):
    samples = speech[:48_000]
    whole, cut = run(everyday, samples), run(everyday, samples, sizes)
    np.testing.assert_array_equal(probabilities(cut), probabilities(whole))
    assert [e.label for e in cut] == [e.label for e in whole]


def test_streams_that_step_together_under_the_prior_are_each_as_if_alone(everyday, speech):
    clients = [Client(everyday, speech[3_000 * i : 3_000 * i + 32_000]) for i in range(30)]
    for step in range(50):
        present = [c for i, c in enumerate(clients) if (i + step) % 7]  # some skip a turn
        blocks = [client.next_block(640) for client in present]
        results = everyday.accept_many([client.stream for client in present], blocks)
        for client, estimates in zip(present, results, strict=True):
            client.estimates += estimates
    for client in clients[::3]:
        client.estimates += client.stream.flush()
        assert_as_if_alone(everyday, client.samples[: client.heard], client.estimates)


def test_the_prior_of_one_recognizer_is_not_that_of_another(shipped, everyday, speech):
    before = probabilities(run(shipped, speech[:32_000]))
    assert (shipped.prior, everyday.prior) == ("balanced", "everyday")
    run(everyday, speech[:32_000])
    np.testing.assert_array_equal(probabilities(run(shipped, speech[:32_000])), before)
    back = everyday.with_prior("balanced")
    np.testing.assert_array_equal(probabilities(run(back, speech[:32_000])), before)
    with pytest.raises(ValueError, match="everyday, balanced"):
        shipped.with_prior("sunday")


def test_a_timed_recognizer_uses_the_prior_too(everyday, speech):
    timed = TimedRecognizer.load(prior="everyday")
    np.testing.assert_array_equal(
        probabilities(run(timed, speech[:32_000])), probabilities(run(everyday, speech[:32_000]))
    )


def test_a_model_without_the_prior_says_so_in_a_line(without_prior):
    assert Recognizer.load(without_prior).prior == "balanced"
    with pytest.raises(SerLiveError, match=r"own\.onnx: .*, so its prior is balanced$") as caught:
        Recognizer.load(without_prior, "everyday")
    assert caught.value.exit_code == 2
    assert str(caught.value).isprintable()


@pytest.fixture
def heard_at_the_microphone(monkeypatch, speech):
    """Samples in place of a microphone."""

    listen_to(monkeypatch, speech)
    return speech


@pytest.fixture
def said(capsys):
    """Return the JSON lines of a command."""

    def run_command(*arguments):
        assert main([*map(str, arguments), "--format", "jsonl"], Interrupts()) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return [json.loads(line) for line in out.splitlines()]

    return run_command


def test_listen_uses_the_everyday_prior_and_its_recording_replays_to_the_same(
    heard_at_the_microphone, said, tmp_path
):
    soundfile.write(tmp_path / "heard.wav", heard_at_the_microphone, 16_000, subtype="FLOAT")
    replay = ("replay", tmp_path / "heard.wav", "--speed", "max")
    live, again, balanced = said("listen"), said(*replay, "--prior", "everyday"), said(*replay)
    assert [one[0]["prior"] for one in (live, again, balanced)] == [
        "everyday",
        "everyday",
        "balanced",
    ]
    assert [one.get("label") for one in live] == [one.get("label") for one in again]
    for one, other in zip(live[1:], again[1:], strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=2e-6)
    assert live[1:] != balanced[1:]
    other = said("listen", "--prior", "balanced")
    assert [one.get("label") for one in other] == [one.get("label") for one in balanced]


@pytest.mark.usefixtures("heard_at_the_microphone")
def test_listen_uses_the_balanced_prior_if_the_model_has_no_other(said, without_prior, capsys):
    assert said("listen", "--model", without_prior)[0]["prior"] == "balanced"
    for command in (["listen"], ["replay", CLIPS[0]], ["score", CLIPS[0]], ["picture", CLIPS[0]]):
        arguments = [*command, "--model", without_prior, "--prior", "everyday"]
        assert main([*map(str, arguments)], Interrupts()) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert err.endswith("say --prior balanced\n")


def test_info_shows_the_everyday_prior(without_prior, capsys, shipped):
    assert main(["info"], Interrupts()) == 0
    text = capsys.readouterr().out
    (line,) = [line for line in text.splitlines() if line.startswith("everyday prior")]
    for label, share in zip(shipped.metadata.labels, shipped.metadata.everyday_prior, strict=True):
        assert f"{label} {100 * share:.3g} %" in line
    assert main(["info", "--model", str(without_prior)], Interrupts()) == 0
    assert re.search(r"^everyday prior +not known$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("command", ["listen", "replay", "score", "picture", "latency"])
def test_help_explains_the_prior_and_its_default(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"], Interrupts())
    text = " ".join(capsys.readouterr().out.split())
    _, _, about = text.rpartition(f"--prior {{{','.join(PRIORS)}}}")
    default = "everyday" if command == "listen" else "balanced"
    assert "neutral" in about
    assert f"(default: {default}" in about.partition(")")[0]
