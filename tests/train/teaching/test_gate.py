"""The voice gate is trained on the inputs that the runtime would give it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

import train.features.sound
from model.silero import PROPERTIES, export_voice_gate, load_silero
from streamer.bundled import bundled
from streamer.errors import SerLiveError
from streamer.modelfile.runtime import open_session
from streamer.recognition.voice_gate import VOICE_GATE, SpeechDetector
from tests.helpers.generated import STREAMED, recipe_with
from tests.helpers.training import run_train
from train.features.augment import Augmentation
from train.features.data import _digest_of_gate
from train.fitting.run_folder import Folders
from train.teaching import gate
from train.teaching.gate import chunks_of, targets_of, write_gate

RECIPE = replace(STREAMED, augmentation=Augmentation(floor_db=(-10.0, 0.0), silent=0.0))


@pytest.fixture(autouse=True)
def silero():
    try:
        return load_silero()
    except ModuleNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def folders(tiny_corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(train.features.sound, "MADE_NOISES", 3)
    monkeypatch.setattr(train.features.sound, "MADE_ROOMS", 3)
    rooms = tiny_corpus / "noise" / "impulse_responses"
    rooms.mkdir()
    soundfile.write(rooms / "room.wav", 0.9 ** np.arange(200), 16_000)
    return Folders(tiny_corpus, tmp_path / "cache", tmp_path / "run")


def test_a_sequence_gives_what_the_exported_gate_gives_chunk_by_chunk(silero, speech, tmp_path):
    export_voice_gate(tmp_path / "gate.onnx", silero)
    exported = open_session(tmp_path / "gate.onnx")
    fed = chunks_of(torch.from_numpy(speech[None, :32_000]))
    state = np.zeros((1, 256), np.float32)
    with torch.no_grad():
        logits = silero.sequence(fed)[0]
    for chunk, logit in zip(fed[0].numpy(), logits, strict=True):
        feeds = {"samples": chunk[None, None], "state": state}
        probability, state = exported.run(None, feeds)
        torch.testing.assert_close(torch.sigmoid(logit), torch.from_numpy(probability[0])[0])


def test_chunks_are_those_that_the_runtime_feeds(speech):
    fed = []

    class Network:
        def variant(self, **_sizes):
            return self

        def run(self, _outputs, feeds):
            chunks = feeds["samples"][0]
            fed.extend(chunks)
            said = np.full((1, len(chunks)), 0.9, np.float32)  # speech: no long pause
            return said, feeds["state"]

    detector = SpeechDetector(Network())
    samples = speech[:48_000] - speech[:48_000].mean()
    detector.accept(samples, detector.initial_state())
    own = chunks_of(torch.from_numpy(samples)[None])[0].numpy()
    assert own.shape == (93, 576) == np.shape(fed)
    # At the start, which is left out of the loss, the runtime's running mean differs.
    awake = gate.WAKING
    np.testing.assert_allclose(own[awake:], fed[awake:], atol=0.03 * np.abs(fed).max())


def test_a_chunk_is_taught_the_timestep_in_which_its_middle_lies():
    speech = torch.arange(10.0)[None]
    middles_ms = 32.0 * (np.arange(12) + 0.5)
    expected = np.minimum(middles_ms // 40, 9)
    np.testing.assert_array_equal(targets_of(speech, 12)[0], expected)


def test_training_the_gate_lowers_its_loss(folders, tmp_path, monkeypatch):
    before = tmp_path / "before.onnx"
    write_gate(RECIPE, folders, 0, before)
    losses = []

    def loss(logits, wanted):
        losses.append(real(logits, wanted))
        return losses[-1]

    real = gate.functional.binary_cross_entropy_with_logits
    monkeypatch.setattr(gate.functional, "binary_cross_entropy_with_logits", loss)
    after = tmp_path / "after.onnx"
    write_gate(RECIPE, folders, 12, after)
    losses = [float(one.detach()) for one in losses]
    assert len(losses) == 12
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    assert before.read_bytes() != after.read_bytes()
    inputs = [
        [(one.name, one.shape) for one in open_session(path).get_inputs()]
        for path in (before, after, bundled(VOICE_GATE))
    ]
    assert (
        inputs[0]
        == inputs[1]
        == inputs[2]
        == [
            ("samples", ["batch", "chunks", 576]),
            ("state", ["batch", 256]),
        ]
    )
    own, taught = (said_by(path) for path in (before, after))
    assert own == PROPERTIES
    assert taught == PROPERTIES | {
        "started from": "Silero VAD 6.2.1 (MIT)",
        "taught on": "training speakers of cremad (ODbL-1.0), measured rooms (MIT)",
        "recipe": "tiny, seed 1, 12 steps",
    }


def said_by(path):
    return dict(open_session(path).get_modelmeta().custom_metadata_map)


def test_the_shipped_gate_names_its_training_data():
    said = said_by(bundled(VOICE_GATE))
    assert PROPERTIES.items() <= said.items()
    assert said["recipe"] == "open, seed 1, 260 steps"
    for heard in ("cremad (ODbL-1.0)", "esc10 (CC-BY-3.0)", "ordinary speech (Apache-2.0)"):
        assert heard in said["taught on"]


def test_a_gates_metadata_does_not_invalidate_caches(tmp_path):
    digests = set()
    for number, taught in enumerate((None, {"taught on": "a"}, {"taught on": "b"})):
        export_voice_gate(tmp_path / f"{number}.onnx", taught=taught)
        digests.add(_digest_of_gate(tmp_path / f"{number}.onnx"))
    assert digests == {hashlib.sha256((tmp_path / "0.onnx").read_bytes()).hexdigest()}
    assert _digest_of_gate(bundled(VOICE_GATE)) not in digests


def test_fewer_steps_than_none_are_refused(tmp_path, monkeypatch, capsys):
    assert run_train(monkeypatch, "gate", "-o", tmp_path / "gate.onnx", "--steps", "-1") == 2
    assert "--steps: '-1' is not a whole number, 0 or more" in capsys.readouterr().err


def test_a_recipe_without_streams_teaches_no_gate(folders, tmp_path):
    with pytest.raises(SerLiveError, match="draws no streams"):
        write_gate(recipe_with(), folders, 3, tmp_path / "gate.onnx")
