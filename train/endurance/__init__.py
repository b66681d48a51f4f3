"""The cost of a step, a day and many streams."""
