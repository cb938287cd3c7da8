"""How far the models are from the exact markets: random markets, versions, stakes and moves through both.

Value and cash after every trade, as a share of all that moved (swaps included), for stakes from `STAKE_MIN` USD.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np

from treasury_arena.contracts.decision import build_params
from treasury_arena.contracts.parity import GapCheck, GapResult, Told
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, ExactState
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.randomness import stream
from treasury_arena_aave.exact.versions import VERSIONS
from treasury_arena_aave.market import AccountExact, AccountReserveExact, SupplyExact
from treasury_arena_aave.model import (
    ACCOUNT,
    ACCOUNT_RESERVE,
    SUPPLY,
    AccountParams,
    AccountReserveParams,
    borrowers_rate,
)

ASSETS = AssetTable(KNOWN_ASSETS)
STEP = 3600
ROWS = 25
STAKE_MIN, STAKE_MAX = 1e4, 1e8
BOUND = 1e-9
FALLING = 0.5
"""Share of the accounts whose price falls so far that they are liquidated."""
SMALL_DEBT, SMALL_STAKE = (200.0, 1_990.0), 1e5
"""USD owed by most of those below so large a stake, where the version has small positions: all of it is repaid at once."""
FALLS = ((0.8, 0.94), (0.94, 0.95), (0.95, 0.96), (0.96, 1.0))
"""Health factors that a fall leads to, one range as likely as another: all of the debt up to 0.95, half of it above."""


class Walk:
    """One position through a model and through its exact market at once.

    Attributes:
        turnover: USD moved so far, swaps included.
        error: largest difference of value or of all cash so far, USD.
    """

    def __init__(
        self, model: PositionModel, market: type[Any], asset: str, columns: Mapping[str, Any], params: dict[str, float]
    ) -> None:
        spec = MarketSpec("x", model.name, model.kind, asset, {name: name for name in columns}, params)
        self._model, self._params = model, build_params(model, spec)
        filled = {name: np.array(np.broadcast_to(column, ROWS), float) for name, column in columns.items()}
        self._lines = [
            model.market(*(float(filled[name][row]) for name in model.market._fields)) for row in range(ROWS)
        ]
        frame = MarketFrame(0, STEP, filled)
        self._market: ExactMarket = market(spec, model, frame, ASSETS[asset], ASSETS["USDC"])
        self._unit = self._market.base.unit
        self._state: ExactState = self._market.open()
        self._floats = model.state()
        self._row, self._cash = 0, 0.0
        self.turnover, self.error = 0.0, 0.0

    @property
    def value(self) -> float:
        """Worth by the exact market, USD."""
        worth: int = self._market.value(self._state, self._row)
        return worth / self._market.base.unit

    def move(self, target: float, control: tuple[float, ...] = ()) -> None:
        """Trade both to the same target."""
        raw = round(target * self._unit)
        fill = self._market.trade(self._state, raw, self._row, control)
        wanted = None if self._model.control is None else self._model.control(*control)
        self._floats, cash = self._model.trade(
            self._floats, raw / self._unit, self._lines[self._row], self._params, wanted
        )
        self._cash += float(cash)
        if fill is not None:
            self._state = fill.state
            self._cash -= fill.cash_raw / self._unit
            self.turnover += fill.notional_raw / self._unit
        self._look()

    def hold(self) -> None:
        """Let all but the last row pass, one after the other."""
        assert self._model.accrue is not None
        while self._row + 1 < ROWS:
            self._row += 1
            self._floats = self._model.accrue(self._floats, self._lines[self._row], self._params)
            self._state, _ = self._market.accrue(self._state, self._row - 1, self._row)
        self._look()

    def _look(self) -> None:
        worth = float(self._model.value(self._floats, self._lines[self._row], self._params))
        self.error = max(self.error, abs(worth - self.value), abs(self._cash))


def _result(
    name: str, bound: float, case_of: Callable[[np.random.Generator], Walk], cases: int, seed: int, told: Told
) -> GapResult:
    rng = stream(seed, 0, f"{name}/gap")
    errors = np.zeros(cases)
    for case in range(cases):
        walk = case_of(rng)
        errors[case] = walk.error / walk.turnover
        told(case + 1, cases)
    median, high, largest = (float(q) for q in np.quantile(errors, [0.5, 0.99, 1.0]))
    return GapResult(name, cases, median, high, largest, bound)


def _version(rng: np.random.Generator) -> float:
    return float(rng.choice([float(name) for name in VERSIONS]))


def _stake(rng: np.random.Generator) -> float:
    return float(10.0 ** rng.uniform(np.log10(STAKE_MIN), np.log10(STAKE_MAX)))


@attrs.frozen
class SupplyGap(GapCheck):
    """USDC or WETH lent at 0 to 40 % a year to reserves of 1 million to 10 billion USD, held for a day, half taken back."""

    name: str = SUPPLY.name
    bound: float = BOUND

    def run(self, cases: int, seed: int, told: Told) -> GapResult:
        return _result(self.name, self.bound, self.case, cases, seed, told)

    @staticmethod
    def case(rng: np.random.Generator) -> Walk:
        """One random position."""
        asset, stake = str(rng.choice(["USDC", "WETH"])), _stake(rng)
        supplied = 10.0 ** rng.uniform(6.0, 10.0)
        columns = {
            "rate": rng.uniform(0.0, 0.4, ROWS),
            "price": 1.0 if asset == "USDC" else 10.0 ** rng.uniform(2.5, 4.0) * np.exp(0.01 * rng.normal(size=ROWS)),
            # The last row has the cash for what is taken back.
            "supplied": np.array([supplied] * (ROWS - 1) + [supplied + 4.0 * stake]),
            "borrowed": supplied * rng.uniform(0.0, 1.0),
            "gas": rng.uniform(0.0, 5.0),
        }
        params = {"swap_fee": 0.0 if asset == "USDC" else 0.0005, "version": _version(rng), "optimal": 0.8}
        walk = Walk(SUPPLY, SupplyExact, asset, columns, params)
        walk.move(stake)
        walk.hold()
        walk.move(walk.value * float(rng.uniform(0.0, 0.5)))
        return walk


@attrs.frozen
class AccountGap(GapCheck):
    """WETH with a debt at ltv 0 to 0.8, a day of prices in which half are liquidated, another ltv, and a partial sale.

    Of the liquidations half take all of a debt, some of them all of the collateral too, and a sixth a small debt.
    """

    name: str = ACCOUNT.name
    bound: float = BOUND

    def run(self, cases: int, seed: int, told: Told) -> GapResult:
        return _result(self.name, self.bound, self.case, cases, seed, told)

    @staticmethod
    def case(rng: np.random.Generator) -> Walk:
        """One random position."""
        stake = _stake(rng)
        columns, params, ltv = _account(rng, stake)
        return _looped(Walk(ACCOUNT, AccountExact, "WETH", columns, params), stake, ltv, rng)


@attrs.frozen
class AccountReserveGap(GapCheck):
    """As `AccountGap`, borrowed from reserves of 1 million to 10 billion USD, whose rate the loan moves."""

    name: str = ACCOUNT_RESERVE.name
    bound: float = BOUND

    def run(self, cases: int, seed: int, told: Told) -> GapResult:
        return _result(self.name, self.bound, self.case, cases, seed, told)

    @staticmethod
    def case(rng: np.random.Generator) -> Walk:
        """One random position."""
        stake, supplied = _stake(rng), 10.0 ** rng.uniform(6.0, 10.0)
        columns, params, ltv = _account(rng, stake)
        # The loan of the stake itself is there to be had; what it moves the usage to is anything.
        columns["supplied"] = supplied + 5.0 * stake
        columns["borrowed"] = supplied * rng.uniform(0.0, 1.0)
        params["optimal"] = float(rng.choice([0.8, 0.92]))
        # Rates of the reserve's own curve, half to twice: one far above it at hardly any usage is no reserve's.
        curve = AccountReserveParams(optimal=params["optimal"])
        usual = borrowers_rate(float(columns["borrowed"] / columns["supplied"]), curve)
        columns["borrow_rate"] = usual * rng.uniform(0.5, 2.0, ROWS)
        walk = Walk(ACCOUNT_RESERVE, AccountReserveExact, "WETH", columns, params)
        return _looped(walk, stake, ltv, rng)


def _account(rng: np.random.Generator, stake: float) -> tuple[dict[str, Any], dict[str, float], float]:
    """Columns and parameters of an account's market, and the loan-to-value that it begins with."""
    version, ltv = _version(rng), float(rng.uniform(0.0, 0.8))
    price = 10.0 ** rng.uniform(2.5, 4.0) * np.exp(np.cumsum(rng.normal(0.0, 0.004, ROWS)))
    if rng.uniform() < FALLING:
        low, high = FALLS[rng.integers(len(FALLS))]
        if version > 3.0 and stake < SMALL_STAKE and rng.uniform() < 0.8:
            debt = float(rng.uniform(*SMALL_DEBT))
            ltv = debt / (stake + debt)
        row, health = rng.integers(1, ROWS), rng.uniform(low, high)
        price[row:] *= price[0] * (health * ltv / AccountParams().threshold) / price[row]
    columns = {
        "price": price,
        "supply_rate": rng.uniform(0.0, 0.1, ROWS),
        "borrow_rate": rng.uniform(0.0, 0.4, ROWS),
        "gas": rng.uniform(0.0, 5.0),
    }
    small = 2_000.0 if version > 3.0 else 0.0
    return columns, {"fee": rng.uniform(0.0, 0.003), "version": version, "small": small}, ltv


def _looped(walk: Walk, stake: float, ltv: float, rng: np.random.Generator) -> Walk:
    walk.move(stake, (ltv,))
    walk.hold()
    other = rng.uniform(0.0, 0.7)
    walk.move(walk.value, (other,))
    walk.move(walk.value * float(rng.uniform(0.0, 0.5)), (other,))
    return walk
