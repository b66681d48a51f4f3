"""From a recipe and examples to weights."""
