"""Live orders in a vault on a real node: every step signed and mined, books equal to the chain, refusals before signing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vault_bench import SPEC, USD, USDC, earn

from treasury_arena.contracts.chain import Holding, PlannerContext, StepKind
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena.testing.chain import SimulatedClient, World
from treasury_arena_erc4626.protocol import VaultProtocol
from treasury_arena_evm.interfaces.tokens import ERC20, ERC4626
from treasury_arena_evm.local.desk import Desk, desk
from treasury_arena_evm.local.market import LocalMarket

ASSETS = {"USDC": USDC}
CASH = 50_000 * USD


@pytest.fixture
def make_desk(local_market: LocalMarket) -> Callable[..., Desk]:
    def make(**places: Any) -> Desk:
        who = local_market.users[0]
        made = desk(local_market, VaultProtocol(), SPEC, ASSETS, USDC, who, **{"vault": local_market.vault, **places})
        local_market.fund("USDC", who.address, 2 * CASH)
        made.fund("a", CASH)
        made.fund("b", CASH)
        return made

    return make


def cash(made: Desk) -> int:
    return sum(amount for (name, _), amount in made.books.items() if ":available" in name or ":reserved" in name)


def equal_to_the_chain(made: Desk, market: LocalMarket, outside: int) -> None:
    assert cash(made) == market.balance("USDC", made.who.address) - outside
    assert made.allowances(market.vault) == [0] * len(list(made.session.tokens))
    made.reconcile()
    assert made.differences() == {"USDC": (0, 0)}


def outside(made: Desk, market: LocalMarket) -> int:
    return market.balance("USDC", made.who.address) - cash(made)


def test_every_step_is_mined_and_the_books_equal_the_chain(
    make_desk: Callable[..., Desk], local_market: LocalMarket
) -> None:
    made = make_desk()
    rest = outside(made, local_market)
    for target in (10_000, 25_000, 4_000, 0):
        assert made.order("a", target * USD) is not None
        assert abs(made.planner.value(made.holding("a")) - target * USD) <= 2
        assert made.order("a", target * USD + USD // 2) is None  # below dust
        earn(local_market)
        equal_to_the_chain(made, local_market, rest)
    assert made.holding("a").held == {}
    assert [str(step.kind) for step in made.steps] == [
        *("approve", "supply", "approve", "supply", "withdraw", "withdraw"),
    ]
    assert local_market.chain.call(local_market.vault, ERC20.function("balanceOf"), made.who.address) == 0
    assert made.gas["approve"] < 60_000
    assert made.gas["supply"] < 130_000
    assert made.gas["withdraw"] < 100_000


def test_holders_share_one_address_and_the_last_takes_every_share(
    make_desk: Callable[..., Desk], local_market: LocalMarket
) -> None:
    made = make_desk()
    rest = outside(made, local_market)
    made.order("a", 10_000 * USD)
    made.order("b", 5_000 * USD)
    earn(local_market, 100)
    made.reconcile()
    assert made.planner.value(made.holding("b")) == made.holding("b").held["USDC"]
    assert made.order("a", 0) is not None
    assert made.holding("b").held["USDC"] > 5_040 * USD
    equal_to_the_chain(made, local_market, rest)
    made.order("b", 0)
    equal_to_the_chain(made, local_market, rest)
    assert local_market.chain.call(local_market.vault, ERC20.function("balanceOf"), made.who.address) == 0
    assert [step.data[:10] == "0x" + ERC4626.function("redeem").selector.hex() for step in made.steps[-2:]] == [
        False,
        True,
    ]


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    orders=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 40_000 * USD), st.sampled_from([0, 100, 10_000])), max_size=6
    )
)
def test_any_sequence_of_targets_keeps_the_books_equal_to_the_chain(
    make_desk: Callable[..., Desk], local_market: LocalMarket, orders: list[tuple[str, int, int]]
) -> None:
    with local_market.chain.isolated():
        made = make_desk()
        rest = outside(made, local_market)
        for agent, target, gain in orders:
            before = made.planner.value(made.holding(agent))
            if target - before > made.holding(agent).cash_raw:
                continue
            made.order(agent, target)
            if gain:
                earn(local_market, gain)
            equal_to_the_chain(made, local_market, rest)
        for agent in "ab":
            made.order(agent, 0)
            equal_to_the_chain(made, local_market, rest)
            assert made.holding(agent).held == {}


def test_what_is_left_of_an_allowance_is_taken_back_first(
    make_desk: Callable[..., Desk], local_market: LocalMarket
) -> None:
    made = make_desk()
    local_market.approve(made.who.address, "USDC", local_market.vault, 77)
    plan = made.planner.plan(made.holding("a"), 5_000 * USD, ())
    assert plan is not None
    assert [step.kind for step in plan.steps] == ["revoke", "approve", "supply", "revoke"]
    with pytest.raises(ValidationError, match="may still take 77 base units of USDC; that is taken back before"):
        made.bind(plan.steps[1], {})
    made.order("a", 5_000 * USD)
    assert [step.kind for step in made.steps] == ["revoke", "approve", "supply"]
    # An order that ended between approval and deposit: the revocation does something.
    made.carry_out("a", plan.steps[1], {})
    assert made.allowances(local_market.vault).count(0) < len(list(made.session.tokens))
    made.carry_out("a", plan.steps[3], {})
    assert made.carry_out("a", plan.steps[3], {}) is None
    assert not any(made.allowances(local_market.vault))


def answer(made: Desk, monkeypatch: pytest.MonkeyPatch, **answers: int) -> None:
    """Let the vault answer other numbers than it does."""
    ask = made.planner._ask  # type: ignore[attr-defined]
    monkeypatch.setattr(
        made.planner, "_ask", lambda name, *given: answers[name] if name in answers else ask(name, *given)
    )


@pytest.mark.parametrize(
    ("answers", "target", "said"),
    [
        ({"maxDeposit": 7}, 20_000, "market 'vault': the vault takes 7 base units now, not 10000000001"),
        ({"previewDeposit": 0}, 20_000, "are worth no share"),
        ({"maxWithdraw": 7}, 0, "market 'vault': the vault pays 7 base units now, not "),
        ({"previewDeposit": 9_900_000_000}, 20_000, "a vault with fees of its own"),
    ],
)
def test_what_the_vault_limits_is_refused_at_plan_and_at_bind(
    make_desk: Callable[..., Desk],
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str, int],
    target: int,
    said: str,
) -> None:
    made = make_desk()
    made.order("a", 10_000 * USD)
    plan = made.planner.plan(made.holding("a"), target * USD, ())
    assert plan is not None
    answer(made, monkeypatch, **answers)
    with pytest.raises(ValidationError, match=said.replace("10000000001", "1000000000[0-9]")):
        made.planner.plan(made.holding("a"), target * USD, ())
    step = next(step for step in plan.steps if step.kind in (StepKind.SUPPLY, StepKind.WITHDRAW))
    with pytest.raises(ValidationError, match=said.replace("10000000001", "1000000000[0-9]")):
        made.bind(step, {})


def test_a_price_that_moved_since_the_plan_is_refused(
    make_desk: Callable[..., Desk], local_market: LocalMarket
) -> None:
    made = make_desk()
    plan = made.planner.plan(made.holding("a"), 5_000 * USD, ())
    assert plan is not None
    earn(local_market, 100)
    with pytest.raises(ValidationError, match=r"price moved since the plan: \d+ shares were planned"):
        made.bind(plan.steps[1], {})


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("FeeToken", (), "takes a fee on transfer"),
        ("SharesToken", (), "rebasing"),
        ("FalseToken", (), "returns false"),
    ],
)
def test_odd_tokens_are_refused(
    make_local_market: Callable[..., LocalMarket], kind: str, more: tuple[object, ...], said: str
) -> None:
    from treasury_arena_evm.local.deploy import deploy_vault

    market = make_local_market().with_odd_token("PlainToken", 6)
    odd = Asset("ODD", 6)
    vault = deploy_vault(market.chain, market.owner.address, market.tokens["ODD"])
    who = market.users[0]
    market.fund("ODD", who.address, 10_000 * USD)
    spec = MarketSpec("vault", "erc4626.vault", "lending", "ODD", {})
    made = desk(market, VaultProtocol(), spec, {"ODD": odd}, odd, who, vault=vault)
    made.fund("a", 10_000 * USD)
    market.turn("ODD", kind, *more)
    with pytest.raises(ValidationError, match=said):
        made.order("a", 1_000 * USD)


def test_more_than_the_wallet_holds_is_refused(make_desk: Callable[..., Desk]) -> None:
    made = make_desk()
    with pytest.raises(ValidationError, match="fewer than 9000000000000"):
        made.planner.plan(made.holding("a"), 9_000_000 * USD, ())
    with pytest.raises(ValidationError, match="is negative"):
        made.planner.plan(made.holding("a"), -1, ())


def test_what_is_not_configured_rightly_is_named(make_desk: Callable[..., Desk], local_market: LocalMarket) -> None:
    for places, said in (
        ({"vualt": local_market.vault}, "live.markets.vault.vualt is no setting of this market; did you mean 'vault'"),
        ({"vault": "0x12"}, "live.markets.vault.vault = '0x12' must be an address"),
        ({"vault": 5}, "live.markets.vault.vault = 5 must be an address"),
        ({"slippage_bps": 0}, "slippage_bps = 0 must be a whole number from 1 to 1000"),
        ({"slippage_bps": True}, "slippage_bps = True must be"),
        ({"vault": local_market.aave.pool}, "is no ERC-4626 vault on local"),
    ):
        with pytest.raises(ConfigError, match=said):
            make_desk(**places)
    with pytest.raises(ConfigError, match=r"live\.markets\.vault\.vault is missing"):
        desk(local_market, VaultProtocol(), SPEC, ASSETS, USDC, local_market.users[0])
    with pytest.raises(ConfigError, match="other capitals than EIP-55"):
        make_desk(vault="0x" + local_market.vault[2:].swapcase())
    wrong, who = Asset("USDC", 18), local_market.users[0]
    with pytest.raises(ConfigError, match="18 decimals in the ledger and 6 on local"):
        desk(local_market, VaultProtocol(), SPEC, {"USDC": wrong}, wrong, who, vault=local_market.vault)


def test_a_client_that_reads_no_contracts_is_refused() -> None:
    context = PlannerContext(SPEC, SimulatedClient(World()), "0x" + "11" * 20, AssetTable([USDC]), USDC, {})
    with pytest.raises(ConfigError, match="'SimulatedClient' cannot read contracts"):
        VaultProtocol().planner(context)


def test_a_node_that_falls_silent_is_unknown_not_refused(
    make_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    from treasury_arena.errors import ChainUnavailableError
    from treasury_arena_evm.transport import LostError

    made = make_desk()

    def silent(*_: object) -> None:
        raise LostError("eth_call: no answer")

    monkeypatch.setattr(made.session._transport, "request", silent)
    for ask in (
        lambda: made.planner.plan(Holding(CASH), 5_000 * USD, ()),
        lambda: made.planner.value(Holding(CASH, {"USDC": 5})),
        made.planner.holdings,
    ):
        with pytest.raises(ChainUnavailableError, match="no answer"):
            ask()


def whole_shares(market: LocalMarket, worth: int) -> None:
    """An empty vault whose one share somebody makes worth so many base units, by a gift."""
    who, token = market.maker.address, market.token("USDC").address
    market.fund("USDC", who, 10 * worth)
    market.approve(who, "USDC", market.vault)
    market.chain.send(who, market.vault, ERC4626.function("deposit"), 1, who)
    market.chain.send(who, token, ERC20.function("transfer"), market.vault, 2 * worth)


@pytest.fixture
def coarse(make_local_market: Callable[..., LocalMarket]) -> tuple[LocalMarket, Desk]:
    """A desk with 50,000 USDC at a vault of which one share is worth 1,000."""
    bare_market = make_local_market(liquid=False)
    whole_shares(bare_market, 1_000 * USD)
    who = bare_market.users[0]
    made = desk(bare_market, VaultProtocol(), SPEC, ASSETS, USDC, who, vault=bare_market.vault)
    bare_market.fund("USDC", who.address, 2 * CASH)
    made.fund("a", CASH)
    return bare_market, made


@pytest.mark.parametrize(("target", "refused"), [(10_500, True), (19_999, True), (30_010, False)])
def test_a_deposit_of_which_rounding_to_whole_shares_takes_a_part_is_refused(
    coarse: tuple[LocalMarket, Desk], target: int, refused: bool
) -> None:
    _, made = coarse
    if refused:
        with pytest.raises(
            ValidationError, match=r"a share of the vault is worth \d+ base units, and rounding to whole"
        ):
            made.planner.plan(made.holding("a"), target * USD, ())
        return
    before = made.holding("a").cash_raw
    made.order("a", target * USD)
    made.reconcile()
    made.order("a", 0)
    lost = before - made.holding("a").cash_raw
    assert 0 <= lost * 10_000 <= target * USD * 50


def test_a_withdrawal_that_burns_a_share_worth_far_more_is_refused_and_leaving_is_not(
    coarse: tuple[LocalMarket, Desk],
) -> None:
    market, made = coarse
    made.order("a", 30_010 * USD)
    made.reconcile()
    worth = made.planner.value(made.holding("a"))
    fifteen = market.chain.call(market.vault, ERC4626.function("convertToAssets"), 15)
    plan = made.planner.plan(made.holding("a"), worth - fifteen, ())
    with pytest.raises(
        ValidationError, match=r"rounding to whole shares would cost \d+ of 100000000, more than 50 bps"
    ):
        made.planner.plan(made.holding("a"), worth - 100 * USD, ())
    assert plan is not None
    made.order("a", 0)
    assert made.holding("a").held == {}
