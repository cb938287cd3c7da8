"""Aave v3: lending, borrowing and liquidation in exact integers, as search models, and on the chain."""
