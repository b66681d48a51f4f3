"""What a step, a day and many streams cost."""
