"""Interfaces from signatures: the format, what is refused, and that each equals the compiled contract's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena_evm.abi import Interface
from treasury_arena_evm.errors import AbiError
from treasury_arena_evm.interfaces import aave, tokens, uniswap
from treasury_arena_evm.local.artifacts import artifact, own_contracts
from treasury_arena_evm.local.deploy import MINTABLE, QUIRKY, VAULT
from treasury_arena_evm.local.uniswap import CALLER
from treasury_arena_evm.reverts import revert_data, revert_reason

ALICE = "0x" + "a1" * 20


class TestAgainstCompiledContracts:
    """Every function, event and constructor that an interface declares is in the contract, with the same types and kind."""

    PAIRS = (
        (tokens.WRAPPED_NATIVE, "WETH9"),
        (MINTABLE, "MintableERC20"),
        (uniswap.V3_FACTORY, "UniswapV3Factory"),
        (uniswap.V3_POOL, "UniswapV3Pool"),
        (uniswap.V3_POSITIONS, "NonfungiblePositionManager"),
        (uniswap.V3_ROUTER, "SwapRouter"),
        (uniswap.V3_ROUTER02, "SwapRouter02"),
        (uniswap.V3_QUOTER, "QuoterV2"),
        (uniswap.V3_TICK_LENS, "TickLens"),
        (uniswap.V2_FACTORY, "UniswapV2Factory"),
        (uniswap.V2_PAIR, "UniswapV2Pair"),
        (uniswap.V2_ROUTER, "UniswapV2Router02"),
        (aave.PROVIDER, "PoolAddressesProvider"),
        (aave.POOL, "Pool"),
        (aave.CONFIGURATOR, "PoolConfigurator"),
        (aave.DATA_PROVIDER, "AaveProtocolDataProvider"),
        (aave.ORACLE, "AaveOracle"),
        (aave.PRICE_SOURCE, "PriceFeed"),
        (aave.ACL_MANAGER, "ACLManager"),
        (aave.SCALED_TOKEN, "AToken"),
        (aave.SCALED_TOKEN, "VariableDebtToken"),
        (aave.RATE_STRATEGY, "DefaultReserveInterestRateStrategy"),
        (VAULT, "Vault"),
        (CALLER, "Caller"),
        (QUIRKY, "SharesToken"),
    )
    #: Declared for relatives of the contract compared with.
    ELSEWHERE = frozenset({"pause", "blockAccount", "name"})

    @staticmethod
    def typed(parameters: list[dict[str, Any]]) -> tuple[Any, ...]:
        def one(item: dict[str, Any]) -> str:
            if item["type"].startswith("tuple"):
                return f"({','.join(map(one, item['components']))}){item['type'][5:]}"
            return item["type"]

        return tuple((one(item), item.get("indexed", False)) for item in parameters)

    def shape(self, entry: dict[str, Any]) -> tuple[Any, ...]:
        kind = entry["type"]
        outputs = self.typed(entry.get("outputs", [])) if kind == "function" else ()
        mutability = entry.get("stateMutability") if kind == "function" else ""
        return kind, entry.get("name", ""), self.typed(entry["inputs"]), outputs, mutability

    @pytest.mark.usefixtures("anvil_path")
    @pytest.mark.parametrize(("interface", "name"), PAIRS, ids=[name for _, name in PAIRS])
    def test_declared_as_compiled(self, interface, name):
        compiled = own_contracts()[name] if name in ("Vault", "Caller", "SharesToken", "PriceFeed") else artifact(name)
        there = {self.shape(entry) for entry in compiled.abi if entry["type"] not in ("receive", "fallback")}
        # Solidity 0.5's JSON names `pure` what a constant getter is; nothing of ours calls it otherwise.
        there |= {(*shape[:4], "view") for shape in there if shape[4] == "pure"}
        missing = [
            entry.signature
            for entry in interface
            if entry.name not in self.ELSEWHERE and self.shape(entry.json) not in there
        ]
        assert missing == []


class TestSignatures:
    def test_selectors_known_from_the_standards(self):
        assert tokens.ERC20.function("transfer").selector.hex() == "a9059cbb"
        assert tokens.ERC20.function("approve").selector.hex() == "095ea7b3"
        assert tokens.ERC20.event("Transfer").topic.hex() == (
            "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
        )

    def test_tuples_structs_arrays_and_locations(self):
        interface = Interface("""
            struct Inner { uint8 a; bytes b; }
            struct Outer { Inner[] inner; address[2][] pairs; }
            // a comment
            function f(Outer calldata outer, (int24 lower, int24 upper) range, bytes32[] memory keys) external payable
                returns (Inner memory, uint256 left)
            event Moved(address indexed from, Inner what)
            error Refused(string why, uint256 code)
            constructor(address owner)
        """)
        function = interface.function("f")
        assert function.signature == "f(((uint8,bytes)[],address[2][]),(int24,int24),bytes32[])"
        assert [item.canonical for item in function.outputs] == ["(uint8,bytes)", "uint256"]
        assert function.mutability == "payable"
        assert interface.event("Moved").signature == "Moved(address,(uint8,bytes))"
        assert [item.canonical for item in interface.constructor.inputs] == ["address"]
        assert function.json["inputs"][0]["components"][0]["type"] == "tuple[]"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("function f(uint a)", "'uint' is no type and no struct declared above; write uint256"),
            ("function f(uint7 a)", "'uint7' is no type"),
            ("function f(uint264 a)", "'uint264' is no type"),
            ("function f(bytes33 a)", "'bytes33' is no type"),
            ("function f(Thing a)", "'Thing' is no type"),
            ("function f(address a", "expected '\\)', found the end"),
            ("function f(address a,)", "expected a type, found '\\)'"),
            ("function f(address[ a)", "expected ']'"),
            ("function f(address a) returns", "expected '\\('"),
            ("function f(address a) sometimes", "unexpected 'sometimes'"),
            ("function 9(address a)", "expected a name"),
            ("function f(address-a)", "unexpected '-'"),
            ("method f()", "begins with 'method'; expected one of function"),
            ("struct Empty { }", "a struct needs a field"),
            ("struct Half { uint256 a }", "expected ';'"),
        ],
    )
    def test_what_cannot_be_read_is_said_in_one_sentence(self, text, said):
        with pytest.raises(AbiError, match=said):
            Interface(text)

    def test_unknown_and_overloaded_names(self):
        interface = Interface("""
            function mint(uint256 amount)
            function mint(address to, uint256 amount)
        """)
        with pytest.raises(AbiError, match=r"overloaded; ask for one of mint\(uint256\), mint\(address,uint256\)"):
            interface.function("mint")
        assert interface.function("mint(uint256)").inputs[0].name == "amount"
        with pytest.raises(AbiError, match="no function 'transfre'; did you mean 'transfer'"):
            tokens.ERC20.function("transfre")
        with pytest.raises(AbiError, match="no event 'Swap'"):
            tokens.ERC20.event("Swap")

    def test_bases_are_taken_over_and_may_be_declared_anew(self):
        again = Interface("function transfer(address to, uint256 amount)", tokens.ERC20)
        assert again.function("transfer").outputs == ()
        assert again.function("balanceOf") == tokens.ERC20.function("balanceOf")


class TestEncoding:
    @given(st.lists(st.tuples(st.integers(0, 2**256 - 1), st.booleans())), st.binary(max_size=100), st.integers(-8, 7))
    def test_arguments_survive(self, pairs, data, small):
        function = Interface("function f((uint256 a, bool b)[] pairs, bytes data, int8 small)").function("f")
        assert function.decode_arguments(function.encode(pairs, data, small)) == (tuple(pairs), data, small)

    @pytest.mark.parametrize(
        "arguments", [(ALICE,), (ALICE, -1), (ALICE, 2**256), ("0x12", 1), (ALICE, "1"), (ALICE, 1.5)]
    )
    def test_arguments_that_do_not_fit(self, arguments):
        with pytest.raises(AbiError, match=r"transfer\(address,uint256\)"):
            tokens.ERC20.function("transfer").encode(*arguments)

    def test_what_equals_an_argument_that_was_taken_before_is_judged_by_itself(self):
        transfer = tokens.ERC20.function("transfer")
        taken = transfer.encode(ALICE, 1)
        assert transfer.encode(ALICE, 1) == taken
        assert tokens.ERC20.function("approve").encode(ALICE, 1)[4:] == taken[4:]
        for one in (True, 1.0):
            with pytest.raises(AbiError, match=r"transfer\(address,uint256\) cannot take"):
                transfer.encode(ALICE, one)
        assert taken == transfer.selector + bytes.fromhex("00" * 12 + ALICE[2:]) + (1).to_bytes(32, "big")

    @given(st.integers(0, 2**256 - 1), st.integers(0, 100))
    def test_the_same_data_of_other_types_is_another_value(self, number, more):
        data = number.to_bytes(32, "big")
        both = Interface("""
            function whole() returns (uint256)
            function signed() returns (int256)
            function plain() returns (bytes32)
        """)
        signed = number - 2**256 if number >= 2**255 else number
        for _ in range(2):
            assert both.function("whole").decode(data + bytes(32 * more)) == (number,)
            assert both.function("signed").decode(data) == (signed,)
            assert both.function("plain").decode(data) == (data,)

    def test_an_answer_that_is_none(self):
        with pytest.raises(AbiError, match=r"balanceOf\(address\) returned 0 bytes that are not \(uint256\)"):
            tokens.ERC20.function("balanceOf").decode(b"")
        with pytest.raises(AbiError, match="not the selector"):
            tokens.ERC20.function("transfer").decode_arguments(b"\0" * 68)

    def test_logs(self):
        event = Interface("event E(address indexed who, string indexed text, uint256 a, int24 b)").event("E")
        topics = (event.topic, bytes(12) + b"\xa1" * 20, b"\x07" * 32)
        data = (5).to_bytes(32, "big") + (-3).to_bytes(32, "big", signed=True)
        assert event.decode_log(topics, data) == {"who": ALICE, "text": b"\x07" * 32, "a": 5, "b": -3}
        for wrong in ((), topics[:2], (b"\0" * 32, *topics[1:])):
            with pytest.raises(AbiError, match="the log is no E"):
                event.decode_log(wrong, data)


class TestReverts:
    def test_strings_panics_and_declared_errors(self):
        interface = Interface(
            "error Refused(string why, uint256 code)\nfunction Error(string s)\nfunction Panic(uint256 c)"
        )
        assert revert_reason(interface.function("Error").encode("35")) == "35"
        assert (
            revert_reason(interface.function("Panic").encode(0x11)) == "panic 0x11 (arithmetic overflow or underflow)"
        )
        assert revert_reason(interface.function("Panic").encode(0x99)) == "panic 0x99 (unknown)"
        (declared,) = [entry for entry in interface if entry.kind == "error"]
        assert revert_reason(declared.encode("no", 7), [interface]) == "Refused(no, 7)"
        assert revert_reason(b"\x01\x02\x03\x04") == "0x01020304"
        assert revert_reason(b"") == ""
        said = revert_reason(interface.function("Error").encode("no\n\x1b[2J\u202eway" + "!" * 20_000))
        assert said.startswith("no  [2J way!!!")
        assert said.endswith("!...")
        assert len(said) == 503
        assert revert_reason(bytes.fromhex("08c379a0") + b"\xff" * 31) == "0x08c379a0" + "ff" * 31

    @pytest.mark.parametrize("where", ["0x0102", b"\x01\x02", {"data": "0x0102"}, {"data": {"output": "0x0102"}}])
    def test_wherever_a_node_puts_the_data(self, where):
        assert revert_data(where) == b"\x01\x02"

    @pytest.mark.parametrize("where", [None, 5, "execution reverted", "0xzz", {"code": 3}])
    def test_no_data(self, where):
        assert revert_data(where) == b""
