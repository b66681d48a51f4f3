"""What tests of several rooms need: sounds, networks, sessions, clients, and programs to drive."""
