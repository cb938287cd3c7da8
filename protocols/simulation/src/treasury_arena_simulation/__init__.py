"""The simulated market: exact spot and lending venues, and a seeded generator of realistic paths."""
