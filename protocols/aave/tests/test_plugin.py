"""What the plugin registers."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from treasury_arena_aave import plugin
from treasury_arena_aave.protocol import AaveProtocol


def test_the_entry_point_leads_to_the_hooks():
    (point,) = (one for one in entry_points(group="treasury_arena") if one.name == "aave")
    assert point.load() is plugin
    (protocol,) = plugin.arena_protocols()
    assert {model.name: model.kind for model in protocol.models} == {
        "aave.supply": "lending",
        "aave.account": "account",
        "aave.account_reserve": "account",
    }


@pytest.mark.parametrize("model", AaveProtocol().models, ids=lambda model: model.name)
def test_models_declare_floats_with_defaults(model):
    assert model.state._field_defaults.keys() == set(model.state._fields)
    assert model.params._field_defaults.keys() == set(model.params._fields)
    assert all(type(value) is float for value in (*model.state(), *model.params()))
