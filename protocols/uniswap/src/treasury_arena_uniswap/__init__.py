"""Uniswap v2 and v3: kernel models, exact integer pools, and the deployed contracts."""
