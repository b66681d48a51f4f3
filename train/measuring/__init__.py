"""Measurements of a model through the runtime: recordings, streams, conditions, false alarms."""
