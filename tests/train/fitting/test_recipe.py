"""Recipes: their settings, and the errors for wrong ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from model.baselines import SYSTEMS, c_bilstm, c_bilstm_rolling
from model.network import look_ahead_ms
from streamer.errors import SerLiveError
from tests.helpers.generated import EMOTIONS, TINY, recipe_with
from tests.helpers.places import RECIPES
from train.comparing.trials import NAMED_ONLY
from train.features.arrangement import Streams
from train.features.augment import Augmentation
from train.fitting.recipe import Recipe, network_config
from train.fitting.recipe_file import read_recipe, recipe_of
from train.fitting.training import check_start
from train.teaching.teacher_recipe import read_teacher_recipe


def written(folder, change=("", ""), recipe="research"):
    old, new = change
    text = (RECIPES / f"{recipe}.toml").read_text()
    assert old in text
    path = folder / "changed.toml"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(RECIPES.glob("*.toml")) if path.stem != "shapes"],  # a list of changes
    ids=lambda path: path.stem,
)
def test_the_shipped_recipes_are_read(path):
    read = read_teacher_recipe if path.stem.endswith("teacher") else read_recipe
    assert read(path).name == path.stem


def test_the_voice_recipe_needs_a_voice_memory_and_a_finished_run(tmp_path):
    recipe = read_recipe(RECIPES / "voice.toml")
    assert (recipe.trains, recipe.pretrained) == ("voice", "runs/open")
    before = read_recipe(RECIPES / "open.toml")
    assert replace(recipe.network, voice=False, level=False) == before.network
    assert recipe.corpora == before.corpora and recipe.normaliser == before.normaliser
    for line in ("voice = true\nlevel = true\n", 'pretrained = "runs/open"\n'):
        path = tmp_path / "changed.toml"
        path.write_text((RECIPES / "voice.toml").read_text().replace(line, ""))
        with pytest.raises(SerLiveError, match="a network with voice = true, and a finished run"):
            read_recipe(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"streams": None, "pretrained": "", "trains": "all"}, "voice = true needs streams"),
        ({"teacher": ("paper",)}, "leave teacher out"),
        ({"answers": "runs/teacher"}, "leave answers and soft_labels out"),
        ({"augmentation": Augmentation(mixup=0.2)}, "no mixup"),
    ],
)
def test_settings_that_exclude_learning_voices_are_named(changes, message):
    recipe = read_recipe(RECIPES / "voice.toml")
    with pytest.raises(ValueError, match=message):
        replace(recipe, **changes)


def test_the_open_recipe_trains_on_material_for_any_use():
    recipe = read_recipe(RECIPES / "open.toml")
    assert recipe.corpora == ("cremad",)
    assert recipe.transfer == ("ravdess", "nemo")
    assert recipe.noises == ("esc10",)
    assert recipe.pretrained == "runs/imitation"
    imitation = read_recipe(RECIPES / "imitation.toml")
    assert imitation.corpora == ("cremad",)
    assert imitation.voices == ("emogator",)
    assert imitation.noises == ("esc10",)
    assert not imitation.pretrained


def test_what_teachers_and_imitation_are_worth_differs_from_the_open_recipe_in_that_alone():
    recipe = read_recipe(RECIPES / "open.toml")
    assert Path(recipe.answers).name == read_teacher_recipe(RECIPES / "frame-teacher.toml").name
    by_labels = read_recipe(RECIPES / "open-by-labels.toml")
    weight = by_labels.answers_weight
    assert replace(recipe, name=by_labels.name, answers="", answers_weight=weight) == by_labels
    without = read_recipe(RECIPES / "open-without-imitation.toml")
    imitation = recipe.pretrained
    assert replace(without, name=by_labels.name, pretrained=imitation, refit=True) == by_labels


@pytest.mark.parametrize("later", ["open", "six", "research", "ravdess"])
def test_recipes_that_start_from_another_one_have_its_network(later):
    """As far as a start needs it: labels and pooling may differ."""
    recipe = read_recipe(RECIPES / f"{later}.toml")
    before = Path(recipe.pretrained).name
    check_start(read_recipe(RECIPES / f"{before}.toml").network, recipe.network, before)
    assert recipe.network.attention == "context"


def test_the_trials_of_ravdess_have_the_network_of_their_recipe():
    recipe = read_recipe(RECIPES / "ravdess.toml")
    assert NAMED_ONLY["c-pfsmn-c-live"](recipe.network.labels) == recipe.network


def test_a_setting_added_later_still_matches_older_runs():
    recipe = recipe_with(seed=4)
    kept = json.loads(json.dumps(recipe.to_dict()))
    assert recipe.made(kept)
    for other in ({"seed": 5}, {"network": {}}, {"augmentation": {}}, {"gone": 1}):
        assert not recipe.made(kept | other)
    del kept["answers"]
    assert recipe.made(kept | {"once_known": ""})
    older = {name: one for name, one in kept["network"].items() if name != "frequency_padding"}
    assert recipe.made(kept | {"network": older})
    assert not recipe.made(kept | {"network": older | {"hidden": 7}})
    streamed = replace(recipe, streams=Streams(corpora={"cremad": 2.0}))
    kept_streamed = json.loads(json.dumps(streamed.to_dict()))
    assert streamed.made(kept_streamed)
    del kept_streamed["streams"]["elsewhere"]
    assert streamed.made(kept_streamed)
    assert not replace(streamed, streams=Streams(elsewhere=0.5)).made(kept_streamed)
    assert not streamed.made(kept)
    other = replace(recipe, teacher=("runs/a",), answers="runs/b")
    assert not other.made(kept | {"teacher": ["runs/a"]})
    del kept["network"]
    assert not recipe.made(kept)


def test_the_recipe_of_the_research_model_is_read():
    recipe = read_recipe(RECIPES / "research.toml")
    assert recipe.network.labels == EMOTIONS
    assert look_ahead_ms(recipe.network) <= 200
    assert not set(recipe.corpora) & set(recipe.transfer)
    assert (recipe.epochs, recipe.seed, recipe.pretrained) == (9, 1, "runs/imitation-research")
    assert recipe.augmentation == Augmentation()
    assert recipe.streams == Streams(seconds=12, ordinary=0.1)
    assert recipe.noises == ("esc10", "noise")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs", "epoch", "unknown training settings: epoch"),
        ("epochs = 9", "epochs = 0", "epochs must be a whole number, 1 or more; is 0"),
        ("epochs = 9", "epochs = 2.5", "epochs must be a whole number, 1 or more; is 2.5"),
        ("epochs = 9", 'epochs = "many"', "epochs must be"),
        (
            "epoch_steps = 200",
            "epoch_steps = 0",
            "epoch_steps must be a whole number, 1 or more; is 0",
        ),
        ("epochs = 9", "copies = 5", "unknown training settings: copies"),
        ("batch = 32", "batch = true", "batch must be"),
        ("epochs = 9", "split = 5", "split must be a name, such as fixed; is 5"),
        ("refit = false", "refit = 1", "refit must be true or false, is 1"),
        ("epochs = 9", "draws_ahead = 1", "draws_ahead must be true or false, is 1"),
        ("epochs = 9", 'optimiser = "adam"', "optimiser must be adamw or sgd, is adam"),
        ("seconds = 12", "minutes = 12", "unknown streams settings: minutes"),
        ("seconds = 12", "seconds = 0", "seconds must be a number, from 1 to 600; is 0"),
        ("ordinary = 0.1", "ordinary = 2", "ordinary must be a number, from 0 to 1; is 2"),
        ("ordinary = 0.1", "corpora = {nemo = -1}", "weight of nemo must be"),
        ("ordinary = 0.1", "corpora = 3", "must be a table of weights, is 3"),
        ("ordinary = 0.1", "corpora = {tess = 1}", "streams: not trained on tess"),
        (
            "ordinary = 0.1",
            "corpora = {cremad = 0, ravdess = 0, nemo = 0}",
            "one or more must weigh more than 0",
        ),
        ("noises =", 'imitates = "a"\nnoises =', "learns no emotions: leave pretrained out"),
        ("noises =", 'voices = ["emogator"]\nnoises =', "voices have no labels"),
        ('base = "live"', 'base = "dead"', "one of live, .*c-bilstm.*; is 'dead'"),
        ('base = "live"', 'base = "live"\nhidden = 0', "hidden"),
        ("[streams]", "[augmentation]\nloudness = 1\n[streams]", "augmentation.*loudness"),
        ("[streams]", "[augmentation]\nroom = false\n[streams]", "augmentation.*room"),
        ("[streams]", "[augmentation]\nroom = 2\n[streams]", "room must be"),
        ("[normaliser]", "[normaliser]\nfloor_db = 3", "floor_db must lie"),
        ("[normaliser]", "[normaliser]\nceiling = 3", "ceiling"),
        ("labels =", "label =", "labels is missing"),
        ('corpora = ["cremad", "ravdess", "nemo"]', 'corpora = "cremad"', "corpora must be a list"),
        ('labels = ["angry", "happy", "neutral", "sad"]', 'labels = "sad"', "labels must be"),
        ("corpora =", "corpora", "line"),
    ],
)
def test_recipes_with_mistakes_are_refused(tmp_path, old, new, message):
    with pytest.raises(SerLiveError, match=message):
        read_recipe(written(tmp_path, (old, new)))


@pytest.mark.parametrize(
    ("network", "rest", "message"),
    [
        ('"live"', "", "network must be a table, is 'live'"),
        ('{base = ["live"]}', "", r"one of live, .*; is \['live'\]"),
        ('{base = "live", channels = [16]}', "", r"channels must be two whole numbers, is \(16,\)"),
        ('{base = "live", hidden = 16.5}', "", "hidden must be a whole number, 1 or more; is 16.5"),
        ('{base = "live"}', "augmentation = true", "augmentation must be a table, is True"),
        ('{base = "live"}', "streams = true", "streams must be a table, is True"),
        ('{base = "live"}', "normaliser = 3", "normaliser must be a table, is 3"),
        ('{base = "live"}', "training = 3", "training must be a table, is 3"),
    ],
)
def test_what_should_be_a_table_or_a_whole_number_is_named(tmp_path, network, rest, message):
    path = tmp_path / "wrong.toml"
    path.write_text(f'corpora = ["cremad"]\nlabels = ["a", "b"]\nnetwork = {network}\n{rest}\n')
    with pytest.raises(SerLiveError, match=message):
        read_recipe(path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"seed": -1}, "seed must be"),
        ({"patience": -1}, "patience must be"),
        ({"batch": 0}, "batch must be"),
        ({"shortest": 0}, "shortest must be"),
        ({"longest": 11}, "longest must be a whole number, 12 or more"),
        ({"learning_rate": 0.0}, "learning_rate must be"),
        ({"learning_rate": float("inf")}, "learning_rate must be"),
        ({"weight_decay": -0.1}, "weight_decay must be"),
        ({"momentum": 1.0}, "momentum must be"),
        ({"averaging": 1.0}, "averaging must be"),
        ({"label_smoothing": 1.1}, "label_smoothing must be a number, from 0 to 1"),
        ({"soft_labels": 2.0}, "soft_labels must be"),
        ({"soft_labels": 0.5, "corpora": ("ravdess",)}, "soft_labels needs"),
        ({"votes": "face"}, "votes must be voice or both"),
        ({"schedule": "cosine"}, "schedule must be"),
        ({"teacher_weight": -1.0}, "teacher_weight must be"),
        ({"answers": 1}, "answers must be the folder"),
        ({"normalisation": "none"}, "normalisation must be causal or utterance"),
        ({"teacher": ("runs/a",), "extra_labels": ("fear",)}, "teacher"),
        ({"extra_labels": ("fear", "sad")}, "sad: both in labels and in extra_labels"),
        ({"corpora": ()}, "corpora"),
        ({"noises": "esc10"}, "noises must be a list of names"),
        ({"imitates": "a"}, "imitates needs streams"),
        ({"imitates": 1}, "imitates must be a file, is 1"),
        (
            {"imitates": "a", "streams": Streams(), "augmentation": Augmentation(mixup=0.1)},
            "imitates takes no mixup",
        ),
        ({"imitates": "a", "streams": Streams(), "refit": True}, "leave refit out"),
        ({"imitates": "a", "streams": Streams(), "teacher": ("b",)}, "leave teacher out"),
        ({"imitates": "a", "streams": Streams(), "voices": ("ducks",)}, "emogator: no ducks"),
        ({"streams": Streams(), "network": c_bilstm()}, "that estimates at every timestep"),
        ({"streams": Streams(ordinary=0.1), "network": c_bilstm_rolling()}, "leave ordinary out"),
        (
            {"streams": Streams(seconds=480), "normaliser": {"memory_timesteps": 39.0}},
            "streams of 480 s need memory_timesteps of 40 or more",
        ),
        ({"network": replace(TINY, labels=("a", "ordinary"))}, "'ordinary' is the class of"),
        ({"network": replace(TINY, ordinary=True)}, "streams decide on an output for ordinary"),
        ({"extra_labels": ("ordinary",)}, "'ordinary' is the class of ordinary speech, no label"),
        ({"teacher": ("a",), "streams": Streams(ordinary=0.1)}, "a teacher has no opinion on"),
        ({"transfer": ("cremad",)}, "cremad: both trained on and kept for transfer"),
    ],
)
def test_impossible_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=message):
        recipe_with(**setting)


def test_a_kind_of_augmentation_is_switched_off_in_the_recipe_or_on_the_command_line(tmp_path):
    rest = read_recipe(written(tmp_path)).augmentation
    assert rest.room
    off = written(tmp_path, ("[streams]", "[augmentation]\nrooms = false\n[streams]"))
    assert read_recipe(off).augmentation == replace(rest, room=0.0)
    named = read_recipe(written(tmp_path), without=["rooms"])
    assert named.augmentation == replace(rest, room=0.0)
    on = written(tmp_path, ("[streams]", "[augmentation]\nrooms = true\nroom = 0.9\n[streams]"))
    assert read_recipe(on).augmentation == replace(rest, room=0.9)
    with pytest.raises(SerLiveError, match="'reverb': there are"):
        read_recipe(written(tmp_path), without=["reverb"])


def test_a_teacher_is_one_run_or_a_list_of_them(tmp_path):
    one = written(tmp_path, ("ordinary = 0.1\n\n[training]", '[training]\nteacher = "runs/paper"'))
    assert read_recipe(one).teacher == ("runs/paper",)
    two = '[training]\nteacher = ["runs/1", "runs/2"]'
    several = written(tmp_path, ("ordinary = 0.1\n\n[training]", two))
    assert read_recipe(several).teacher == ("runs/1", "runs/2")


@pytest.mark.parametrize("base", SYSTEMS)
def test_every_system_of_the_comparison_is_a_base(tmp_path, base):
    change = ('base = "live"', f'base = "{base}"\nhidden = 64')
    recipe = read_recipe(written(tmp_path, change, "compare"))
    assert recipe.network.hidden == 64
    assert type(recipe.network) is type(SYSTEMS[base](EMOTIONS))
    assert network_config(recipe.network.to_dict()) == recipe.network


def test_ordinary_speech_is_a_class_in_training_and_stays_an_output():
    recipe = recipe_with(extra_labels=("fear",), streams=Streams(ordinary=0.1))
    assert recipe.labelled == (*EMOTIONS, "fear")
    assert recipe.classes == (*EMOTIONS, "fear", "ordinary")
    assert recipe.kept_network == replace(TINY, ordinary=True)
    assert recipe.kept_network.outputs == (*EMOTIONS, "ordinary")
    without = replace(recipe, streams=Streams())
    assert (without.classes, without.kept_network) == (recipe.labelled, TINY)


def test_own_recordings_need_no_recipe(tmp_path):
    for label in ("dogs", "cats"):
        (tmp_path / "animals" / label).mkdir(parents=True)
        (tmp_path / "animals" / label / "1.wav").touch()
    (tmp_path / "table.csv").write_text("file,label\nanimals/cats/1.wav,m\nanimals/dogs/1.wav,w\n")
    own = recipe_of(tmp_path / "animals", without=["rooms"])
    assert own.network.labels == ("cats", "dogs")
    assert (own.name, own.corpora) == ("animals", (str(tmp_path / "animals"),))
    assert own.transfer == ()
    # Nothing that has to be downloaded first.
    assert (own.noises, own.streams.ordinary, own.pretrained) == ((), 0.0, "")
    assert own.augmentation.room == 0.0
    assert own.epochs == read_recipe(RECIPES / "own.toml").epochs
    assert recipe_of(tmp_path / "table.csv").network.labels == ("m", "w")
    assert recipe_of(RECIPES / "research.toml") == read_recipe(RECIPES / "research.toml")
    alone = tmp_path / "alone.csv"
    alone.write_text("file,label\nanimals/cats/1.wav,cats\n")
    with pytest.raises(SerLiveError, match="its only label is cats; a model needs two or more"):
        recipe_of(alone)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SerLiveError, match="no recordings"):
        recipe_of(tmp_path / "empty")
    (tmp_path / "animals" / "dogs").rename(tmp_path / "animals" / "silence")
    with pytest.raises(SerLiveError, match=r"none of .*silence"):
        recipe_of(tmp_path / "animals")


def test_what_is_neither_a_recipe_nor_recordings_is_refused_in_these_words(tmp_path):
    sound = tmp_path / "x.opus"
    sound.write_bytes(b"OggS\x00\xff\xfe")
    with pytest.raises(SerLiveError, match=r"x\.opus is neither a recipe \(\.toml\), a folder nor"):
        recipe_of(sound)
    for name in ("nowhere", "nowhere.csv", "nowhere.wav"):
        with pytest.raises(SerLiveError, match=f"there is no .*{name}: give a recipe"):
            recipe_of(tmp_path / name)
    sound.rename(tmp_path / "sound.toml")
    with pytest.raises(SerLiveError, match=r"sound\.toml: no recipe"):
        recipe_of(tmp_path / "sound.toml")


def test_own_recordings_weigh_as_much_of_the_past_as_the_open_recipe():
    own, other = (read_recipe(RECIPES / f"{name}.toml").network for name in ("own", "open"))
    assert own.window_timesteps == other.window_timesteps == 38


def test_the_current_folder_has_a_name_too(tmp_path, monkeypatch):
    for label in ("dogs", "cats"):
        (tmp_path / "animals" / label).mkdir(parents=True)
        (tmp_path / "animals" / label / "1.wav").touch()
    monkeypatch.chdir(tmp_path / "animals")
    (tmp_path / "animals" / "empty").mkdir()
    for path in (Path(), Path("empty/.."), Path("../animals")):
        own = recipe_of(path)
        assert (own.name, own.corpora) == ("animals", (str(tmp_path / "animals"),))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "link").symlink_to(tmp_path / "animals" / "empty")
    linked = recipe_of(elsewhere / "link" / ".." / ".." / "animals")  # as the system takes it
    assert linked.corpora == (str(tmp_path / "animals"),)


def test_excluded_corpora_are_still_tested():
    recipe = read_recipe(RECIPES / "research.toml")
    rest = recipe.of_corpora(["nemo", "cremad"])
    assert (rest.corpora, rest.transfer) == (("cremad", "nemo"), ("ravdess",))
    assert (rest.name, rest.network, rest.streams) == (
        "research-cremad-nemo", recipe.network, recipe.streams,
    )  # fmt: skip
    weighed = replace(recipe, streams=Streams(corpora={"nemo": 2.0, "ravdess": 3.0}))
    assert weighed.of_corpora(["nemo", "cremad"]).streams.corpora == {"nemo": 2.0}
    with pytest.raises(SerLiveError, match="trains on cremad, ravdess, nemo, not on iemocap"):
        recipe.of_corpora(["iemocap", "nemo"])


def test_own_recordings_need_no_published_split():
    network = TINY.from_dict(TINY.to_dict() | {"labels": ["cats", "dogs"]})
    recipe = Recipe("own", ("/recordings/animals",), network)
    assert recipe.classes == ("cats", "dogs")
    assert recipe.split == "fixed"
