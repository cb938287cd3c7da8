"""Position models: what a protocol plugin says about one kind of position, as pure scalar functions.

The functions run compiled inside the search kernel and uncompiled in the reference interpreter. All values are
float64; USD means the base currency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

Struct = type[Any]  # a NamedTuple class of float fields


@attrs.frozen
class PositionModel:
    """One kind of position.

    Attributes:
        name: full name, ``<protocol>.<position>``, for example ``simulation.spot``.
        kind: what a strategy's role asks for: ``spot``, ``lending``, ...; several models may offer one kind.
        state: NamedTuple of float, every field with its opening value as default.
        market: NamedTuple of the columns of the current row the functions read (bound to frame columns by configuration).
        params: NamedTuple of cost and protocol parameters, all with defaults.
        value: ``value(s, m, p) -> float``, USD worth now.
        trade: ``trade(s, target, m, p, c) -> (state, cash_change)``; costs come out of what moves.
        accrue: ``accrue(s, m, p) -> state``, one step without a trade, with the NEW row.
        control: NamedTuple of what a strategy may say besides the share of equity, or None.
        views: extra facts a strategy may read as ``book.<role>_<view>``, each ``view(s, m, p) -> float``.
        features: market field a strategy's Column reads by default (``price`` for spot, ``rate`` for lending).
    """

    name: str
    kind: str
    state: Struct
    market: Struct
    params: Struct
    value: Callable[..., float]
    trade: Callable[..., Any]
    accrue: Callable[..., Any] | None = None
    control: Struct | None = None
    views: Mapping[str, Callable[..., float]] = attrs.field(factory=dict)


@attrs.frozen
class MarketSpec:
    """One market that positions can be held in, as the configuration binds it.

    Attributes:
        name: the configuration's name, for example ``eth`` or ``usdc_lending``.
        model: the position model (by full name) that prices it.
        kind: the model's kind.
        asset: symbol of the asset held.
        columns: market field of the model -> frame column.
        params: overrides of the model's parameter defaults.
        coin: True when the asset is not a stablecoin of the base currency, so that holding it is price exposure
            (a lending market of WETH is a coin market).
        enabled: False refuses new trades in it.
    """

    name: str
    model: str
    kind: str
    asset: str
    columns: Mapping[str, str]
    params: Mapping[str, float] = attrs.field(factory=dict)
    coin: bool = False
    enabled: bool = True
