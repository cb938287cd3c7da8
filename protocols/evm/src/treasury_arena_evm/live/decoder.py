"""Reads calldata word by word, for the gate: its selectors, layouts and checks are written out here and shared with no encoder.

Only functions that steps of orders call are known. One call has one encoding: offsets are where the ABI puts them, unused bits
are zero, nothing is missing and nothing follows. Names of arguments are those of `Step.expects`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from treasury_arena.contracts.chain import StepKind
from treasury_arena.errors import ValidationError

WORD = 32
TOKEN, AAVE, VAULT, ROUTER, POSITIONS = "token", "aave", "vault", "router", "positions"
"""Families of contracts."""

Values = dict[str, int | str]


@attrs.frozen
class Function:
    """A function by its selector: which contracts have it, for which kinds of step it is called, and its words.

    `words` are pairs ``type:name``; structs of static members are laid out like their members. With `calls` a ``bytes[]`` of
    calls to the same contract follows.
    """

    name: str
    family: str
    kinds: tuple[StepKind, ...]
    words: tuple[str, ...]
    calls: bool = False


_K = StepKind
_MINIMA = ("uint256:min0_raw", "uint256:min1_raw")
_PAIR = ("uint256:amount0_raw", "uint256:amount1_raw", *_MINIMA)
_HOLDER = ("address:recipient", "address:owner")
_LEAVING = (_K.WITHDRAW, _K.COLLECT, _K.BURN)

FUNCTIONS: Mapping[str, Function] = {
    "095ea7b3": Function("approve", TOKEN, (_K.APPROVE, _K.REVOKE), ("address:spender", "uint256:amount_raw")),
    "617ba037": Function(
        "supply",
        AAVE,
        (_K.SUPPLY,),
        ("address:asset", "uint256:amount_raw", "address:on_behalf_of", "uint16:referral_code"),
    ),
    "69328dec": Function(
        "withdraw", AAVE, (_K.WITHDRAW,), ("address:asset", "uint256:amount_raw", "address:recipient")
    ),
    "a415bcad": Function(
        "borrow",
        AAVE,
        (_K.BORROW,),
        (
            *("address:asset", "uint256:amount_raw", "uint256:rate_mode"),
            *("uint16:referral_code", "address:on_behalf_of"),
        ),
    ),
    "573ade81": Function(
        "repay",
        AAVE,
        (_K.REPAY,),
        ("address:asset", "uint256:amount_raw", "uint256:rate_mode", "address:on_behalf_of"),
    ),
    "5a3b74b9": Function(
        "setUserUseReserveAsCollateral", AAVE, (_K.SUPPLY,), ("address:asset", "bool:use_as_collateral")
    ),
    "6e553f65": Function("deposit", VAULT, (_K.SUPPLY,), ("uint256:amount_raw", "address:recipient")),
    "b460af94": Function("withdraw", VAULT, (_K.WITHDRAW,), ("uint256:amount_raw", *_HOLDER)),
    "ba087652": Function("redeem", VAULT, (_K.WITHDRAW,), ("uint256:shares_raw", *_HOLDER)),
    "04e45aaf": Function(
        "exactInputSingle",
        ROUTER,
        (_K.SWAP,),
        (
            *("address:token_in", "address:token_out", "uint24:fee", "address:recipient"),
            *("uint256:amount_raw", "uint256:min_out_raw", "uint160:price_limit"),
        ),
    ),
    "5ae401dc": Function("multicall", ROUTER, (_K.SWAP,), ("uint256:deadline",), calls=True),
    "88316456": Function(
        "mint",
        POSITIONS,
        (_K.MINT,),
        (
            *("address:token0", "address:token1", "uint24:fee", "int24:tick_lower", "int24:tick_upper"),
            *(*_PAIR, "address:recipient", "uint256:deadline"),
        ),
    ),
    "219f5d17": Function("increaseLiquidity", POSITIONS, (_K.MINT,), ("uint256:token_id", *_PAIR, "uint256:deadline")),
    "0c49ccbe": Function(
        "decreaseLiquidity",
        POSITIONS,
        _LEAVING,
        ("uint256:token_id", "uint128:liquidity", *_MINIMA, "uint256:deadline"),
    ),
    "fc6f7865": Function(
        "collect",
        POSITIONS,
        _LEAVING,
        ("uint256:token_id", "address:recipient", "uint128:most0_raw", "uint128:most1_raw"),
    ),
    "42966c68": Function("burn", POSITIONS, _LEAVING, ("uint256:token_id",)),
    "ac9650d8": Function("multicall", POSITIONS, _LEAVING, (), calls=True),
}


@attrs.frozen
class Call:
    """What calldata says: the outer function, the names of all functions that it calls, and every argument by name."""

    function: Function
    names: tuple[str, ...]
    values: Values


def decode(data: str) -> Call:
    """Read calldata (``0x`` and hex digits). Raises ValidationError for what is not exactly one call of a known function."""
    if not re.fullmatch(r"0x(?:[0-9a-fA-F]{2})*", data):
        raise ValidationError("the calldata is not 0x and pairs of hex digits")
    return _call(bytes.fromhex(data[2:]), None)


def _call(data: bytes, inside: Function | None) -> Call:
    function = FUNCTIONS.get(data[:4].hex()) if len(data) >= 4 else None
    if function is None:
        raise ValidationError(f"the calldata calls 0x{data[:4].hex()}, which no step of an order calls")
    if inside is not None and (function.calls or function.family != inside.family):
        raise ValidationError(
            f"a {inside.name} of {inside.family} holds a call of {function.name}, which may not be there"
        )
    body, names = data[4:], [function.name]
    length = WORD * len(function.words)
    if len(body) < length or (not function.calls and len(body) > length):
        raise ValidationError(
            f"the arguments of {function.name} have {len(body)} bytes, expected {length}{' at least' if function.calls else ''}"
        )
    values: Values = {}
    for place, word in enumerate(function.words):
        kind, name = word.split(":")
        values[name] = _word(body[WORD * place : WORD * (place + 1)], kind, f"{function.name}.{name}")
    if function.calls:
        for item in _items(body, len(function.words), function.name):
            inner = _call(item, function)
            names.extend(inner.names)
            for name, value in inner.values.items():
                if values.setdefault(name, value) != value:
                    raise ValidationError(f"the calls of one {function.name} name two values of {name}")
    return Call(function, tuple(names), values)


def _word(word: bytes, kind: str, what: str) -> int | str:
    value = int.from_bytes(word, "big")
    if kind == "address":
        if any(word[:12]):
            raise ValidationError(f"{what} is no address: there are bits above its 20 bytes")
        return "0x" + word[12:].hex()
    if kind == "bool":
        if value > 1:
            raise ValidationError(f"{what} is neither true nor false")
        return value
    bits = int(kind.removeprefix("u").removeprefix("int"))
    if kind.startswith("uint"):
        if value >> bits:
            raise ValidationError(f"{what} has more than {bits} bits")
        return value
    signed = value - 2**256 if value >> 255 else value
    if not -(2 ** (bits - 1)) <= signed < 2 ** (bits - 1):
        raise ValidationError(f"{what} has more than {bits} bits")
    return signed


def _items(body: bytes, words: int, name: str) -> list[bytes]:
    """The members of a ``bytes[]`` that is the only dynamic argument, after so many words."""
    at = WORD * (words + 1)
    if _whole(body, at - WORD, name) != at:
        raise ValidationError(f"the calls of {name} are not where they belong")
    count = _whole(body, at, name)
    start = at + WORD
    if not 0 < count <= (len(body) - start) // WORD:
        raise ValidationError(f"a {name} of {count} calls does not fit into its calldata")
    place, found = WORD * count, []
    for number in range(count):
        if _whole(body, start + WORD * number, name) != place:
            raise ValidationError(f"call {number} of {name} is not where it belongs")
        size = _whole(body, start + place, name)
        begin = start + place + WORD
        padded = -(-size // WORD) * WORD
        if begin + padded > len(body):
            raise ValidationError(f"call {number} of {name} is cut off")
        if any(body[begin + size : begin + padded]):
            raise ValidationError(f"call {number} of {name} is padded with something else than zeros")
        found.append(body[begin : begin + size])
        place += WORD + padded
    if start + place != len(body):
        raise ValidationError(f"{len(body) - start - place} bytes follow the calls of {name}")
    return found


def _whole(body: bytes, at: int, name: str) -> int:
    if at + WORD > len(body):
        raise ValidationError(f"the arguments of {name} are cut off")
    return int.from_bytes(body[at : at + WORD], "big")
