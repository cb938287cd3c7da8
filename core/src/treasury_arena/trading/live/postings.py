"""Ledger lines of live orders. They come from reservations and from the logs of final receipts; nothing else posts.

Cash of an intent waits on its agent's ``reserved`` account until the intent ends. What a step does with a token follows from its
kind: a supply moves it into the position, a borrow is owed by it, a swap exchanges it with the world. So does what opens,
changes or closes a range of liquidity: tokens go for liquidity, and liquidity for tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from treasury_arena.contracts.chain import Effect, StepKind
from treasury_arena.events.event import Line, Transfer
from treasury_arena.ledger import accounts

GAS_POOL = "treasury:gas"
"""The native coin that pays for gas and that no order has reserved."""

Balance = Callable[[str, str], int]
"""(account, asset) -> base units that the books hold."""

_INTO = (StepKind.SUPPLY,)
_OUT_OF = (StepKind.WITHDRAW,)
_RANGES = (StepKind.COLLECT, StepKind.BURN)


def moved(source: str, target: str, asset: str, amount_raw: int) -> tuple[Line, ...]:
    """Lines that move `amount_raw` (negative: the other way); none for 0."""
    if not amount_raw:
        return ()
    return (Line(source, asset, -amount_raw), Line(target, asset, amount_raw))


def reserve(agent_id: str, base: str, cash_raw: int, native: str, gas_raw: int) -> tuple[Transfer, ...]:
    """C1: the worst case in money and in gas."""
    reserved = accounts.agent_reserved(agent_id)
    cash = moved(accounts.agent_available(agent_id), reserved, base, cash_raw)
    gas = moved(GAS_POOL, reserved, native, gas_raw)
    return tuple(Transfer(reason, lines) for reason, lines in (("reserve", cash), ("reserve gas", gas)) if lines)


def release(agent_id: str, base: str, cash_raw: int, native: str, gas_raw: int) -> tuple[Transfer, ...]:
    """The end of an intent: what is left of both reservations is free."""
    reserved = accounts.agent_reserved(agent_id)
    cash = moved(reserved, accounts.agent_available(agent_id), base, cash_raw)
    gas = moved(reserved, GAS_POOL, native, gas_raw)
    return tuple(Transfer(reason, lines) for reason, lines in (("release", cash), ("release gas", gas)) if lines)


class StepBook:
    """Lines of one final step, log by log, on balances that change as they are written.

    Args:
        agent_id, role, market: whose step it is.
        base: symbol of the asset that cash is in.
        balance: what the books hold before the step.
    """

    def __init__(self, agent_id: str, role: str, market: str, base: str, balance: Balance) -> None:
        self._cash = accounts.agent_reserved(agent_id)
        self._position = accounts.agent_position(agent_id, role)
        self._debt = accounts.agent_debt(agent_id, role)
        self._world = accounts.world(market)
        self._base = base
        self._balance = balance
        self._change: dict[tuple[str, str], int] = {}
        self._lines: list[Line] = []

    def lines(self, kind: StepKind, effects: Iterable[Effect]) -> tuple[Line, ...]:
        """Lines of every effect, in the order of the logs."""
        for effect in effects:
            if effect.amount_raw < 0:
                self._left(kind, effect.asset, -effect.amount_raw)
            elif effect.amount_raw:
                self._came(kind, effect.asset, effect.amount_raw)
        return tuple(self._lines)

    def _held(self, account: str, asset: str) -> int:
        return self._balance(account, asset) + self._change.get((account, asset), 0)

    def _move(self, source: str, target: str, asset: str, amount_raw: int) -> None:
        for line in moved(source, target, asset, amount_raw):
            self._lines.append(line)
            key = (line.account, line.asset)
            self._change[key] = self._change.get(key, 0) + line.amount_raw

    def _wallet(self, asset: str) -> str:
        """Where plain tokens of an asset are booked: cash of the base asset, everything else in the position."""
        return self._cash if asset == self._base else self._position

    def _left(self, kind: StepKind, asset: str, amount: int) -> None:
        source = self._wallet(asset)
        if kind in _INTO:
            self._move(source, self._position, asset, amount) if source != self._position else None
        elif kind is StepKind.REPAY:
            owed = -self._held(self._debt, asset)
            if amount > owed:  # interest that is not booked yet is paid with it
                self._move(self._debt, self._world, asset, amount - owed)
            self._move(source, self._debt, asset, amount)
        else:
            missing = amount - self._held(source, asset)
            if kind in _RANGES and source == self._position and missing > 0:  # anybody may add liquidity to a position
                self._move(self._world, source, asset, missing)
            self._move(source, self._world, asset, amount)

    def _came(self, kind: StepKind, asset: str, amount: int) -> None:
        target = self._wallet(asset)
        if kind is StepKind.BORROW:
            self._move(self._debt, target, asset, amount)
        elif kind in _OUT_OF and target != self._position:
            held = self._held(self._position, asset)
            if amount > held:  # interest and fees that are not booked yet come with it
                self._move(self._world, self._position, asset, amount - held)
            self._move(self._position, target, asset, amount)
        elif kind not in _OUT_OF or target != self._position:
            self._move(self._world, target, asset, amount)
        else:  # tokens of the position come back into the wallet of the same position
            missing = amount - self._held(self._position, asset)
            if missing > 0:
                self._move(self._world, self._position, asset, missing)


def gas_paid(agent_id: str, native: str, fee_raw: int) -> tuple[Line, ...]:
    """What a transaction cost, out of the reserved gas."""
    return moved(accounts.agent_reserved(agent_id), accounts.GAS, native, fee_raw)


def posted_back(
    agent_id: str, base: str, transfers: Sequence[Transfer], balance: Balance
) -> tuple[tuple[Transfer, ...], int]:
    """Transfers that undo `transfers`, and the base units that had to be reserved again for it.

    Money that an account no longer has is taken from where it went: from the agent's free cash, and what is not there either
    from the suspense account ``world:broken``, for a person to clear up.
    """
    change: dict[tuple[str, str], int] = {}
    for transfer in transfers:
        for line in transfer.lines:
            key = (line.account, line.asset)
            change[key] = change.get(key, 0) - line.amount_raw
    reserved, available = accounts.agent_reserved(agent_id), accounts.agent_available(agent_id)
    suspense = accounts.world("broken")
    lines: list[Line] = []
    retaken = 0
    for (account, asset), amount in sorted(change.items()):
        lacking = -(balance(account, asset) + amount)
        if lacking <= 0 or account.startswith("world:") or account.split(":")[2:3] == ["debt"]:
            continue
        if (account, asset) == (reserved, base):
            retaken = lacking
            free = min(lacking, balance(available, base))
            lines += moved(available, reserved, base, free)
            lacking -= free
        lines += moved(suspense, account, asset, lacking)
    back = [
        Transfer(
            f"reverse {part.reason}", tuple(Line(line.account, line.asset, -line.amount_raw) for line in part.lines)
        )
        for part in transfers
    ]
    first = [Transfer("retake", tuple(lines))] if lines else []
    return (*first, *back), retaken
