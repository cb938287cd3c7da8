"""ERC-4626 vaults: the general door to yield sources, as model, in exact integers, and on a chain."""
