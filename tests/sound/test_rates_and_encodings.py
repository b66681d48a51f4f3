"""Sources return the audio of a file at any rate and encoding, block by block."""

from __future__ import annotations

import io
from array import array

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.errors import SerLiveError
from streamer.sound.files.recording import Recording
from streamer.sound.pcm import ALIASES, ENCODINGS, RawPcm, encoding_of
from streamer.sound.resampler import Resampler, resampler_look_ahead_s


def heard(source, block_ms=10):
    return np.concatenate(list(source.blocks(block_ms)))


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        ("wav", "PCM_U8", 1e-2),
        ("wav", "PCM_16", 1e-4),
        ("wav", "PCM_24", 1e-6),
        ("wav", "FLOAT", 1e-7),
        ("flac", "PCM_16", 1e-4),
        ("ogg", "VORBIS", 0.1),
        ("mp3", "MPEG_LAYER_III", 0.2),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_recordings_of_every_kind(tmp_path, speech, suffix, subtype, tolerance, channels):
    path = tmp_path / f"speech.{suffix}"
    data = np.stack([speech[:32_000]] * channels, axis=1)
    soundfile.write(path, data, 16_000, subtype=subtype)
    with Recording(path) as recording:
        samples = heard(recording)
    assert recording.sample_rate == 16_000
    if suffix != "mp3":  # its encoder pads
        assert len(samples) == 32_000
        assert np.abs(samples - speech[:32_000]).max() < tolerance
    assert abs(np.std(samples) / np.std(speech[:32_000]) - 1) < 0.05


def test_channels_are_averaged(tmp_path, speech):
    path = tmp_path / "two.wav"
    data = np.stack([speech[:16_000], speech[16_000:32_000]], axis=1)
    soundfile.write(path, data, 16_000, subtype="FLOAT")
    with Recording(path) as recording:
        np.testing.assert_allclose(heard(recording), data.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100])
@pytest.mark.parametrize("block_ms", [1, 7, 10, 333])
def test_blocks_are_what_was_asked_for_and_do_not_drift(tmp_path, rate, block_ms):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(rate * 2), rate)
    with Recording(path) as recording:
        sizes = [len(block) for block in recording.blocks(block_ms)]
    assert sum(sizes) == rate * 2
    ends = np.cumsum(sizes)[:-1]
    assert np.abs(ends - np.arange(1, len(ends) + 1) * block_ms * rate / 1000).max() <= 0.5


def encode(samples, encoding):
    form = ENCODINGS[encoding]
    if "f" in form.kind:
        return samples.astype(form.kind).tobytes()
    if form.table is not None:
        return np.abs(samples[:, None] - form.table()).argmin(axis=1).astype(np.uint8).tobytes()
    scale, offset = form.scale, form.offset
    values = np.clip(np.round(samples * scale + offset), offset - scale, offset + scale - 1)
    if form.size == 3:
        data = values.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3]
        return (data[:, ::-1] if form.kind[0] == ">" else data).tobytes()
    if form.low_bits:  # the highest byte does not count
        values = values.astype(np.int64) & 0xFF_FFFF | 0x5A00_0000
    return values.astype(form.kind).tobytes()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_raw_pcm_of_every_encoding(speech, encoding):
    samples = speech[:16_000]
    source = RawPcm(io.BytesIO(encode(samples, encoding)), 16_000, 1, encoding)
    is_law = ENCODINGS[encoding].table is not None
    tolerance = 0.02 if is_law else 1.0 / ENCODINGS[encoding].scale + 1e-7
    if "f" in ENCODINGS[encoding].kind:
        tolerance = 1e-7
    assert np.abs(heard(source) - samples).max() <= tolerance


@pytest.mark.parametrize(("encoding", "subtype"), [("mulaw", "ULAW"), ("alaw", "ALAW")])
def test_telephone_lines_are_decoded_as_by_libsndfile(encoding, subtype):
    data = bytes(range(256))
    theirs, _ = soundfile.read(
        io.BytesIO(data), samplerate=8_000, channels=1, subtype=subtype, format="RAW"
    )
    ours = heard(RawPcm(io.BytesIO(data), 8_000, 1, encoding))
    np.testing.assert_allclose(ours, theirs, atol=1e-7)


def test_encodings_have_alsas_names_too():
    assert {ALIASES.get(name, name) for name in ALIASES} == set(ENCODINGS) & set(ALIASES.values())
    assert encoding_of("S24_LE").size == 4
    assert encoding_of("S24_3LE").size == 3
    assert encoding_of("pcm_s24le").size == 3
    assert encoding_of("FLOAT_LE") == ENCODINGS["f32le"]
    assert encoding_of("MU_LAW") == ENCODINGS["mulaw"]
    assert encoding_of("s24-32le") == ENCODINGS["s24_32le"]
    with pytest.raises(SerLiveError, match="S24_LE has four bytes, S24_3LE three"):
        encoding_of("s12le")


def test_raw_pcm_is_deinterleaved(speech):
    data = np.stack([speech[:1000], speech[1000:2000]], axis=1).astype("<f4")
    mixed = heard(RawPcm(io.BytesIO(data.tobytes()), 16_000, 2, "f32le"))
    np.testing.assert_allclose(mixed, data.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize(
    ("settings_", "name"),
    [((0, 1, "s16le"), "rate"), ((16_000, 0, "s16le"), "channels"), ((16_000, 1, "s7"), "format")],
)
def test_impossible_pcm_is_refused(settings_, name):
    with pytest.raises(SerLiveError, match=name):
        RawPcm(io.BytesIO(), *settings_)


RATES = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000)


def resample(samples, rate, sizes=()):
    resampler, parts = Resampler(rate), []
    for block in np.split(samples, np.minimum(np.cumsum(sizes, dtype=int), len(samples))):
        parts.append(resampler.accept(block))
    parts.append(resampler.flush())
    return np.concatenate(parts)


@settings(max_examples=20, deadline=None)
@given(
    rate=st.sampled_from(RATES),
    length=st.integers(0, 30_000),
    sizes=st.lists(st.integers(1, 5_000), max_size=20),
)
def test_resampling_does_not_depend_on_the_blocks(rate, length, sizes):
    samples = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    whole = resample(samples, rate)
    np.testing.assert_array_equal(resample(samples, rate, sizes), whole)
    assert 0 <= length * 16_000 / rate - len(whole) < 2


@pytest.mark.parametrize("rate", RATES)
def test_the_resampler_looks_no_further_ahead_than_it_says(rate):
    generator = np.random.default_rng(rate)
    samples = generator.standard_normal(rate * 2).astype(np.float32)
    whole = resample(samples, rate)
    for at in generator.integers(rate // 2, 2 * rate - 1, 12):
        changed = samples.copy()
        changed[at:] = 0.9
        differs = np.flatnonzero(resample(changed, rate) != whole)
        earliest = at / rate - resampler_look_ahead_s(rate)
        assert differs.size == 0 or differs[0] / 16_000 >= earliest - 1 / 16_000


def test_a_tone_passes_the_resampler_and_an_alias_does_not():
    time = np.arange(48_000) / 48_000
    for frequency, expected in ((1_000, 0.5**0.5), (9_000, 0.0)):
        tone = np.sin(2 * np.pi * frequency * time).astype(np.float32)
        assert abs(np.std(resample(tone, 48_000)[2000:-2000]) - expected) < 1e-3


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_a_file_decodes_to_the_same_for_any_blocks(tmp_path, speech, suffix):
    path = tmp_path / f"speech.{suffix}"
    soundfile.write(path, resample(speech[:48_000], 22_050), 22_050)
    whole, _ = soundfile.read(path, dtype="float32")
    for block_ms in (1, 10, 37, 3_333):
        with Recording(path) as recording:
            np.testing.assert_allclose(heard(recording, block_ms), whole, atol=1e-7)


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [(suffix, "cut") for suffix in ("wav", "flac", "mp3", "aiff", "au", "w64")]
    + [(suffix, "nan") for suffix in ("wav", "aiff", "au", "w64")],  # the others hold no floats
)
def test_damage_occurs_at_the_same_place_for_any_blocks(tmp_path, speech, suffix, damage):
    path = tmp_path / f"speech.{suffix}"
    if damage == "nan":
        samples = speech[:48_000].copy()
        samples[20_001] = np.nan
        soundfile.write(path, samples, 16_000, subtype="FLOAT")
    else:
        soundfile.write(path, speech[:48_000], 16_000)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
    met = set()
    for block_ms in (1, 10, 37, 3_333):
        samples = []
        with Recording(path) as recording, pytest.raises(SerLiveError) as caught:
            for block in recording.blocks(block_ms):
                samples.append(block)
        met.add((np.concatenate(samples).tobytes(), str(caught.value)))
    assert len(met) == 1
    if damage == "nan":
        assert len(met.pop()[0]) == 4 * 20_001


def test_the_resampler_returns_no_more_audio_than_it_got():
    assert len(resample(np.zeros(1_763, np.float32), 44_100)) == 1_763 * 16_000 // 44_100 == 639


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_resampler_takes_vectors_that_are_not_numpys_at_any_rate(rate, speech):
    given, samples = array("f", speech[:9_000]), speech[:9_000]
    np.testing.assert_array_equal(Resampler(rate).accept(given), Resampler(rate).accept(samples))


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_bad_input_to_a_resampler_is_refused_at_any_rate(rate):
    for wrong in (np.zeros((3, 2), np.float32), np.zeros(3), [0, 1]):
        with pytest.raises(ValueError, match="samples must be a float32 vector"):
            Resampler(rate).accept(wrong)
    flushed = Resampler(rate)
    flushed.flush()
    assert not len(flushed.flush())
    with pytest.raises(RuntimeError, match="was flushed"):
        flushed.accept(np.zeros(3, np.float32))


@pytest.mark.parametrize("wrong", [0, -1, 48_000.0, float("nan"), "a", None, True])
def test_a_rate_that_is_none_is_named(wrong):
    with pytest.raises(ValueError, match=f"sample_rate must be a whole .*, is {wrong!r}$"):
        Resampler(wrong)
