"""The configuration section ``[fuse.survival]``."""

from __future__ import annotations

from typing import Any

import attrs
from attrs.validators import ge, gt, le, lt

from treasury_arena.config.keys import key

CONDITIONS = (
    "volatility_spike",
    "drawdown_breach",
    "magnet_conflict",
    "magnet_inversion",
    "trend_flip",
    "liquidity_dry",
)
"""The six conditions; each may be left out."""

GUARDS = ("health_factor", "data_stale", "execution_failures", "ledger_mismatch", "stablecoin_peg", "heartbeat")
"""The guards that cannot be left out in live mode."""

HALT = ("halt_new_risk", "cancel_unmined", "notify")
EXIT = ("delever", "reduce")


def _longer_than_checks(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if instance.check_every_s is not None and not value > instance.check_every_s:
        raise ValueError(f"is {value}; expected more than check_every_s, {instance.check_every_s}")


def _not_below_retry(instance: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if instance.retry_s is not None and not value >= instance.retry_s:
        raise ValueError(f"is {value}; expected at least retry_s, {instance.retry_s}")


@attrs.frozen(kw_only=True)
class SurvivalSection:
    """The survival fuse. Every limit trips at the limit itself; times are seconds, shares 0 to 1."""

    conditions: tuple[str, ...] = key(CONDITIONS, "Conditions it judges by.")
    guards: tuple[str, ...] = key(GUARDS, "Guards it judges by; in live mode all of them.")
    more_guards: tuple[str, ...] = key((), "Guards of other plugins it judges by as well.")
    volatility_max: float = key(2.0, "volatility_spike: volatility pressure V.", gt(0.0))
    drawdown_max: float = key(0.05, "drawdown_breach: fall from the highest equity.", gt(0.0), le(1.0))
    daily_drawdown_max: float = key(0.025, "drawdown_breach: fall from the day's highest equity.", gt(0.0), le(1.0))
    conflict_max: float = key(0.8, "magnet_conflict: conflict index C.", gt(0.0))
    liquidity_min: float = key(30.0, "liquidity_dry: liquidity score, 0 to 100.", ge(0.0), lt(100.0))
    health_factor_min: float = key(1.25, "health_factor: the lowest of any account.", ge(1.0))
    execution_failures_max: int = key(3, "execution_failures: orders that failed of late.", ge(1))
    ledger_mismatch_raw_max: int = key(
        1, "ledger_mismatch: base units that ledger and chain differ by without an explanation.", ge(1)
    )
    peg_deviation_max: float = key(0.02, "stablecoin_peg: distance of any stablecoin from 1.", gt(0.0), lt(1.0))
    heartbeat_age_s_max: float = key(180.0, "heartbeat: age of the arena's last sign of life.", gt(0.0))
    stale_after_s: float = key(300.0, "Age at which a reading cannot be relied on.", gt(0.0))
    warn_share: float = key(
        0.8,
        "Warn, and do not re-arm, from this share of a limit on (of a lower limit: from the limit divided by it).",
        gt(0.0),
        lt(1.0),
    )
    halt_s: float = key(180.0, "Shortest halt after the last trigger.", ge(0.0))
    cooldown_s: float = key(300.0, "How long every reading must keep its distance before the fuse re-arms.", ge(0.0))
    warned_s: float = key(60.0, "How long every reading must keep its distance before a warning ends.", ge(0.0))
    check_every_s: float = key(60.0, "A check is recorded at least this often.", gt(0.0))
    blind_after_s: float = key(
        180.0, "Without a check for so long nobody watches: no new risk, and waits begin anew.", _longer_than_checks
    )
    trips_max: int = key(3, "So many trips within trips_window_s lock the fuse.", ge(1))
    trips_window_s: float = key(86_400.0, "Trips that long ago no longer count.", gt(0.0))
    halt_actions: tuple[str, ...] = key(HALT, "What every trip asks for, in this order.")
    exit_actions: tuple[str, ...] = key(EXIT, "What a trip by a measured danger asks for as well.")
    reduce_share: float = key(0.5, "reduce: share of the exposure that is sold.", ge(0.3), le(0.7))
    leverage_target: float = key(1.0, "delever: the highest leverage that is left.", ge(1.0))
    retry_s: float = key(15.0, "Wait before an action is tried again; doubles with each try.", gt(0.0))
    retry_s_max: float = key(300.0, "The longest such wait.", _not_below_retry)
