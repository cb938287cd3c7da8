"""What `arena parity` runs: the integers against the contract's bytecode, and the model against the integers."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from example_savings.exact import Savings, SavingsRefusalError
from example_savings.market import SavingsMarket
from example_savings.model import ACCOUNT, Columns, Params, State, accrue, trade, value
from treasury_arena.clock import Stopwatch
from treasury_arena.contracts.parity import GapCheck, GapResult, ParityCheck, ParityResult, Tally, Told
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import Asset
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.randomness import stream

if TYPE_CHECKING:
    from treasury_arena_evm.local.market import LocalMarket

DAY, HOUR, FUNDS = 86_400, 3_600, 10**20


def deploy(market: LocalMarket, rate: int, pot: int = 0) -> str:
    """Compile the contract and put it on a local chain with a pot to pay interest from; every user may save there."""
    from example_savings.chain import SAVINGS
    from treasury_arena_evm.local.artifacts import compiled

    code = compiled(files("example_savings"))["Savings"].code
    token = market.token("USDC").address
    address = market.chain.deploy(market.owner.address, code, SAVINGS.constructor, token, rate)
    market.fund("USDC", address, pot)
    for user in market.users:
        market.fund("USDC", user.address, FUNDS)
        market.approve(user.address, "USDC", address)
    return address


def compare(market: LocalMarket, operations: int, seed: int, tally: Tally, told: Told) -> None:
    """Random deposits, withdrawals and changes of the rate, up to sixty days apart, on both sides."""
    from example_savings.chain import ALL, SAVINGS
    from treasury_arena_evm.errors import RevertError

    chain, owner = market.chain, market.owner.address
    at, rng = deploy(market, 0), stream(seed, 0, "savings/parity")
    ours, users = Savings(touched=chain.now), [user.address for user in market.users]
    for number in range(1, operations + 1):
        act, who = str(rng.choice(["deposit", "withdraw", "setRate"], p=[0.45, 0.45, 0.1])), str(rng.choice(users))
        now = chain.now + int(10.0 ** rng.uniform(0.0, np.log10(60 * DAY)))
        amount = int(10.0 ** rng.uniform(-0.5, 13.0))
        if act == "withdraw":  # now and then nothing, all, or a little more than there is
            held = ours.balance(who, now)
            kind = rng.random()
            amount = held * int(rng.integers(0, 10**9)) // 10**9 if kind < 0.6 else held + int(rng.integers(0, 3))
            amount = ALL if kind > 0.85 else amount
        elif act == "setRate":
            amount = int(rng.integers(0, 2 * 10**8)) * 10**18
        said = wanted = ""
        try:
            if act == "deposit":
                ours.deposit(who, amount, now)
            elif act == "withdraw":
                ours.withdraw(who, None if amount == ALL else amount, now)
            else:
                ours.set_rate(amount, now)
        except SavingsRefusalError as error:
            said = error.reason
        chain.next_time(now)
        try:
            chain.send(owner if act == "setRate" else who, at, SAVINGS.function(act), amount)
        except RevertError as error:
            wanted = error.reason
        tally.refused += bool(said) and said == wanted

        def read(function: str, *arguments: str) -> int:
            return int(chain.call(at, SAVINGS.function(function), *arguments))

        for quantity, mine, theirs in (
            ("refusal", said, wanted),
            ("index", ours.index_at(now), read("index")),
            ("units", ours.units.get(who, 0), read("units", who)),
            ("total units", ours.total, read("total")),
            ("balance", ours.balance(who, now), read("balanceOf", who)),
            ("cash", ours.cash, market.balance("USDC", at)),
        ):
            tally.note(number, f"{act} of {amount}", quantity, mine, theirs)
        told(number, operations)


class SavingsParity(ParityCheck):
    """Six savers on one account that begins empty, so that it runs out of cash for its interest."""

    name = "Savings account"

    def run(self, operations: int, seed: int, anvil: Path | None, told: Told) -> ParityResult:
        from treasury_arena_evm.local.market import local_market

        watch, tally = Stopwatch(), Tally()
        with local_market(anvil=anvil) as market:
            compare(market, operations, seed, tally, told)
        return tally.result(self.name, "Savings.sol of example-savings 1.0.0", operations, watch.seconds())


class SavingsGap(GapCheck):
    """Pay in 100 USD to 10 million, hold for a day at 0 to 60 % a year, take a part out: the error as a share of it all."""

    name, bound = ACCOUNT.name, 5e-8

    def run(self, cases: int, seed: int, told: Told) -> GapResult:
        rng, errors = stream(seed, 0, "savings/gap"), np.zeros(cases)
        for case in range(cases):
            errors[case] = self._one(rng)
            told(case + 1, cases)
        median, high, largest = (float(q) for q in np.quantile(errors, [0.5, 0.99, 1.0]))
        return GapResult(self.name, cases, median, high, largest, self.bound)

    @staticmethod
    def _one(rng: np.random.Generator) -> float:
        base, rates = Asset("USDC", 6, stable=True), rng.uniform(0.0, 0.6, 25)
        frame = MarketFrame(0, HOUR, {"rate": rates, "gas": np.full(25, 0.1)})
        spec = MarketSpec("s", ACCOUNT.name, ACCOUNT.kind, "USDC", {"rate": "rate", "gas": "gas"})
        market = SavingsMarket(spec, frame, base, base)
        stake = round(10.0 ** rng.uniform(8.0, 13.0))
        bought = market.trade(market.open(), stake, 0)
        assert bought is not None
        held, _ = market.accrue(bought.state, 0, 24)
        model, _ = trade(State(), stake / base.unit, Columns(rates[0], 0.1), Params(), None)
        for rate in rates[1:]:
            model = accrue(model, Columns(rate, 0.1), Params())
        part, last = market.value(held, 24) * int(rng.integers(1, 10)) // 10, Columns(rates[24], 0.1)
        sold = market.trade(held, part, 24)
        assert sold is not None
        left, cash = trade(model, part / base.unit, last, Params(), None)
        off = abs(value(left, last, Params()) - market.value(sold.state, 24) / base.unit)
        return float(max(off, abs(cash - sold.cash_raw / base.unit)) / (stake / base.unit))
