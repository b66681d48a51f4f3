"""The command line: a package for each command, with its options and its work.

``streamer.commands.NAME`` holds ``HELP``, ``DESCRIPTION`` and ``add_arguments``, and imports
nothing slow. ``streamer.commands.NAME.run`` holds ``run(options, interrupts)``, which does the work
and returns the exit code.
"""

#: Names of the commands by what they are for. ``--help`` lists them in this order: first what a
#: newcomer needs.
GROUPS = {
    "begin here": ("demo", "listen", "replay"),
    "if something is wrong": ("devices", "doctor"),
    "results": ("report", "convert", "picture"),
    "many recordings, other programs": ("score", "serve"),
    "more": ("enrol", "latency", "info", "completion"),
}
COMMANDS = tuple(name for names in GROUPS.values() for name in names)
