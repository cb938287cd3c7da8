"""Peg reverter: buys a stablecoin below its peg, sells it when it recovers."""
