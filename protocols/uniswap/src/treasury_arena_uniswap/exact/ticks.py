"""Initialised ticks: their liquidity, the fees on their other side, and the bitmap to the next (v3-core Tick, TickBitmap)."""

from __future__ import annotations

from treasury_arena_uniswap.exact.refusal import require
from treasury_arena_uniswap.exact.tick_math import MAX_TICK, MIN_TICK, Q128, Q256, max_liquidity_per_tick


class Tick:
    """What the pool remembers of one initialised tick.

    Attributes:
        liquidity_gross: all liquidity that refers to it.
        liquidity_net: what is added when it is crossed upwards.
        outside0, outside1: fee growth (Q128.128, modulo 2**256) on the side of the tick where the price is not.
    """

    __slots__ = ("liquidity_gross", "liquidity_net", "outside0", "outside1")

    def __init__(self, liquidity_gross: int, liquidity_net: int, outside0: int, outside1: int) -> None:
        self.liquidity_gross, self.liquidity_net = liquidity_gross, liquidity_net
        self.outside0, self.outside1 = outside0, outside1


class TickTable:
    """All initialised ticks of a pool, and its bitmap: one bit per multiple of the spacing, 256 bits a word.

    A swap looks for the next initialised tick within one word only; where the word has none, the step ends at the word's
    edge. That edge matters: a step more rounds amounts and fees once more.
    """

    def __init__(self, spacing: int) -> None:
        self.spacing = spacing
        self.liquidity_max = max_liquidity_per_tick(spacing)
        self.at: dict[int, Tick] = {}
        self.words: dict[int, int] = {}

    def next_within_word(self, tick: int, downwards: bool) -> tuple[int, bool]:
        """The next tick at or below `tick` (or above it) within one word, and whether it is initialised."""
        spacing = self.spacing
        place = tick // spacing
        if downwards:
            bit = place & 255
            masked = self.words.get(place >> 8, 0) & ((2 << bit) - 1)
            if masked:
                return (place - bit + masked.bit_length() - 1) * spacing, True
            return (place - bit) * spacing, False
        place += 1
        bit = place & 255
        above = self.words.get(place >> 8, 0) >> bit
        if above:
            return (place + (above & -above).bit_length() - 1) * spacing, True
        return (place + 255 - bit) * spacing, False

    def check(self, lower: int, upper: int) -> None:
        """Raise RefusedError for bounds that no position can have."""
        require(lower < upper, "TLU", f"the lower tick {lower} is not below the upper tick {upper}")
        require(lower >= MIN_TICK, "TLM", f"the lower tick {lower} is below {MIN_TICK}")
        require(upper <= MAX_TICK, "TUM", f"the upper tick {upper} is above {MAX_TICK}")

    def check_change(self, tick: int, delta: int) -> None:
        """Raise RefusedError where `delta` liquidity cannot be put on (or taken from) a tick."""
        before = self.at[tick].liquidity_gross if tick in self.at else 0
        require(before + delta >= 0, "LS", "more liquidity would be taken than there is")
        require(before + delta < Q128, "LA", "the liquidity of a tick would exceed 128 bits")
        require(
            before + delta <= self.liquidity_max, "LO", f"tick {tick} may carry at most {self.liquidity_max} liquidity"
        )

    def check_spacing(self, tick: int, delta: int) -> None:
        """Raise RefusedError where a tick would be switched on (or off) that is not a multiple of the spacing."""
        before = self.at[tick].liquidity_gross if tick in self.at else 0
        if (before == 0) != (before + delta == 0):
            require(tick % self.spacing == 0, "", f"tick {tick} is not a multiple of the spacing {self.spacing}")

    def change(self, tick: int, delta: int, upper: bool, current: int, global0: int, global1: int) -> None:
        """Put `delta` liquidity on a tick, switching it on or off in the bitmap where needed."""
        entry = self.at.get(tick)
        if entry is None:
            # By convention all growth so far happened below an initialised tick.
            entry = Tick(0, 0, global0, global1) if tick <= current else Tick(0, 0, 0, 0)
            self.at[tick] = entry
            self._flip(tick)
        entry.liquidity_gross += delta
        entry.liquidity_net += -delta if upper else delta
        if not entry.liquidity_gross:
            del self.at[tick]
            self._flip(tick)

    def place(self, tick: int, liquidity_gross: int, liquidity_net: int) -> None:
        """Set an initialised tick as it stands elsewhere; fee growth counts from now."""
        if tick not in self.at:
            self._flip(tick)
        self.at[tick] = Tick(liquidity_gross, liquidity_net, 0, 0)

    def _flip(self, tick: int) -> None:
        place = tick // self.spacing
        word = self.words.get(place >> 8, 0) ^ (1 << (place & 255))
        if word:
            self.words[place >> 8] = word
        else:
            del self.words[place >> 8]

    def growth_inside(self, lower: int, upper: int, current: int, global0: int, global1: int) -> tuple[int, int]:
        """Fee growth per unit of liquidity (Q128.128, modulo 2**256) between two ticks, per token."""
        low, high = self.at.get(lower), self.at.get(upper)
        low0, low1 = (low.outside0, low.outside1) if low else (0, 0)
        high0, high1 = (high.outside0, high.outside1) if high else (0, 0)
        if current < lower:
            low0, low1 = global0 - low0, global1 - low1
        if current >= upper:
            high0, high1 = global0 - high0, global1 - high1
        return (global0 - low0 - high0) % Q256, (global1 - low1 - high1) % Q256
