"""Harvester: stablecoins to the best net yield of Aave, a vault and a Uniswap v3 range."""
