"""Orders through nodes that misbehave, with kills in between; two files of tests share them, so that two processes can."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from treasury_arena.errors import ChainUnavailableError
from treasury_arena.randomness import stream
from treasury_arena.testing.orders import Killed
from treasury_arena.trading.live import CrashPoint
from treasury_arena_evm.live import nodes as nodes_module
from treasury_arena_evm.local.faults import Choose, Fault, FaultyProxy, seeded
from treasury_arena_evm.local.house import ChainHouse

#: Tries for each seed.
TRIES = 50
#: Share of requests with a fault, and of crash points at which the process dies.
RATE, RARE, DEATH = 0.06, 0.15, 0.02
ROUNDS = 60
#: How long a node may take (it needs a few milliseconds), and how late an answer is that comes too late.
TIMEOUT_SECONDS, LATE_SECONDS = 0.1, 0.13
AMOUNT = 10**6


def mixed(seed: int) -> Choose:
    """Any fault at the common rate, and those of rare requests more often."""
    rare = seeded(RARE, seed, (Fault.DUPLICATE, Fault.LYING_RECEIPT))
    common = seeded(RATE, seed)
    return lambda method, number: rare(method, number) or common(method, number)


def submitted(house: ChainHouse, target: int, row: int, role: str) -> None:
    """An order given as a daemon would: again and again while the chain does not answer."""
    for _ in range(ROUNDS):
        try:
            house.submit(target, row, role)
        except ChainUnavailableError:
            continue
        return
    raise AssertionError("the chain never answered")


def through_faults(
    seed: int,
    house_of: Callable[..., ChainHouse],
    make_faulty_proxy: Callable[..., FaultyProxy],
    url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing happens twice, every order ends, the books are right."""
    monkeypatch.setattr(
        nodes_module, "PAUSE_SECONDS", 0.0
    )  # every node is asked every time, so that all faults are met
    proxies = [make_faulty_proxy(url, delay_seconds=LATE_SECONDS) for _ in range(2)]
    endpoints = {name: proxy.url for name, proxy in zip(("first", "second"), proxies, strict=True)}
    house = house_of(endpoints=endpoints, timeout_seconds=TIMEOUT_SECONDS)
    draw, deaths = stream(seed, 0, "deaths"), 0

    def kill(point: CrashPoint, kind: str) -> None:
        if draw.random() < DEATH:
            raise Killed

    for number, proxy in enumerate(proxies):
        proxy.choose = mixed(10 * seed + number)
    house.start(kill)
    rows = count()
    for number in range(TRIES):
        row, role = next(rows), f"role-{number // 2}"
        for _ in range(ROUNDS):
            try:
                submitted(house, 0 if number % 2 else AMOUNT, row, role)
                house.engine.tick()
            except Killed:
                deaths += 1
                house.start(kill)
            house.market.chain.mine()
            if not [one for one in house.engine.records.open_intents() if one.state != "QUARANTINED"]:
                break
    met = {fault for proxy in proxies for fault in proxy.done}
    for proxy in proxies:
        proxy.choose = None
    house.start()
    house.finish()
    house.check_nothing_doubled()
    house.check_nothing_hangs()
    house.check_books()
    states = [str(intent.state) for intent in house.engine.records.intents(1_000)]
    assert states.count("SETTLED") >= TRIES // 2, states
    assert met == set(Fault)
    assert deaths
