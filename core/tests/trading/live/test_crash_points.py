"""Every crash point of the order protocol, every kind of step, mined or not while down, on both databases."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import treasury_arena.trading.live
from treasury_arena.testing.orders import KINDS, House, Killed, build
from treasury_arena.trading.live import CrashPoint

AMOUNT = 10**9
HouseOf = Callable[[str], House]


def killer(point: CrashPoint, kind: str) -> Callable[[CrashPoint, str], None]:
    """Dies the first time the point is passed for a step of the kind (or before there is a step)."""

    def kill(at: CrashPoint, of: str) -> None:
        if at is point and of in (kind, "", "cancel"):
            raise Killed

    return kill


def enter(house: House) -> None:
    """Make the position that a withdrawal or a repayment leaves."""
    first = house.submit(AMOUNT, row=0)
    assert first is not None
    house.finish()
    assert house.intent(first).state == "SETTLED"


def drive(house: House, point: CrashPoint, kind: str) -> None:
    """Let the chain go on, and do what the point needs, until it is passed."""
    for _ in range(40):
        house.engine.tick()
        slot = next(iter(house.engine.records.open_slots()), None)
        stuck = point is CrashPoint.K12 and slot is not None and slot.kind == kind
        house.world.base_fee_raw = 10**10 if stuck else 10**9  # what is offered does not reach it
        house.world.mine()
        house.engine.tick()
        slot = next(iter(house.engine.records.open_slots()), None)
        if point is CrashPoint.K10 and slot is not None and (slot.kind, slot.state) == (kind, "INCLUDED"):
            house.world.reorganise(1)
            house.engine.tick()
        elif point is CrashPoint.K11 and kind in house.executed():
            house.world.reorganise(1)
            house.engine.reconcile()
        else:
            house.world.mine(house.world.depth, take=False)


def until_killed(house: House, target: int, point: CrashPoint, kind: str) -> None:
    """Submit and drive; the point ends it."""
    house.submit(target)
    drive(house, point, kind)


@pytest.mark.parametrize("mined_while_down", [True, False], ids=["mined", "waiting"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", list(CrashPoint), ids=lambda point: point.name)
def test_a_kill_loses_and_doubles_nothing(
    house_of: HouseOf, point: CrashPoint, kind: str, mined_while_down: bool
) -> None:
    house = house_of(kind)
    leaves = kind in ("withdraw", "repay")
    if leaves:
        enter(house)
    target, before = (0 if leaves else AMOUNT), list(house.world.executed)
    house.world.depth = {CrashPoint.K10: 3, CrashPoint.K11: 0}.get(point, 1)
    house.start(killer(point, kind))
    with pytest.raises(Killed):
        until_killed(house, target, point, kind)
    if mined_while_down:
        house.world.mine(2)
    house.world.base_fee_raw = 10**9
    house.world.depth = 1

    house.start()
    intent_id = house.submit(target)
    assert intent_id is not None
    house.finish()
    house.check_books()

    intent = house.intent(intent_id)
    done = [name for name in house.world.executed if name not in before]
    assert len(done) == len(set(done))
    if point is CrashPoint.K11:  # broken finality waits for a person, its transaction is mined again meanwhile
        assert intent.state in ("QUARANTINED", "SETTLED", "FAILED")
        return
    assert intent.state == "SETTLED", (intent.failed, intent.reason)
    house.check_nothing_reserved()
    kinds = house.executed()[len(before) :]
    assert kinds.count(kind) == 1
    assert "cancel" not in kinds
    assert house.planners["market"].value(house.engine.holding("agent-1", "only")) == target


def test_every_named_point_is_passed_in_the_code_and_every_passed_one_is_named() -> None:
    folder = Path(treasury_arena.trading.live.__file__).parent
    passed: dict[str, int] = {}
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "_at":
                point = node.args[0]
                assert isinstance(point, ast.Attribute)
                assert isinstance(point.value, ast.Name)
                assert point.value.id == "CrashPoint", f"{file.name}:{node.lineno} passes a point that has no name"
                passed[point.attr] = passed.get(point.attr, 0) + 1
    assert set(passed) == {point.name for point in CrashPoint}


@pytest.mark.no_cover  # of code that others measure
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_sequence_of_kills_blocks_and_reorganisations_ends_with_books_equal_to_the_chain(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("orders")
    house = build(f"sqlite:///{folder / 'arena.db'}", depth=4)
    targets = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    ids: list[str] = []
    for row, units in enumerate(targets):
        countdown = [data.draw(st.integers(1, 40))]

        def kill(point: CrashPoint, kind: str, left: list[int] = countdown) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        house.start(kill)
        for _ in range(12):
            try:
                intent_id = house.submit(units * AMOUNT, row=row)
                if intent_id is not None and intent_id not in ids:
                    ids.append(intent_id)
                house.engine.tick()
                if data.draw(st.integers(0, 5)) == 0:
                    house.engine.reconcile()
            except Killed:
                house.start(kill)
            event = data.draw(st.sampled_from(["mine", "mine", "mine", "wait", "reorganise", "drop"]))
            if event == "mine":
                house.world.mine()
            elif event == "wait":
                house.world.mine(1, take=False)
            else:
                house.world.reorganise(data.draw(st.integers(1, 3)), drop=event == "drop")
        house.start()
        house.finish()
    house.check_books()
    for intent_id in ids:
        assert house.intent(intent_id).state in ("SETTLED", "CANCELLED", "FAILED")
    house.check_nothing_reserved()
    assert len(house.world.executed) == len(set(house.world.executed))
    assert house.engine.reconcile().clean
    house.store.close()
