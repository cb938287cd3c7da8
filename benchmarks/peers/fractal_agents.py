"""The agents of `bench_defi_peers.py` in fractal-defi 1.3.1; run by its interpreter, reads a market, prints one JSON line.

Liquidity: its own TauResetStrategy with the pool's fee. Lending: collateral and debt in an AaveEntity, kept within two bounds of
health by repaying and withdrawing, or depositing and borrowing. Observations are built before the clock starts.
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fractal.core.base import Action, ActionToTake, BaseStrategy, BaseStrategyParams, NamedEntity, Observation
from fractal.core.entities import AaveEntity, AaveGlobalState, UniswapV3LPConfig, UniswapV3LPEntity
from fractal.core.entities.protocols.uniswap_v3_lp import UniswapV3LPGlobalState
from fractal.strategies.tau_reset_strategy import TauResetParams, TauResetStrategy

SPACING = 10
RAW = 10**12  # sqrt(coin * USD) in base units of 18 and 6 decimals


class Ranged(TauResetStrategy):
    def set_up(self):
        config = UniswapV3LPConfig(pool_fee_rate=0.0005, token0_decimals=6, token1_decimals=18)
        self.register_entity(NamedEntity(entity_name="UNISWAP_V3", entity=UniswapV3LPEntity(config)))


@dataclass
class LenderParams(BaseStrategyParams):
    EQUITY: float
    LTV: float
    FLOOR: float
    CEILING: float


class Lender(BaseStrategy[LenderParams]):
    def set_up(self):
        self.register_entity(
            NamedEntity(entity_name="AAVE", entity=AaveEntity(max_ltv=0.8, liq_thr=0.83, collateral_is_volatile=True))
        )
        self.seen = 0

    def act(self, name, argument, amount):
        return ActionToTake(entity_name="AAVE", action=Action(name, {argument: amount}))

    def predict(self):
        self.seen += 1
        entity, p = self.get_entity("AAVE"), self._params
        price = entity.global_state.collateral_price
        if self.seen == 2:
            gross = p.EQUITY / (1.0 - p.LTV)
            return [
                self.act("deposit", "amount_in_notional", gross / price),
                self.act("borrow", "amount_in_product", p.LTV * gross),
            ]
        if entity.debt_value <= 0.0 or p.FLOOR <= entity.health_factor <= p.CEILING:
            return []
        more = entity.balance / (1.0 - p.LTV) - entity.collateral_value
        if more > 0.0:
            return [
                self.act("deposit", "amount_in_notional", more / price),
                self.act("borrow", "amount_in_product", more),
            ]
        return [
            self.act("repay", "amount_in_product", -more),
            self.act("withdraw", "amount_in_notional", -more / price),
        ]


def main() -> None:
    path, kind, agents = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    with open(path, newline="", encoding="utf-8") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    observations = []
    for hour, row in enumerate(rows):
        if kind == "liquidity":
            fees = row["volume"] * 0.0005
            state = {
                "UNISWAP_V3": UniswapV3LPGlobalState(
                    tvl=1e8, volume=row["volume"], fees=fees, liquidity=row["liquidity"] * RAW, price=row["price"]
                )
            }
        else:
            state = {
                "AAVE": AaveGlobalState(
                    collateral_price=row["price"],
                    debt_price=1.0,
                    lending_rate=row["supply_rate"] / 8760.0,
                    borrowing_rate=row["borrow_rate"] / 8760.0,
                )
            }
        observations.append(Observation(timestamp=begin + timedelta(hours=hour), states=state))
    finals, seconds = [], 0.0
    for agent in agents:
        if kind == "liquidity":
            params = TauResetParams(TAU=agent["ticks"] / SPACING, INITIAL_BALANCE=agent["equity"])
            strategy = Ranged(params=params, token0_decimals=6, token1_decimals=18, tick_spacing=SPACING)
        else:
            params = LenderParams(agent["equity"], agent["ltv"], agent["floor"], agent["ceiling"])
            strategy = Lender(params=params)
        start = time.process_time()
        result = strategy.run(observations)
        seconds += time.process_time() - start
        finals.append(sum(result.balances[-1].values()))
    version = importlib.metadata.version("fractal-defi")
    print(json.dumps({"version": version, "seconds": seconds, "steps": len(agents) * len(rows), "finals": finals}))


if __name__ == "__main__":
    main()
