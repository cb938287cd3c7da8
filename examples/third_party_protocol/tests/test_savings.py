"""Equal to the contract to the base unit, a check that bites, orders on a chain, and refusals in a sentence."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from example_savings import exact, parity
from example_savings.chain import SavingsOnChain
from example_savings.plugin import SavingsProtocol
from treasury_arena.contracts.parity import Tally
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena.events.catalog import OrderSettled
from treasury_arena.ledger import accounts
from treasury_arena.testing.frames import synthetic_frame
from treasury_arena.testing.journal import MemoryJournal
from treasury_arena.trading.account import Account
from treasury_arena.trading.engine import TradingEngine
from treasury_arena.trading.intent import Intent

ASSETS = AssetTable(KNOWN_ASSETS)
USDC = ASSETS["USDC"]
USD = USDC.unit
COLUMNS = {"rate": "USDC.lending_rate", "gas": "gas.usd"}
SPEC = MarketSpec("savings", "savings.account", "lending", "USDC", COLUMNS)
AGENT = "saver-1"


def silent(done: int, of: int) -> None:
    assert 0 < done <= of


@pytest.mark.parametrize("seed", [1, 2])
def test_no_difference_in_random_operations(local_market: Any, seed: int) -> None:
    tally = Tally()
    parity.compare(local_market, 150, seed, tally, silent)
    assert (tally.first, tally.differences) == ("", {})
    assert tally.compared["balance"] == 150
    assert tally.refused > 5


def index_rounded_half_up(self: exact.Savings, now: int) -> int:
    growth = self.index * self.rate * (now - self.touched)
    return self.index + (2 * growth + exact.RAY * exact.YEAR) // (2 * exact.RAY * exact.YEAR)


@pytest.mark.parametrize(
    ("owner", "name", "wrong"),
    [
        (exact, "to_units", lambda amount, index, *, up=False: amount * exact.RAY // index),
        (exact, "to_units", lambda amount, index, *, up=False: -(-amount * exact.RAY // index)),
        (exact, "to_amount", lambda units, index: -(-units * index // exact.RAY)),
        (exact.Savings, "index_at", index_rounded_half_up),
    ],
    ids=["units sold down", "units bought up", "balance up", "index half up"],
)
def test_a_wrong_rounding_is_noticed(
    local_market: Any, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, wrong: Callable[..., int]
) -> None:
    monkeypatch.setattr(owner, name, wrong)
    tally = Tally()
    parity.compare(local_market, 60, 1, tally, silent)
    assert tally.differences
    assert "the contract has" in tally.first


def test_the_model_keeps_its_bound() -> None:
    result = parity.SavingsGap().run(300, 5, silent)
    assert result.ok, result


def account(local_market: Any, pot: int) -> SavingsOnChain:
    """An account at 5 % a year, which pays its interest from a pot, or cannot."""
    address = parity.deploy(local_market, 5 * 10**25, pot)
    return SavingsOnChain(SPEC, local_market.session, local_market.users[0].signer, USDC, address)


def test_orders_leave_the_ledger_equal_to_the_chain(local_market: Any) -> None:
    who = local_market.users[0]
    market = account(local_market, 1_000 * USD)
    journal, cash = MemoryJournal(), 20_000 * USD
    engine = TradingEngine("arena", {"savings": market}, journal, mode="local")
    agent = Account(AGENT, "s", "proving", (), {"usd": 1.0}, 1.0, -1, 0, cash_raw=cash, base_raw=cash)
    journal.endow(AGENT, "USDC", cash)
    outside = local_market.balance("USDC", who.address) - cash
    for row, target in enumerate((5_000, 12_000, 7_000, 0)):
        equity = engine.equity_raw(agent, row, {"usd": "savings"})
        assert engine.trade(agent, Intent(AGENT, "usd", "savings", target * USD, row), equity) is not None
        units, worth = agent.positions.get("usd", (0, 0))
        assert units == market.ask("units", who.address)
        assert worth == market.ask("balanceOf", who.address)
        assert agent.cash_raw == local_market.balance("USDC", who.address) - outside
        assert journal.ledger.balance(accounts.agent_available(AGENT), "USDC") == agent.cash_raw
        booked = journal.ledger.balance(accounts.agent_position(AGENT, "usd"), "USDC")
        assert booked + agent.interest.get(("usd", "position", "USDC"), 0) == worth
        assert not any(journal.ledger.totals().values())
        local_market.chain.advance(86_400)
    assert agent.cash_raw > cash
    assert len(journal.payloads(OrderSettled)) == 4


def test_more_than_the_account_can_pay_is_refused_before_signing(local_market: Any) -> None:
    who = local_market.users[0]
    market = account(local_market, 0)
    bought = market.trade(market.open(), 1_000 * USD, 0)
    assert bought is not None
    held = market.settle("one", market.open(), bought, 0).state
    local_market.chain.advance(86_400)
    sent = local_market.session.request("eth_getTransactionCount", who.address, "latest")
    with pytest.raises(ValidationError, match="the sender holds 1000000000 base units of USDC, fewer than 10001"):
        market.trade(held, 0, 0)
    assert local_market.session.request("eth_getTransactionCount", who.address, "latest") == sent


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "savings.acount"}, "no model 'savings.acount'; did you mean 'savings.account'"),
        ({"asset": "DAI"}, "takes the base asset USDC, not DAI"),
        ({"params": {"step_seconds": 60.0}}, "a row every 3600 s"),
        ({"columns": {"gas": "gas.usd"}}, "needs columns.rate"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match="market 'savings'") as refused:
        SavingsProtocol().exact(attrs.evolve(SPEC, **change), synthetic_frame(5, step_seconds=3600), ASSETS, USDC)
    assert said in str(refused.value)
