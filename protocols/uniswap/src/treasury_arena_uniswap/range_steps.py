"""Steps of a range's plan bound to calldata of the position manager: mint, increase, and what takes liquidity and fees out.

Each takes no more than this order has allowed it, and what it does is bounded twice: by a price that may not have moved from the
planned one by more than the slippage, and by the least amounts that the manager itself insists on until the deadline.
"""

from __future__ import annotations

from collections.abc import Mapping

from treasury_arena.contracts.chain import PlannedStep, Step, StepKind
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ValidationError
from treasury_arena_evm.interfaces.uniswap import V3_POSITIONS
from treasury_arena_evm.liquidity import asset_of
from treasury_arena_evm.planning import EvmPlanner, Expected
from treasury_arena_evm.swaps import Swaps
from treasury_arena_evm.v3 import Pool, check_unmoved
from treasury_arena_uniswap import orders
from treasury_arena_uniswap.reading import Held, PositionsReader

MINT_GAS = 1_000_000
"""Most gas of a mint or an increase; a mint that opened both its ticks took 469,000 on the local chain."""
LEAVE_GAS = 700_000
"""Most gas of what takes liquidity and fees out and, at the end, burns the token; that took 263,000 to 289,000."""
MOST = 2**128 - 1


class RangeSteps:
    """Binds the steps of one planner's ranges."""

    def __init__(self, planner: EvmPlanner, swaps: Swaps, manager: PositionsReader) -> None:
        self.planner, self.swaps, self.manager = planner, swaps, manager

    def minting(
        self, amount: int | str, token_id: int, bounds: tuple[int, int], price_x96: int, takes: list[str]
    ) -> PlannedStep:
        """The step that puts what was allowed of the tokens it `takes` into a range: that of a token, or (0) a new one."""
        details = {
            "token_id": token_id,
            "lower": bounds[0],
            "upper": bounds[1],
            "price_raw": price_x96,
            "takes": takes,
        }
        return PlannedStep(StepKind.MINT, self.planner.base.symbol, amount, MINT_GAS, details)

    def leaving(self, held: Held, liquidity: int) -> PlannedStep:
        """The step that takes liquidity and all fees out; with all of it the token is burnt."""
        kind = StepKind.BURN if liquidity == held.liquidity else StepKind.COLLECT
        details = {
            "token_id": held.token_id,
            "liquidity_raw": liquidity,
            "price_raw": held.pool.sqrt_price_x96,
        }
        return PlannedStep(kind, self.planner.base.symbol, 0, LEAVE_GAS, details)

    def bind(self, step: PlannedStep, now: int) -> Step | None:
        """Calldata for any step but approvals."""
        if step.kind is StepKind.SWAP:
            amount = self._allowance(step.asset, self.swaps.router)
            return self.swaps.bind(step, amount, now) if amount else None
        if step.kind is StepKind.MINT:
            return self._mint(step, now)
        if step.kind in (StepKind.COLLECT, StepKind.BURN):
            return self._leave(step, now)
        raise ValidationError(
            f"market {self.planner.market!r}: a range of liquidity has no step of the kind {step.kind!s}"
        )

    def _asset(self, symbol: str) -> Asset:
        planner = self.planner
        return planner.asset if symbol == planner.asset.symbol else planner.base

    def _allowance(self, symbol: str, spender: str) -> int:
        """What this order lets a spender take: every order takes its allowances back, so it is nobody else's."""
        return self.planner.token(self._asset(symbol)).allowance(self.planner.sender, spender)

    def _pool(self, step: PlannedStep) -> Pool:
        pool = self.swaps.pool()
        check_unmoved(pool, int(step.details["price_raw"]), self.swaps.slippage_bps)
        return pool

    def _mint(self, step: PlannedStep, now: int) -> Step | None:
        planner, details = self.planner, step.details
        pool, deadline = self._pool(step), planner.deadline(now)
        first, second = (  # of a token that this order allowed nothing of, another's allowance may be left
            self._allowance(token.symbol, self.manager.positions) if token.symbol in details["takes"] else 0
            for token in (pool.token0, pool.token1)
        )
        if not first and not second:
            return None
        amounts = first, second
        token_id, lower, upper = (int(details[name]) for name in ("token_id", "lower", "upper"))
        least = orders.least_amounts(pool, lower, upper, *amounts, self.swaps.slippage_bps)
        for token, amount in zip((pool.token0, pool.token1), amounts, strict=True):
            if amount:
                planner.token(self._asset(token.symbol)).check(planner.sender, pool.address, amount)
        expects: Expected = {
            "asset": planner.place(planner.base),
            **dict(zip(("amount0_raw", "amount1_raw"), amounts, strict=True)),
            **dict(zip(("min0_raw", "min1_raw"), least, strict=True)),
            "deadline": deadline,
        }
        order: tuple[int | str, ...]
        if token_id:
            self.owned(token_id)
            function, order = V3_POSITIONS.function("increaseLiquidity"), (token_id, *amounts, *least, deadline)
            expects["token_id"] = token_id
        else:
            orders.check_ticks(pool, lower, upper)
            function = V3_POSITIONS.function("mint")
            tokens = pool.token0.address, pool.token1.address
            order = (*tokens, pool.fee, lower, upper, *amounts, *least, planner.sender, deadline)
            expects |= {"token0": tokens[0], "token1": tokens[1], "fee": pool.fee, "recipient": planner.sender}
            expects |= {"tick_lower": lower, "tick_upper": upper}
        spends = {token.symbol: amount for token, amount in zip((pool.token0, pool.token1), amounts, strict=True)}
        return planner.called(step, self.manager.positions, function, (order,), expects, spends)

    def _leave(self, step: PlannedStep, now: int) -> Step | None:
        planner, burns = self.planner, step.kind is StepKind.BURN
        held = self.owned(int(step.details["token_id"]))
        self._pool(step)
        liquidity = held.liquidity if burns else min(held.liquidity, int(step.details["liquidity_raw"]))
        expects: Expected = {"asset": planner.place(planner.base), "token_id": held.token_id}
        calls: list[tuple[str, tuple[object, ...]]] = []
        if liquidity:
            least = orders.least_returned(held.pool, held.lower, held.upper, liquidity, self.swaps.slippage_bps)
            deadline = planner.deadline(now)
            calls.append(("decreaseLiquidity", (held.token_id, liquidity, *least, deadline)))
            expects |= {"liquidity": liquidity, "min0_raw": least[0], "min1_raw": least[1], "deadline": deadline}
        if liquidity or held.fees0 or held.fees1:
            self._check_paid(held)
            calls.append(("collect", (held.token_id, planner.sender, MOST, MOST)))
            expects["recipient"] = planner.sender
        if not calls and not burns:
            return None
        spends = {asset_of(held.token_id): liquidity} if liquidity else {}
        return self._called(step, calls, burns, expects, spends)

    def _called(
        self,
        step: PlannedStep,
        calls: list[tuple[str, tuple[object, ...]]],
        burns: bool,
        expects: Expected,
        spends: Mapping[str, int],
    ) -> Step:
        """One call as itself, several as one transaction: all of them happen, or none."""
        to, token_id = self.manager.positions, expects["token_id"]
        encoded = [V3_POSITIONS.function(name).encode(order) for name, order in calls]
        encoded += [V3_POSITIONS.function("burn").encode(token_id)] if burns else []
        if len(encoded) > 1:
            return self.planner.called(step, to, V3_POSITIONS.function("multicall"), (encoded,), expects, spends)
        if burns:
            return self.planner.called(step, to, V3_POSITIONS.function("burn"), (token_id,), expects, spends)
        ((name, order),) = calls
        return self.planner.called(step, to, V3_POSITIONS.function(name), (order,), expects, spends)

    def owned(self, token_id: int) -> Held:
        """A position of the treasury's in this market's pool; ValidationError for any other."""
        planner, held = self.planner, self.manager.position(token_id)
        if held.owner.lower() != planner.sender.lower():
            raise ValidationError(
                f"market {planner.market!r}: position {token_id} belongs to {held.owner}, not to {planner.sender}"
            )
        if held.pool.address != (ours := self.swaps.pool()).address:
            raise ValidationError(
                f"market {planner.market!r}: position {token_id} lies in the pool {held.pool.name}, this market's is {ours.name}"
            )
        return held

    def _check_paid(self, held: Held) -> None:
        """Both tokens can be paid out: what is taken out and cannot be collected would lie in the contract."""
        amounts = held.amount0 + held.fees0, held.amount1 + held.fees1
        for token, amount in zip((held.pool.token0, held.pool.token1), amounts, strict=True):
            if amount:
                self.planner.token(self._asset(token.symbol)).check(held.pool.address, self.planner.sender, amount)
