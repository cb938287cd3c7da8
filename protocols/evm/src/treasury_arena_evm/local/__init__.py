"""A test chain of one's own: anvil on the loopback, with the real contracts of Uniswap and Aave from npm."""
