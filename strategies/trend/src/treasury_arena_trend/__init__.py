"""Trend follower: coins while their price leads its average, lending otherwise."""
