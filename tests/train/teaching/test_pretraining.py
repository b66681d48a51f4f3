"""Pre-training: a network that imitates Whisper's encoder."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import train.stages.run
from model.baselines import c_bilstm_rolling
from model.network import Network
from model.whisper import WhisperEncoder
from streamer.errors import SerLiveError
from tests.helpers.generated import EMOTIONS, STREAMED, TINY
from tests.helpers.places import CLIPS
from tests.helpers.training import run_train, stopped_at_save
from tests.helpers.whisper import WIDTH, keep, tiny_encoder
from train.corpora.ordinary import ordinary_speech
from train.features.bank import load_bank
from train.fitting.drawer import StreamSet
from train.fitting.run_folder import Folders, RunFolder
from train.fitting.training import Training
from train.place import Place
from train.stages.export import export_run, metadata_of
from train.stages.material import read_parts
from train.stages.run import run
from train.teaching import encoder_frames, pretraining
from train.teaching.encoder_frames import (
    LAYERS,
    TeacherFrames,
    encoder_frames_of,
    frames_of,
    told_of,
)
from train.teaching.pretraining import (
    ImitationTraining,
    Imitator,
    imitation_loss,
    pretrain,
    run_pretraining,
)

pytestmark = pytest.mark.usefixtures("few_surroundings")

RECIPE = replace(
    STREAMED,
    imitates="teacher.safetensors",
    network=replace(TINY, attention="mean"),
    epochs=2,
)


# Frames of a bank


@pytest.fixture
def bank(tmp_path):
    return load_bank(CLIPS, tmp_path / "cache")


def test_the_teacher_has_a_frame_for_every_timestep(speech):
    frames = frames_of(tiny_encoder(), speech[:48_000], 75)
    assert frames.shape == (75, WIDTH)
    # A frame covers 40 ms: silence from the middle on changes the second half most.
    silenced = speech[:48_000].copy()
    silenced[24_000:] = 0.0
    differences = (frames_of(tiny_encoder(), silenced, 75) - frames).norm(dim=1)
    assert differences[42:].mean() > 2 * differences[:33].mean()
    short = frames_of(tiny_encoder(positions=10), speech[:48_000], 75)
    assert torch.equal(short[5:], short[4].expand(70, -1))  # beyond its positions, the last frame


def test_the_teachers_frames_are_standardised_and_computed_once(
    teacher, bank, tmp_path, monkeypatch
):
    frames = encoder_frames_of(teacher, CLIPS, bank, tmp_path / "cache")
    assert (frames.values.dtype, frames.width) == (np.float16, WIDTH)
    assert len(frames.values) == len(bank.speech)
    np.testing.assert_allclose(frames.values.mean(axis=0, dtype=float), 0, atol=1e-3)
    np.testing.assert_allclose(frames.values.std(axis=0, dtype=float), 1, atol=1e-2)
    monkeypatch.setattr(encoder_frames, "WorkerPool", None)  # nothing is left to do
    again = encoder_frames_of(teacher, CLIPS, bank, tmp_path / "cache")
    np.testing.assert_array_equal(again.values, frames.values)
    with pytest.raises(SerLiveError, match="cannot read the teacher"):
        encoder_frames_of(tmp_path / "nowhere", CLIPS, bank, tmp_path / "cache")
    torch.manual_seed(5)
    keep(WhisperEncoder(WIDTH, max(LAYERS) + 1, 1500), teacher)  # another teacher
    with pytest.raises(TypeError):
        encoder_frames_of(teacher, CLIPS, bank, tmp_path / "cache")


def test_a_teacher_with_too_few_layers_is_refused(tmp_path, bank):
    keep(WhisperEncoder(WIDTH, max(LAYERS), 1500), tmp_path / "tiny.safetensors")
    with pytest.raises(
        SerLiveError, match=r"tiny\.safetensors has 5 layers, and 6 are listened to"
    ):
        encoder_frames_of(tmp_path / "tiny.safetensors", CLIPS, bank, tmp_path / "cache")


@pytest.mark.parametrize(("samples", "timesteps"), [(0, 0), (200, 1), (399, 1), (639, 1)])
def test_a_recording_shorter_than_a_timestep_gives_zeros(samples, timesteps):
    told = told_of(tiny_encoder(), np.ones(samples, np.float32), timesteps)
    assert torch.equal(told, torch.zeros(timesteps, WIDTH))


def test_any_other_recording_gives_the_encoders_frames(speech):
    own = tiny_encoder()
    for samples, timesteps in ((640, 1), (48_000, 75)):
        heard = frames_of(own, speech[:samples], timesteps)
        assert heard.any()
        assert torch.equal(told_of(own, speech[:samples], timesteps), heard)


# Imitation


def test_the_imitation_loss_of_the_frames_themselves_is_zero():
    frames = torch.randn(40, WIDTH, generator=torch.Generator().manual_seed(0))
    assert float(imitation_loss(frames, frames)) == pytest.approx(0, abs=1e-6)
    assert imitation_loss(0.5 * frames, frames) < imitation_loss(-frames, frames)
    # Because of the angle, double length costs less than another direction at that distance.
    assert imitation_loss(2 * frames, frames) < imitation_loss(torch.zeros(40, WIDTH), frames)


@pytest.fixture
def streams(bank):
    return StreamSet(
        bank,
        np.eye(4, dtype=np.float32),
        ["cremad"] * 4,
        ["1018"] * 4,
        ordinary=np.zeros(0, np.float32),
        ordinary_words=[],
        noises=[],
        rooms=[],
        normaliser=RECIPE.normaliser_with(bank.prior),
    )


@pytest.fixture
def frames(streams):
    """Make a teacher's frames: the speech probability, with noise in each dimension."""
    generator = np.random.default_rng(1)
    speech = streams.bank.speech[:, None] - streams.bank.speech.mean()
    values = 2.0 * speech + 0.1 * generator.standard_normal((len(speech), 6))
    return TeacherFrames(values.astype(np.float16))


def test_an_imitation_gets_better_within_a_few_steps(streams, frames, tmp_path):
    recipe = replace(RECIPE, epoch_steps=4, epochs=4)
    network = pretrain(recipe, streams, frames, tmp_path / "run", Place())
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in log] == [1, 2, 3, 4]
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]
    assert network.config == RECIPE.network
    assert not network.training


def test_a_bilstm_imitates_too(streams, frames, tmp_path):
    bilstm = replace(c_bilstm_rolling(), channels=(2, 4), hidden=8, layers=1)
    network = pretrain(replace(RECIPE, network=bilstm), streams, frames, tmp_path / "run", Place())
    assert network.config == bilstm


def test_only_timesteps_within_a_recording_are_imitated(streams, frames):
    """Between the utterances there are no teacher's frames, so no prediction is wrong."""
    torch.manual_seed(0)
    recipe = replace(RECIPE, learning_rate=1e-3)
    (batch, _) = streams.batches(recipe, Place()).epoch([1])
    assert (batch.sources < 0).any()
    values = torch.from_numpy(frames.values)
    losses = []
    for filling in (0.0, 1.0):
        torch.manual_seed(1)
        imitator = Imitator(Network(TINY), frames.width)
        told = imitator.forward
        noise = filling * (batch.sources < 0).float()[..., None]
        imitator.forward = lambda features, told=told, noise=noise: told(features) + noise
        losses.append(ImitationTraining(recipe, imitator, values).train_epoch([batch]))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("saves", [1, 2])
def test_a_stopped_pretraining_resumes_as_if_never_stopped(streams, frames, tmp_path, saves):
    recipe = replace(RECIPE, network=replace(TINY, dropout=0.5), epochs=3)
    whole = pretrain(recipe, streams, frames, tmp_path / "whole", Place()).state_dict()
    with stopped_at_save(saves, ImitationTraining):
        pretrain(recipe, streams, frames, tmp_path / "stopped", Place())
    resumed = pretrain(recipe, streams, frames, tmp_path / "stopped", Place()).state_dict()
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=0, atol=0, msg=name)
    with pytest.raises(SerLiveError, match="another recipe"):
        pretrain(replace(recipe, seed=2), streams, frames, tmp_path / "stopped", Place())


def test_a_checkpoint_from_before_a_new_setting_is_resumed(streams, frames, tmp_path):
    recipe = replace(RECIPE, epochs=1)
    whole = pretrain(recipe, streams, frames, tmp_path, Place()).state_dict()
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    older = json.loads(saved["recipe"])
    del older["answers"]
    torch.save(saved | {"recipe": json.dumps(older)}, tmp_path / "checkpoint.pt")
    again = pretrain(recipe, streams, frames, tmp_path, Place()).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())


def test_imitation_trains_only_the_layers_before_the_pooling():
    """Every timestep's memory is trained; attention and classifier are trained later."""
    torch.manual_seed(0)
    imitator = Imitator(Network(TINY), 6)
    told = imitator(torch.rand(2, 9, 4, 201))
    assert told.shape == (2, 9, 6)
    told.sum().backward()
    unused = {name for name, one in imitator.network.named_parameters() if one.grad is None}
    assert {name.split(".")[0] for name in unused} == {"attention", "classifier"}


# In a run


@pytest.fixture
def folders(tiny_corpus, teacher, tmp_path):
    assert teacher.parent == tiny_corpus
    return Folders(tiny_corpus, tmp_path / "cache", tmp_path / "imitation")


@pytest.fixture
def heard(monkeypatch):
    """Collect the recordings that the teacher hears."""
    paths = []

    def remembered(teacher, found, *others):
        paths.extend(found)
        return real(teacher, found, *others)

    real = pretraining.encoder_frames_of
    monkeypatch.setattr(pretraining, "encoder_frames_of", remembered)
    return paths


def started_from(folders, **changes):
    """Return a recipe that starts from the imitation, and the folders of its run."""
    recipe = replace(STREAMED, epochs=1, pretrained=str(folders.run), **changes)
    return recipe, replace(folders, run=folders.run.with_name("run"))


def test_no_held_out_speaker_is_imitated_and_a_fit_starts_from_the_imitation(
    folders, heard, monkeypatch
):
    clips = folders.corpora / "cremad" / "AudioWAV"
    for path in list(clips.glob("*_ANG_*")):  # an emotion outside the labels
        path.with_name(path.name.replace("ANG", "DIS")).write_bytes(path.read_bytes())
    starts = []

    def fit(*arguments):
        starts.append(arguments[-1])
        return real(*arguments)

    real = train.stages.run.fit
    monkeypatch.setattr(train.stages.run, "fit", fit)
    imitation = run_pretraining(RECIPE, folders, Place())
    log = (folders.run / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [1, 2]
    assert imitation["recordings"] == len(heard)
    recipe, later = started_from(folders)
    result = run(recipe, later)
    parts = read_parts(recipe, folders.corpora)
    speakers = {one.speaker for one in parts.train}
    assert {path.name[:4] for path in heard} == speakers
    assert not speakers & {one.speaker for one in (*parts.validation, *parts.test)}
    assert any("_DIS_" in path.name for path in heard)
    (start,) = starts
    assert start.config == RECIPE.network
    assert result["recipe"]["network"]["labels"] == EMOTIONS
    assert RunFolder(later.run).load()[0].config == TINY


def test_the_same_command_again_imitates_nothing_anew(folders):
    run_pretraining(RECIPE, folders, Place())
    log, weights = (folders.run / name for name in ("log.jsonl", "network.safetensors"))
    before = log.read_text(), weights.read_bytes()
    run_pretraining(RECIPE, folders, Place())
    assert (log.read_text(), weights.read_bytes()) == before
    for other in (
        {"network": replace(TINY, hidden=24)},
        {"seed": 2},
        {"epochs": 3},
        {"augmentation": replace(RECIPE.augmentation, room=0.9)},
    ):
        with pytest.raises(SerLiveError, match="is of another recipe: remove it, or"):
            run_pretraining(replace(RECIPE, **other), folders, Place())


def test_an_imitation_does_not_go_on_with_another_encoder(folders):
    with stopped_at_save(1, ImitationTraining):
        run_pretraining(RECIPE, folders, Place())
    keep(WhisperEncoder(WIDTH, max(LAYERS) + 1, 1500), folders.corpora / RECIPE.imitates)
    with pytest.raises(SerLiveError, match=r"1 changed \(teacher\.safetensors\)"):
        run_pretraining(RECIPE, folders, Place())


def test_a_start_provides_all_weights_up_to_the_pooling(folders):
    run_pretraining(RECIPE, folders, Place())
    imitation, _ = RunFolder(folders.run).load(is_start=True)
    recipe, _ = started_from(folders)
    training = Training(recipe, 2, Place(), imitation)
    anew = Training(replace(recipe, pretrained=""), 2, Place())
    before, bare = imitation.state_dict(), anew.network.state_dict()
    for name, tensor in training.network.state_dict().items():
        is_new = name.startswith(("attention.", "classifier."))
        assert torch.equal(tensor, (bare if is_new else before)[name]), name


def test_recordings_of_unknown_speakers_are_not_imitated(folders, tmp_path):
    for number in range(40):  # unknown speakers, which any split may share
        path = tmp_path / "own" / EMOTIONS[number % 2] / f"{number}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CLIPS[number % 2].read_bytes())
    network = replace(TINY, labels=("angry", "happy"))
    recipe = replace(RECIPE, corpora=(str(tmp_path / "own"),), network=network, split="random/1")
    with pytest.raises(SerLiveError, match=r"nobody says who speaks.*; it cannot be imitated"):
        run_pretraining(recipe, folders, Place())


def test_unlabelled_voices_and_ordinary_speech_are_imitated_on_request(folders, heard):
    for number in range(8):
        ordinary = folders.corpora / "speech" / "intent" / f"{number}.flac"
        burst = folders.corpora / "emogator" / "data" / "mp3" / f"00000{number}-13-1.flac"
        for path in (ordinary, burst):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(CLIPS[number % 4].read_bytes())
    kept = ordinary_speech(folders.corpora)
    assert kept.train and kept.validation
    run_pretraining(RECIPE, folders, Place())
    assert not {"speech", "emogator"} & {part for path in heard for part in path.parts}
    heard.clear()
    streams = replace(RECIPE.streams, ordinary=0.5)
    recipe = replace(RECIPE, streams=streams, voices=("emogator",))
    folders = replace(folders, run=folders.run.with_name("more"))
    run_pretraining(recipe, folders, Place())
    assert {path for path in heard if "speech" in path.parts} == set(kept.train)
    assert len([path for path in heard if "emogator" in path.parts]) == 8
    fit, later = started_from(folders)
    result = run(fit, later)
    beside = {one["name"]: one["licence"] for one in result["lineage"]["beside"]}
    assert beside["EmoGator"] == "Apache-2.0"
    assert "ordinary speech" in beside


def test_missing_voices_are_reported_with_their_source(folders):
    with pytest.raises(SerLiveError, match=r"no EmoGator recordings in .*emogator.*github\.com"):
        run_pretraining(replace(RECIPE, voices=("emogator",)), folders, Place())


def test_a_missing_teacher_is_reported_and_nothing_is_written(folders):
    (folders.corpora / "teacher.safetensors").unlink()
    with pytest.raises(
        SerLiveError, match=r"cannot read the teacher .*teacher\.safetensors"
    ) as one:
        run_pretraining(RECIPE, folders, Place())
    assert "openai/whisper-base on Hugging Face (MIT)" in str(one.value)
    assert not folders.cache.exists()  # before anything is decoded
    assert not folders.run.exists()


def test_each_command_refuses_the_recipes_of_the_other(folders):
    with pytest.raises(SerLiveError, match="learns no emotions: python -m train pretrain takes it"):
        run(RECIPE, folders)
    with pytest.raises(SerLiveError, match="imitates nobody: python -m train fit takes it"):
        run_pretraining(STREAMED, folders, Place())


def test_an_imitation_is_no_model_to_export_or_to_be_taught_by(folders, tmp_path):
    run_pretraining(RECIPE, folders, Place())
    with pytest.raises(SerLiveError, match="has learnt no emotions yet"):
        export_run(folders.run, tmp_path / "model.onnx", folders.corpora)
    taught = replace(STREAMED, epochs=1, teacher=(str(folders.run),))
    with pytest.raises(SerLiveError, match="has learnt no emotions yet"):
        run(taught, replace(folders, run=tmp_path / "taught"))


def test_a_refit_starts_from_the_imitation_too(folders, monkeypatch):
    starts = []

    def refit(*arguments):
        starts.append(arguments[-1])
        return real(*arguments)

    real = train.stages.run.refit
    monkeypatch.setattr(train.stages.run, "refit", refit)
    run_pretraining(RECIPE, folders, Place())
    run(*started_from(folders, refit=True))
    (start,) = starts
    kept, _ = RunFolder(folders.run).load(is_start=True)
    for name, tensor in kept.state_dict().items():
        assert torch.equal(start.state_dict()[name], tensor)


def test_an_exported_file_names_what_the_network_imitated(folders):
    run_pretraining(RECIPE, folders, Place())
    recipe, later = started_from(folders)
    started = run(recipe, later)
    said = metadata_of(RunFolder(later.run).load()[0], started, {}, False).lineage.facts
    assert "Whisper's encoder, teacher.safetensors" in said["also learnt from"]
    assert "MIT (Whisper's encoder" in said["licence"]


def test_the_pretrain_command_works(folders, capsys, monkeypatch, tmp_path):
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        'corpora = ["cremad"]\nlabels = ["angry", "happy", "neutral", "sad"]\n'
        'imitates = "teacher.safetensors"\n'
        '[network]\nbase = "live"\nattention = "mean"\n'
        "[streams]\nseconds = 3\nlead_s = 1\n"
        "[training]\nepochs = 1\nepoch_steps = 1\nbatch = 2\ndraws_ahead = false\n"
    )
    given = ["pretrain", recipe, "--corpora", folders.corpora, "--cache", folders.cache]
    assert run_train(monkeypatch, *given, "--run", folders.run, "--device", "cpu") == 0
    assert f"pretrained = '{folders.run}'" in capsys.readouterr().err
    assert (
        RunFolder(folders.run).load(is_start=True)[1]["recipe"]["imitates"] == "teacher.safetensors"
    )
