"""Range provider: concentrated liquidity in a Uniswap v3 pool while its fees beat lending."""
