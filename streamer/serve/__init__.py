"""The server: audio in over a WebSocket, JSON lines out, and a page for the browser."""
