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
    "bench",
    "gate",
    "soak",
    "windows",
)
#: Commands that resume where they were stopped.
GO_ON = ("fit", "pretrain", "teach", "compare")
