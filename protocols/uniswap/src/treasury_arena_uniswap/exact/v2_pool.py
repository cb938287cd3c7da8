"""A Uniswap v2 pair in integers (v2-core UniswapV2Pair, v2-periphery UniswapV2Library), with the contracts' reasons.

What the pair is sent before a call is an argument of the call. The price oracle's sums are not modelled.
"""

from __future__ import annotations

from math import isqrt

from treasury_arena_uniswap.exact.refusal import require

MINIMUM_LIQUIDITY = 1_000
"""Shares that the first provider leaves in the pair for good."""
RESERVE_MAX = (1 << 112) - 1
NOBODY = ""
"""Owner of the shares that belong to no one."""


def amount_out(amount_in: int, reserve_in: int, reserve_out: int) -> int:
    """What `amount_in` buys after the fee of 0.3%, rounded down."""
    require(amount_in > 0, "UniswapV2Library: INSUFFICIENT_INPUT_AMOUNT", "a swap of nothing")
    require(reserve_in > 0 < reserve_out, "UniswapV2Library: INSUFFICIENT_LIQUIDITY", "the pair is empty")
    less_fee = amount_in * 997
    return less_fee * reserve_out // (reserve_in * 1_000 + less_fee)


def amount_in(amount_out: int, reserve_in: int, reserve_out: int) -> int:
    """What `amount_out` costs with the fee of 0.3%, rounded up.

    Raises RefusedError for nothing, for an empty pair, and (without a reason: an underflow) for more than the reserve.
    """
    require(amount_out > 0, "UniswapV2Library: INSUFFICIENT_OUTPUT_AMOUNT", "a swap of nothing")
    require(reserve_in > 0 < reserve_out, "UniswapV2Library: INSUFFICIENT_LIQUIDITY", "the pair is empty")
    require(amount_out <= reserve_out, "ds-math-sub-underflow", "more is wanted than the pair has")
    require(amount_out < reserve_out, "", "the whole reserve is wanted")
    return reserve_in * amount_out * 1_000 // ((reserve_out - amount_out) * 997) + 1


class V2Pool:
    """One pair.

    Attributes:
        reserve0, reserve1: base units.
        supply: shares, of which `shares` says whose they are.
        fee_to: who gets the protocol's sixth of the fees; None while it is off.
        k_last: product of the reserves after the last change of liquidity, while the protocol's fee is on.
    """

    def __init__(self, fee_to: str | None = None) -> None:
        self.reserve0 = self.reserve1 = self.supply = self.k_last = 0
        self.shares: dict[str, int] = {}
        self.fee_to = fee_to

    def swap(self, in0: int, in1: int, out0: int, out1: int) -> None:
        """Pay `out0` and `out1` after `in0` and `in1` came in; refused ``UniswapV2: K`` where that is too little."""
        require(out0 > 0 or out1 > 0, "UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT", "a swap of nothing")
        require(
            out0 < self.reserve0 and out1 < self.reserve1,
            "UniswapV2: INSUFFICIENT_LIQUIDITY",
            "more is wanted than the pair has",
        )
        balance0, balance1 = self.reserve0 + in0 - out0, self.reserve1 + in1 - out1
        came0, came1 = max(0, balance0 - self.reserve0 + out0), max(0, balance1 - self.reserve1 + out1)
        require(came0 > 0 or came1 > 0, "UniswapV2: INSUFFICIENT_INPUT_AMOUNT", "nothing came in")
        adjusted = (balance0 * 1_000 - came0 * 3) * (balance1 * 1_000 - came1 * 3)
        require(adjusted >= self.reserve0 * self.reserve1 * 1_000_000, "UniswapV2: K", "too little came in")
        self._update(balance0, balance1)

    def swap_exact_in(self, zero_for_one: bool, amount: int) -> int:
        """Swap an exact amount in; returns what comes out."""
        if zero_for_one:
            out = amount_out(amount, self.reserve0, self.reserve1)
            self.swap(amount, 0, 0, out)
        else:
            out = amount_out(amount, self.reserve1, self.reserve0)
            self.swap(0, amount, out, 0)
        return out

    def swap_exact_out(self, zero_for_one: bool, amount: int) -> int:
        """Swap for an exact amount out; returns what has to come in."""
        if zero_for_one:
            needed = amount_in(amount, self.reserve0, self.reserve1)
            self.swap(needed, 0, 0, amount)
        else:
            needed = amount_in(amount, self.reserve1, self.reserve0)
            self.swap(0, needed, amount, 0)
        return needed

    def mint(self, owner: str, amount0: int, amount1: int) -> int:
        """Shares for what came in; all in proportion to the lesser side, so pay in the pair's own ratio."""
        fee_shares = self._protocol_shares()
        supply = self.supply + fee_shares
        if supply == 0:
            root = isqrt(amount0 * amount1)
            require(root >= MINIMUM_LIQUIDITY, "ds-math-sub-underflow", "the first liquidity is too small")
            minted = root - MINIMUM_LIQUIDITY
        else:
            minted = min(amount0 * supply // self.reserve0, amount1 * supply // self.reserve1)
        require(minted > 0, "UniswapV2: INSUFFICIENT_LIQUIDITY_MINTED", "too little came in for one share")
        self._check(self.reserve0 + amount0, self.reserve1 + amount1)
        self._credit_protocol(fee_shares)
        if supply == 0:
            self._credit(NOBODY, MINIMUM_LIQUIDITY)
        self._credit(owner, minted)
        self._update(self.reserve0 + amount0, self.reserve1 + amount1)
        self._remember()
        return minted

    def burn(self, owner: str, shares: int) -> tuple[int, int]:
        """Give up shares; returns both tokens in proportion, rounded down."""
        require(
            shares <= self.shares.get(owner, 0), "ds-math-sub-underflow", "more shares are given up than the owner has"
        )
        fee_shares = self._protocol_shares()
        supply = self.supply + fee_shares
        require(supply > 0, "", "the pair is empty")
        paid0, paid1 = shares * self.reserve0 // supply, shares * self.reserve1 // supply
        require(
            paid0 > 0 and paid1 > 0, "UniswapV2: INSUFFICIENT_LIQUIDITY_BURNED", "too few shares for one unit of each"
        )
        self._credit_protocol(fee_shares)
        self._credit(owner, -shares)
        self._update(self.reserve0 - paid0, self.reserve1 - paid1)
        self._remember()
        return paid0, paid1

    def _protocol_shares(self) -> int:
        """Shares worth a sixth of what the fees added since the last change of liquidity."""
        if self.fee_to is None or not self.k_last:
            return 0
        root, last = isqrt(self.reserve0 * self.reserve1), isqrt(self.k_last)
        return self.supply * (root - last) // (root * 5 + last) if root > last else 0

    def _credit_protocol(self, shares: int) -> None:
        if self.fee_to is not None and shares:
            self._credit(self.fee_to, shares)

    def _credit(self, owner: str, shares: int) -> None:
        self.supply += shares
        self.shares[owner] = self.shares.get(owner, 0) + shares

    def _remember(self) -> None:
        self.k_last = 0 if self.fee_to is None else self.reserve0 * self.reserve1

    @staticmethod
    def _check(balance0: int, balance1: int) -> None:
        require(max(balance0, balance1) <= RESERVE_MAX, "UniswapV2: OVERFLOW", "a reserve would exceed 112 bits")

    def _update(self, balance0: int, balance1: int) -> None:
        self._check(balance0, balance1)
        self.reserve0, self.reserve1 = balance0, balance1
