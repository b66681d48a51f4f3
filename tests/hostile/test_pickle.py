"""No file of weights can run code: nothing in the project unpickles."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for room in ("streamer", "model", "train") for path in (ROOT / room).rglob("*.py")]

#: Modules that run code from the files that they read.
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}


def faults(source):
    """Lines that could unpickle, and why."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [name.name for name in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] in UNSAFE for name in names):
                yield node.lineno, "imports a module that unpickles"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if called in ("torch.load", "load_state_dict_from_url") or called.startswith(
                "torch.hub"
            ):
                if given.get("weights_only") != "True":
                    yield node.lineno, f"{called} without weights_only=True"
            elif given.get("allow_pickle", "False") != "False":
                yield node.lineno, f"{called} with allow_pickle"
            elif called in ("eval", "exec", "yaml.load", "yaml.unsafe_load"):
                yield node.lineno, f"{called} runs what it is given"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_unpickles(path):
    assert list(faults(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "torch.hub.load('a', 'b')",
        "eval(text)",
    ],
)
def test_unpickling_would_be_seen(source):
    assert list(faults(source))


def test_weights_that_may_be_read_are():
    assert list(faults("torch.load(path, weights_only=True)\nnp.load(path)")) == []
