"""The two sides of the parity check: one operation on the exact pool, the same on the contracts, and what both then hold."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from treasury_arena_aave.exact.book import TREASURY
from treasury_arena_aave.exact.errors import RefusalError
from treasury_arena_aave.exact.pool import Pool
from treasury_arena_aave.exact.state import Liquidation, ReserveConfig
from treasury_arena_aave.mirror import PoolAt
from treasury_arena_aave.parity_operations import Operation
from treasury_arena_evm.abi import Entry, Interface
from treasury_arena_evm.errors import ChainError, RevertError
from treasury_arena_evm.interfaces.aave import CONFIGURATOR, POOL, SCALED_TOKEN
from treasury_arena_evm.interfaces.tokens import ERC20
from treasury_arena_evm.local.market import LocalMarket

VARIABLE = 2
EVENTS = {
    "supply": "Supply",
    "withdraw": "Withdraw",
    "borrow": "Borrow",
    "repay": "Repay",
    "liquidate": "LiquidationCall",
}
SETTERS = {
    "supply_cap": "setSupplyCap",
    "borrow_cap": "setBorrowCap",
    "frozen": "setReserveFreeze",
    "paused": "setReservePause",
    "borrowing": "setReserveBorrowing",
    "reserve_factor": "setReserveFactor",
    "protocol_fee": "setLiquidationProtocolFee",
    "emode": "setAssetEModeCategory",
}
#: What 3.3 and later have besides.
POOL_LATER = Interface("function getReserveDeficit(address asset) view returns (uint256)")


@attrs.frozen
class Outcome:
    """Amounts that moved, or the code of the refusal."""

    amounts: tuple[int, ...] = ()
    code: str = ""


def on_pool(pool: Pool, step: Operation, liquidator: str) -> Outcome:
    """Execute on the exact pool."""
    pool.advance(step.at)
    try:
        return Outcome(_amounts(pool, step, liquidator))
    except RefusalError as refusal:
        return Outcome(code=refusal.code)


def _amounts(pool: Pool, step: Operation, liquidator: str) -> tuple[int, ...]:
    match step.kind:
        case "supply" | "withdraw" | "borrow" | "repay":
            return (getattr(pool, step.kind)(step.asset, step.user, step.amount).amount,)
        case "collateral":
            pool.use_as_collateral(step.asset, step.user, step.flag)
        case "emode":
            pool.set_emode(step.user, step.amount)
        case "price":
            pool.set_price(step.asset, step.amount)
        case "treasury":
            pool.mint_to_treasury(step.asset)
        case "configure":
            kind = type(getattr(pool.config(step.asset), step.other))
            pool.configure(step.asset, **{step.other: kind(step.amount)})
        case _:
            done: Liquidation = pool.liquidate(
                step.asset, step.other, step.user, liquidator, step.amount, receive_supply=step.flag
            )
            return (done.debt, done.collateral)
    return ()


class Contracts:
    """The deployed contracts of a local market.

    Args:
        market: the chain and its addresses.
        at: the pool's addresses.
        users: name -> address; `TREASURY` among them for comparison only.
        liquidator: the user that liquidates.
        code: turns a revert reason into the exact pool's code.
        deficits: whether they keep a deficit of every reserve.
    """

    def __init__(
        self,
        market: LocalMarket,
        at: PoolAt,
        users: Mapping[str, str],
        liquidator: str,
        code: Callable[[str], str],
        *,
        deficits: bool = False,
    ) -> None:
        self._code, self._deficits = code, deficits
        self._market, self._at, self._users = market, at, dict(users)
        self._liquidator = users[liquidator]
        host, port = market.url.removeprefix("http://").split(":")
        self._wire = http.client.HTTPConnection(host, int(port), timeout=60)
        self._events = {kind: POOL.event(name) for kind, name in EVENTS.items()}
        self._reads = list(self._readings())

    def close(self) -> None:
        """Close the connection to the node."""
        self._wire.close()

    def execute(self, step: Operation, config: ReserveConfig | None = None) -> Outcome:
        """Execute in a block of its own at the step's time; `config` is the reserve's, for changes of its loan-to-value."""
        chain, at = self._market.chain, self._at
        if step.kind == "price":
            self._market.set_price(step.asset, step.amount)
            chain.next_time(step.at)
            chain.mine()
            return Outcome()
        asset = at.reserves[step.asset].asset if step.asset else ""
        user = self._users.get(step.user, "")
        sender, to = user, at.pool
        function, arguments = self._call(step, asset, user)
        if step.kind == "liquidate":
            sender = self._liquidator
        if step.kind == "configure":
            sender, to = self._market.owner.address, at.configurator
            if step.other == "ltv" and config is not None:
                function = CONFIGURATOR.function("configureReserveAsCollateral")
                arguments = (asset, step.amount, config.threshold, config.bonus)
        if step.kind == "treasury":
            sender = self._market.maker.address
        chain.next_time(step.at)
        try:
            receipt = chain.send(sender, to, function, *arguments)
        except RevertError as error:
            return Outcome(code=self._code(error.reason))
        return Outcome(self._moved(step, receipt))

    def _call(self, step: Operation, asset: str, user: str) -> tuple[Entry, tuple[Any, ...]]:
        match step.kind:
            case "supply":
                return POOL.function("supply"), (asset, step.amount, user, 0)
            case "withdraw":
                return POOL.function("withdraw"), (asset, step.amount, user)
            case "borrow":
                return POOL.function("borrow"), (asset, step.amount, VARIABLE, 0, user)
            case "repay":
                return POOL.function("repay"), (asset, step.amount, VARIABLE, user)
            case "collateral":
                return POOL.function("setUserUseReserveAsCollateral"), (asset, step.flag)
            case "emode":
                return POOL.function("setUserEMode"), (step.amount,)
            case "treasury":
                return POOL.function("mintToTreasury"), ([asset],)
            case "liquidate":
                debt = self._at.reserves[step.other].asset
                return POOL.function("liquidationCall"), (asset, debt, user, step.amount, step.flag)
        flag = step.other in ("frozen", "paused", "borrowing")
        value = bool(step.amount) if flag else step.amount
        return CONFIGURATOR.function(SETTERS.get(step.other, "setSupplyCap")), (asset, value)

    def _moved(self, step: Operation, receipt: Mapping[str, Any]) -> tuple[int, ...]:
        event = self._events.get(step.kind)
        if event is None:
            return ()
        for log in receipt["logs"]:
            topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
            if topics and topics[0] == event.topic:
                values = event.decode_log(topics, bytes.fromhex(log["data"][2:]))
                if step.kind == "liquidate":
                    return (int(values["debtToCover"]), int(values["liquidatedCollateralAmount"]))
                return (int(values["amount"]),)
        return ()

    def _readings(self) -> Any:
        """What `holdings` reads: address, call data, and the names of the words wanted by their place."""
        at = self._at
        words = {
            1: "liquidity_index",
            2: "liquidity_rate",
            3: "borrow_index",
            4: "borrow_rate",
            6: "updated",
            12: "accrued",
        }
        account = dict(enumerate(("collateral", "debt", "", "threshold", "ltv", "health")))
        for name, found in at.reserves.items():
            yield at.pool, POOL.function("getReserveData").encode(found.asset), _named(name, words)
            yield found.asset, ERC20.function("balanceOf").encode(found.a_token), {0: f"{name} cash"}
            total = SCALED_TOKEN.function("scaledTotalSupply").encode()
            yield found.a_token, total, {0: f"{name} supplied_scaled"}
            yield found.debt_token, total, {0: f"{name} debt_scaled"}
            if self._deficits:
                yield at.pool, POOL_LATER.function("getReserveDeficit").encode(found.asset), {0: f"{name} deficit"}
        for user, address in self._users.items():
            if user != TREASURY:
                yield at.pool, POOL.function("getUserAccountData").encode(address), _named(user, account)
                yield at.pool, POOL.function("getUserConfiguration").encode(address), {0: f"{user} flags"}
            for name, found in at.reserves.items():
                scaled = SCALED_TOKEN.function("scaledBalanceOf").encode(address)
                plain = SCALED_TOKEN.function("balanceOf").encode(address)
                yield found.a_token, scaled, {0: f"{user} {name} supply_scaled"}
                yield found.a_token, plain, {0: f"{user} {name} supply"}
                if user != TREASURY:
                    yield found.debt_token, scaled, {0: f"{user} {name} owed_scaled"}
                    yield found.debt_token, plain, {0: f"{user} {name} owed"}

    def holdings(self, changed: set[str] | None = None) -> dict[str, int]:
        """Every quantity by name; with `changed` those of the reserves and of these users only."""
        wanted = [one for one in self._reads if changed is None or _concerns(one[2], changed, self._users)]
        body = [
            {
                "jsonrpc": "2.0",
                "id": n,
                "method": "eth_call",
                "params": [{"to": to, "data": "0x" + data.hex()}, "latest"],
            }
            for n, (to, data, _) in enumerate(wanted)
        ]
        self._wire.request("POST", "/", json.dumps(body), {"Content-Type": "application/json"})
        answers = {answer["id"]: answer for answer in json.loads(self._wire.getresponse().read())}
        found: dict[str, int] = {}
        for n, (_, _, names) in enumerate(wanted):
            if "result" not in answers[n]:
                raise ChainError(f"{', '.join(names.values())} cannot be read: {answers[n].get('error')}")
            for place, name in names.items():
                found[name] = int(answers[n]["result"][2 + 64 * place : 66 + 64 * place], 16)
        return found

    def of_pool(self, pool: Pool, changed: set[str] | None = None) -> dict[str, int]:
        """The quantities of `holdings` as the exact pool has them."""
        at, users = self._at, self._users
        found: dict[str, int] = {}
        for name in at.reserves:
            reserve = pool.reserves[name]
            for word in ("liquidity_index", "liquidity_rate", "borrow_index", "borrow_rate", "updated", "accrued"):
                found[f"{name} {word}"] = getattr(reserve, word)
            for word in ("cash", "supplied_scaled", "debt_scaled", *(("deficit",) if self._deficits else ())):
                found[f"{name} {word}"] = getattr(reserve, word)
        for user in users:
            if changed is not None and user not in changed:
                continue
            if user != TREASURY:
                account = pool.account(user)
                for word in ("collateral", "debt", "threshold", "ltv", "health"):
                    found[f"{user} {word}"] = getattr(account, word)
                found[f"{user} flags"] = sum(
                    pool.borrowings.get((name, user), False) << (2 * one.number)
                    | pool.collaterals.get((name, user), False) << (2 * one.number + 1)
                    for name, one in at.reserves.items()
                )
            for name in at.reserves:
                found[f"{user} {name} supply_scaled"] = pool.supplies.get((name, user), 0)
                found[f"{user} {name} supply"] = pool.balance_of(name, user)
                if user != TREASURY:
                    found[f"{user} {name} owed_scaled"] = pool.debts.get((name, user), 0)
                    found[f"{user} {name} owed"] = pool.debt_of(name, user)
        return found


def _named(prefix: str, words: Mapping[int, str]) -> dict[int, str]:
    return {place: f"{prefix} {word}" for place, word in words.items() if word}


def _concerns(names: Mapping[int, str], changed: set[str], users: Mapping[str, str]) -> bool:
    first = next(iter(names.values())).split()[0]
    return first not in users or first in changed
