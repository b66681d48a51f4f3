"""``ser-live report``: recorded sessions as a picture or a page.

From a session to numbers: ``overview.py`` cuts it into columns, ``facts.py`` sums it up,
``sentence.py`` and ``table.py`` say so in words. ``sound.py`` reads its sound, ``waveform.py`` is
the outline of it.

From numbers to shapes (``shapes.py``): ``timelines.py`` draws one session, ``picture.py`` all of
them over one axis, ``shares.py``, ``latencies.py``, ``table.py`` and ``legend.py`` what stands
below. ``page.py`` puts a page together.

From shapes to files: ``svg.py``, ``plotted.py`` and ``html.py``. To zoom, a page in HTML has the
numbers of ``cells.py``, which its scripts draw: ``cells.js`` unpacks them, ``view.js`` is the axis,
``strips.js`` draws, ``hover.js`` tells, ``sound.js`` plays and ``gestures.js`` moves.
"""
