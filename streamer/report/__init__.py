"""``ser-live report``: recorded sessions as a picture or a page.

``overview.py`` cuts a session into columns, ``panel.py`` draws one session and ``page.py`` all of
them, as the shapes of ``shapes.py``; ``svg.py``, ``html.py`` and ``plotted.py`` write these.
"""
