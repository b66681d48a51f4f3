"""Voice profiles: exact in streaming, tied to one model, and never trusted."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.contract import Moment
from streamer.errors import RunFailure, SerLiveError
from streamer.recognition.enrolment import LEAST_SPEECH_S, Enrolment
from streamer.recognition.metadata import HEARD, UNKNOWN_END, VOICE
from streamer.recognition.profile import (
    ALL,
    LONGEST_PROFILE,
    NOTHING,
    ORDINARY,
    TOLD,
    Adaptation,
    Profile,
)
from streamer.recognition.recognizer import Recognizer
from streamer.recognition.spectra import SpectralAnalysis
from streamer.recognition.voice_gate import SpeechDetector
from streamer.signal import SPEECH_THRESHOLD
from tests.helpers.estimates import (
    TOLERANCE,
    analyse,
    block_sizes,
    probabilities,
    run,
    told_of,
)
from tests.helpers.estimates import torch_probabilities as torch_that_adapts
from tests.helpers.model_files import altered
from tests.helpers.networks import LEVELLESS, TEMPERATURE

#: Speech for the profile; streams hear other speech.
ENROLLED = 100_000


@pytest.fixture(scope="module")
def profile(knowing_recognizer, speech):
    """A short profile, which a stream soon changes."""
    stream = knowing_recognizer.stream()
    stream.accept(speech[-ENROLLED:])
    return stream.profile()


def cut(samples, sizes):
    return np.split(samples, np.minimum(np.cumsum(sizes, dtype=int), len(samples)))


def heard_by(stream, samples, sizes=()):
    estimates = []
    for block in cut(samples, sizes):
        estimates += stream.accept(block)
    return estimates + stream.flush()


def by_torch(knowing, samples, profile, takes_in):
    """Return probabilities by torch, timestep by timestep, and the voice memory at the end."""
    network, normaliser = knowing.network, knowing.metadata.normaliser
    spectra = analyse(SpectralAnalysis(SpeechDetector()), samples)
    features, _ = normaliser.normalise(spectra, normaliser.initial_state())
    delay, length = network.latency, len(features)
    state = network.initial_state(1)
    if profile is not None:
        state = replace(state, voice=torch.from_numpy(profile.voice)[None, None])
    frames = torch.from_numpy(np.concatenate([features, np.zeros((delay, 4, 201), np.float32)]))
    end, rows, told = torch.tensor([length]), [], told_of(knowing, spectra, takes_in)
    with torch.no_grad():
        for step, frame in enumerate(frames):
            heard = told[step - delay] if step >= delay else torch.zeros_like(told[0])
            known = end if step >= length else torch.tensor([UNKNOWN_END])
            moment = Moment.of(network, torch.tensor([[step]]), known)
            (logits, _), state = network.step(frame[None, None], moment, state, heard[None, None])
            if step >= delay:
                rows.append(torch.softmax(logits[0, 0] / TEMPERATURE, dim=-1).numpy())
    return np.array(rows), state.voice[0, 0].numpy()


# Streams


@settings(max_examples=6, deadline=None)
@given(sizes=block_sizes, knows=st.booleans(), adapts=st.booleans())
def test_a_stream_equals_torch_for_any_blocks(
    knowing, knowing_recognizer, profile, speech, sizes, knows, adapts
):
    samples, known = speech[:40_000], profile if knows else None
    estimates = heard_by(knowing_recognizer.stream(known, adapts), samples, sizes)
    expected, _ = by_torch(knowing, samples, known, ORDINARY if adapts else NOTHING)
    assert np.abs(probabilities(estimates) - expected).max() <= TOLERANCE
    whole = heard_by(knowing_recognizer.stream(known, adapts), samples)
    assert estimates == whole


def test_profile_and_adaptation_each_change_the_result(knowing_recognizer, profile, speech):
    """Otherwise the tests above would prove nothing."""
    ways = [(None, True), (None, False), (profile, True), (profile, False)]
    found = [
        probabilities(heard_by(knowing_recognizer.stream(*way), speech[:60_000])) for way in ways
    ]
    for index, one in enumerate(found):
        for other in found[:index]:
            assert np.abs(one - other).max() > 1e-3


def test_without_adaptation_the_voice_memory_takes_nothing_in(knowing, knowing_recognizer, speech):
    estimates = heard_by(knowing_recognizer.stream(adapts=False), speech, [9_000] * 8)
    nothing = torch_that_adapts(knowing, speech, lambda network, features, _: network(features))
    assert np.abs(probabilities(estimates) - nothing).max() <= TOLERANCE


def test_a_stream_that_does_not_adapt_keeps_its_profile(knowing_recognizer, profile, speech):
    for adapts in (False, True):
        stream = knowing_recognizer.stream(profile, adapts)
        stream.accept(speech)
        np.testing.assert_equal(np.array_equal(stream.profile().voice, profile.voice), not adapts)


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_streams_of_all_kinds_stepped_together_are_each_as_if_alone(
    knowing_recognizer, profile, speech, seed
):
    generator = np.random.default_rng(seed)
    other = replace(profile, mean=tuple(-value for value in profile.mean))
    ways = [
        (known, adapts) for known in (None, profile, other) for adapts in (True, False)
    ] * 3  # more than fit in a batch
    streams = [knowing_recognizer.stream(*way) for way in ways]
    inputs = [speech[2_000 * index :][:24_000] for index in range(len(ways))]
    estimates, at = [[] for _ in ways], [0] * len(ways)
    while any(position < 24_000 for position in at):
        present = [i for i in range(len(ways)) if generator.random() < 0.8] or [0]
        size = int(generator.choice([640, 3_000, 9_000]))
        blocks = [inputs[i][at[i] : at[i] + size] for i in present]
        results = knowing_recognizer.accept_many([streams[i] for i in present], blocks)
        for i, block, found in zip(present, blocks, results, strict=True):
            estimates[i] += found
            at[i] += len(block)
    for way, stream, samples, found in zip(ways, streams, inputs, estimates, strict=True):
        alone = heard_by(knowing_recognizer.stream(*way), samples)
        found += stream.flush()
        assert np.abs(probabilities(found) - probabilities(alone)).max() <= TOLERANCE


def test_the_state_of_a_stream_that_adapts_does_not_grow(knowing_recognizer, profile, speech):
    def size(state):
        network = sum(tensor.nbytes for tensor in state.network.batch.inputs.values())
        return network + len(state.speech) + state.spectra.pending.nbytes

    stream = knowing_recognizer.stream(profile)
    stream.accept(speech[: 640 * 20])
    early = size(stream.state)
    for _ in range(3):
        stream.accept(speech[: 640 * 100])
    assert size(stream.state) == early
    assert stream.profile().timesteps > profile.timesteps


def test_a_reset_stream_keeps_its_profile(knowing_recognizer, profile, speech):
    stream = knowing_recognizer.stream(profile)
    first = heard_by(stream, speech[:30_000])
    stream.reset()
    assert heard_by(stream, speech[:30_000]) == first


def test_a_model_without_a_voice_memory_is_unchanged(export_lively, speech):
    plain = Recognizer.load(export_lively("live").path)
    assert run(plain, speech) == heard_by(plain.stream(adapts=False), speech)
    for ask in (plain.stream().profile, lambda: plain.enrol(speech), lambda: Enrolment(plain)):
        with pytest.raises(SerLiveError, match=r"^the model test knows no voices: "):
            ask()


# Enrolment


@settings(max_examples=4, deadline=None)
@given(sizes=block_sizes)
def test_enrolment_takes_in_all_speech_like_torch(knowing, knowing_recognizer, speech, sizes):
    made = knowing_recognizer.enrol(cut(speech, sizes))
    _, voice = by_torch(knowing, speech, None, ALL)
    np.testing.assert_allclose(made.voice, voice, atol=1e-4, rtol=1e-4)
    assert made.timesteps > LEAST_SPEECH_S / 0.04
    whole = knowing_recognizer.enrol(speech)
    assert replace(whole, made=made.made) == made
    assert knowing_recognizer.stream(made).profile().mean == made.mean


def test_several_recordings_make_one_profile_each_from_a_fresh_start(knowing_recognizer, speech):
    enrolment = Enrolment(knowing_recognizer)
    first, second = speech[:70_000], speech[70_000:]
    for recording in (np.zeros(9_000, np.float32), first, second):
        enrolment.accept(recording)
        enrolment.end_recording()
    stream = knowing_recognizer.stream()
    estimates = run(knowing_recognizer, first) + run(knowing_recognizer, second)
    spoken = sum(one.speech >= SPEECH_THRESHOLD for one in estimates)
    assert enrolment.speech_s == pytest.approx(spoken * 0.04)
    assert 0.9 * spoken < enrolment.profile().timesteps <= spoken
    with pytest.raises(SerLiveError, match="nothing is known of the voice"):
        stream.profile()


def test_one_timestep_of_known_speech_makes_a_profile(knowing_recognizer, speech):
    enrolment, heard = Enrolment(knowing_recognizer), 0
    while not enrolment.speech_s:  # the least that is speech
        enrolment.accept(speech[heard : heard + 640])
        heard += 640
    enrolment.end_recording()
    assert enrolment.speech_s < 0.3
    fixed = knowing_recognizer.stream(adapts=False)
    fixed.accept(speech)
    with pytest.raises(SerLiveError, match="nothing is known of the voice"):
        fixed.profile()


@pytest.mark.parametrize("seconds", [0, 2])
def test_too_little_speech_makes_no_profile(knowing_recognizer, speech, seconds):
    samples = np.concatenate([speech[: 16_000 * seconds], np.zeros(160_000, np.float32)])
    with pytest.raises(SerLiveError, match=r"^[01]\.\d s of speech were heard; .* 5 s at least"):
        knowing_recognizer.enrol(samples)


def test_input_that_is_not_audio_makes_no_profile(knowing_recognizer, speech):
    with pytest.raises(ValueError, match="finite"):
        knowing_recognizer.enrol(np.full(9_000, np.nan, np.float32))
    with pytest.raises(ValueError, match="vector"):
        knowing_recognizer.enrol(speech[:, None])


# Files


def test_a_profile_is_read_as_it_was_written(knowing_recognizer, profile, speech, tmp_path):
    path = tmp_path / "me.profile"
    profile.save(path)
    assert Profile.load(path) == knowing_recognizer.load_profile(str(path)) == profile
    assert hash(Profile.load(path)) == hash(profile)
    assert [*tmp_path.iterdir()] == [path]
    values = json.loads(path.read_text())
    assert (values["type"], values["schema"]) == ("profile", 1)
    texts = {key: value for key, value in values.items() if isinstance(value, str)}
    assert set(texts) == {"type", "model", "digest", "made"}
    ours = heard_by(knowing_recognizer.stream(profile), speech[:30_000])
    assert heard_by(knowing_recognizer.stream(Profile.load(path)), speech[:30_000]) == ours


def test_a_profile_never_overwrites_another_kind_of_file(profile, tmp_path):
    path = tmp_path / "me.profile"
    profile.save(path)
    with pytest.raises(SerLiveError, match=r"exists$"):
        profile.save(path)
    newer = replace(profile, timesteps=9.0)
    newer.save(path, force=True)
    assert Profile.load(path) == newer
    path.write_text("a novel")
    with pytest.raises(SerLiveError, match="is there and is no profile"):
        profile.save(path, force=True)
    assert path.read_text() == "a novel"
    with pytest.raises(SerLiveError, match="no such folder"):
        profile.save(tmp_path / "nowhere" / "me.profile")


def test_a_profile_is_written_whole_or_not_at_all(profile, tmp_path, monkeypatch):
    path = tmp_path / "me.profile"
    profile.save(path)

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunFailure, match="No space left"):
        replace(profile, timesteps=9.0).save(path, force=True)
    assert [*tmp_path.iterdir()] == [path]
    assert Profile.load(path) == profile


BAD_FILES = {
    "empty": (lambda _: "", "no profile of a voice"),
    "text": (lambda _: "my voice", "no profile of a voice"),
    "cut": (lambda p: p.to_json()[:900], "no profile of a voice"),
    "bytes": (lambda _: b"\xff\xfe" * 9, "no profile of a voice"),
    "brackets": (lambda _: "[" * 60_000, "no profile of a voice"),
    "large": (lambda p: p.to_json() + " " * LONGEST_PROFILE, "too large"),
    "list": (lambda _: "[1]", "no profile of a voice"),
    "session": (lambda _: '{"type":"session","schema":1}', "no profile of a voice"),
    "digits": (lambda _: '{"type":"profile","schema":' + "9" * 5_000 + "}", "no profile"),
}
BAD_VALUES = [
    ({"schema": 2}, "schema 2, this ser-live reads schema 1"),
    ({"schema": True}, "schema True"),
    ({"model": None}, "printable text"),
    ({"model": "a\x1b[2J"}, "printable text"),
    ({"model": "m" * 200}, "characters"),
    ({"digest": "0" * 63}, "digest must be"),
    ({"digest": 7}, "digest must be"),
    ({"made": "yesterday"}, "made|isoformat"),
    ({"made": 2026}, "damaged"),
    ({"made": "2026-01-02T03:04:05"}, "time zone"),
    ({"timesteps": 0}, "timesteps must be"),
    ({"timesteps": True}, "timesteps must be"),
    ({"timesteps": float("nan")}, "timesteps must be"),
    ({"timesteps": 1e9}, "timesteps must be"),
    ({"mean": []}, "1 to 4096 values"),
    ({"mean": [0.0] * 4_097}, "1 to 4096 values"),
    ({"mean": {"0": 1}}, "must be a list"),
    ({"mean": ["1"] * 512}, "must be of numbers"),
    ({"mean": [[1.0]] * 512}, "must be of numbers"),
    ({"mean": [None] * 512}, "must be of numbers"),
    ({"mean": [float("inf")] * 512}, "must be of numbers"),
    ({"mean": [float("nan")] * 512}, "must be of numbers"),
    ({"mean": [10**400] * 20}, "must be of numbers"),
    ({"mean": [1.0] * 511}, "it has 511 values, the model's have 513"),
]


@pytest.mark.parametrize(("make", "said"), BAD_FILES.values(), ids=BAD_FILES)
def test_other_files_are_refused_as_profiles(knowing_recognizer, profile, tmp_path, make, said):
    content = make(profile)
    path = tmp_path / "bad.profile"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SerLiveError, match=said) as caught:
        knowing_recognizer.load_profile(path)
    assert str(caught.value).startswith(f"profile {path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("change", "said"), BAD_VALUES)
def test_damaged_profiles_are_refused(knowing_recognizer, profile, tmp_path, change, said):
    path = tmp_path / "bad.profile"
    path.write_text(json.dumps(profile.to_values() | change))
    with pytest.raises(SerLiveError, match=said):
        knowing_recognizer.load_profile(path)


@pytest.mark.parametrize("key", ["schema", "model", "digest", "made", "timesteps", "mean"])
def test_a_profile_with_a_missing_value_is_refused(profile, key):
    values = profile.to_values()
    values.pop(key)
    with pytest.raises(SerLiveError, match=key):
        Profile.from_values(values)
    assert Profile.from_values(profile.to_values() | {"of": "a later version"}) == profile


@pytest.mark.parametrize("path", ["missing.profile", "x" * 300, "a\0b"])
def test_files_that_cannot_be_read_are_one_line(path):
    with pytest.raises(SerLiveError, match="cannot be read: "):
        Profile.load(path)


def test_a_pipe_is_refused_as_a_profile_and_does_not_block(tmp_path):
    path = tmp_path / "pipe.profile"
    os.mkfifo(path)
    with pytest.raises(SerLiveError, match="it is no regular file"):
        Profile.load(tmp_path)
    with pytest.raises(SerLiveError, match=r"pipe\.profile: it is no regular file"):
        Profile.load(path)


def test_a_profile_is_of_one_model(knowing, profile, export_lively, tmp_path):
    other = Recognizer.load(
        altered(knowing.path, tmp_path / "b.onnx", lambda v: v.update(name="b"))
    )
    again = altered(knowing.path, tmp_path / "again.onnx", lambda v: v.update(temperature=0.8))
    plain = Recognizer.load(export_lively("live").path)
    for recognizer, said in (
        (other, "it was made with the model test, this is b: make a new one with ser-live enrol"),
        (Recognizer.load(again), "the model test, this is another version of it: make a new one"),
        (plain, "the model test knows no voices: it makes and takes no profile"),
    ):
        with pytest.raises(SerLiveError, match=said):
            recognizer.stream(profile)


def test_the_text_on_an_adaptation_does_not_identify_the_voice(knowing, export_lively, profile):
    told = {
        Adaptation(known, adapts).told(knowing.metadata)
        for known in (None, profile, replace(profile, timesteps=9.0))
        for adapts in (True, False)
    }
    assert len(told) == 6
    assert all(TOLD.fullmatch(one) for one in told)
    assert {"off", "stream", f"profile {profile.short_digest}"} < told
    assert Adaptation().told(export_lively("live").metadata) is None


# Models that contradict themselves


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ([513], "impossible shape"),
        ([2, 513], "impossible shape"),
        ([1, 1], "impossible shape"),
        ([1, 5_000], "impossible shape"),
        ([1, 400], "does not fit"),
    ],
)
def test_a_memory_of_another_shape_is_refused(knowing, tmp_path, shape, said):
    def change(values):
        next(one for one in values["states"] if one["name"] == VOICE)["shape"] = shape

    with pytest.raises(SerLiveError, match=said):
        Recognizer.load(altered(knowing.path, tmp_path / "model.onnx", change))


def test_the_voice_input_and_the_voice_memory_need_each_other(knowing, tmp_path):
    proto = onnx.load(str(knowing.path))
    for given_input in proto.graph.input:
        if given_input.name == HEARD:
            given_input.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    onnx.save(proto, str(tmp_path / "double.onnx"))
    with pytest.raises(SerLiveError, match=r"other inputs|can be run"):
        Recognizer.load(tmp_path / "double.onnx")

    def forget(values):
        values["states"] = [one for one in values["states"] if one["name"] != VOICE]

    def forget_both(values):
        forget(values)
        values["hears_level"] = False

    for change, said in (
        (forget, "hears_level takes a state voice"),
        (forget_both, "other inputs"),
        (lambda values: values.update(hears_level=False), "does not fit"),
        (lambda values: values.update(hears_level="yes"), "must be true or false"),
    ):
        with pytest.raises(SerLiveError, match=said):
            Recognizer.load(altered(knowing.path, tmp_path / "model.onnx", change))


def test_a_model_from_before_levels_streams_as_torch(export_lively, speech, tmp_path):
    older = export_lively(LEVELLESS)
    path = altered(older.path, tmp_path / "older.onnx", lambda values: values.pop("hears_level"))
    recognizer = Recognizer.load(path)
    assert recognizer.metadata.knows_voices and not recognizer.metadata.hears_level
    estimates = heard_by(recognizer.stream(), speech, [9_000] * 8)
    assert np.abs(probabilities(estimates) - torch_that_adapts(older, speech)).max() <= TOLERANCE
    many = run(recognizer, speech, at_once=32)
    assert np.abs(probabilities(many) - probabilities(estimates)).max() <= TOLERANCE
    known = heard_by(recognizer.stream(recognizer.enrol(speech)), speech)
    assert np.abs(probabilities(known) - probabilities(estimates)).max() > 1e-3
    louder = altered(path, tmp_path / "louder.onnx", lambda values: values.update(hears_level=True))
    with pytest.raises(SerLiveError, match="does not fit"):
        Recognizer.load(louder)


def test_weights_of_the_memory_that_are_damaged_are_refused(knowing, tmp_path):
    proto = onnx.load(str(knowing.path))
    (weights,) = [one for one in proto.graph.initializer if one.name.endswith("differ.bias")]
    weights.raw_data = b"\xff" * len(weights.raw_data)  # NaN
    onnx.save(proto, str(tmp_path / "nan.onnx"))
    with pytest.raises(SerLiveError, match="NaN"):
        Recognizer.load(tmp_path / "nan.onnx")


def test_a_voice_memory_with_nan_makes_no_profile(knowing_recognizer):
    """A network's memory may become NaN; it is not written to a file."""
    with pytest.raises(ValueError, match="mean must be of numbers"):
        Profile.of_voice(
            np.array([np.nan, 3.0], np.float32),
            "test",
            knowing_recognizer.digest,
            datetime.now(UTC),
        )
