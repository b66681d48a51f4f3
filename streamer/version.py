"""The version of the program, and the commit that it was made from.

``pyproject.toml`` holds the version. The build writes the commit into the package, see
``.ci/commit_hook.py``; a checkout asks git.
"""

from __future__ import annotations

import os
from pathlib import Path

NAME = "ser-live"
#: The file in the package that the build writes.
COMMIT_FILE = "commit.txt"
UNKNOWN = "unknown"

_PACKAGE = Path(__file__).parent
_PATIENCE_S = 5.0
_DIGITS = 12


def version(package: Path = _PACKAGE) -> str:
    """Return the version; of a checkout, what its ``pyproject.toml`` says now."""
    import tomllib

    try:
        with (package.parent / "pyproject.toml").open("rb") as file:
            project = tomllib.load(file).get("project", {})
        if project.get("name") == NAME:
            return str(project["version"])
    except (OSError, ValueError, KeyError):
        pass  # it is installed
    from importlib import metadata

    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return UNKNOWN


def commit(package: Path = _PACKAGE) -> str:
    """Return the first digits of the commit, and whether files were changed since; or ""."""
    try:
        return (package / COMMIT_FILE).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return checkout_commit(package.parent)


def checkout_commit(root: Path) -> str:
    """Return the commit of a checkout as :func:`commit` does; "" if it is none, or without git."""
    if not (root / ".git").exists():  # a repository around it says nothing about it
        return ""
    import subprocess

    # A git hook that runs the program sets these to its own repository.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    describe = ["describe", "--always", "--dirty=, changed", "--exclude=*", f"--abbrev={_DIGITS}"]
    command = ["git", "--no-optional-locks", "-C", str(root), *describe]
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def program_line() -> str:
    """Return the program's name, version and, where it is known, its commit."""
    known = commit()
    return f"{NAME} {version()}" + (f" (commit {known})" if known else "")
