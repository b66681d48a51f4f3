"""Hostile metadata of model files: refused in one line."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from streamer.errors import SerLiveError
from streamer.modelfile.identity import METADATA_KEY
from streamer.recognition.metadata import ModelMetadata

pytest.importorskip("resource", reason="this system limits no memory")

from tests.hostile.networks import refusal, shipped_model


def deep(levels):
    return "[" * levels + "]" * levels


HOSTILE_TEXTS = {
    "no object": "[1]",
    "no text": "\x00",
    "nothing": "",
    "brackets without end": deep(100_000),
    "a schema without end": json.dumps({"schema": "9" * 100_000}),
    "a number without end": '{"schema": ' + "9" * 100_000 + "}",
}


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_text_that_is_not_metadata_is_refused(tmp_path, name):
    proto = shipped_model()
    helper.set_model_props(proto, {METADATA_KEY: HOSTILE_TEXTS[name]})
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    refusal(path)


HOSTILE_METADATA = {
    "window": (lambda v: v.update(window_timesteps=10**9), "window"),
    "look-ahead": (lambda v: v.update(delay_timesteps=-4, look_ahead_samples=-2320), "delay"),
    "no temperature": (lambda v: v.update(temperature=0), "temperature"),
    "NaN temperature": (lambda v: v.update(temperature=float("nan")), "temperature"),
    "text as temperature": (lambda v: v.update(temperature="1"), "wrong"),
    "escape in a label": (lambda v: v["labels"].__setitem__(0, "\x1b[2J"), "printable"),
    "lines in a label": (lambda v: v["labels"].__setitem__(0, "a\nb"), "printable"),
    "reversed label": (lambda v: v["labels"].__setitem__(0, "a\u202eb"), "printable"),
    "endless label": (lambda v: v["labels"].__setitem__(0, "a" * 10**6), "characters"),
    "empty label": (lambda v: v["labels"].__setitem__(0, " "), "characters"),
    "label that is no text": (lambda v: v["labels"].__setitem__(0, 7), "printable"),
    "endless fact": (lambda v: v["training"].update(licence="a" * 10**6), "characters"),
    "huge prior": (lambda v: v["normaliser"].update(prior_spectrum=[10**400] * 201), "wrong"),
    "no prior": (lambda v: v["normaliser"].update(prior_spectrum=[0.0] * 201), "positive"),
    "shares of fewer labels": (lambda v: v.update(everyday_prior=[0.5, 0.5]), "one a label"),
    "a share of nothing": (lambda v: v.update(everyday_prior=[0.0, 0.1, 0.8, 0.1]), "between"),
    "a share below nothing": (lambda v: v.update(everyday_prior=[-0.5, 0.5, 0.5, 0.5]), "between"),
    "NaN as a share": (lambda v: v.update(everyday_prior=[float("nan")] * 4), "between"),
    "endless share": (lambda v: v.update(everyday_prior=[10**400] * 4), "between"),
    "text as shares": (lambda v: v.update(everyday_prior="0.25"), "between"),
    "shares of more than all": (lambda v: v.update(everyday_prior=[0.3] * 4), "sum to 1"),
    "shares that are one": (lambda v: v.update(everyday_prior=0.25), "wrong"),
    "endless unknown key": (lambda v: v["decision"].update({"a" * 10**6: 1}), "wrong"),
    "state twice": (lambda v: v["states"].append(v["states"][0]), "different names"),
    "large states": (
        lambda v: v["states"].extend(
            {"name": f"s{i}", "shape": [2**23], "dtype": "int64"} for i in range(100)
        ),
        "values in all",
    ),
    "position of text": (lambda v: v["states"][-1].update(dtype="float32"), "other inputs"),
}


@pytest.mark.parametrize("name", HOSTILE_METADATA)
def test_hostile_metadata_is_refused(tmp_path, name):
    change, words = HOSTILE_METADATA[name]
    proto = shipped_model()
    values = json.loads(proto.metadata_props[0].value)
    change(values)
    helper.set_model_props(proto, {METADATA_KEY: json.dumps(values)})
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    assert words in refusal(path)


def places(values, path=()):
    """Return paths to every value in a JSON object; in long lists, only to the first."""
    yield path
    items = values.items() if isinstance(values, dict) else enumerate(values[:1])
    for key, value in items:
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))
        else:
            yield (*path, key)


METADATA = json.loads(shipped_model().metadata_props[0].value)
hostile_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([10**400, -(10**400), "a" * 1_000, [], {}, [[]], {"a": 1}, ["a"] * 9]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.sampled_from(sorted(places(METADATA), key=str)), value=hostile_values)
def test_any_value_in_the_metadata_is_read_or_refused(place, value):
    values = json.loads(json.dumps(METADATA))
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    if place:
        inner[place[-1]] = value
    else:
        values = value
    try:
        metadata = ModelMetadata.from_json(json.dumps(values))
    except SerLiveError as error:
        assert error.exit_code == 2
    else:
        assert metadata.look_ahead_ms > 0
