"""What a network hears: recordings as they are, augmented, and drawn into streams."""
