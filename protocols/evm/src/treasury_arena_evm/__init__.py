"""What protocols on Ethereum-like chains share: sessions, pinned chains and tokens, fees, receipts, ERC-20 checks."""
