"""The command line: a package for each command, with its options and its work.

``streamer.commands.NAME`` holds ``HELP``, ``DESCRIPTION`` and ``add_arguments``, and imports
nothing slow. ``streamer.commands.NAME.run`` holds ``run(options, interrupts)``, which does the work
and returns the exit code.
"""

#: Names of the commands, in the order in which ``--help`` lists them: what a newcomer needs first.
COMMANDS = (
    "demo",
    "listen",
    "replay",
    "devices",
    "doctor",
    "enrol",
    "report",
    "score",
    "convert",
    "picture",
    "serve",
    "latency",
    "info",
    "completion",
)
