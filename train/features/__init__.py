"""A network's inputs: recordings as they are, augmented, and arranged into streams."""
