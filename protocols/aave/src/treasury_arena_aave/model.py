"""Position models of Aave: scalar float functions that the search kernel compiles as they stand.

`SUPPLY` lends an asset at the observed rate, corrected for what our own deposit does to the usage of the reserve.
`ACCOUNT` is collateral and the base-currency debt that can liquidate it, as one position, at the rate observed; with
`ACCOUNT_RESERVE` our own loan moves that rate, and is no more than the reserve has. Costs come out of what moves: a
purchase takes exactly ``target - value`` cash and ends a little lower; a sale ends at the target and returns less. A move
below ``dust`` USD, or one that its own costs would eat up, is not made.

Distance from the exact markets (`treasury_arena_aave.market`): README, "Model against exact".
"""

from __future__ import annotations

from typing import NamedTuple

from treasury_arena.contracts.position import PositionModel

NO_DEBT_HEALTH = 100.0
YEAR_SECONDS = 31536000.0
CLOSE_HEALTH = 0.95


class SupplyState(NamedTuple):
    """A lent asset: tokens with the interest accrued so far."""

    units: float = 0.0


class SupplyMarket(NamedTuple):
    """``rate`` lending APR as a fraction a year, ``price`` USD per token, ``supplied`` and ``borrowed`` USD, ``gas`` USD."""

    rate: float
    price: float
    supplied: float
    borrowed: float
    gas: float


class SupplyParams(NamedTuple):
    """Costs of lending, and the reserve's rate curve.

    ``swap_fee`` is the fraction lost on changing the base asset into the lent one or back (0 for the base asset itself),
    ``actions`` how many times gas is paid per move, ``dust`` USD, ``step_seconds`` the length of one row; ``optimal`` the
    usage of the kink, ``base``, ``slope1``, ``slope2`` fractions a year; ``version`` of the contracts the exact market follows.
    """

    swap_fee: float = 0.0005
    actions: float = 1.0
    dust: float = 1.0
    step_seconds: float = 3600.0
    optimal: float = 0.9
    base: float = 0.0
    slope1: float = 0.055
    slope2: float = 0.6
    version: float = 3.5


class AccountState(NamedTuple):
    """``collateral`` tokens with interest, ``debt`` USD with interest."""

    collateral: float = 0.0
    debt: float = 0.0


class AccountMarket(NamedTuple):
    """``price`` USD per token, ``supply_rate`` of the collateral and ``borrow_rate`` of the debt as APR, ``gas`` USD."""

    price: float
    supply_rate: float
    borrow_rate: float
    gas: float


class AccountParams(NamedTuple):
    """Limits and costs of an account.

    ``ltv_max`` is the largest loan-to-value that is set up, ``threshold`` the liquidation threshold, ``bonus`` what a
    liquidator receives on top, ``close_factor`` the share of the debt one liquidation repays while the health factor is above
    0.95, ``small`` the USD of collateral or debt below which it repays all (0 in version 3.0), ``fee`` the fraction lost on
    what is swapped, ``actions`` how many times gas is paid per move, ``dust`` USD, ``slack`` how far the loan-to-value
    may be from the control before a move below ``dust`` is made for it, ``step_seconds`` the length of one row, ``version`` of
    the contracts the exact market follows.
    """

    ltv_max: float = 0.8
    threshold: float = 0.83
    bonus: float = 0.05
    close_factor: float = 0.5
    small: float = 2000.0
    fee: float = 0.0005
    actions: float = 4.0
    dust: float = 1.0
    slack: float = 0.02
    step_seconds: float = 3600.0
    version: float = 3.5


class AccountReserveMarket(NamedTuple):
    """As `AccountMarket`, and ``supplied`` and ``borrowed`` USD of the reserve that lends, without us."""

    price: float
    supply_rate: float
    borrow_rate: float
    supplied: float
    borrowed: float
    gas: float


class AccountReserveParams(NamedTuple):
    """As `AccountParams`, and the curve of the reserve that lends: ``optimal``, ``base``, ``slope1``, ``slope2``."""

    ltv_max: float = 0.8
    threshold: float = 0.83
    bonus: float = 0.05
    close_factor: float = 0.5
    small: float = 2000.0
    fee: float = 0.0005
    actions: float = 4.0
    dust: float = 1.0
    slack: float = 0.02
    step_seconds: float = 3600.0
    optimal: float = 0.9
    base: float = 0.0
    slope1: float = 0.055
    slope2: float = 0.6
    version: float = 3.5


class AccountControl(NamedTuple):
    """``ltv``: debt over collateral to set up, cut to 0 and ``ltv_max``."""

    ltv: float


def usage(borrowed: float, supplied: float) -> float:
    """Share of a reserve that is lent out, at most one."""
    if not supplied > 0.0 or not borrowed > 0.0:
        return 0.0
    return 1.0 if borrowed >= supplied else borrowed / supplied


def lenders_return(u: float, p: SupplyParams) -> float:
    """What the curve pays lenders at a usage, before the reserve factor: borrow rate times usage."""
    # The quotients are the same for all agents, so the kernel takes them out of its inner loop.
    steep = p.slope2 / (1.0 - p.optimal) if p.optimal < 1.0 else 0.0
    flat = p.slope1 / p.optimal if p.optimal > 0.0 else 0.0
    if u > p.optimal:
        return u * (p.base + p.slope1 + (u - p.optimal) * steep)
    return u * (p.base + u * flat)


def own_rate(own: float, m: SupplyMarket, p: SupplyParams) -> float:
    """What `own` USD of ours earn: the observed rate, moved along the curve by our own deposit; the reserve factor cancels."""
    before = lenders_return(usage(m.borrowed, m.supplied), p)
    scale = m.rate / before if before > 0.0 else 0.0
    moved = lenders_return(usage(m.borrowed, m.supplied + own), p) * scale
    return moved if before > 0.0 else m.rate


def supply_value(s: SupplyState, m: SupplyMarket, p: SupplyParams) -> float:
    """USD that the supplied units are worth."""
    return s.units * m.price


def supply_trade(s: SupplyState, target: float, m: SupplyMarket, p: SupplyParams, c: None) -> tuple[SupplyState, float]:
    """A withdrawal beyond ``supplied - borrowed``, the reserve's cash but for ours, is not made."""
    move = target - s.units * m.price
    size = abs(move)
    if not m.price > 0.0 or size < p.dust:
        return s, 0.0
    cost = size * p.swap_fee + m.gas * p.actions
    if cost >= size:
        return s, 0.0
    if move > 0.0:
        return SupplyState(s.units + (size - cost) / m.price), -move
    if size > m.supplied - m.borrowed:
        return s, 0.0
    return SupplyState(target / m.price), size - cost


def supply_accrue(s: SupplyState, m: SupplyMarket, p: SupplyParams) -> SupplyState:
    """Interest of the step that ends at this row, at the rate observed at its end, thinned by our own deposit."""
    return SupplyState(s.units * (1.0 + own_rate(s.units * m.price, m, p) * (p.step_seconds / YEAR_SECONDS)))


def grown(aim: float, held: float, ltv: float, fee: float, gas: float) -> float:
    """Collateral in USD that leaves equity ``aim - costs`` at a loan-to-value.

    Solves ``g (1 - ltv) = aim - gas - fee |g - held|``; not above zero when costs would eat everything.
    """
    up = (aim - gas + fee * held) / (1.0 - ltv + fee)
    if up >= held:
        return up
    rest = 1.0 - ltv - fee
    return (aim - gas - fee * held) / rest if rest > 0.0 else 0.0


def account_value(s: AccountState, m: AccountMarket, p: AccountParams) -> float:
    """USD of collateral less debt; below zero where the debt is worth more."""
    return s.collateral * m.price - s.debt


def account_ltv(s: AccountState, m: AccountMarket, p: AccountParams) -> float:
    """Debt over collateral."""
    held = s.collateral * m.price
    return s.debt / held if held > 0.0 else 0.0


def account_health(s: AccountState, m: AccountMarket, p: AccountParams) -> float:
    """Collateral times threshold over debt, at most 100; below 1 it is liquidated."""
    if not s.debt > 0.0:
        return NO_DEBT_HEALTH
    health = s.collateral * m.price * p.threshold / s.debt
    return health if health < NO_DEBT_HEALTH else NO_DEBT_HEALTH


def account_trade(
    s: AccountState, target: float, m: AccountMarket, p: AccountParams, c: AccountControl
) -> tuple[AccountState, float]:
    """Buys or sells collateral and borrows or repays until equity is `target` and the loan-to-value the control's.

    A control that differs from what is held by more than ``slack`` is followed even when the equity hardly moves; its costs
    then come out of the position.
    """
    held = s.collateral * m.price
    worth = held - s.debt
    move = target - worth
    ltv = 0.0 if c.ltv < 0.0 else (p.ltv_max if c.ltv > p.ltv_max else c.ltv)
    changed = held > 0.0 and abs(s.debt - ltv * held) > p.slack * held
    small = abs(move) < p.dust
    if not m.price > 0.0 or not ltv < 1.0 or (small and not changed):
        return s, 0.0
    gas = m.gas * p.actions
    if move < 0.0 and not small:
        gross = target / (1.0 - ltv)
        cost = p.fee * abs(gross - held) + gas
        if cost < -move:
            return AccountState(gross / m.price, gross - target), -move - cost
        if not changed:
            return s, 0.0
    aim = target if move > 0.0 and not small else worth
    gross = grown(aim, held, ltv, p.fee, gas)
    if not gross > 0.0 or (not changed and p.fee * abs(gross - held) + gas >= aim - worth):
        return s, 0.0
    return AccountState(gross / m.price, ltv * gross), worth - aim


def account_accrue(s: AccountState, m: AccountMarket, p: AccountParams) -> AccountState:
    """Interest of the step, then, at this row's price, one liquidation when the health factor is below one.

    Debt that no collateral is left for is nobody's: the account is empty (3.3 and later burn it; before, nobody pays it).
    """
    span = p.step_seconds / YEAR_SECONDS
    x = m.borrow_rate * span
    collateral = s.collateral * (1.0 + m.supply_rate * span)
    debt = s.debt * (1.0 + x * (1.0 + x * (0.5 + x / 6.0)))
    held = collateral * m.price
    if not debt > held * p.threshold:
        return AccountState(collateral, debt)
    whole = held * p.threshold <= CLOSE_HEALTH * debt or held < p.small or debt < p.small
    repaid = debt if whole else p.close_factor * debt
    taken = repaid * (1.0 + p.bonus)
    tokens = 1.0 / m.price if m.price > 0.0 else 0.0
    if taken >= held:
        return AccountState(0.0, 0.0)
    return AccountState(collateral - taken * tokens, debt - repaid)


def alone(m: AccountReserveMarket, rate: float) -> AccountMarket:
    """The market of an account at a borrow rate."""
    return AccountMarket(m.price, m.supply_rate, rate, m.gas)


def plain(p: AccountReserveParams) -> AccountParams:
    """The parameters of an account."""
    return AccountParams(
        p.ltv_max,
        p.threshold,
        p.bonus,
        p.close_factor,
        p.small,
        p.fee,
        p.actions,
        p.dust,
        p.slack,
        p.step_seconds,
        p.version,
    )


def borrowers_rate(u: float, p: AccountReserveParams) -> float:
    """What the curve asks of borrowers at a usage."""
    steep = p.slope2 / (1.0 - p.optimal) if p.optimal < 1.0 else 0.0
    flat = p.slope1 / p.optimal if p.optimal > 0.0 else 0.0
    if u > p.optimal:
        return p.base + p.slope1 + (u - p.optimal) * steep
    return p.base + u * flat


def owed_rate(own: float, m: AccountReserveMarket, p: AccountReserveParams) -> float:
    """What `own` USD of ours cost: the observed rate, moved along the curve by our own loan."""
    before = borrowers_rate(usage(m.borrowed, m.supplied), p)
    moved = borrowers_rate(usage(m.borrowed + own, m.supplied), p)
    # Where the curve asks nothing of those who were there, there is nothing to scale: it is added.
    return m.borrow_rate * (moved / before) if before > 0.0 else m.borrow_rate + moved


def account_reserve_value(s: AccountState, m: AccountReserveMarket, p: AccountReserveParams) -> float:
    """USD of collateral less debt; below zero where the debt is worth more."""
    return s.collateral * m.price - s.debt


def account_reserve_ltv(s: AccountState, m: AccountReserveMarket, p: AccountReserveParams) -> float:
    """Debt over the collateral's worth, as `account_ltv`."""
    return account_ltv(s, alone(m, m.borrow_rate), plain(p))


def account_reserve_health(s: AccountState, m: AccountReserveMarket, p: AccountReserveParams) -> float:
    """The health factor, as `account_health`."""
    return account_health(s, alone(m, m.borrow_rate), plain(p))


def account_reserve_trade(
    s: AccountState, target: float, m: AccountReserveMarket, p: AccountReserveParams, c: AccountControl
) -> tuple[AccountState, float]:
    """As `account_trade`; a loan that makes our debt more than ``supplied - borrowed``, the reserve's cash, is not taken."""
    after, cash = account_trade(s, target, alone(m, m.borrow_rate), plain(p), c)
    if after.debt > s.debt and after.debt > m.supplied - m.borrowed:
        return s, 0.0
    return after, cash


def account_reserve_accrue(s: AccountState, m: AccountReserveMarket, p: AccountReserveParams) -> AccountState:
    """Interest of the step that ends at this row, on both sides: as `account_accrue`, at the rate that our own debt moves."""
    return account_accrue(s, alone(m, owed_rate(s.debt, m, p)), plain(p))


SUPPLY = PositionModel(
    "aave.supply", "lending", SupplyState, SupplyMarket, SupplyParams, supply_value, supply_trade, supply_accrue
)
ACCOUNT = PositionModel(
    "aave.account",
    "account",
    AccountState,
    AccountMarket,
    AccountParams,
    account_value,
    account_trade,
    account_accrue,
    AccountControl,
    {"health": account_health, "ltv": account_ltv},
)
ACCOUNT_RESERVE = PositionModel(
    "aave.account_reserve",
    "account",
    AccountState,
    AccountReserveMarket,
    AccountReserveParams,
    account_reserve_value,
    account_reserve_trade,
    account_reserve_accrue,
    AccountControl,
    {"health": account_reserve_health, "ltv": account_reserve_ltv},
)
