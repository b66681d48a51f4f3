"""A long stream behaves as at its start, and forgets audio of long ago."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from streamer.errors import RunFailure
from streamer.session.clock import Pace
from streamer.signal import TIMESTEP_SAMPLES
from streamer.sound.resampler import Resampler, resampler_look_ahead_s
from tests.helpers.places import CLIPS
from train import __main__ as command
from train.endurance.day import Day, Material
from train.endurance.soak import GRID_SAMPLES, soak, text_of

SECONDS = 120.0


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    path = tmp_path_factory.mktemp("noise") / "hum.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 48_000), 16_000)
    return Material(CLIPS, [path])


@pytest.fixture(scope="module")
def result(shipped, material):
    return soak(shipped, material, 0, SECONDS, contexts_s=(5.0, 95.0, 3600.0), compared_s=15.0)


def test_a_soaked_stream_is_complete_and_does_not_grow(result):
    assert result.faults() == []
    assert result.duration_s == SECONDS
    assert result.estimates == SECONDS * 25
    if result.resident_mib:
        half = len(result.resident_mib) // 2
        assert result.resident_mib[-1] - result.resident_mib[half] < 10.0


def test_a_fresh_stream_converges_to_the_old_one(result):
    """A context of an hour is longer than this day, so it has no result."""
    by_context = {one.context_s: one for one in result.likeness}
    little, much = by_context.pop(5.0), by_context.pop(95.0)
    assert not by_context
    assert much.difference < 0.3 * little.difference
    assert much.same_labels > 0.98


def test_the_figures_of_a_soak_are_shown(result):
    told = text_of(result)
    assert "3000 estimates, 0 off time, 0 not finite, ended at 120.000000 s" in told
    assert "after 95 s" in told


def test_a_day_is_reproducible_for_any_blocks(material):
    once, again, other = (
        np.concatenate(list(Day(material, seed, 400_000).blocks(block_ms)))
        for seed, block_ms in ((3, 40), (3, 7), (4, 40))
    )
    assert len(once) == 400_000
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


@pytest.mark.parametrize("step", [0.04 * (1 + 1e-6), float("nan")])
def test_a_clock_that_drifts_is_a_fault(shipped, material, monkeypatch, step):
    """The drift is a millionth: one sample per minute."""
    monkeypatch.setattr("streamer.recognition.engine.TIMESTEP_S", step)
    drifting = soak(shipped, material, 0, 8.0, contexts_s=())
    assert any("times that are not" in one for one in drifting.faults())


def test_a_fault_is_a_failure_at_run_time(monkeypatch, capsys, tiny_corpus, result):
    broken = replace(result, not_finite=1)
    monkeypatch.setattr("train.endurance.soak.soak", lambda *_: broken)
    monkeypatch.setattr("sys.argv", ["train", "soak", "--corpora", str(tiny_corpus)])
    assert command.main() == RunFailure.exit_code
    assert "estimates that are not finite: 1" in capsys.readouterr().err


def test_impossible_hours_are_refused_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["train", "soak", "--hours", "nan"])
    assert command.main() == 2
    assert "--hours: 'nan' is not a number of hours from 0.01 to 1000" in capsys.readouterr().err


def test_a_stream_with_the_gate_and_normaliser_of_another_continues_like_it(shipped, speech):
    """Bit for bit, once the memories of network and decision have filled again.

    The voice memory goes back a minute; here it takes nothing in.
    """
    old, fresh = shipped.stream(adapts=False), shipped.stream(adapts=False)
    old.accept(np.tile(speech, 3)[: 144 * GRID_SAMPLES])
    fresh.state = replace(fresh.state, spectra=old.state.spectra, normaliser=old.state.normaliser)
    # The rolling window of a timestep, plus the look-back of the memory blocks.
    context, further = 300 * TIMESTEP_SAMPLES, speech[: 100 * TIMESTEP_SAMPLES]
    after = np.tile(speech, 2)[:context]
    for stream in (old, fresh):
        stream.accept(after)
    pairs = list(zip(old.accept(further), fresh.accept(further), strict=True))
    assert len(pairs) == 100
    for one, other in pairs:
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        np.testing.assert_array_equal(one.attention, other.attention)
        assert one.speech == other.speech


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_resampling_loses_no_sample_in_half_an_hour(rate):
    resampler = Resampler(rate)
    second = np.zeros(rate, np.float32)
    given = 0
    for heard in range(1, 1801):
        given += len(resampler.accept(second))
        assert 0 <= heard * 16_000 - given <= resampler_look_ahead_s(rate) * 16_000 + 1
    assert given + len(resampler.flush()) == 1800 * 16_000


def test_pacing_is_exact_after_a_day(monkeypatch):
    """Moments are counted from the start, so errors do not add up."""
    now = 1e6
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("time.sleep", lambda _: None)
    pace = Pace(1.0)
    pace.wait_until(0.01, 0.01)
    now += 86_400.0
    assert pace.latency_ms(86_400.0) == pytest.approx(0.0, abs=1e-3)
