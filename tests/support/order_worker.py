"""Processes that trade on the local market until somebody kills them.

Started with a file that holds the market's description (pickled), it has imported everything when it says ``ready``. For each
line ``MARKET DATABASE NODE_PORT`` that it reads it forks a process that reconciles and then asks for orders and advances them
without end (it says ``begun`` between the two), says its id, waits for its death, and says what it died of.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
import traceback
from pathlib import Path

import eth_account  # noqa: F401  imported before forking, not in every process again
import pg8000  # noqa: F401
import web3  # noqa: F401

from treasury_arena.contracts.chain import PlannerContext, StepPlanner
from treasury_arena.contracts.position import MarketSpec
from treasury_arena.domain.assets import KNOWN_ASSETS, AssetTable
from treasury_arena.store import open_store
from treasury_arena_aave.protocol import AaveProtocol
from treasury_arena_evm.live.client import EvmClient
from treasury_arena_evm.local.anvil import Anvil
from treasury_arena_evm.local.chain import LocalChain
from treasury_arena_evm.local.house import ChainHouse, MakePlanner, VaultSteps
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_uniswap.protocol import UniswapProtocol

USD = 10**6
ASSETS = AssetTable(KNOWN_ASSETS)
LOAN = MarketSpec("loan", "aave.account", "account", "WETH", {}, coin=True)
RANGE = MarketSpec("range", "uniswap.range", "range", "WETH", {}, coin=True)

Target = tuple[int, tuple[float, ...]]


def _context(spec: MarketSpec, client: EvmClient, market: LocalMarket, owner: str) -> PlannerContext:
    at = market.uniswap
    places = {"factory": at.factory, "router": at.router02, "quoter": at.quoter}
    if spec is LOAN:
        places["provider"] = market.aave.provider
    else:
        places |= {"positions": at.positions, "tick_lens": at.tick_lens}
    return PlannerContext(spec, client, owner, ASSETS, ASSETS["USDC"], places)


def loan(client: EvmClient, market: LocalMarket, owner: str) -> StepPlanner:
    return AaveProtocol().planner(_context(LOAN, client, market, owner))


def liquidity(client: EvmClient, market: LocalMarket, owner: str) -> StepPlanner:
    return UniswapProtocol().planner(_context(RANGE, client, market, owner))


#: Market -> its planner, and what is wanted of it by turns.
MARKETS: dict[str, tuple[MakePlanner, tuple[Target, ...]]] = {
    "vault": (VaultSteps, ((1_000 * USD, ()), (250 * USD, ()), (1_500 * USD, ()), (0, ()))),
    "loan": (loan, ((8_000 * USD, (0.5,)), (5_000 * USD, (0.4,)), (0, ()))),
    "range": (liquidity, ((10_000 * USD, (0.1,)), (10_000 * USD, (0.05,)), (4_000 * USD, (0.05,)), (0, ()))),
}


class Node(Anvil):
    """A node that another process has started."""

    def __init__(self, port: int) -> None:
        self.port, self._connection = port, None


def trade(name: str, url: str, port: int, described: Path) -> None:
    """Reconcile, then ask for one order after the other, as long as there is who may kill it."""
    make, targets = MARKETS[name]
    market = LocalMarket(LocalChain(Node(port)), pickle.loads(described.read_bytes()))
    house = ChainHouse(url, market, market.users[0], open_store(url), keys={"finality": 1}, make=make)
    parent = os.getppid()
    house.start()
    house.engine.reconcile()
    print("begun", flush=True)
    while os.getppid() == parent:  # whoever is to kill it may be gone
        if not house.engine.records.open_intents():
            number = len(house.engine.records.intents(10_000))
            target, control = targets[number % len(targets)]
            house.submit(target, number, control=control)
        house.engine.tick()
        time.sleep(0.002)


def main() -> None:
    described = Path(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        name, url, port = line.split()
        child = os.fork()
        if not child:
            try:
                trade(name, url, int(port), described)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        print(child, flush=True)
        status = os.waitpid(child, 0)[1]
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
