"""The settings of a run: every key of the configuration file, with its help text, default and bounds."""

# ruff: noqa: RUF009  the calls in class bodies make attrs fields
from __future__ import annotations

import datetime
import decimal
from decimal import Decimal
from typing import Any, Literal

import attrs
from attrs.validators import and_, ge, gt, le, min_len, optional

from treasury_arena.config.daemon import Daemon, Live
from treasury_arena.config.keys import database_url, key, section
from treasury_arena.domain.rules import Profile, Rules, profile_rules
from treasury_arena.trading.limits import Limits as OrderLimits

STEP_SECONDS = {"1h": 3600}
OFF: Literal["off"] = "off"
NAME_MAX = 64
#: Largest counts that are believable, so that a slip of the finger is told and not computed.
DAYS_MAX, AGENTS_MAX, GENOMES_MAX, CYCLES_MAX = 3_660, 10_000, 100_000, 10_000
YEAR_MIN, YEAR_MAX, SPAN_DAYS_MAX = 1971, 9000, 36_525
#: Values of `capital.idle_market` that name no market: find the safest one, lend nothing.
AUTO, NONE = "auto", "none"


def amount(default: str, help: str) -> Any:
    """A key for an exact amount of the base asset, not negative."""
    return key(Decimal(default), help, ge(Decimal(0)), le(Decimal(10**15)))


def _name(instance: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    """A name becomes part of a folder's."""
    if len(value) > NAME_MAX or not all(letter.isalnum() or letter in " -_." for letter in value):
        shown = value if len(value) <= NAME_MAX else f"{value[:NAME_MAX]}..."
        raise ValueError(f"is {shown!r}; expected letters, digits, spaces and - _ . only, at most {NAME_MAX} of them")
    if value.startswith(".") or value != value.strip():
        raise ValueError(f"is {value!r}; expected a name that neither begins with a dot nor with or ends in a space")


@attrs.frozen(kw_only=True)
class Capital:
    """How the capital is split."""

    total: Decimal = amount("373261", "All capital, in the base asset; the three pools must add up to it.")
    reserve: Decimal = amount("163261", "Stable reserve, never at risk.")
    proving: Decimal = amount("10000", "Pool of the proving grounds.")
    arena: Decimal = amount("200000", "Pool of the main arena.")
    base: str = key("USDC", "Symbol of the base asset, in which everything is counted.")
    reserve_use: Literal["idle", "lend"] = key("idle", "Whether the reserve stays idle or is lent at the idle market.")
    idle_market: str = key(
        AUTO,
        'Lending market of a stable asset where unallocated pools are lent (M1): its name; "auto" takes the base asset\'s '
        'first lending market by name, else another stable asset\'s; "none" lends nothing.',
    )
    proving_slot: Decimal = amount("1000", "Capital of one agent in proving.")
    proving_agents: int = key(10, "Places in the proving grounds.", ge(1), le(AGENTS_MAX))
    arena_agents_max: int = key(15, "Places in the main arena.", ge(1), le(AGENTS_MAX))

    def __attrs_post_init__(self) -> None:
        with decimal.localcontext(prec=100):  # exact for every amount within bounds and up to 36 decimals
            parts = self.reserve + self.proving + self.arena
            difference = parts - self.total
            slots = self.proving_slot * self.proving_agents
        if difference:
            raise ValueError(
                f"reserve + proving + arena is {parts:f}, but total is {self.total:f}; the difference is {difference:+f}"
            )
        if slots > self.proving:
            raise ValueError(
                f"proving_slot x proving_agents is {slots:f}; expected at most the proving pool, {self.proving:f}"
            )
        if self.reserve_use == "lend" and self.idle_market == NONE:
            raise ValueError('reserve_use is "lend", but idle_market is "none"; expected "auto" or a lending market')


@attrs.frozen(kw_only=True)
class Population:
    """Who lives, and on what record agents are bred."""

    agents: int = key(
        50,
        "Living agents of all stages (simulation, proving, arena), over all strategies.",
        ge(1),
        le(AGENTS_MAX),
    )
    cycle_days: int = key(7, "Days between two cycles.", ge(1), le(DAYS_MAX))
    training_days: int = key(180, "Days of history before a birth that the search breeds on.", ge(7), le(DAYS_MAX))
    warmup_days: int = key(
        30,
        "Days of history before the first training window; features that look back further begin with these.",
        ge(0),
        le(DAYS_MAX),
    )
    birth_cycles: int = key(4, "Cycles over which the first births are staggered.", ge(1), le(CYCLES_MAX))


@attrs.frozen(kw_only=True)
class Choice:
    """A plugin object by name, with its parameters."""

    name: str = key(attrs.NOTHING, "Name of the plugin object.", min_len(1))
    params: dict[str, Any] = attrs.field(factory=dict, metadata={"help": "Its parameters by name."})


def choice(name: str, help: str) -> Any:
    """A key for a plugin object that has a default."""
    return attrs.field(factory=lambda: Choice(name=name), metadata={"help": help})


@attrs.frozen(kw_only=True)
class Evolution:
    """The genetic search of each strategy in each cycle."""

    population: int = key(64, "Genomes per generation and strategy.", ge(2), le(GENOMES_MAX))
    generations: int = key(8, "Generations per search.", ge(1), le(CYCLES_MAX))
    elites: int = key(2, "Best genomes kept unchanged.", ge(0))
    crossover_rate: float = key(0.9, "Share of children that are crossed.", ge(0.0), le(1.0))
    restart_after: int = key(4, "Generations without improvement after which the search restarts; 0 never.", ge(0))
    selection: Choice = choice("tournament", "Selection operator.")
    crossover: Choice = choice("sbx", "Crossover operator.")
    mutation: Choice = choice("owner", "Mutation operator.")

    def __attrs_post_init__(self) -> None:
        if self.elites >= self.population:
            raise ValueError(f"elites is {self.elites}; expected less than population, {self.population}")


@attrs.frozen(kw_only=True)
class Term:
    """One weighted fitness function."""

    name: str = key(attrs.NOTHING, "Name of the fitness function.", min_len(1))
    weight: float = key(1.0, "Weight in the sum.")
    params: dict[str, Any] = attrs.field(factory=dict, metadata={"help": "Its parameters by name."})


@attrs.frozen(kw_only=True)
class Fitness:
    """What is bred for, and what living agents are ranked by: weighted sums of fitness functions."""

    search: tuple[Term, ...] = key((Term(name="floored_sharpe"),), "Terms that the search maximises.", min_len(1))
    judge: tuple[Term, ...] = key(
        (), "Terms that rank living agents; empty takes the profile's (owner: `owner`, else `floored_sharpe`)."
    )


def _override_type(attribute: attrs.Attribute[Any]) -> Any:
    plain: Any = {"bool": bool, "int": int, "float": float}[str(attribute.type).split(" | ", maxsplit=1)[0]]
    return plain | Literal["off"] | None if "None" in str(attribute.type) else plain | None


def _number_or_off(checks: Any) -> Any:
    def check(instance: Any, attribute: Any, value: Any) -> None:
        if value is not None and value != OFF:
            checks(instance, attribute, value)

    check.validator = checks  # type: ignore[attr-defined]
    return check


def _override(attribute: attrs.Attribute[Any]) -> Any:
    return attrs.field(
        default=None,
        type=_override_type(attribute),
        validator=_number_or_off(attribute.validator) if attribute.validator else None,
        metadata=attribute.metadata,
    )


#: Overrides of the profile's rules: the fields of `Rules`, each None for the profile's value, ``"off"`` to disable a threshold.
RuleOverrides: Any = attrs.make_class(
    "RuleOverrides",
    {attribute.name: _override(attribute) for attribute in attrs.fields(Rules)},
    frozen=True,
    kw_only=True,
)


def _limit(name: str, *checks: Any) -> Any:
    """A key for an order limit: the engine's own default and help, and what a person may sensibly ask for."""
    known: attrs.Attribute[Any] = getattr(attrs.fields(OrderLimits), name)
    return key(known.default, known.metadata["help"], *checks)


@attrs.frozen(kw_only=True)
class Limits:
    """Limits that the validators apply to every order; reserved amounts count."""

    position_share_max: float = _limit("position_share_max", gt(0.0), le(1.0))
    trade_share_max: float = _limit("trade_share_max", gt(0.0), le(1.0))
    trade_raw_max: float | None = _limit("trade_raw_max", optional(gt(0.0)))
    trade_raw_min: float = _limit("trade_raw_min", ge(0.0))
    daily_trades_max: int = _limit("daily_trades_max", ge(1))
    slippage_bps_max: float = _limit("slippage_bps_max", ge(0.0))

    def for_orders(self) -> OrderLimits:
        """The same limits as the engine applies them."""
        return OrderLimits(**attrs.asdict(self))


@attrs.frozen(kw_only=True)
class Trading:
    """The trading engine."""

    limits: Limits = section(Limits, "Limits of every order.")


@attrs.frozen(kw_only=True)
class Market:
    """One market that positions can be held in."""

    model: str = key(attrs.NOTHING, "Full name of the position model, for example `simulation.spot`.", min_len(1))
    asset: str = key(attrs.NOTHING, "Symbol of the asset held.", min_len(1))
    columns: dict[str, str] = attrs.field(
        factory=dict, metadata={"help": "Column of the market data for each market field of the model."}
    )
    params: dict[str, float] = attrs.field(
        factory=dict, metadata={"help": "Overrides of the model's parameters, by name."}
    )
    enabled: bool = key(True, "False refuses new trades.")


@attrs.frozen(kw_only=True)
class AssetEntry:
    """An asset beyond the built-in ones."""

    symbol: str = key(attrs.NOTHING, "Its symbol.", min_len(1))
    decimals: int = key(attrs.NOTHING, "Decimals of its base unit.", and_(ge(0), le(36)))
    stable: bool = key(False, "True for a stablecoin of the base currency.")


@attrs.frozen(kw_only=True)
class Strategies:
    """Which strategies compete, and on which markets."""

    enabled: tuple[str, ...] = key(
        (), "Names of the strategies; empty takes all that are installed and whose markets are there."
    )
    bind: dict[str, dict[str, str]] = attrs.field(
        factory=dict,
        metadata={"help": "Market of each role, by strategy and role; absent roles keep the strategy's own."},
    )


#: More than any search could try; what counts them has 64 bits.
TRIALS_MAX = 10**12


@attrs.frozen(kw_only=True)
class Agent:
    """A genome to start from, as `arena evolve` prints it."""

    strategy: str = key(attrs.NOTHING, "Its strategy.", min_len(1))
    genome: dict[str, float] = attrs.field(
        factory=dict, metadata={"help": "Genes by name, choice genes by value; absent genes take their default."}
    )
    trials: int = key(
        0,
        "Genomes tried by the search that found it; they count as tried in the run, too.",
        ge(0),
        le(TRIALS_MAX),
        later=True,
    )
    search: str = key(
        "",
        "Name of that search, whose genomes count once for all of its agents; empty counts those of each.",
        later=True,
    )


@attrs.frozen(kw_only=True)
class Source:
    """Where the market data come from; each source has its own keys in the table `source.<name>`."""

    name: str = key("simulated", "Name of the data source.", min_len(1))


@attrs.frozen(kw_only=True)
class Store:
    """Where events are kept."""

    url: str = key(
        "",
        "Database URL without a password, or a reference to one (`env:NAME`, `file:PATH`); empty for a "
        "SQLite file in the run's folder.",
        database_url,
    )


@attrs.frozen(kw_only=True)
class Report:
    """What is written at the end of a run."""

    reporters: tuple[str, ...] = key((), "Names of the reporters; empty takes all that are installed.")


@attrs.frozen(kw_only=True)
class Executor:
    """How independent work is spread; no result depends on it."""

    name: str = key("threads", "Name of the executor.", min_len(1))
    workers: int | None = key(
        None, "Number of workers; absent for one per processor.", optional(and_(ge(1), le(1_024)))
    )


def _in_years(instance: Any, attribute: attrs.Attribute[Any], value: datetime.date) -> None:
    if not YEAR_MIN <= value.year <= YEAR_MAX:
        raise ValueError(f"is {value}; expected a day of the years {YEAR_MIN} to {YEAR_MAX}")


def _after_start(instance: Any, attribute: attrs.Attribute[Any], value: datetime.date) -> None:
    if instance.start is None:
        return
    if value <= instance.start:
        raise ValueError(f"is {value}; expected a day after start, {instance.start}")
    if (value - instance.start).days > SPAN_DAYS_MAX:
        raise ValueError(f"is {value}; expected a day within a century of start, {instance.start}")


@attrs.frozen(kw_only=True)
class Settings:
    """The root of the configuration."""

    name: str = key("arena", "Name of the arena, shown in reports.", min_len(1), _name)
    start: datetime.date = key(attrs.NOTHING, "First day, YYYY-MM-DD (UTC).", _in_years)
    end: datetime.date = key(
        attrs.NOTHING, "Last day, inclusive, YYYY-MM-DD (UTC); after `start`.", _in_years, _after_start
    )
    seed: int = key(1, "Seed of all randomness.", ge(0))
    profile: Profile = key("balanced", "Set of rules that `rules` overrides.")
    step: Literal["1h"] = key("1h", "Step of the time grid.")
    capital: Capital = section(Capital, "Capital and pools.")
    population: Population = section(Population, "Population and cycle.")
    evolution: Evolution = section(Evolution, "Genetic search.")
    fitness: Fitness = section(Fitness, "Fitness of search and of judgement.")
    rules: Any = attrs.field(
        factory=RuleOverrides,
        metadata={
            "help": 'Overrides of the profile\'s rules; thresholds can be disabled by "off".',
            "hint": RuleOverrides,
        },
    )
    trading: Trading = section(Trading, "Trading engine.")
    markets: dict[str, Market] = attrs.field(factory=dict, metadata={"help": "Markets by name."})
    assets: tuple[AssetEntry, ...] = key((), "Assets beyond the built-in ones.")
    strategies: Strategies = section(Strategies, "Strategies and their markets.")
    agents: tuple[Agent, ...] = key(
        (), "Genomes to start from. One that behaves as an earlier one does is not born (rule `refuse_clones`)."
    )
    source: Source = section(Source, "Data source.")
    store: Store = section(Store, "Event store.", local=True)
    report: Report = section(Report, "Reports.", local=True)
    executor: Executor = section(Executor, "Executor.", local=True)
    daemon: Daemon = section(Daemon, "Daemon.", local=True)
    live: Live = section(Live, "Live trading.", local=True)
    sections: dict[str, Any] = attrs.field(factory=dict, metadata={"internal": True})
    """Sections of plugins by key path, for example ``source.history``."""

    def __attrs_post_init__(self) -> None:
        self.resolved_rules()

    @property
    def step_seconds(self) -> int:
        return STEP_SECONDS[self.step]

    def resolved_rules(self) -> Rules:
        """The profile's rules with the overrides; raises ValueError for numbers that contradict each other."""
        overrides = {name: value for name, value in attrs.asdict(self.rules).items() if value is not None}
        changes: dict[str, Any] = {name: None if value == OFF else value for name, value in overrides.items()}
        return attrs.evolve(profile_rules(self.profile), **changes)

    def judge_terms(self) -> tuple[Term, ...]:
        """The terms that rank living agents, the profile's when none are given."""
        return self.fitness.judge or (Term(name="owner" if self.profile == "owner" else "floored_sharpe"),)
