"""pytest fixtures of the local chain, for the house's tests and anyone's.

Installed with the distribution and found by pytest; ``pytest_plugins = ["treasury_arena_evm.local.pytest_plugin"]`` does the same
where entry points are switched off. Processes are started when first asked for and end with the session, also a failing one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from treasury_arena_evm.local.chain import LocalChain
    from treasury_arena_evm.local.description import MarketOptions
    from treasury_arena_evm.local.faults import FaultyProxy
    from treasury_arena_evm.local.market import LocalMarket


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--anvil PATH``: another anvil than the packaged one."""
    group = parser.getgroup("treasury arena")
    group.addoption("--anvil", type=Path, default=None, metavar="PATH", help="the anvil program of the local chain")


class _Nodes:
    """The session's chains by what is on them; one that died in a test is replaced at the next."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._running: dict[MarketOptions | None, tuple[ExitStack, Any]] = {}

    def market(self, options: MarketOptions) -> LocalMarket:
        from treasury_arena_evm.local.market import local_market

        market: LocalMarket = self._one(
            options, lambda: local_market(options, anvil=self._program), lambda market: market.chain
        )
        return market

    def chain(self) -> LocalChain:
        from treasury_arena_evm.local.market import local_chain

        chain: LocalChain = self._one(None, lambda: local_chain(anvil=self._program), lambda chain: chain)
        return chain

    def _one(self, key: MarketOptions | None, start: Callable[[], Any], chain: Callable[[Any], LocalChain]) -> Any:
        if key in self._running and not chain(self._running[key][1]).node.alive:
            self._running.pop(key)[0].close()
        if key not in self._running:
            stack = ExitStack()
            self._running[key] = stack, stack.enter_context(start())
        return self._running[key][1]

    def close(self) -> None:
        with ExitStack() as all_of_them:
            for stack, _ in self._running.values():
                all_of_them.callback(stack.close)


@pytest.fixture(scope="session")
def anvil_path(request: pytest.FixtureRequest) -> Path:
    """The anvil program, installed from npm when it is not there yet; a missing npm fails the test in one sentence."""
    from treasury_arena_evm.errors import ToolError
    from treasury_arena_evm.local import install

    try:
        given: Path | None = request.config.getoption("--anvil")
        return install.anvil_path() if given is None else install.checked_anvil(given)
    except ToolError as error:
        missing = str(error)
    pytest.fail(missing, pytrace=False)  # outside, or pytest tells the sentence of both errors


@pytest.fixture(scope="session")
def _local_nodes(anvil_path: Path) -> Iterator[_Nodes]:
    nodes = _Nodes(anvil_path)
    try:
        yield nodes
    finally:
        nodes.close()


@pytest.fixture
def make_local_market(_local_nodes: _Nodes) -> Iterator[Callable[..., LocalMarket]]:
    """``make_local_market(usdc_first=True, protocol_fee=0, liquid=True) -> LocalMarket``; undone after the test."""
    from treasury_arena_evm.local.description import MarketOptions

    with ExitStack() as undo:
        made: set[MarketOptions] = set()

        def make(**keys: Any) -> LocalMarket:
            options = MarketOptions(**keys)
            market = _local_nodes.market(options)
            if options not in made:
                made.add(options)
                undo.enter_context(market.chain.isolated())
            return market

        yield make


@pytest.fixture
def local_market(make_local_market: Callable[..., LocalMarket]) -> LocalMarket:
    """The market of the default options: USDC is token0, no protocol fee, liquidity everywhere. Undone after the test.

    The node is the session's and keeps the states of a hundred blocks, those that tests had undone among them: the state that
    a test begins with may be forgotten as soon as it mines. A test that reads an earlier state mines a block of its own first.
    """
    return make_local_market()


@pytest.fixture(scope="module")
def module_market(_local_nodes: _Nodes) -> Iterator[LocalMarket]:
    """The same market for all tests of a module, which undo their own changes with ``module_market.chain.isolated()``: for what
    takes long to set up and is where many tests begin. Undone after the module; `local_market` is the same node.
    """
    from treasury_arena_evm.local.description import MarketOptions

    market = _local_nodes.market(MarketOptions())
    with market.chain.isolated():
        yield market


@pytest.fixture
def local_chain(_local_nodes: _Nodes) -> Iterator[LocalChain]:
    """A chain without contracts, whose accounts have native coins. Undone after the test."""
    chain = _local_nodes.chain()
    with chain.isolated():
        yield chain


@pytest.fixture
def make_faulty_proxy() -> Iterator[Callable[..., FaultyProxy]]:
    """``make_faulty_proxy(url, choose=None, delay_seconds=0.05) -> FaultyProxy``: before any node; gone after the test."""
    from treasury_arena_evm.local.faults import FaultyProxy

    with ExitStack() as running:

        def make(url: str, choose: Any = None, **keys: Any) -> FaultyProxy:
            return running.enter_context(FaultyProxy(url, choose, **keys))

        yield make
