"""``ser-live completion``: prints a script with which a shell completes the command line."""

from __future__ import annotations

import argparse

HELP = "a script with which a shell completes the command line"
DESCRIPTION = (
    "Print a script for a shell. bash: ser-live completion bash > "
    "~/.local/share/bash-completion/completions/ser-live. zsh: ser-live completion zsh > "
    "FOLDER/_ser-live, FOLDER being in $fpath before compinit runs. fish: ser-live completion fish "
    "> ~/.config/fish/completions/ser-live.fish. PowerShell: ser-live completion powershell | "
    "Out-String | Invoke-Expression, in $PROFILE. A new shell has it."
)
SHELLS = ("bash", "zsh", "fish", "powershell")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("shell", choices=SHELLS)
