"""No file can run code: no file is unpickled.

Only ``multiprocessing`` unpickles, from pipes to our own worker processes.
"""

from __future__ import annotations

import ast

import pytest

from tests.helpers.places import ROOT

#: Communicates with its own process over a pipe, as ``multiprocessing`` does.
PIPES = ROOT / "streamer" / "commands" / "score" / "cluster" / "alone.py"
SOURCES = [path for room in ("streamer", "model", "train") for path in (ROOT / room).rglob("*.py")]

#: Modules that run code from the files that they read.
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
RUNNING = {"eval", "exec", "yaml.load", "yaml.unsafe_load"}


#: Place of ``allow_pickle`` among the arguments of ``numpy.load``.
PICKLE_ARGUMENT = 2


def faults(source):
    """Yield lines that could unpickle, and why."""
    tree = ast.parse(source)
    names = imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            if any(name.split(".")[0] in UNSAFE for name in imported(node).values()):
                yield node.lineno, "imports a module that unpickles"
        elif isinstance(node, ast.Call):
            first, *rest = ast.unparse(node.func).split(".")
            called = ".".join([names.get(first, first), *rest])
            if complaint := risk(called, node):
                yield node.lineno, f"{called} {complaint}"


def imported(tree):
    """Return the imported names, and their full names."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                whole = name.name if name.asname else name.name.split(".")[0]
                names[name.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                names[name.asname or name.name] = f"{node.module or ''}.{name.name}"
    return names


def risk(called, call):
    """Return what is wrong with a call, if anything."""
    given = {word.arg: ast.unparse(word.value) for word in call.keywords}
    if called == "numpy.load" and len(call.args) > PICKLE_ARGUMENT:
        given["allow_pickle"] = ast.unparse(call.args[PICKLE_ARGUMENT])
    if called == "torch.load" or called.startswith("torch.hub."):
        return "" if given.get("weights_only") == "True" else "without weights_only=True"
    if given.get("allow_pickle", "False") != "False":
        return "with allow_pickle"
    return "runs what it is given" if called in RUNNING else ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_unpickled(path):
    expected = ["imports a module that unpickles"] if path == PIPES else []
    assert [why for _, why in faults(path.read_text())] == expected


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "import torch as t\nt.load(path)",
        "from torch import load\nload(path)",
        "from torch import load as read\nread(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import numpy as np\nnp.load(path, None, True)",
        "from numpy import load\nload(path, None, True)",
        "import torch\ntorch.hub.load('a', 'b')",
        "from torch.hub import load_state_dict_from_url as fetch\nfetch(address)",
        "eval(text)",
    ],
)
def test_unpickling_would_be_seen(source):
    assert list(faults(source))


def test_loading_weights_only_is_allowed():
    assert list(faults("import torch\ntorch.load(path, weights_only=True)\nnp.load(path)")) == []
