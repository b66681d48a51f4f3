"""Looks at the program, its libraries and its configuration file."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

from streamer.commands.configuration import chosen_path, read
from streamer.commands.doctor.findings import Section
from streamer.commands.parser import command_parsers
from streamer.version import commit, version

#: Extra -> what it installs, by the names of packages.
EXTRAS = {
    "media": ("av",),
    "plot": ("matplotlib",),
    "serve": ("starlette", "uvicorn", "websockets"),
    "parquet": ("pyarrow",),
    "remote": ("fsspec", "s3fs"),
    "cluster": ("distributed",),
    "pipecat": ("pipecat-ai",),
}


def check_program(section: Section) -> None:
    """Find versions of the program and of what it runs on."""
    section.facts["version"] = version()
    section.facts["commit"] = commit() or None
    section.facts["installed_in"] = str(_package_folder())
    section.facts["Python"] = f"{platform.python_version()} ({platform.python_implementation()})"
    section.facts["platform"] = platform.platform()
    section.facts["machine"] = platform.machine()
    section.facts["cores"] = os.cpu_count()
    if hasattr(os, "sched_getaffinity"):
        section.facts["cores_for_this_process"] = len(os.sched_getaffinity(0))


def _package_folder() -> str:
    spec = find_spec("streamer")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return places[0] if places else "unknown"


def check_libraries(section: Section) -> None:
    """Import what the program needs: a library may be there and not start."""
    culprits: dict[str, str] = {}
    for name, imported in _NEEDED.items():
        try:
            section.facts[name] = imported()
        except Exception as error:  # a damaged library raises anything
            reason = str(error).strip().partition("\n")[0]
            culprit = culprits.setdefault(reason, name)
            section.facts[name] = "broken" if culprit == name else f"needs {culprit}"
            if culprit == name:
                section.add_problem(
                    f"{name} does not start ({reason}): python -m pip install --force-reinstall "
                    f"{name}"
                )


def _version_of(name: str) -> Callable[[], str]:
    def imported() -> str:
        import_module(name)
        return metadata.version(name)

    return imported


def _onnxruntime() -> str:
    import_module("streamer.modelfile.runtime")  # turns its telemetry off
    return _version_of("onnxruntime")()


def _soundfile() -> str:
    module: Any = import_module("soundfile")
    return f"{module.__version__} (libsndfile {module.__libsndfile_version__})"


def _soxr() -> str:
    module: Any = import_module("soxr")
    return f"{module.__version__} ({module.__libsoxr_version__})"


_NEEDED: dict[str, Callable[[], str]] = {
    "numpy": _version_of("numpy"),
    "onnxruntime": _onnxruntime,
    "soundfile": _soundfile,
    "soxr": _soxr,
    "rich": _version_of("rich"),
}


def check_extras(section: Section) -> None:
    """Find which extras are installed; none of them is needed."""
    for extra, packages in EXTRAS.items():
        found = []
        for package in packages:
            try:
                found.append(f"{package} {metadata.version(package)}")
            except metadata.PackageNotFoundError:
                found = []
                break
        section.facts[extra] = ", ".join(found) or "not installed"


def configuration_check(options: argparse.Namespace) -> Callable[[Section], None]:
    """Return a check of the configuration file that these options choose."""

    def check(section: Section) -> None:
        path = chosen_path(options)
        section.facts["file"] = "none" if path is None else str(path)
        if path is not None:
            values = read(path, command_parsers())
            section.facts["sets"] = [
                f"{command}: {', '.join(f'{key} = {one[0]!r}' for key, one in entries.items())}"
                for command, entries in values.items()
                if entries
            ]

    return check
