"""Whisper's encoder: its mel spectra, its layers, its files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from model.whisper import MEL_BINS, load_whisper, log_mel, mel_filters
from streamer.errors import SerLiveError
from tests.helpers.whisper import LAYERS, WIDTH, keep, tiny_encoder


def test_mel_filters_have_slaneys_norm_and_rise_with_the_ear():
    filters = mel_filters()
    assert filters.shape == (MEL_BINS, 201)
    assert filters.min() == 0 and (filters.sum(axis=1) > 0).all()
    # Each has an area of 1; coarsely so if a filter is hardly wider than a bin of 40 Hz.
    np.testing.assert_allclose(40 * filters[40:].sum(axis=1), 1.0, atol=0.08)
    peaks = 40.0 * filters.argmax(axis=1)
    assert (np.diff(peaks) >= 0).all()
    # 200/3 Hz per mel up to 1 kHz, then 27 mels per factor of 6.4: 45.2 mels in all, 81 steps.
    step = (15.0 + 27.0 * np.log(8.0) / np.log(6.4)) / 81
    centres = step * np.arange(1, 81)
    hertz = np.where(centres < 15, centres * 200 / 3, 1000 * 6.4 ** ((centres - 15) / 27))
    np.testing.assert_allclose(peaks, hertz, atol=21)
    assert not filters[:, 0].any() and filters[-1, 200] == pytest.approx(0, abs=1e-6)


def test_log_mels_are_a_frame_every_10_ms_within_8_powers_of_ten_of_the_loudest(speech):
    samples = torch.from_numpy(speech[:32_000])
    mel = log_mel(samples)
    assert mel.shape == (80, 200)
    assert mel.max() - mel.min() == pytest.approx(2.0, abs=1e-5)
    louder = log_mel(samples * 10.0)
    torch.testing.assert_close(louder, mel + 0.5, atol=1e-4, rtol=0)  # two powers of ten, by four
    silence = log_mel(torch.zeros(16_000))
    torch.testing.assert_close(silence, torch.full((80, 100), -1.5))
    tone = torch.sin(2 * np.pi * 1000 * torch.arange(16_000) / 16_000)
    assert log_mel(tone)[:, 50].argmax() == mel_filters()[:, 25].argmax()


def test_an_encoder_comes_back_from_an_official_file(tmp_path, speech):
    own = tiny_encoder()
    keep(own, tmp_path / "model.safetensors")
    again = load_whisper(tmp_path / "model.safetensors")
    assert (again.width, len(again.layers)) == (WIDTH, LAYERS)
    mel = log_mel(torch.from_numpy(speech[:32_000]))[None]
    with torch.no_grad():
        before, after = own(mel), again(mel)
    assert [one.shape for one in after] == [(1, 100, WIDTH)] * LAYERS
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other)


def test_half_precision_is_read_as_single(tmp_path):
    keep(tiny_encoder().half(), tmp_path / "model.safetensors")
    assert load_whisper(tmp_path / "model.safetensors").conv1.weight.dtype == torch.float32


def test_recordings_longer_than_the_encoders_positions_are_cut():
    model = tiny_encoder(positions=10)
    with torch.no_grad():
        outputs = model(torch.zeros(1, 80, 60))
    assert outputs[0].shape == (1, 10, WIDTH)


def test_the_encoders_layers_equal_torchs_with_one_head_per_64_values():
    """Compares a layer with torch's own."""
    model = tiny_encoder()
    layer = model.layers[0]
    attention = torch.nn.MultiheadAttention(WIDTH, 1, batch_first=True)
    names = ("q_proj", "k_proj", "v_proj")
    with torch.no_grad():
        attention.in_proj_weight.copy_(torch.cat([layer.self_attn[n].weight for n in names]))
        biases = [layer.self_attn[n].bias for n in names]
        biases[1] = torch.zeros(WIDTH)
        attention.in_proj_bias.copy_(torch.cat(biases))
        attention.out_proj.weight.copy_(layer.self_attn["out_proj"].weight)
        attention.out_proj.bias.copy_(layer.self_attn["out_proj"].bias)
        hidden = torch.randn(1, 30, WIDTH, generator=torch.Generator().manual_seed(0))
        normed = layer.self_attn_layer_norm(hidden)
        mixed = hidden + attention(normed, normed, normed)[0]
        inner = functional.gelu(layer.fc1(layer.final_layer_norm(mixed)))
        torch.testing.assert_close(layer(hidden), mixed + layer.fc2(inner), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda _: None, "cannot read the teacher"),
        (lambda path: path.write_text("no tensors"), "cannot read the teacher"),
        (lambda path: keep(tiny_encoder(), path, "other."), "named otherwise"),
        (lambda path: save_file({"model.encoder.conv1.bias": torch.zeros(4)}, path), "named"),
        (
            lambda path: save_file(
                {
                    f"model.encoder.{name}": tensor
                    for name, tensor in tiny_encoder().state_dict().items()
                    if "fc2" not in name
                },
                path,
            ),
            "no Whisper encoder of this shape",
        ),
    ],
)
def test_a_file_without_an_encoder_is_refused_in_one_line(tmp_path, write, message):
    path = tmp_path / "model.safetensors"
    write(path)
    with pytest.raises(SerLiveError, match=message) as raised:
        load_whisper(path)
    assert str(path) in str(raised.value)
