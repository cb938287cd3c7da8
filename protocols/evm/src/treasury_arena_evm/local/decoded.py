"""Calldata of steps read back by a table of its own, for tests: what a planner's `expects` must agree with.

Types are written out by hand and the selectors computed from them, so nothing here comes from the interfaces that planners use.
"""

from __future__ import annotations

from treasury_arena.contracts.chain import Step
from treasury_arena_evm.addresses import keccak

_ROUTE = "(address,address,uint24,address,uint256,uint256,uint160)"
#: function (a space behind it tells two of one name apart) -> types, and the name of each argument in `Step.expects`, "" for
#: one that has none.
CALLS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "approve": (("address", "uint256"), ("spender", "amount_raw")),
    "deposit": (("uint256", "address"), ("amount_raw", "recipient")),
    "withdraw": (("uint256", "address", "address"), ("amount_raw", "recipient", "owner")),
    "redeem": (("uint256", "address", "address"), ("shares_raw", "recipient", "owner")),
    "supply": (("address", "uint256", "address", "uint16"), ("asset", "amount_raw", "on_behalf_of", "")),
    "withdraw ": (("address", "uint256", "address"), ("asset", "amount_raw", "recipient")),
    "borrow": (
        ("address", "uint256", "uint256", "uint16", "address"),
        ("asset", "amount_raw", "rate_mode", "", "on_behalf_of"),
    ),
    "repay": (("address", "uint256", "uint256", "address"), ("asset", "amount_raw", "rate_mode", "on_behalf_of")),
    "setUserUseReserveAsCollateral": (("address", "bool"), ("asset", "use_as_collateral")),
    "multicall": (("uint256", "bytes[]"), ("deadline", "calls")),
    "multicall ": (("bytes[]",), ("calls",)),
    "exactInputSingle": (
        (_ROUTE,),
        ("token_in", "token_out", "fee", "recipient", "amount_raw", "min_out_raw", ""),
    ),
    "mint": (
        ("(address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256)",),
        (
            *("token0", "token1", "fee", "tick_lower", "tick_upper", "amount0_raw", "amount1_raw", "min0_raw"),
            *("min1_raw", "recipient", "deadline"),
        ),
    ),
    "increaseLiquidity": (
        ("(uint256,uint256,uint256,uint256,uint256,uint256)",),
        ("token_id", "amount0_raw", "amount1_raw", "min0_raw", "min1_raw", "deadline"),
    ),
    "decreaseLiquidity": (
        ("(uint256,uint128,uint256,uint256,uint256)",),
        ("token_id", "liquidity", "min0_raw", "min1_raw", "deadline"),
    ),
    "collect": (("(uint256,address,uint128,uint128)",), ("token_id", "recipient", "", "")),
    "burn": (("uint256",), ("token_id",)),
}
_BY_SELECTOR = {
    keccak(f"{name.strip()}({','.join(types)})".encode())[:4]: (types, names) for name, (types, names) in CALLS.items()
}


def decoded(data: bytes) -> dict[str, int | str]:
    """Arguments by name; those of calls within a multicall too. KeyError for a function that no step calls."""
    from eth_abi.abi import decode

    types, names = _BY_SELECTOR[data[:4]]
    values = decode(types, data[4:])
    if types[0].startswith("("):
        (values,) = values
    found: dict[str, int | str] = {}
    for name, value in zip(names, values, strict=True):
        if name == "calls":
            for call in value:
                found |= decoded(call)
        elif name:
            found[name] = value.lower() if isinstance(value, str) else int(value)
    return found


def check_step(step: Step) -> None:
    """Raise AssertionError unless the calldata says what the step expects of it, no more and no less.

    `asset` stands in no calldata of an approval (it is the contract called), of a vault, or of a swap (it is what is sold).
    """
    found, wanted = decoded(bytes.fromhex(step.data[2:])), dict(step.expects)
    if "asset" not in found:
        asset = str(wanted.pop("asset"))
        if "spender" in found:
            assert asset == step.to.lower(), (asset, step)
        if "token_in" in found:
            assert asset == found["token_in"], (asset, step)
    assert found == wanted, (found, wanted)
