"""A run in stages: material, earlier runs, training, model file."""
