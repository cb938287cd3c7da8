"""Price sources that are not the pool (point 6 of the gate)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

import attrs

from treasury_arena.contracts.chain import Refusal
from treasury_arena_evm.interfaces.aave import PRICE_AHEAD_SECONDS_MAX
from treasury_arena_evm.live.trial import Asked
from treasury_arena_evm.tokens import Token


@attrs.frozen
class Feed:
    """A Chainlink-like price source of one token: its contract, and how old its answer may be, in seconds."""

    address: str
    heartbeat_seconds: int


@attrs.frozen
class Prices:
    """Price sources by symbol, all in the same currency.

    Attributes:
        feeds: by symbol.
        slippage_bps: how much less than by the sources a swap may ask for, and a mint be worth.
        required: whether a swap or mint of a token without a source is refused.
    """

    feeds: Mapping[str, Feed]
    slippage_bps: int
    required: bool

    def questions(self, tokens: Iterable[Token]) -> dict[str, Asked]:
        """What the sources of these tokens are asked; a token without one is left out."""
        found: dict[str, Asked] = {}
        for token in tokens:
            if token.symbol not in self.feeds:
                continue
            feed = self.feeds[token.symbol].address
            found[f"price of {token.symbol}"] = Asked(feed, "latestRoundData()", place=1)
            found[f"age of the price of {token.symbol}"] = Asked(feed, "latestRoundData()", place=3)
            found[f"decimals of the price of {token.symbol}"] = Asked(feed, "decimals()")
        return found

    def fair(self, answers: Mapping[str, int], now: int, pair: tuple[Token, Token]) -> Fraction | Refusal | None:
        """Base units of the second token that one of the first is worth by the sources, or why that is not known.

        None when a token has no source and none is required. `now` is in seconds since 1970.
        """
        missing = [token.symbol for token in pair if token.symbol not in self.feeds]
        if missing:
            told = f"no price source is configured for {', '.join(missing)}"
            return Refusal("oracle", told) if self.required else None
        values = []
        for token in pair:
            answer, answered = answers[f"price of {token.symbol}"], answers[f"age of the price of {token.symbol}"]
            if not 0 < answer < 2**255:
                return Refusal("oracle", f"the price source of {token.symbol} has no price")
            age, most = now - answered, self.feeds[token.symbol].heartbeat_seconds
            if age > most:
                return Refusal("oracle", f"the price of {token.symbol} is {age} s old, at most {most} s are allowed")
            if age < -PRICE_AHEAD_SECONDS_MAX:
                return Refusal("oracle", f"the price of {token.symbol} is dated {-age} s in the future")
            unit = 10 ** (token.decimals + answers[f"decimals of the price of {token.symbol}"])
            values.append(Fraction(answer, unit))
        return values[0] / values[1]
