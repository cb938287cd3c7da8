"""Checks that a strategy, the models of its roles and the markets they are bound to fit together, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from treasury_arena.contracts.decision import build_params
from treasury_arena.contracts.position import MarketSpec, PositionModel
from treasury_arena.contracts.strategy import Strategy
from treasury_arena.errors import PluginError, nearest
from treasury_arena.simulation.features import feature_function
from treasury_arena.simulation.layout import Layout
from treasury_arena.simulation.source_hash import check_importable, check_plain

BOOK_FACTS = ("equity", "cash", "drawdown", "step")


def check_wiring(strategy: Strategy, models: Mapping[str, PositionModel], specs: Mapping[str, MarketSpec]) -> None:
    """Raise PluginError with the offending name and the nearest valid one.

    Checked: a model and a market of the right kind for every role; market fields bound; parameters known; fields of Target
    and Book known and complete; opening values given; feature kinds and fields known; everything importable by name.
    """
    where = f"strategy {strategy.name!r}"
    for role, wanted in strategy.roles.items():
        for what, given in (("position model", models), ("market", specs)):
            if role not in given:
                raise PluginError(f"{where}: role {role!r} has no {what}: {nearest(role, given)}")
        model, spec = models[role], specs[role]
        if model.kind != wanted.kind:
            raise PluginError(
                f"{where}: role {role!r} needs a {wanted.kind!r} position, {model.name} is {model.kind!r}"
            )
        if spec.model != model.name:
            raise PluginError(
                f"{where}: role {role!r}: market {spec.name!r} is priced by {spec.model!r}, not {model.name!r}"
            )
        _check_market(spec, model)
        other = wanted.differs(build_params(model, spec)._asdict())
        if other is not None:
            name, found, value = other
            raise PluginError(
                f"{where}: role {role!r} reckons with a market whose {name} is {value:g}; that of market {spec.name!r} is "
                f"{found:g}"
            )
        _check_defaults(f"position model {model.name!r}", model.state)
    _check_defaults(where, strategy.state)
    _check_fields(strategy, models)
    _check_features(strategy, specs)
    layout = Layout(strategy, models)
    for f in layout.functions:
        check_plain(f.function, where)
        for struct in (*f.params, *f.result):
            if struct is not None and struct is not float:
                check_importable(struct, where)


def _check_market(spec: MarketSpec, model: PositionModel) -> None:
    fields = model.market._fields
    for name in spec.columns:
        if name not in fields:
            raise PluginError(f"market {spec.name!r}: {model.name} reads no field {name!r}: {nearest(name, fields)}")
    for name in fields:
        if name not in spec.columns:
            raise PluginError(f"market {spec.name!r}: field {name!r} of {model.name} is not bound to a column")


def _check_defaults(where: str, state: type) -> None:
    defaults = getattr(state, "_field_defaults", {})
    for name in getattr(state, "_fields", ()):
        if name not in defaults:
            raise PluginError(f"{where}: state field {name!r} needs its opening value as default")
        if type(defaults[name]) is not float:  # compiled code makes a float of it, plain Python does not
            raise PluginError(
                f"{where}: state field {name!r} opens at {defaults[name]!r:.40}; expected a float such as 0.0"
            )


def _check_fields(strategy: Strategy, models: Mapping[str, PositionModel]) -> None:
    layout = Layout(strategy, models)
    controls = [f"{role}_{name}" for role in strategy.roles for name in layout.controls(role)]
    views = [f"{role}_{name}" for role in strategy.roles for name in models[role].views]
    for model in models.values():
        for name in model.views:
            if not name.isidentifier():
                raise PluginError(f"position model {model.name!r}: a view must be a name like 'inside', not {name!r}")
    where = f"strategy {strategy.name!r}"
    _check_known(f"{where}: its Target", strategy.target._fields, (*strategy.roles, *controls, "band"))
    for name in controls:
        if name not in strategy.target._fields:
            raise PluginError(f"{where}: its Target lacks the control {name!r}")
    _check_known(f"{where}: its Book", strategy.book._fields, (*BOOK_FACTS, *strategy.roles, *views))
    for role in strategy.roles:
        if role in (*BOOK_FACTS, "band"):
            raise PluginError(f"{where}: a role must not be named {role!r}, the Book and Target use that name")
    for what, names in (("control", controls), ("view", views)):
        taken = {*strategy.roles}
        for name in names:
            if name in taken:
                raise PluginError(f"{where}: {name!r} is the name of a {what} and of something else: rename a role")
            taken.add(name)


def _check_known(where: str, fields: Iterable[str], known: Iterable[str]) -> None:
    names = tuple(known)
    for name in fields:
        if name not in names:
            raise PluginError(f"{where} has a field {name!r} that means nothing: {nearest(name, names)}")


def _check_features(strategy: Strategy, specs: Mapping[str, MarketSpec]) -> None:
    for name, column in strategy.columns.items():
        where = f"strategy {strategy.name!r}, feature {name!r}"
        feature_function(column.kind, where)
        if column.of in specs and column.field not in specs[column.of].columns:
            raise PluginError(
                f"{where}: market {specs[column.of].name!r} has no field {column.field!r}: "
                f"{nearest(column.field, specs[column.of].columns)}"
            )
        windows = (column.window,) if not isinstance(column.window, str) else strategy.space.choices[column.window]
        for window in windows:
            if isinstance(window, str) or window < 1 or window != int(window):
                raise PluginError(f"{where}: a window is a whole number of rows, at least 1, not {window}")
