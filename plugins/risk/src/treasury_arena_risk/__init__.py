"""The survival fuse: a circuit breaker for a treasury."""
