"""A session: the events from a source to its sinks, in order."""
