"""The commands of ``python -m train``, a module for each.

Each holds ``HELP``, ``DESCRIPTION``, ``add_arguments(parser)`` and ``run(options)``, which returns
the exit code. ``run`` imports what it needs: torch takes seconds, and ``--help`` needs none of it.
"""

#: Names of the commands, in the order in which ``--help`` lists them.
COMMANDS = (
    "prepare",
    "fit",
    "pretrain",
    "teach",
    "export",
    "evaluate",
    "tune",
    "compare",
    "shapes",
    "bench",
    "gate",
    "soak",
    "windows",
)
#: What the last line after a stop adds, for commands that resume.
GO_ON = {
    "fit": "; the same command goes on after the last whole epoch",
    "pretrain": "; the same command goes on",
    "teach": "; the same command goes on",
    "compare": "; the same command goes on",
    "shapes": "; the same command goes on",
}
