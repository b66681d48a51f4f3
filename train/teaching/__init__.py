"""Networks that learn from larger ones: imitation, teachers of emotions, the voice gate."""
