"""Hears recordings on the workers of a Dask cluster.

``client.py`` runs beside the user: it hands out tasks of some minutes of audio (``grouping.py``)
and takes the answers. ``task.py`` runs on the workers, which check the model that ``spec.py``
names; ``watch.py`` knows which of them hang; ``alone.py`` hears recordings there in a process of
its own, if they killed or hung workers.
"""
