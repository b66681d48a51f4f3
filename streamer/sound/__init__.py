"""Sound on its way to the stream: what a file holds, and what its channels are."""
