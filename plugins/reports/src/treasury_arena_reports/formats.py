"""Numbers as people read them: ``1,234.56``, ``7.49%``, never ``-0.0%``, and an en dash where there is nothing to say."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from treasury_arena.errors import ValidationError

NOTHING = "\u2013"


def decimal(value: Any, where: str = "a value") -> Decimal | None:
    """Read decimal text or a number exactly; None stays None.

    Raises ValidationError for anything that is not a finite number.
    """
    if value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise ValidationError(f"{where} is {value!r}, expected a number or decimal text") from error
    if not number.is_finite():
        raise ValidationError(f"{where} is {value!r}, expected a finite number; use None where it does not apply")
    return number


def number(value: Any, digits: int = 2) -> str:
    """A number with thousands separators and fixed digits; zero has no sign."""
    exact = decimal(value)
    if exact is None:
        return NOTHING
    rounded = exact.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN) if abs(exact) < 10**20 else exact
    return f"{abs(rounded) if rounded == 0 else rounded:,f}"


def tiny(value: Any) -> str:
    """A number whose size may be far below one: two decimals from 0.01 on, ``<0.01`` below, ``0`` for none at all."""
    exact = decimal(value)
    if exact is None or abs(exact) >= Decimal("0.01"):
        return number(exact)
    return "<0.01" if exact else "0"


def ratio(value: Any) -> str:
    """A Sharpe-like ratio; beyond a thousand it says no more than that there was next to nothing to divide by."""
    exact = decimal(value)
    if exact is not None and abs(exact) >= 1000:
        return ">999" if exact > 0 else "<-999"
    return number(exact)


def usd(value: Any, cents: bool = True) -> str:
    """Dollars without a sign of the currency, which the column or the sentence gives."""
    return number(value, 2 if cents else 0)


def percent(value: Any, digits: int = 2, sign: bool = False) -> str:
    """A fraction as a percentage: 0.0749 gives ``7.49%``; `sign` also marks gains with a plus."""
    exact = decimal(value)
    if exact is None:
        return NOTHING
    text = number(exact * 100, digits)
    gain = sign and not text.startswith("-") and any(digit in text for digit in "123456789")
    return f"{'+' if gain else ''}{text}%"


def points(value: Any) -> str:
    """A fraction in signed percentage points: 0.0113 gives ``+1.13``."""
    return percent(value, sign=True).removesuffix("%")


def count(value: Any) -> str:
    """A whole number with thousands separators."""
    return number(value, 0)


def plain(text: Any) -> str:
    """Text that no terminal, XML parser or encoder can mistake for a command: control signs become U+FFFD."""
    return "".join(sign if sign.isprintable() else (" " if sign in "\n\t\r" else "\ufffd") for sign in str(text))


def shorten(text: str, limit: int) -> str:
    """Cut to `limit` signs, the last one an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def plural(amount: int, one: str, many: str | None = None) -> str:
    """``1 birth``, ``2 births``."""
    return f"{count(amount)} {one if amount == 1 else many or one + 's'}"


def strategy_of(row: dict[str, Any]) -> str:
    """The strategy that a record names, or a dash."""
    return str(row.get("strategy") or NOTHING)
