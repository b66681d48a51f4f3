"""``ser-live score``: what is heard in many recordings, a row each."""
