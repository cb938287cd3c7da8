"""What a swap should bring, and a mint be worth, by price sources that are not the pool (points 6 and 7 of the gate)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from treasury_arena.contracts.chain import Refusal, StepKind
from treasury_arena_evm.errors import TokenError
from treasury_arena_evm.live.decoder import Call, Values
from treasury_arena_evm.live.minting import Pair, lost_bps
from treasury_arena_evm.live.prices import Prices
from treasury_arena_evm.live.trial import Asked, Trial
from treasury_arena_evm.tokens import Token, TokenTable

BPS = 10_000
#: How far what a swap brings and what the price sources say may be apart.
APART_BPS = 200
#: Kinds of steps in which coins become something else at a pool's price. What a collect or a burn gives at a price that somebody
#: has moved is worth no less by the sources' than what it would give at theirs (see `minting`).
PRICED = (StepKind.SWAP, StepKind.MINT)

_WORD = 2**256


class Worth:
    """Judges what swaps and mints are worth; see `Examiner` for the arguments."""

    def __init__(self, tokens: TokenTable, prices: Prices) -> None:
        self._tokens, self._prices = tokens, prices

    def questions(self, call: Call) -> dict[str, Asked]:
        """What price sources are asked. Which tokens a position is of is only known with the answers, so all are asked then."""
        named = [call.values[name] for name in ("token_in", "token_out", "token0", "token1") if name in call.values]
        return self._prices.questions([self._tokens.address(str(name)) for name in named] or self._tokens)

    def of_others(self, kind: StepKind, call: Call, trial: Trial) -> set[str]:
        """Names of questions about tokens that have no part in this step: what their sources do not answer says nothing."""
        try:
            pair = self._pair(kind, call, trial.before)
        except (KeyError, TokenError):  # a position that does not say its tokens, or has others: refused for that
            return set()
        return set(self._prices.questions(self._tokens)) - set(self._prices.questions(pair))

    def refusal(self, kind: StepKind, call: Call, trial: Trial, now: int) -> Refusal | None:
        """Why a swap or mint that was tried is not signed, None when nothing speaks against it. `now`: seconds since 1970."""
        pair = self._pair(kind, call, trial.before)
        price = self._prices.fair(trial.before, now, pair)
        if price is None or isinstance(price, Refusal):
            return price
        gained = [trial.after[token.symbol] - trial.before[token.symbol] for token in pair]
        if kind is StepKind.SWAP:
            amount, least = int(call.values["amount_raw"]), int(call.values["min_out_raw"])
            return self._swap(price, pair[1].symbol, amount, least, gained[1])
        return self._mint(price, call.values, trial.before, (-gained[0], -gained[1]))

    def _pair(self, kind: StepKind, call: Call, before: Mapping[str, int]) -> tuple[Token, Token]:
        first, second = ("token_in", "token_out") if kind is StepKind.SWAP else ("token0", "token1")
        if first in call.values:
            return self._tokens.address(str(call.values[first])), self._tokens.address(str(call.values[second]))
        return self._tokens.address(f"0x{before[first]:040x}"), self._tokens.address(f"0x{before[second]:040x}")

    def _swap(self, price: Fraction, bought: str, amount: int, least: int, gained: int) -> Refusal | None:
        fair = math.floor(amount * price)
        if abs(gained - fair) * BPS > fair * APART_BPS:
            return Refusal(
                "oracle",
                f"the swap would bring {gained} base units of {bought}, by the price sources {fair}: more than "
                f"{APART_BPS} bps apart",
            )
        if least * BPS < fair * (BPS - self._prices.slippage_bps):
            return Refusal(
                "min_out",
                f"the swap asks for at least {least} base units of {bought}, the price sources say {fair}; at most "
                f"{self._prices.slippage_bps} bps less are allowed",
            )
        return None

    def _mint(self, price: Fraction, values: Values, before: Mapping[str, int], spent: Pair) -> Refusal | None:
        """Now, and at either end of the prices that the least amounts allow."""
        told = values if "tick_lower" in values else before
        ticks = _signed(int(told["tick_lower"])), _signed(int(told["tick_upper"]))
        most = self._prices.slippage_bps
        if (now := lost_bps(spent, ticks, price)) > most:
            return Refusal(
                "oracle",
                f"the mint would be worth {now:.1f} bps less by the price sources than what it takes; at most {most} bps are "
                "allowed",
            )
        (offered0, least0), (offered1, least1) = (
            (int(values[f"amount{at}_raw"]), int(values[f"min{at}_raw"])) for at in (0, 1)
        )
        worst = max(lost_bps(amounts, ticks, price) for amounts in ((offered0, least1), (least0, offered1)))
        if worst > most:
            return Refusal(
                "min_out",
                f"the mint's least amounts allow prices at which it would be worth {worst:.1f} bps less by the price sources "
                f"than what it takes; at most {most} bps are allowed",
            )
        return None


def _signed(word: int) -> int:
    """A word of the contract's that may be negative."""
    return word - _WORD if word >= _WORD // 2 else word
