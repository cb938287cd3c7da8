"""The account on a chain: the same market by transactions, quoted at the latest block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from example_savings.exact import to_amount, to_units
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.contracts.protocol import ExactState, Fill
from treasury_arena.domain.assets import Asset
from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena_evm.abi import Interface
from treasury_arena_evm.onchain import OnChainMarket

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from treasury_arena_evm.session import Session

SAVINGS = Interface("""
    constructor(address asset, uint256 rate)
    function asset() view returns (address)
    function index() view returns (uint256)
    function total() view returns (uint256)
    function units(address who) view returns (uint256)
    function balanceOf(address who) view returns (uint256)
    function setRate(uint256 rate)
    function deposit(uint256 amount)
    function withdraw(uint256 amount)
    event Deposited(address indexed who, uint256 amount, uint256 units)
    event Withdrawn(address indexed who, uint256 amount, uint256 units)
""")
ALL = 2**256 - 1


class SavingsOnChain(OnChainMarket):
    """The state is ``(units, worth)``: units as the contract has them, and what they were worth when last looked at."""

    def __init__(
        self, spec: MarketSpec, session: Session, who: LocalAccount, base: Asset, address: str, **more: Any
    ) -> None:
        super().__init__(spec, session, who, base, base, **more)
        self.address = address
        found, pinned = str(self.ask("asset")), session.tokens.symbol(base.symbol).address
        if found.lower() != pinned.lower():
            raise ConfigError(f"market {spec.name!r}: {address} saves the token {found}, not {base.symbol} ({pinned})")

    def ask(self, function: str, *arguments: Any) -> Any:
        """Read the contract."""
        return self.session.call(self.address, SAVINGS.function(function), *arguments)

    def open(self) -> ExactState:
        return (0, 0)

    def valued(self, state: ExactState) -> int:
        return to_amount(state[0], int(self.ask("index"))) if state[0] else 0

    def holdings(self, state: ExactState) -> Mapping[str, int]:
        return {self.base.symbol: state[1]}

    def found(self, state: ExactState) -> ExactState:
        return (state[0], self.valued(state))

    def quote(self, state: ExactState, target_raw: int, control: tuple[float, ...]) -> Fill | None:
        index = int(self.ask("index"))
        worth = to_amount(state[0], index)
        move = target_raw - worth
        if not move or (abs(move) < self.dust and target_raw):
            return None
        me, token = self.who.address, self.token(self.base)
        sender, receiver = (me, self.address) if move > 0 else (self.address, me)
        token.check(sender, receiver, abs(move))
        sold = to_units(-move, index, up=True) if move < 0 else -to_units(move, index)
        if not sold:
            raise ValidationError(f"market {self.spec.name!r}: {move} base units buy no unit")
        return self._filled(state, state[0] - sold, -move, index)

    def execute(self, state: ExactState, fill: Fill) -> Fill:
        cash = fill.cash_raw
        if cash < 0:
            with self.token(self.base).allowed(self.who, self.address, -cash):
                self.session.send(self.who, self.address, SAVINGS.function("deposit"), -cash)
        else:
            amount = cash if fill.state[0] else ALL
            self.session.send(self.who, self.address, SAVINGS.function("withdraw"), amount)
        return self.recovered(state, fill)

    def recovered(self, state: ExactState, fill: Fill) -> Fill:
        """By the account's events and the token's: also when something failed after a transaction was mined."""
        units, amount = state[0], 0
        for receipt in self._spent:
            for sign, happened in ((1, "Deposited"), (-1, "Withdrawn")):
                for event in receipt.events(SAVINGS.event(happened), self.address):
                    if event["who"].lower() == self.who.address.lower():
                        units, amount = units + sign * int(event["units"]), amount - sign * int(event["amount"])
        moved = self.moved(self.base)
        if moved != amount:
            self.unfinished = f"the account says {amount} base units moved, the token says {moved}"
        return self._filled(state, units, moved, int(self.ask("index")))

    def _filled(self, before: ExactState, units: int, cash: int, index: int) -> Fill:
        after, symbol = (units, to_amount(units, index)), self.base.symbol
        entries = [("cash", symbol, cash), ("position", symbol, after[1] - before[1])]
        return self.fill(after, entries, abs(cash), 0, 0.0)
