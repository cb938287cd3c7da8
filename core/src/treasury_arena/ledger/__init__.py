"""Double entry: names of accounts, and the book a cycle is built on before the store makes it last."""

from treasury_arena.ledger.book import Ledger

__all__ = ["Ledger"]
