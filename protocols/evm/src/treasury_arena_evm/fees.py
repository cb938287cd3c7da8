"""What a transaction offers for its gas (EIP-1559), from the fees of the last blocks and never above a cap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from treasury_arena.errors import ConfigError
from treasury_arena_evm.errors import FeeError

GWEI = 10**9
BLOCKS = 10
#: A block whose gas was hardly used says nothing of what inclusion costs.
USED_MIN = 0.01
#: Nodes take a replacement only when both fees rise by a tenth (go-ethereum's `txpool.pricebump`).
BUMP = (9, 8)


@attrs.frozen
class Fees:
    """Wei per unit of gas: `cap_raw` is the most that is paid in all, `tip_raw` what the block's maker gets of it."""

    cap_raw: int
    tip_raw: int

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.tip_raw <= self.cap_raw:
            raise ConfigError(
                f"a tip of {self.tip_raw} wei must lie between 0 and the cap of {self.cap_raw} wei per gas"
            )

    @property
    def fields(self) -> dict[str, int]:
        """As a transaction has them."""
        return {"maxFeePerGas": self.cap_raw, "maxPriorityFeePerGas": self.tip_raw}

    def bumped(self) -> Fees:
        """Fees that nodes accept for a replacement of a transaction with these: both higher by an eighth, rounded up."""
        above, below = BUMP
        return Fees(*(max(-(-fee * above // below), fee + 1) for fee in (self.cap_raw, self.tip_raw)))


@attrs.frozen
class FeePolicy:
    """How much to offer: the median tip of the last blocks, at least `tip_min_raw`, and room for the base fee to grow.

    The base fee can grow by an eighth a block, so a factor of 2 lasts for five full blocks. `cap_raw` is the most that may be
    offered per gas, in wei: a dearer moment is refused with a FeeError, and waiting is the caller's business.
    """

    cap_raw: int = 200 * GWEI
    tip_min_raw: int = 10**6
    tip_percentile: int = attrs.field(default=50, validator=[attrs.validators.ge(1), attrs.validators.le(99)])
    base_factor: int = attrs.field(default=2, validator=attrs.validators.ge(1))


def suggest(history: Mapping[str, Any], policy: FeePolicy) -> Fees:
    """Fees for the next block from ``eth_feeHistory(BLOCKS, "latest", [policy.tip_percentile])``; FeeError above the cap."""
    base = _number(history["baseFeePerGas"][-1])
    tips = _tips(history.get("reward") or (), history.get("gasUsedRatio") or ())
    tip = max(tips[len(tips) // 2] if tips else 0, policy.tip_min_raw)
    if base + tip > policy.cap_raw:
        raise FeeError(
            f"gas costs {_gwei(base + tip)} gwei now ({_gwei(base)} base fee, {_gwei(tip)} tip), more than the cap of "
            f"{_gwei(policy.cap_raw)} gwei; wait, or raise the cap"
        )
    return Fees(min(policy.base_factor * base + tip, policy.cap_raw), tip)


def bumped_within(fees: Fees, policy: FeePolicy) -> Fees:
    """Fees for a replacement; FeeError when the cap does not allow it."""
    higher = fees.bumped()
    if higher.cap_raw > policy.cap_raw:
        raise FeeError(
            f"replacing the transaction needs {_gwei(higher.cap_raw)} gwei, more than the cap of {_gwei(policy.cap_raw)} gwei"
        )
    return higher


def _tips(rewards: Sequence[Sequence[Any]], used: Sequence[float]) -> list[int]:
    pairs = zip(rewards, used, strict=False)
    return sorted(_number(reward[0]) for reward, ratio in pairs if reward and ratio >= USED_MIN)


def _number(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)


def _gwei(raw: int) -> str:
    return f"{raw / GWEI:.6g}"
