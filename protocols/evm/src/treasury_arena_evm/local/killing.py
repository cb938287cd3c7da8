"""Killing an order engine on the local market at a point of the order protocol, for tests of orders."""

from __future__ import annotations

from collections.abc import Callable

from treasury_arena.testing.orders import Killed
from treasury_arena.trading.live import CrashPoint
from treasury_arena.trading.live.records import IntentRecord
from treasury_arena_evm.local.house import ChainHouse

#: Blocks until a transaction is final, for points that need another number than one.
FINALITY = {CrashPoint.K10: 3, CrashPoint.K11: 0}


def killer(point: CrashPoint, kind: str) -> Callable[[CrashPoint, str], None]:
    """Dies the first time that a point is passed for a step of the kind (or before there is a step)."""

    def kill(at: CrashPoint, of: str) -> None:
        if at is point and of in (kind, "", "cancel"):
            raise Killed

    return kill


def until_killed(
    house: ChainHouse, point: CrashPoint, kind: str, target: int, control: tuple[float, ...] = (), rounds: int = 80
) -> None:
    """Submit, and let the chain do what the point needs, until it is passed: `Killed`."""
    house.submit(target, control=control)
    chain = house.market.chain
    for _ in range(rounds):
        house.engine.tick()
        slot = next(iter(house.engine.records.open_slots()), None)
        if point is CrashPoint.K12 and slot is not None and (slot.kind, slot.state) == (kind, "SENT"):
            house.mine_without(3)
            house.engine.tick()
        chain.mine()
        house.engine.tick()
        slot = next(iter(house.engine.records.open_slots()), None)
        if point is CrashPoint.K10 and slot is not None and (slot.kind, slot.state) == (kind, "INCLUDED"):
            chain.rpc("anvil_reorg", 1, [])
            house.engine.tick()
        elif point is CrashPoint.K11 and kind in house.mined():
            chain.rpc("anvil_reorg", 1, [])
            chain.mine()
            house.engine.reconcile()


def killed_and_resumed(
    house: ChainHouse,
    point: CrashPoint,
    kind: str,
    target: int,
    control: tuple[float, ...] = (),
    *,
    mined_while_down: bool,
    rounds: int = 80,
) -> IntentRecord | None:
    """Kill at a point of a step's kind, start again, submit once more and finish within so many rounds: the intent.

    Nothing was done twice. None after a block that was final is replaced (K11): such an intent waits for a person, or has ended.
    """
    house.keys["finality"] = FINALITY.get(point, 1)
    house.start(killer(point, kind))
    try:
        until_killed(house, point, kind, target, control)
    except Killed:
        pass
    else:
        raise AssertionError(f"{point.name} was never passed for a {kind}")
    if mined_while_down:
        house.market.chain.mine(2)
    house.keys["finality"] = 1

    house.start()
    intent_id = house.submit(target, control=control)
    assert intent_id is not None
    house.finish(rounds)
    house.check_nothing_doubled()
    intent = house.intent(intent_id)
    if point is CrashPoint.K11:
        assert intent.state in ("QUARANTINED", "SETTLED", "FAILED"), intent.state
        return None
    return intent


__all__ = ["FINALITY", "killed_and_resumed", "killer", "until_killed"]
