"""Random SIGKILLs of processes that trade on a real node: nothing is executed twice, lost, or left hanging.

ARENA_KILLS=N asks for N kills on each database instead of fifty.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from treasury_arena.store import open_store
from treasury_arena.trading.live.records import Records
from treasury_arena_evm.local.chain import LocalChain
from treasury_arena_evm.local.house import AGENT, ROLE, ChainHouse, build, with_dollars_alone
from treasury_arena_evm.local.market import LocalMarket

pytestmark = pytest.mark.no_cover

WORKER = Path(__file__).parent / "support" / "order_worker.py"
KILLS = int(os.environ.get("ARENA_KILLS", "50"))
#: Share of the kills that each market has.
SHARES = {"vault": 0.3, "loan": 0.4, "range": 0.3}
#: Longest life of a process in seconds of the processor, so that it gets as far on a busy machine as on an idle one.
LIFE_SECONDS = 0.5
#: Share of the processes that are killed while they begin, and what nobody waits for longer.
EARLY, WALL_SECONDS_MAX = 0.2, 60.0


def _worker() -> Any:
    spec = importlib.util.spec_from_file_location("order_worker", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MARKETS = _worker().MARKETS


def spent(process: int) -> float:
    """Seconds of the processor that a process has had; endless for one that has ended."""
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return math.inf
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Traders:
    """Starts processes that trade, one at a time, and kills them."""

    process: subprocess.Popen[str]

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def killed(self, name: str, house: ChainHouse, moments: random.Random) -> None:
        """One process that trades while blocks come, and is killed some time after it has begun, or before."""
        assert self.process.stdin is not None
        print(name, house.url, house.market.url.rpartition(":")[2], file=self.process.stdin, flush=True)
        chain = LocalChain(
            house.market.chain.node, block_seconds=1
        )  # so that no deadline depends on how fast this machine is
        child, before = int(self.line()), moments.random() < EARLY
        try:
            if not before:
                assert self.line() == "begun", "it ended before it had begun"
            dies, until = spent(child) + moments.uniform(0.0, LIFE_SECONDS), time.monotonic() + WALL_SECONDS_MAX
            while spent(child) < dies and time.monotonic() < until:
                chain.mine()
                time.sleep(moments.uniform(0.0, 0.02))
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself, which its exit code says
                os.kill(child, signal.SIGKILL)
        code = self.line()
        assert int(self.line() if code == "begun" else code) == -signal.SIGKILL, "it had ended by itself"
        if blocks := moments.choice((0, 0, 1, 3)):
            chain.mine(blocks)


@pytest.fixture
def traders(local_market: LocalMarket, tmp_path: Path) -> Iterator[Traders]:
    described = tmp_path / "market.pickle"
    described.write_bytes(pickle.dumps(local_market.description))
    words = [sys.executable, str(WORKER), str(described)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        made = Traders(process)
        assert made.line() == "ready"
        yield made
        process.kill()


def stage(house: ChainHouse) -> str:
    """What a dead process left open: the state of its order, and of the step under way."""
    with open_store(house.url, create=False, readonly=True) as store:
        records = Records(store)
        intents, slots = records.open_intents(), records.open_slots()
    if not intents:
        return "nothing open"
    return f"{intents[0].state} {slots[0].kind} {slots[0].state}" if slots else f"{intents[0].state} between steps"


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_kills_at_any_moment_lose_and_double_nothing(
    market: str,
    database: str,
    local_market: LocalMarket,
    traders: Traders,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    url = f"sqlite:///{tmp_path}/live.db" if database == "sqlite" else request.getfixturevalue("fresh_postgres")()
    with_dollars_alone(local_market)
    house = build(url, local_market, local_market.users[0], make=MARKETS[market][0])
    house.store.close()
    moments, kills = random.Random(f"{market} {database}"), max(1, round(KILLS * SHARES[market]))
    left: Counter[str] = Counter()
    for _ in range(kills):
        traders.killed(market, house, moments)
        left[stage(house)] += 1
    record_property("left open by kills", dict(left))
    assert left.total() == kills
    assert len(left) >= min(3, kills), left
    house.start()
    house.finish(300)
    row = len(house.engine.records.intents(10_000))
    assert row > 0
    for number, (target, control) in enumerate(MARKETS[market][1]):  # all goes on, and out again
        asked = house.submit(target, row + number, control=control)
        house.finish(300)
        assert asked is None or house.intent(asked).state == "SETTLED", house.intent(asked).failed
    assert house.engine.holding(AGENT, ROLE).held == {}
    house.check_nothing_doubled()
    house.check_nothing_hangs()
    differences = house.engine.reconcile().differences  # the account has DAI that the arena knows nothing of
    assert not [text for text in differences if "that no book knows" not in text], differences
    house.check_books()
    states = Counter(str(intent.state) for intent in house.engine.records.intents(10_000))
    assert set(states) <= {"SETTLED", "FAILED", "CANCELLED"}, states  # none waits for a person
    house.store.close()
