"""Helpers of several rooms: sounds, networks, sessions, clients, and programs to drive."""
