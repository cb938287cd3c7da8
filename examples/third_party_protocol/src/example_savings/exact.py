"""The contract in Python integers, rounding for rounding; it knows neither frames nor chains."""

import attrs

from treasury_arena.errors import ValidationError

RAY = 10**27
YEAR = 31_536_000


class SavingsRefusalError(ValidationError):
    """What the contract reverts with; `reason` is its text."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the savings account refuses: {reason}")
        self.reason = reason


def to_units(amount: int, index: int, *, up: bool = False) -> int:
    """Units that an amount is worth: down when they are bought, up when they are sold."""
    return -(-amount * RAY // index) if up else amount * RAY // index


def to_amount(units: int, index: int) -> int:
    """What units are worth, rounded down."""
    return units * index // RAY


@attrs.define
class Savings:
    """The account and its savers. Amounts are base units of the token, `rate` and `index` rays, times seconds."""

    rate: int = 0
    index: int = RAY
    touched: int = 0
    total: int = 0
    cash: int = 0
    units: dict[str, int] = attrs.field(factory=dict)

    def index_at(self, now: int) -> int:
        """The index at a time, growing linearly since the last touch, rounded down."""
        return self.index + self.index * self.rate * (now - self.touched) // (RAY * YEAR)

    def balance(self, who: str, now: int) -> int:
        """What a saver could take out."""
        return to_amount(self.units.get(who, 0), self.index_at(now))

    def set_rate(self, rate: int, now: int) -> None:
        """Change the rate from now on."""
        self._touch(now)
        self.rate = rate

    def deposit(self, who: str, amount: int, now: int) -> None:
        """Pay in; refuses what buys no unit."""
        bought = to_units(amount, self.index_at(now))
        if not bought:
            raise SavingsRefusalError("too little")
        self._touch(now)
        self._move(who, bought, amount)

    def withdraw(self, who: str, amount: int | None, now: int) -> None:
        """Take out, everything with None; refuses more than is held, and more than there is."""
        index, held = self.index_at(now), self.units.get(who, 0)
        paid = to_amount(held, index) if amount is None else amount
        sold = to_units(paid, index, up=True)
        if sold > held:
            raise SavingsRefusalError("more than is held")
        if paid > self.cash:
            raise SavingsRefusalError("no cash")
        self._touch(now)
        self._move(who, -sold, -paid)

    def _touch(self, now: int) -> None:
        self.index, self.touched = self.index_at(now), now

    def _move(self, who: str, units: int, amount: int) -> None:
        self.units[who] = self.units.get(who, 0) + units
        self.total += units
        self.cash += amount
