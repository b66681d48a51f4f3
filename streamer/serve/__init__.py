"""The server: takes audio over a WebSocket, sends JSON lines, and serves a page."""
