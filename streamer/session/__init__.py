"""From a source to its sinks: what happens in a session, in its order."""
