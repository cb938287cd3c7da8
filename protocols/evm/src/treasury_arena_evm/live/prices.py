"""What a swap should bring by price sources that are not the pool (points 6 and 7 of the gate)."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from treasury_arena.contracts.chain import Refusal
from treasury_arena_evm.interfaces.aave import PRICE_AHEAD_SECONDS_MAX
from treasury_arena_evm.live.trial import Asked
from treasury_arena_evm.tokens import Token

BPS = 10_000
#: How far the pool and the price sources may be apart.
APART_BPS = 200


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
        slippage_bps: how much less than by the sources a swap may ask for.
        required: whether a swap of a token without a source is refused.
    """

    feeds: Mapping[str, Feed]
    slippage_bps: int
    required: bool

    def questions(self, pair: tuple[Token, Token]) -> dict[str, Asked]:
        """What the sources of both tokens are asked; nothing when one has none."""
        found: dict[str, Asked] = {}
        if any(token.symbol not in self.feeds for token in pair):
            return found
        for token in pair:
            feed = self.feeds[token.symbol].address
            found[f"price of {token.symbol}"] = Asked(feed, "latestRoundData()", place=1)
            found[f"age of the price of {token.symbol}"] = Asked(feed, "latestRoundData()", place=3)
            found[f"decimals of the price of {token.symbol}"] = Asked(feed, "decimals()")
        return found

    def refusal(
        self, answers: Mapping[str, int], now: int, pair: tuple[Token, Token], amount: int, least: int, gained: int
    ) -> Refusal | None:
        """Why a swap of `amount` for at least `least`, that would bring `gained` now, is not signed; base units."""
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
            values.append((answer, 10 ** (token.decimals + answers[f"decimals of the price of {token.symbol}"])))
        (price_in, unit_in), (price_out, unit_out) = values
        fair = amount * price_in * unit_out // (unit_in * price_out)
        if abs(gained - fair) * BPS > fair * APART_BPS:
            return Refusal(
                "oracle",
                f"the swap would bring {gained} base units of {pair[1].symbol}, by the price sources {fair}: more than "
                f"{APART_BPS} bps apart",
            )
        if least * BPS < fair * (BPS - self.slippage_bps):
            return Refusal(
                "min_out",
                f"the swap asks for at least {least} base units of {pair[1].symbol}, the price sources say {fair}; at most "
                f"{self.slippage_bps} bps less are allowed",
            )
        return None
