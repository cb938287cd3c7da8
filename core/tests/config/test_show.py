"""The resolved view round-trips, hides secrets, hashes content alone; the schema and the reference page agree with the reader."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.config import Settings, load_config
from treasury_arena.config.reference import REGENERATE, configuration_reference
from treasury_arena.config.schema import json_schema
from treasury_arena.config.settings import Agent, Executor
from treasury_arena.config.show import agents_toml, config_hash, hashed_dict, plain, to_dict, to_toml
from treasury_arena.domain.rules import PROFILES, Rules
from treasury_arena.errors import ConfigError
from treasury_arena.registry import Registry

Load = Callable[..., Settings]

HISTORY = '[source]\nname = "history"\n[source.history]\nfolder = "%s"\ntoken = "env:TOKEN"\ncolumns = { "ETH price" = "p" }\n'


@pytest.mark.parametrize("profile", PROFILES)
def test_the_resolved_view_reads_back_to_the_same_configuration(load: Load, good: str, profile: str) -> None:
    settings = load(f'profile = "{profile}"\n' + good + HISTORY % "data")
    text = to_toml(settings)
    again = load(text)
    assert to_toml(again) == text
    assert config_hash(again) == config_hash(settings)
    assert again.resolved_rules() == settings.resolved_rules()
    assert again.sections == settings.sections


def test_the_resolved_view_writes_profile_and_defaults_out(load: Load, good: str) -> None:
    shown = to_dict(load(good))
    assert shown["rules"]["simulation_psr_min"] == "off"
    assert shown["rules"]["simulation_floored_min"] == 0.25
    assert shown["fitness"]["judge"] == [{"name": "floored_sharpe", "weight": 1.0, "params": {}}]
    assert shown["capital"]["proving"] == "10000"
    assert shown["source"]["simulated"] == {"volatility": 0.7, "regime": "calm"}
    assert json.loads(json.dumps(shown)) == shown


def test_secrets_are_shown_as_references(load: Load, good: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    settings = load(good + HISTORY % "data")
    assert settings.sections["source.history"].token.reveal() == "hunter2"
    assert 'token = "env:TOKEN"' in to_toml(settings)
    assert "hunter2" not in to_toml(settings) + repr(settings)


def test_amounts_keep_every_digit(load: Load, good: str) -> None:
    long = "163261.000001"
    text = good.replace('"163261"', f'"{long}"').replace("total = 373261", 'total = "373261.000001"')
    assert to_dict(load(text))["capital"]["reserve"] == long
    assert to_dict(load(text))["capital"]["arena"] == "200000"
    assert plain(Decimal("1234567890123456789.123456789012345678900")) == "1234567890123456789.1234567890123456789"


def test_bred_genomes_are_written_as_a_run_takes_them(load: Load, good: str) -> None:
    agents = (Agent(strategy="farmer", genome={"level": 0.1, "window": 24.0}), Agent(strategy="farmer"))
    head, tail = good.split("[[agents]]")[0], "\n[source.simulated]\n"
    assert load(head + agents_toml(agents) + tail).agents == agents
    assert agents_toml(()) == ""


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_survives_the_round_trip(registry: Registry, good: str, name: str) -> None:
    settings = attrs.evolve(load_config(good, registry), executor=Executor(name=name))
    assert tomli.loads(to_toml(settings))["executor"]["name"] == name


@pytest.mark.parametrize(
    ("right", "other"),
    [
        ("proving = 10000.00", 'proving = "10000"'),
        ('name = "toy"', 'name = "toy"\nexecutor.workers = 3\nstore.url = "sqlite:///x.db"'),
        ('name = "toy"', 'name = "toy"\nprofile = "balanced"\npopulation.agents = 50'),
        ("start = 2024-01-01", 'start = "2024-01-01"'),
        ('{ price = "ETH.price", gas = "gas.usd" }', '{ gas = "gas.usd", price = "ETH.price" }'),
    ],
)
def test_the_hash_ignores_form_and_place(load: Load, good: str, right: str, other: str) -> None:
    assert config_hash(load(good.replace(right, other))) == config_hash(load(good))


def test_the_hash_ignores_paths_and_secrets(load: Load, good: str) -> None:
    text = good + HISTORY
    assert config_hash(load(text % "one")) == config_hash(load((text % "two").replace("env:TOKEN", "env:OTHER")))


@pytest.mark.parametrize(
    ("right", "other"),
    [
        ("seed = 7", "seed = 8"),
        ("volatility = 0.7", "volatility = 0.8"),
        ("death_drawdown = 0.3", "death_drawdown = 0.31"),
        ("level = 0.5", "level = 0.6"),
        ("seed = 7", 'seed = 7\nprofile = "owner"'),
    ],
)
def test_the_hash_tells_content_apart(load: Load, good: str, right: str, other: str) -> None:
    assert config_hash(load(good.replace(right, other))) != config_hash(load(good))


def document(text: str) -> Any:
    return json.loads(json.dumps(tomli.loads(text), default=str))


@pytest.fixture(scope="module")
def validator(registry: Registry) -> jsonschema.Draft202012Validator:
    schema = json_schema(registry.sections)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_schema_takes_what_the_reader_takes(
    load: Load, good: str, validator: jsonschema.Draft202012Validator
) -> None:
    for text in (good, good + HISTORY % "data", to_toml(load(good)), to_toml(load(good + HISTORY % "data"))):
        assert [error.message for error in validator.iter_errors(document(text))] == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("seed = 7", "sed = 7"),
        ("seed = 7", "seed = -1"),
        ("seed = 7", "seed = true"),
        ("seed = 7", 'profile = "mild"'),
        ("end = 2024-03-31", ""),
        ("end = 2024-03-31", 'end = "soon"'),
        ('reserve = "163261"', 'reserve = "lots"'),
        ("death_drawdown = 0.3", "death_drawdown = 1.3"),
        ("death_drawdown = 0.3", 'death_drawdown = "on"'),
        ("death_drawdown = 0.3", 'coin_cap = "off"'),
        ("daily_trades_max = 10", "trade_raw_max = 0"),
        ('model = "toy.spot"', ""),
        ("fee = 0.001", "fee = true"),
        ("decimals = 18", "decimals = 37"),
        ('["farmer"]', '"farmer"'),
        ("volatility = 0.7", "volatility = 0"),
        ("volatility = 0.7", "volatilty = 0.7"),
        ("[source.simulated]", "[source.history]\nfolder = 'x'\ntoken = 'hunter2'\n[source.simulated]"),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(
    good: str, registry: Registry, validator: jsonschema.Draft202012Validator, right: str, wrong: str
) -> None:
    text = good.replace(right, wrong, 1)
    assert list(validator.iter_errors(document(text))) != []
    with pytest.raises(ConfigError):
        load_config(text, registry)


def test_the_schema_describes_bounds_defaults_and_choices() -> None:
    schema = json_schema()
    properties = schema["properties"]
    assert schema["required"] == ["start", "end"]
    assert properties["seed"] == {
        "type": "integer",
        "minimum": 0,
        "description": "Seed of all randomness.",
        "default": 1,
    }
    assert properties["profile"]["enum"] == list(PROFILES)
    assert properties["rules"]["properties"].keys() == attrs.fields_dict(Rules).keys()
    assert "sections" not in properties


def every_key(schema: dict[str, Any]) -> list[dict[str, Any]]:
    keys = list(schema.get("properties", {}).values())
    inner = [*keys, *[schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)]]
    return keys + [key for table in inner for key in every_key(table)]


def test_every_key_has_a_description() -> None:
    keys = every_key(json_schema())
    assert len(keys) > 100
    assert [key for key in keys if not key.get("description")] == []


def test_the_reference_page_is_what_the_code_says() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"
    assert page.read_text(encoding="utf-8") == configuration_reference(), f"out of date; run: {REGENERATE}"


def test_reading_a_configuration_imports_nothing_heavy() -> None:
    code = (
        "import sys, treasury_arena.config.load, treasury_arena.config.show\n"
        "print([n for n in ('pandas', 'numba', 'matplotlib', 'sqlalchemy', 'click') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_found_an_agent_counts_in_the_hash_once_it_is_told() -> None:
    """Keys that are younger than their table change no hash at their default: runs begun before go on."""
    untold = Settings(
        start=date(2024, 1, 1), end=date(2024, 2, 1), agents=(Agent(strategy="farmer", genome={"window": 24.0}),)
    )
    assert "trials" not in hashed_dict(untold)["agents"][0]
    assert to_dict(untold)["agents"][0]["trials"] == 0
    told = attrs.evolve(untold, agents=(attrs.evolve(untold.agents[0], trials=5, search="a"),))
    assert hashed_dict(told)["agents"][0] == {
        "strategy": "farmer",
        "genome": {"window": 24.0},
        "trials": 5,
        "search": "a",
    }
    assert config_hash(told) != config_hash(untold)
    with pytest.raises(ValueError, match="trials"):
        Agent(strategy="farmer", trials=10**12 + 1)
