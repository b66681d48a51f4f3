"""Training examples drawn anew: stretches of a stream, from recordings that are decoded once."""
