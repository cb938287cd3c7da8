"""Lending: a supply that earns a rate, and a collateral account that borrows USD against an asset."""

from typing import NamedTuple

from treasury_arena.contracts.position import PositionModel

YEAR_HOURS = 8760.0


class Supply(NamedTuple):
    amount: float = 0.0


class SupplyMarket(NamedTuple):
    rate: float
    gas: float


class SupplyParams(NamedTuple):
    dust: float = 1.0


def supply_value(s: Supply, m: SupplyMarket, p: SupplyParams) -> float:
    return s.amount


def supply_trade(s: Supply, target: float, m: SupplyMarket, p: SupplyParams, c: None) -> tuple[Supply, float]:
    move = target - s.amount
    if abs(move) < p.dust:
        return s, 0.0
    if move > 0.0:
        return Supply(target - m.gas), -move
    return Supply(target), -move - m.gas


def supply_accrue(s: Supply, m: SupplyMarket, p: SupplyParams) -> Supply:
    return Supply(s.amount * (1.0 + m.rate / YEAR_HOURS))


SUPPLY = PositionModel(
    "test.supply", "lending", Supply, SupplyMarket, SupplyParams, supply_value, supply_trade, supply_accrue
)


class Account(NamedTuple):
    collateral: float = 0.0
    debt: float = 0.0
    liquidations: float = 0.0


class AccountMarket(NamedTuple):
    price: float
    rate: float
    gas: float


class AccountParams(NamedTuple):
    threshold: float = 0.83
    bonus: float = 0.05
    close_factor: float = 0.5
    fee: float = 0.0006
    dust: float = 1.0


class AccountControl(NamedTuple):
    ltv: float


def positive(x: float) -> float:
    return x if x > 0.0 else 0.0


def account_accrue(s: Account, m: AccountMarket, p: AccountParams) -> Account:
    owed = s.debt * (1.0 + m.rate / YEAR_HOURS)
    if owed > p.threshold * (s.collateral * m.price):
        repaid = p.close_factor * owed
        left = positive(s.collateral - repaid * (1.0 + p.bonus) / m.price)
        return Account(left, owed - repaid, s.liquidations + 1.0)
    return Account(s.collateral, owed, s.liquidations)


def account_value(s: Account, m: AccountMarket, p: AccountParams) -> float:
    return s.collateral * m.price - s.debt


def account_trade(
    s: Account, target: float, m: AccountMarket, p: AccountParams, c: AccountControl
) -> tuple[Account, float]:
    move = target - account_value(s, m, p)
    if abs(move) < p.dust:
        return s, 0.0
    cost = abs(target / (1.0 - c.ltv) - s.collateral * m.price) * p.fee + m.gas
    net = positive(target - cost) if move > 0.0 else target
    gross = net / (1.0 - c.ltv)
    cash = -move if move > 0.0 else -move - cost
    return Account(gross / m.price, gross * c.ltv, s.liquidations), cash


ACCOUNT = PositionModel(
    "test.account",
    "account",
    Account,
    AccountMarket,
    AccountParams,
    account_value,
    account_trade,
    account_accrue,
    AccountControl,
)
