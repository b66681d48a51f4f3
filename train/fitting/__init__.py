"""Training from a recipe to weights, and export to a model file."""
