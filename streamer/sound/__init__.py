"""Sound for the stream: files, pipes, microphones and their channels."""
