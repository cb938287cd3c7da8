"""The agents of `bench_defi_peers.py` in demeter 1.3.0 (zelos-demeter); run by its interpreter.

Liquidity: UniLpMarket, `add_liquidity_by_value` around the price, everything out and in again when the price leaves the range.
Lending: AaveV3Market, WETH supplied and USDC borrowed; the loan stays in the broker's cash and health is kept within two
bounds by repaying from it or borrowing more. Tables are built before the clock starts; the clock holds the actuator's run.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import logging
import sys
import tempfile
import time
from decimal import Decimal

import pandas as pd
from demeter import Actuator, MarketInfo, MarketTypeEnum, Strategy, TokenInfo
from demeter.aave import AaveV3Market
from demeter.broker import Asset
from demeter.uniswap import UniLpMarket, UniV3Pool
from demeter.uniswap.helper import base_unit_price_to_tick

USDC, WETH = TokenInfo("usdc", 6), TokenInfo("weth", 18)
RISK = (
    "symbol,name,usageAsCollateralEnabled,baseLTVasCollateral,reserveLiquidationThreshold,reserveLiquidationBonus,"
    "reserveFactor,borrowingEnabled,optimalUsageRatio,variableRateSlope1,variableRateSlope2,baseVariableBorrowRate,"
    "supplyCap,borrowCap,borrowableInIsolation,flashLoanEnabled\n"
    f"USDC,USD Coin,True,8000,8300,10500,1000,True,{10**27},{10**27},{10**27},0,0,0,True,True\n"
    f"WETH,Wrapped Ether,True,8000,8300,10500,1000,True,{10**27},{10**27},{10**27},0,0,0,True,True\n"
)


class Ranged(Strategy):
    def __init__(self, key, ticks):
        super().__init__()
        self.key, self.ticks = key, ticks

    def on_bar(self, snapshot):
        if snapshot.row_id < 1:
            return
        market = self.broker.markets[self.key]
        here = int(market.market_status.data.closeTick)
        if market.positions:
            position = next(iter(market.positions))
            if position.lower_tick <= here < position.upper_tick:
                return
            market.remove_all_liquidity()
        market.add_liquidity_by_value(here - self.ticks, here + self.ticks)


class Lender(Strategy):
    def __init__(self, key, agent):
        super().__init__()
        self.key, self.agent, self.lent = key, agent, Decimal(0)

    def on_bar(self, snapshot):
        if snapshot.row_id < 1:
            return
        market, agent = self.broker.markets[self.key], self.agent
        if not market.supplies:
            price = Decimal(str(snapshot.prices["WETH"]))
            amount = Decimal(agent["equity"] / (1.0 - agent["ltv"])) / price
            self.broker.set_balance(WETH, amount)
            market.supply(WETH, amount)
            self.lent = Decimal(agent["ltv"]) * amount * price
            market.borrow(USDC, self.lent)
        elif market.borrows and not agent["floor"] <= market.health_factor <= agent["ceiling"]:
            change = Decimal(agent["ltv"]) * market.total_supply_value - market.total_borrows_value
            self.lent += change
            if change > 0:
                market.borrow(USDC, change)
            else:
                market.repay(USDC, -change)


def liquidity(table, agent):
    key = MarketInfo("pool", MarketTypeEnum.uniswap_v3)
    market = UniLpMarket(key, UniV3Pool(USDC, WETH, 0.05, USDC))
    market.data = table
    actuator = Actuator()
    actuator.broker.add_market(market)
    actuator.set_assets([Asset(USDC, agent["equity"]), Asset(WETH, 0)])
    actuator.set_price(market.get_price_from_data())
    actuator.strategy = Ranged(key, agent["ticks"])
    return actuator


def lending(table, agent):
    key = MarketInfo("aave", MarketTypeEnum.aave_v3)
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write(RISK)
        file.flush()
        market = AaveV3Market(key, file.name, [USDC, WETH])
    for token in (USDC, WETH):
        market.set_token_data(token, table[token.name])
    actuator = Actuator()
    actuator.broker.add_market(market)
    actuator.set_assets([Asset(USDC, 0), Asset(WETH, 0)])
    actuator.set_price(table["prices"])
    actuator.strategy = Lender(key, agent)
    return actuator


def pool_table(raw):
    table = pd.DataFrame(index=raw.index)
    price = raw["price"].map(lambda x: Decimal(repr(x)))
    tick = [base_unit_price_to_tick(p, 6, 18, True) for p in price]
    for name in ("closeTick", "openTick", "lowestTick", "highestTick"):
        table[name] = tick
    table["netAmount0"] = table["netAmount1"] = 0
    table["inAmount0"] = [int(v / 2 * 1e6) for v in raw["volume"]]
    table["inAmount1"] = pd.Series(
        [int(v / 2 / p * 1e18) for v, p in zip(raw["volume"], raw["price"], strict=False)], raw.index, object
    )
    table["currentLiquidity"] = pd.Series([int(x * 1e12) for x in raw["liquidity"]], raw.index, object)
    table["price"] = price
    return table


def reserve_tables(raw):
    def reserve(supply, borrow):
        return pd.DataFrame(
            {
                "liquidity_rate": supply,
                "stable_borrow_rate": borrow,
                "variable_borrow_rate": borrow,
                "liquidity_index": (1.0 + supply / 8760.0).cumprod(),
                "variable_borrow_index": (1.0 + borrow / 8760.0).cumprod(),
            }
        )

    prices = pd.DataFrame({"USDC": 1.0, "WETH": raw["price"]}, index=raw.index)
    rates = reserve(raw["supply_rate"], raw["borrow_rate"])
    return {"USDC": rates, "WETH": rates, "prices": prices}


def main() -> None:
    path, kind, agents = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    logging.disable(logging.CRITICAL)
    raw = pd.read_csv(path)
    raw.index = pd.date_range("2024-01-01", periods=len(raw), freq="h")
    table = pool_table(raw) if kind == "liquidity" else reserve_tables(raw)
    finals, seconds = [], 0.0
    for agent in agents:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            actuator = (liquidity if kind == "liquidity" else lending)(table, agent)
            start = time.process_time()
            actuator.run(print_result=False)
            seconds += time.process_time() - start
        owed = getattr(actuator.strategy, "lent", Decimal(0))  # the loan lies in cash; the others put it to work
        finals.append(float(actuator.final_status.net_value - owed))
    version = importlib.metadata.version("zelos-demeter")
    print(json.dumps({"version": version, "seconds": seconds, "steps": len(agents) * len(raw), "finals": finals}))


if __name__ == "__main__":
    main()
