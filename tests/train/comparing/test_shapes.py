"""The comparison of shapes: what each trains, what they share, and their table."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import train.comparing.shapes
from model.config import EMOTIONS, BlockConfig
from model.cost import step_cost
from streamer.errors import SerLiveError
from tests.helpers.places import CLIPS, RECIPES, ROOT
from tests.helpers.training import run_train
from train.comparing.offline import OfflineNetwork
from train.comparing.shapes import read_shapes, table_of, try_shape
from train.corpora.known import read_corpus
from train.fitting.recipe_file import read_recipe
from train.fitting.run_folder import Folders, RunFolder
from train.place import Place

TINY = """
[network]
base = "live"
channels = [2, 4]
hidden = 16
memory = 8
blocks = [{ look_back_order = 2, look_ahead_order = 1 }]
attention_hidden = 4
window_timesteps = 20

[streams]
seconds = 3.0
lead_s = 1.0

[training]
epoch_steps = 2
batch = 4
draws_ahead = false
"""
SHAPES = """
epochs = 1
[shapes.as-shipped]
[shapes.wide]
hidden = 24
[shapes.short]
window_timesteps = 10
"""


@pytest.fixture
def shapes(tmp_path):
    """A file of three shapes, and its two recipes."""
    shared = f"corpora = ['cremad']\nlabels = {list(EMOTIONS)}\n"
    (tmp_path / "imitate.toml").write_text(f"{shared}imitates = 'teacher.safetensors'\n{TINY}")
    (tmp_path / "feel.toml").write_text(
        f"{shared}{TINY}refit = true\nepochs = 7\npretrained = 'runs/elsewhere'\n"
    )
    path = tmp_path / "shapes.toml"
    recipes = {"imitation": "imitate.toml", "emotions": "feel.toml"}
    lines = [f"{kind} = '{tmp_path / name}'" for kind, name in recipes.items()]
    path.write_text("\n".join(lines) + SHAPES)
    return path


def test_the_shipped_shapes_change_the_networks_of_both_recipes(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    found = {one.name: one for one in read_shapes(RECIPES / "shapes.toml", tmp_path)}
    first = found["as-shipped"]
    shipped = read_recipe(RECIPES / "open.toml")
    assert first.emotions.network == shipped.network
    assert first.imitation == replace(read_recipe(RECIPES / "imitation.toml"), epochs=2)
    assert not any(one.emotions.refit for one in found.values())
    assert {one.emotions.epochs for one in found.values()} == {2}
    assert found["wide"].imitation.network.memory == found["wide"].emotions.network.memory == 256
    assert found["half-the-past"].emotions.network.blocks[0] == BlockConfig(2, 1)
    # Only the layers before the pooling imitate.
    assert found["window-3-s"].imitation == first.imitation
    start = first.emotions.pretrained
    assert start == str(tmp_path / "as-shipped" / "imitation")
    sharing = {one.name for one in found.values() if one.emotions.pretrained == start}
    assert sharing == {"as-shipped", "window-1-s", "window-3-s", "statistics", "mean"}
    assert found["wide"].emotions.pretrained == str(tmp_path / "wide" / "imitation")


@pytest.mark.usefixtures("few_surroundings", "teacher")
def test_shapes_are_trained_once_and_share_imitations(
    shapes, tiny_corpus, tmp_path, monkeypatch, capsys
):
    imitated = []

    def imitate(recipe, folders, place):
        imitated.append(folders.run.parent.name)
        return real(recipe, folders, place)

    real = train.comparing.shapes.run_pretraining
    monkeypatch.setattr(train.comparing.shapes, "run_pretraining", imitate)
    corpora = ("--corpora", tiny_corpus, "--cache", tmp_path / "cache", "--device", "cpu")
    runs = ("--runs", tmp_path / "runs")
    out = tmp_path / "shapes.json"
    # The third shape imitates in the folder of the first, which may come later.
    assert run_train(monkeypatch, "shapes", shapes, *corpora, *runs, "--only", "short") == 0
    assert imitated == ["as-shipped"]
    assert not RunFolder(tmp_path / "runs" / "as-shipped").is_finished
    assert run_train(monkeypatch, "shapes", shapes, *corpora, *runs, "--json", out) == 0
    assert imitated == ["as-shipped", "wide"]
    capsys.readouterr()
    found = {one["name"]: one for one in json.loads(out.read_text())}
    assert list(found) == ["as-shipped", "wide", "short"]
    for name, one in found.items():
        network, result = RunFolder(tmp_path / "runs" / name).load()
        assert one["parameters"] == sum(weight.numel() for weight in network.parameters())
        assert one["multiply_adds"] == step_cost(network.config)
        assert result["recipe"]["epochs"] == 1 and not result["recipe"]["refit"]
        assert set(one["validation"]) == {"alone", "in streams", "in streams, augmented", "mean"}
        assert one["unheard"] == {}
    assert found["wide"]["parameters"] > found["as-shipped"]["parameters"]
    assert found["short"]["imitation_loss"] == found["as-shipped"]["imitation_loss"]
    monkeypatch.setattr("train.stages.run.fit", None)  # nothing is left to do
    assert run_train(monkeypatch, "shapes", shapes, *corpora, *runs) == 0
    assert imitated == ["as-shipped", "wide"]
    assert "wide" in capsys.readouterr().out


@pytest.mark.usefixtures("few_surroundings", "teacher")
def test_a_shape_is_judged_on_corpora_that_its_recipe_only_tests(shapes, tiny_corpus, tmp_path):
    actor = tiny_corpus / "ravdess" / "Actor_01"
    actor.mkdir(parents=True)
    for emotion, clip in zip(("05", "03", "01", "04"), CLIPS, strict=True):
        (actor / f"03-01-{emotion}-01-01-01-01.flac").write_bytes(clip.read_bytes())
    first = read_shapes(shapes, tmp_path / "runs")[0]
    emotions = replace(first.emotions, transfer=("ravdess",), epochs=2)
    folders = Folders(tiny_corpus, tmp_path / "cache", tmp_path / "runs" / "first")
    trial = try_shape(replace(first, emotions=emotions), folders, Place())
    found = read_corpus("ravdess", tiny_corpus, EMOTIONS)
    answered = OfflineNetwork(folders).answers(found)
    right = [EMOTIONS.index(one.label) == it for one, it in zip(found, answered, strict=True)]
    assert trial.unheard == {"ravdess": 100 * np.mean(right)}  # one recording of each label
    epoch = RunFolder(folders.run).result()["epoch"]
    records = [json.loads(line) for line in (folders.run / "log.jsonl").read_text().splitlines()]
    (best,) = [one for one in records if one["epoch"] == epoch]
    assert trial.validation["mean"] == best["mean"]
    assert list(trial.validation.values())[:-1] == [one for (one,) in best["validation_uar"]]
    assert table_of([trial]).columns[-1].header == "ravdess"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 1", "", "epochs is missing"),
        ("epochs = 1", "epochs = 0", "epochs must be a whole number"),
        ("epochs = 1", "epochs = 1\nbatch = 3", "unknown shapes settings: batch"),
        ("hidden = 24", "height = 24", r"shapes\.wide: unknown network settings: height"),
        ("hidden = 24", "hidden = 0", r"shapes\.wide: hidden must be"),
        ("[shapes.wide]", "[shapes]\nwide = 3\n[shapes.other]", r"shapes\.wide must be a table"),
        ("[shapes.wide]", "[shapes.'../wide']", "a name has letters"),
        ("feel.toml", "nowhere.toml", r"nowhere\.toml: No such file"),
        ("feel.toml", "imitate.toml", "imitate learns no emotions"),
        ("imitate.toml", "feel.toml", "feel imitates nobody"),
        (SHAPES, "\nepochs = 1\nshapes = {}", "shapes must hold one or more"),
    ],
)
def test_a_wrong_setting_is_named(shapes, tmp_path, old, new, message):
    text = shapes.read_text()
    assert old in text
    shapes.write_text(text.replace(old, new))
    with pytest.raises(SerLiveError, match=message):
        read_shapes(shapes, tmp_path)


def test_an_unknown_shape_is_named(shapes, monkeypatch, capsys):
    assert run_train(monkeypatch, "shapes", shapes, "--only", "wide", "narrow") == 2
    assert "no shape narrow in" in capsys.readouterr().err


def test_recipes_of_different_networks_are_refused_before_any_training(shapes, tmp_path):
    recipe = tmp_path / "imitate.toml"
    recipe.write_text(recipe.read_text().replace("hidden = 16", "hidden = 20"))
    with pytest.raises(SerLiveError, match=r"shapes\.toml: .*imitate"):
        read_shapes(shapes, tmp_path)


@pytest.mark.usefixtures("teacher")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transfer": ("ravdess",)}, "no RAVDESS, speech recordings"),
        ({"answers": "runs/nobody"}, "no finished run in runs/nobody: python -m train teach"),
    ],
)
def test_what_the_training_on_emotions_lacks_is_told_before_the_imitation(
    shapes, tiny_corpus, tmp_path, changes, message
):
    first = read_shapes(shapes, tmp_path / "runs")[0]
    first = replace(first, emotions=replace(first.emotions, **changes))
    folders = Folders(tiny_corpus, tmp_path / "cache", tmp_path / "runs" / "first")
    with pytest.raises(SerLiveError, match=message):
        try_shape(first, folders, Place())
    assert not (tmp_path / "runs").exists()
