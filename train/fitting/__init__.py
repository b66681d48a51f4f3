"""From a recipe to weights, and from weights to a model file."""
