"""Judging in running streams: joining, which timesteps count, and false alarms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamer.recognition.decision import SILENCE, UNCERTAIN, WARMING_UP, Verdict
from streamer.signal import SAMPLE_RATE, TIMESTEP_SAMPLES
from streamer.sound.files.recording import read_recording
from tests.helpers.generated import EMOTIONS, utterances
from tests.helpers.places import CLIPS
from train.corpora.known import Utterance
from train.corpora.own_recordings import UNKNOWN
from train.features.augment import active_rms
from train.measuring.conditions import CLEAN, Condition
from train.measuring.effects import EFFECTS
from train.measuring.false_alarms import count_alarms, judge_acted
from train.measuring.hearing import StreamResult, hear, votes_of
from train.measuring.held import Holding, held_for, judge_held, plan_holding
from train.measuring.sessions import (
    FAINT_RMS,
    LEADS_S,
    LONG_PAUSE_S,
    MOST_UTTERANCES,
    PAUSES_S,
    HeardSession,
    Session,
    faint_noise,
    figures_of,
    hear_session,
    judge_sessions,
    mean_level,
    own_timesteps,
    parts_of,
    plan_sessions,
)

# Sessions


@pytest.mark.parametrize("pause_s", PAUSES_S)
def test_every_utterance_is_in_one_session_of_its_speaker(pause_s):
    given = utterances(["A", "B"])
    sessions = plan_sessions(given, pause_s)
    used = [one for session in sessions for one in session.utterances]
    assert len(used) == len(given)
    assert set(used) == set(given)
    for session in sessions:
        assert len({one.speaker for one in session.utterances}) == 1
        assert 2 <= len(session.utterances) <= MOST_UTTERANCES
        assert session.pause_s == pause_s


def test_leads_and_fillings_take_turns():
    sessions = [
        one for pause_s in PAUSES_S for one in plan_sessions(utterances("ABCDEFGH", 20), pause_s)
    ]
    met = {(one.lead_s, one.is_noisy) for one in sessions}
    assert met == {(lead_s, is_noisy) for lead_s in LEADS_S for is_noisy in (False, True)}
    firsts = {}
    for one in sessions:
        firsts.setdefault(one.utterances[0], set()).add(one.lead_s)
    assert all(len(leads) == len(PAUSES_S) for leads in firsts.values())
    beginnings = [one for one in sessions if one.pause_s == 0.4][:: len(sessions) // 24]
    assert len({one.lead_s for one in beginnings}) > 1  # starts differ by speaker


def test_the_order_is_the_speakers_own():
    def order(plan):
        return [one.utterances for one in plan]

    alone = plan_sessions(utterances(["B"]), 1.0)
    assert plan_sessions(utterances(["A", "B"]), 1.0)[-len(alone) :] == alone
    assert order(plan_sessions(utterances(["B"]), 3.0)) == order(alone)
    labels = [one.label for session in alone for one in session.utterances]
    assert labels != sorted(labels)


def test_voices_of_unknown_speakers_are_not_put_into_one_session():
    assert plan_sessions(utterances([UNKNOWN]), 1.0) == []
    assert plan_holding(utterances([UNKNOWN])) == []
    assert judge_sessions({pause_s: [] for pause_s in PAUSES_S}, None) is None


def test_a_part_owns_the_timesteps_entirely_within_it():
    assert own_timesteps(0, 10 * TIMESTEP_SAMPLES) == (0, 10)
    assert own_timesteps(0, 10 * TIMESTEP_SAMPLES - 1) == (0, 9)
    assert own_timesteps(1, 10 * TIMESTEP_SAMPLES) == (1, 10)
    assert own_timesteps(TIMESTEP_SAMPLES + 1, TIMESTEP_SAMPLES + 9) == (2, 2)


def test_votes_are_those_of_the_runtimes_verdict(shipped, speech):
    heard = hear(shipped, speech)
    metadata = shipped.metadata
    verdict = Verdict(metadata.labels, metadata.window_timesteps, metadata.decision.speech_on)
    for probabilities, voice in zip(heard.probabilities, heard.speech, strict=True):
        verdict.add(probabilities, float(voice))
    votes = votes_of(heard, metadata)
    assert not votes[heard.speech < metadata.decision.speech_on].any()
    np.testing.assert_allclose(votes @ heard.probabilities / votes.sum(), verdict.probabilities)


def session_of_clips(**fields):
    own = tuple(
        Utterance(clip, emotion, "1018", "cremad")
        for clip, emotion in zip(CLIPS, EMOTIONS, strict=True)
    )
    return Session(**{"name": "x", "utterances": own, "pause_s": 1.0, "lead_s": 1.0} | fields)


@pytest.mark.parametrize("is_noisy", [False, True])
def test_a_session_is_one_stream_with_each_utterance_at_its_span(shipped, model_file, is_noisy):
    one = hear_session(session_of_clips(is_noisy=is_noisy), model_file)
    pause = faint_noise("x") if is_noisy else lambda samples: np.zeros(samples, np.float32)
    row, spans, at = [], [], 0
    for clip in CLIPS:
        row += [pause(SAMPLE_RATE), read_recording(clip)]
        at += SAMPLE_RATE
        spans.append(own_timesteps(at, at + len(row[-1])))
        at += len(row[-1])
    alike = hear(shipped, np.concatenate(row))
    np.testing.assert_array_equal(one.heard.probabilities, alike.probabilities)
    assert one.spans == tuple(spans)
    for part, (first, end) in zip(parts_of([one], shipped.metadata), spans, strict=True):
        np.testing.assert_array_equal(part.probabilities, alike.probabilities[first:end])
        assert part.labels == alike.labels[first:end]
        assert part.votes.any()


@pytest.fixture
def heard_samples(monkeypatch):
    """The samples of every stream that a session is heard in."""
    heard_ = []

    def keep(recognizer, samples, **settings):
        heard_.append(samples)
        return hear(recognizer, samples, **settings)

    monkeypatch.setattr("train.measuring.sessions.hear", keep)
    return heard_


def test_a_condition_lasts_all_the_stream_and_pauses_do_not_change_its_level(
    heard_samples, model_file, noise_root
):
    spoken_db = np.mean([20 * np.log10(active_rms(read_recording(clip))) for clip in CLIPS])
    for pause_s in (0.4, 3.0):
        noisy = Condition(snr_db=10.0)
        for condition in (CLEAN, noisy):
            hear_session(
                session_of_clips(pause_s=pause_s, lead_s=10.0, is_noisy=False),
                model_file,
                condition=condition,
                noise_root=noise_root,
            )
        clean, over_noise = heard_samples[-2:]
        noise = over_noise - clean
        rms = np.sqrt(np.mean(noise.astype(np.float64) ** 2))
        assert spoken_db - 20 * np.log10(rms) == pytest.approx(10.0, abs=0.1)
        assert np.abs(noise[:SAMPLE_RATE]).max() > 0  # in the lead, too


def test_silent_and_very_short_recordings_do_not_change_the_level():
    spoken = [read_recording(clip) for clip in CLIPS]
    nothing = [np.zeros(16_000, np.float32), np.full(300, 0.1, np.float32)]
    assert mean_level([*spoken, *nothing]) == mean_level(spoken)
    assert 0 < mean_level(nothing) <= 1e-5


@pytest.mark.parametrize("effect", EFFECTS)
def test_in_every_condition_the_spans_are_where_the_speech_is(
    heard_samples, effect, model_file, noise_root
):
    condition = Condition(effect=effect)
    session = session_of_clips(pause_s=3.0, is_noisy=False)
    one = hear_session(session, model_file, condition=condition, noise_root=noise_root)
    (samples,) = heard_samples
    pieces = samples[: len(samples) // TIMESTEP_SAMPLES * TIMESTEP_SAMPLES]
    power = np.var(pieces.reshape(-1, TIMESTEP_SAMPLES), axis=1)
    own = np.zeros(len(power), bool)
    for first, end in one.spans:
        own[first:end] = True
    assert power[own].mean() > 10 * power[~own].mean()
    shorter = 1.25 if effect == "tempo 1.25" else 1.0
    lengths = [len(read_recording(clip)) / shorter / TIMESTEP_SAMPLES for clip in CLIPS]
    np.testing.assert_allclose(np.diff(one.spans)[:, 0], lengths, atol=2.0)


def test_faint_noise_is_faint_and_goes_on():
    noise = faint_noise("x")
    first, second = noise(16_000), noise(16_000)
    assert np.sqrt(np.mean(first**2)) == pytest.approx(FAINT_RMS, rel=0.02)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(faint_noise("x")(16_000), first)


def made_session(answers, truths, speech=None, pause_s=LONG_PAUSE_S, speaker="A"):
    """Make utterances of ten timesteps with these answers, each followed by ten of silence."""
    own = tuple(Utterance(Path(f"{i}.wav"), t, speaker, "cremad") for i, t in enumerate(truths))
    probabilities = np.zeros((20 * len(own), 4), np.float32)
    labels, spans = [], []
    for index, answer in enumerate(answers):
        probabilities[20 * index : 20 * index + 20, EMOTIONS.index(answer)] = 1.0
        labels += [answer] * 10 + [SILENCE] * 10
        spans.append((20 * index, 20 * index + 10))
    gate = np.tile(np.repeat([0.9, 0.1], 10), len(own)) if speech is None else speech
    heard = StreamResult(len(labels) * 640, probabilities, gate.astype(np.float32), tuple(labels))
    return HeardSession(Session(speaker, own, pause_s, 0.0, False), tuple(spans), heard)


def test_verdicts_are_counted_by_pause_and_place(shipped):
    truths = ("angry", "happy", "neutral", "sad", "angry", "happy")
    wrong = ("angry", "angry", "neutral", "sad", "sad", "sad")
    sessions = [made_session(wrong, truths, speaker=speaker) for speaker in "AB"]
    right = [made_session(truths, truths, pause_s=pause_s) for pause_s in (0.4, 1.0)]
    by_pause = {0.4: right[:1], 1.0: right[1:], 3.0: sessions}
    running = judge_sessions(by_pause, shipped.metadata)
    assert list(running.by_pause) == [3.0, 1.0, 0.4]
    assert running.by_pause[1.0].voted.scores.uar == 100.0
    assert running.headline.voted.scores.recall.tolist() == [50.0, 0.0, 100.0, 100.0]
    assert {name: one.scores.wa for name, one in running.by_place.items()} == pytest.approx(
        {"first": 100.0, "second and third": 50.0, "fourth and later": 100 / 3}
    )
    assert list(running.by_lead) == [0.0]
    assert running.by_lead[0.0].scores.confusion.sum() == 4
    assert running.minutes == pytest.approx(4 * 120 * 0.04 / 60)


def test_an_utterance_without_speech_is_an_error(shipped):
    one = made_session(("angry", "happy"), ("angry", "happy"), np.r_[np.ones(10), np.zeros(30)])
    scores = figures_of(parts_of([one], shipped.metadata), shipped.metadata).voted.scores
    assert scores.without_verdict == 1
    assert scores.recall[:2].tolist() == [100.0, 0.0]


def test_estimates_with_more_speech_weigh_more_in_the_verdict_but_not_in_the_mean(shipped):
    one = made_session(("sad",), ("angry",))
    one.heard.probabilities[:6] = [1.0, 0.0, 0.0, 0.0]
    figures = figures_of(parts_of([one], shipped.metadata), shipped.metadata)
    assert figures.voted.scores.recall[0] == 0.0  # 49 + 64 + 81 + 100 outweigh 1 + ... + 36
    assert figures.plain.scores.recall[0] == 100.0


# One emotion held


def test_recordings_are_repeated_until_an_emotion_was_held_long_enough():
    first, second = np.full(16_000, 0.1, np.float32), np.full(32_000, 0.2, np.float32)
    held = held_for([first, second], 0.5, 10.0)
    assert len(held) >= 9.5 * SAMPLE_RATE
    np.testing.assert_array_equal(held[:16_000], first)
    assert not held[16_000:24_000].any()
    np.testing.assert_array_equal(held[24_000:56_000], second)
    np.testing.assert_array_equal(held[64_000:80_000], first)


def test_each_speaker_holds_each_emotion():
    plan = plan_holding(utterances(["A", "B"], 5))
    assert [one.name for one in plan] == [f"cremad/{s}/{e}" for s in "AB" for e in EMOTIONS]
    assert all({u.label for u in one.utterances} == {one.emotion} for one in plan)
    assert all(len(set(one.utterances)) == 5 for one in plan)


def test_early_and_late_are_counted_from_the_first_speech(shipped):
    def heard(emotions, labels, gate):
        probabilities = np.eye(4, dtype=np.float32)[[EMOTIONS.index(one) for one in emotions]]
        return StreamResult(
            len(labels) * 640, probabilities, gate.astype(np.float32), tuple(labels)
        )

    # 25 timesteps of silence; then 75 early, 75 between, and 100 late, half of these no speech.
    emotions = ["sad"] * 25 + ["angry"] * 75 + ["sad"] * 75 + ["angry"] * 60 + ["happy"] * 40
    labels = [SILENCE] * 25 + [WARMING_UP] * 15 + ["angry"] * 30 + [UNCERTAIN] * 30
    labels += ["sad"] * 75 + ["angry"] * 20 + ["happy"] * 80
    gate = np.r_[np.zeros(25), np.ones(150), np.tile([1.0, 0.0], 50)]
    one = Holding("cremad/A/angry", "angry", ())
    found = judge_held([one], [heard(emotions, labels, gate)], shipped.metadata)
    assert list(found) == ["angry"]
    held = found["angry"]
    assert (held.labelled_early, held.labelled_late) == (50.0, 20.0)
    assert (held.likeliest_early, held.likeliest_late) == (100.0, 60.0)
    assert held.labelled_ratio == pytest.approx(0.4)
    assert held.likeliest_ratio == pytest.approx(0.6)


def test_speech_that_is_never_heard_is_never_held(shipped):
    nothing = StreamResult(
        6_400, np.zeros((10, 4), np.float32), np.zeros(10, np.float32), (SILENCE,) * 10
    )
    found = judge_held([Holding("x", "sad", ())], [nothing], shipped.metadata)["sad"]
    assert np.isnan(found.labelled_early)
    assert np.isnan(found.labelled_ratio)


# Ordinary speech


def ordinary(labels, gate=None):
    speech = np.ones(len(labels)) if gate is None else np.array(gate)
    probabilities = np.full((len(labels), 4), 0.25, np.float32)
    return StreamResult(len(labels) * 640, probabilities, speech.astype(np.float32), tuple(labels))


def test_false_alarms_are_counted_when_an_emotion_appears(shipped):
    labels = [WARMING_UP] * 5 + ["angry"] * 10 + [UNCERTAIN] * 10 + ["angry"] * 5 + ["neutral"] * 5
    labels += ["happy"] * 5 + [SILENCE] * 10 + ["happy"] * 5
    gate = [1.0] * 40 + [0.0] * 15
    alarms = count_alarms([ordinary(labels, gate)], shipped.metadata)
    # angry, angry again after uncertain, happy; after a silence happy goes on.
    assert alarms.alarms == 3
    # 35 timesteps of speech after the warm-up: neither silence nor the hangover counts.
    assert alarms.speech_minutes == pytest.approx(35 * 0.04 / 60)
    counts = {"angry": 15, "happy": 5, "neutral": 5, "sad": 0, UNCERTAIN: 10}
    assert alarms.shares == pytest.approx({name: 100 * n / 35 for name, n in counts.items()})
    assert alarms.called == alarms.shares["angry"] + alarms.shares["happy"]
    assert alarms.alarms_a_minute == pytest.approx(3 / alarms.speech_minutes)


def test_speech_that_stays_neutral_or_uncertain_raises_no_alarm(shipped):
    alarms = count_alarms([ordinary(["neutral"] * 10 + [UNCERTAIN] * 10)], shipped.metadata)
    assert (alarms.alarms, alarms.called, alarms.shares["neutral"]) == (0, 0.0, 50.0)


def test_verdicts_are_called_too(shipped):
    heard = [ordinary([emotion] * 20) for emotion in EMOTIONS]
    for one, emotion in zip(heard, EMOTIONS, strict=True):
        one.probabilities[:, EMOTIONS.index(emotion)] = 0.9
    silent = ordinary([SILENCE] * 20, [0.0] * 20)
    assert count_alarms([*heard, silent], shipped.metadata).verdicts_called == 60.0


def test_acted_emotions_are_found_by_labels_and_by_verdicts(shipped):
    truths = ("angry", "angry", "happy", "sad", "neutral")
    one = made_session(("angry", "sad", "happy", "sad", "neutral"), truths)
    labels = list(one.heard.labels)
    labels[40:44] = [WARMING_UP] * 2 + [UNCERTAIN] * 2  # of the ten timesteps of happy
    acted = judge_acted(
        [replace(one, heard=replace(one.heard, labels=tuple(labels)))], shipped.metadata
    )
    assert acted.shown == {"angry": 50.0, "happy": 75.0, "neutral": 100.0, "sad": 100.0}
    assert acted.recalls == {"angry": 50.0, "happy": 100.0, "neutral": 100.0, "sad": 100.0}
    assert acted.mean_shown == 75.0
    assert acted.mean_recall == pytest.approx(250 / 3)
