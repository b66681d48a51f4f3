"""``ser-live latency``: how late a label is, and where the time goes.

``command.py`` runs the measurements: ``live.py`` at the pace of the clock, ``stopped.py`` with the
clock stopped while computing, ``streams.py`` many streams at once, ``loopback.py`` speaker to
microphone. ``tables.py`` and ``plot.py`` show what they give.
"""
