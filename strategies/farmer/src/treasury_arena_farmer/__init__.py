"""DeFi-Yield-Farmer: stablecoins to the lending market with the best rate."""
