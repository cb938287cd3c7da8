"""Volatility-targeted allocator between ETH and lending."""
