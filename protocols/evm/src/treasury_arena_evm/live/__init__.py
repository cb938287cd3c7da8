"""Live trading on an EVM chain: nodes, the chain client, and the gate's own look at every transaction."""
