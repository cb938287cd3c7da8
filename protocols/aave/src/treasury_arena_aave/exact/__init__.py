"""The protocol itself in Python integers: pools, reserves, users and time, no frames."""
