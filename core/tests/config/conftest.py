"""A small world of fake plugins, and a configuration that is right in it."""

# ruff: noqa: RUF009  the calls in class bodies make attrs fields
from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, NamedTuple

import attrs
import numpy as np
import pytest

from treasury_arena.config import Settings, load_config
from treasury_arena.config.keys import Secret, key
from treasury_arena.contracts.fitness import FitnessFunction
from treasury_arena.contracts.genes import Choice, FloatArray, GeneSpace, Integer, Real
from treasury_arena.contracts.operators import Crossover, Indices, Mutation, Selection
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.protocol import ExactMarket, Protocol
from treasury_arena.contracts.records import RecordBatch
from treasury_arena.contracts.strategy import Column, Role, Strategy
from treasury_arena.domain.assets import Asset, AssetTable
from treasury_arena.domain.frame import MarketFrame
from treasury_arena.errors import ConfigError
from treasury_arena.markers import hookimpl
from treasury_arena.registry import Registry, load_registry


class Empty(NamedTuple):
    amount: float = 0.0


class SpotMarket(NamedTuple):
    price: float
    gas: float


class SpotParams(NamedTuple):
    fee: float = 0.003
    depth: float = 1e7


class LendingMarket(NamedTuple):
    rate: float


class LendingParams(NamedTuple):
    gas: float = 1.0


class Genes(NamedTuple):
    level: Annotated[float, Real(0.0, 1.0)]
    count: Annotated[float, Integer(1, 5)]
    window: Annotated[float, Choice((24.0, 72.0))]


class Features(NamedTuple):
    mean: Annotated[float, Column("mean", "window", "coin")]


class Target(NamedTuple):
    coin: float
    lender: float
    band: float


def spot_model(name: str = "toy.spot") -> PositionModel:
    return PositionModel(name, "spot", Empty, SpotMarket, SpotParams, lambda s, m, p: 0.0, lambda *_: None)


class Toy(Protocol):
    name = "toy"
    version = "1"

    @property
    def models(self) -> tuple[PositionModel, ...]:
        lending = PositionModel(
            "toy.lending", "lending", Empty, LendingMarket, LendingParams, lambda s, m, p: 0.0, lambda *_: None
        )
        return (spot_model(), lending)

    def exact(self, spec: MarketSpec, frame: MarketFrame, assets: AssetTable, base: Asset) -> ExactMarket:
        raise ConfigError("the toy has no exact market")


def strategy(name: str) -> Strategy:
    roles = {"coin": Role("spot", "eth"), "lender": Role("lending", "usdc_lending")}
    return Strategy(name, roles, Genes, Features, Empty, Target, Empty, lambda f, g, book, s: None)


@attrs.frozen
class Tournament(Selection):
    size: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    name = "tournament"

    def select(self, scores: FloatArray, count: int, rng: np.random.Generator) -> Indices:
        return np.arange(count)


@attrs.frozen
class Sbx(Crossover):
    eta: float = 15.0
    name = "sbx"

    def cross(self, first: FloatArray, second: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        return first


@attrs.frozen
class Owner(Mutation):
    reset: float = 0.01
    name = "owner"

    def mutate(self, genomes: FloatArray, space: GeneSpace, rng: np.random.Generator) -> FloatArray:
        return genomes


@attrs.frozen
class Floored(FitnessFunction):
    floor: float = attrs.field(default=0.02, validator=attrs.validators.gt(0.0))
    name = "floored_sharpe"
    summary = "excess over lending"

    def score(self, records: RecordBatch) -> FloatArray:
        return np.zeros(records.agents)


class OwnerFitness(FitnessFunction):
    name = "owner"
    summary = "the owner's formula"

    def score(self, records: RecordBatch) -> FloatArray:
        return np.zeros(records.agents)


@attrs.frozen(kw_only=True)
class SimulatedSection:
    """The simulated market."""

    volatility: float = key(0.6, "Annual volatility.", attrs.validators.gt(0.0))
    regime: Literal["calm", "wild"] = key("calm", "Regime.")


@attrs.frozen(kw_only=True)
class HistorySection:
    """Files of history."""

    folder: Path = key(attrs.NOTHING, "Folder of the files.")
    token: Secret | None = key(None, "Token of the download.", secret=True)
    columns: dict[str, str] = attrs.field(factory=dict, metadata={"help": "Columns."})


class Plugin:
    @hookimpl
    def arena_strategies(self) -> list[Strategy]:
        return [strategy("farmer"), strategy("trend")]

    @hookimpl
    def arena_protocols(self) -> list[Protocol]:
        return [Toy()]

    @hookimpl
    def arena_sources(self) -> Mapping[str, Callable[..., Any]]:
        return {"simulated": lambda section, context: None, "history": lambda section, context: None}

    @hookimpl
    def arena_fitness(self) -> list[FitnessFunction]:
        return [Floored(), OwnerFitness()]

    @hookimpl
    def arena_operators(self) -> Mapping[str, type[Any]]:
        return {"tournament": Tournament, "sbx": Sbx, "owner": Owner}

    @hookimpl
    def arena_executors(self) -> Mapping[str, Callable[[int], Any]]:
        return {"threads": lambda workers: SimpleNamespace(workers=workers)}

    @hookimpl
    def arena_config_sections(self) -> Mapping[str, type[Any]]:
        return {"source.simulated": SimulatedSection, "source.history": HistorySection}


GOOD = """\
name = "toy"
start = 2024-01-01
end = 2024-03-31
seed = 7

[capital]
total = 373261
reserve = "163261"
proving = 10000.00
arena = 200_000
idle_market = "usdc_lending"

[fitness]
search = [{ name = "floored_sharpe", weight = 0.5, params = { floor = 0.03 } }, { name = "owner" }]

[evolution]
selection = { name = "tournament", params = { size = 4 } }

[rules]
death_drawdown = 0.3
simulation_psr_min = "off"

[trading.limits]
daily_trades_max = 10

[markets.eth]
model = "toy.spot"
asset = "WETH"
columns = { price = "ETH.price", gas = "gas.usd" }
params = { fee = 0.001 }

[markets.usdc_lending]
model = "toy.lending"
asset = "USDC"
columns.rate = "USDC.lending_rate"

[[assets]]
symbol = "LINK"
decimals = 18

[strategies]
enabled = ["farmer"]
bind.farmer.coin = "eth"

[[agents]]
strategy = "farmer"
genome = { level = 0.5, count = 3, window = 72 }

[source.simulated]
volatility = 0.7
"""


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load_registry(only=[], extra={"toy": Plugin()})


@pytest.fixture(scope="session")
def good() -> str:
    return GOOD


@pytest.fixture
def load(registry: Registry) -> Callable[..., Settings]:
    return lambda text, **overrides: load_config(text, registry, overrides)


@pytest.fixture
def mistakes(registry: Registry) -> Callable[[str], list[str]]:
    """The lines of the one ConfigError that a text raises."""

    def collect(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load_config(text, registry)
        return str(caught.value).splitlines()

    return collect
