"""Compiled contracts: found in packages, linked, compiled from our own sources; what goes wrong is said."""

from __future__ import annotations

import gzip
import json
from importlib.resources import files
from pathlib import Path

import pytest

from treasury_arena_evm.abi import Interface
from treasury_arena_evm.errors import ToolError
from treasury_arena_evm.local import artifacts, state
from treasury_arena_evm.local.accounts import account
from treasury_arena_evm.local.artifacts import Artifact, artifact, compiled, own_contracts

pytestmark = pytest.mark.usefixtures("anvil_path")


def test_every_listed_contract_is_in_its_package():
    for name in artifacts.PATHS:
        assert len(artifact(name).code) > 100, name


def test_linking_writes_addresses_into_the_holes():
    code = "00" + "__$holeholeholeholeholeholeholehol$__"[:40].ljust(40, "_") + "ff"
    contract = Artifact("C", code, [], {"Lib": (1,)})
    assert contract.linked({"Lib": "0x" + "AB" * 20}) == "00" + "ab" * 20 + "ff"
    with pytest.raises(ToolError, match="contract C needs the library Lib, which is not deployed yet"):
        contract.linked({})


def test_linked_contracts_have_no_hole_left():
    libraries = dict.fromkeys(artifact("Pool").links, "0x" + "ab" * 20)
    assert len(libraries) == 7
    bytes.fromhex(artifact("Pool").linked(libraries))


def test_a_package_without_the_contract(monkeypatch):
    monkeypatch.setitem(artifacts.PATHS, "Nothing", "@uniswap/nothing.json")
    with pytest.raises(
        ToolError, match=r"the package of Nothing has no @uniswap/nothing\.json; remove .* to install it again"
    ):
        artifact("Nothing")


def test_our_own_contracts_are_all_compiled():
    folder = files("treasury_arena_evm.local") / "contracts"
    declared = {
        line.split()[1]
        for item in folder.iterdir()
        for line in item.read_text().splitlines()
        if line.startswith("contract ")
    }
    assert set(own_contracts()) == declared
    assert len(declared) >= 9


def test_our_sources_say_their_licence():
    for item in (files("treasury_arena_evm.local") / "contracts").iterdir():
        assert item.read_text().startswith("// SPDX-License-Identifier: Apache-2.0\n"), item.name


BOX = """// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import "./parts/Half.sol";
contract Box {
    function half(uint256 x) external pure returns (uint256) { return Math.max(Half.down(x), 1); }
}
"""
HALF = """// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;
library Half { function down(uint256 x) internal pure returns (uint256) { return x / 2; } }
"""


def test_anybodys_contract_is_compiled_and_deployed(local_chain, tmp_path: Path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "Half.sol").write_text(HALF)
    (tmp_path / "Box.sol").write_text(BOX)
    found = compiled(tmp_path)
    assert list(found) == ["Box"]
    box = Interface("function half(uint256 x) returns (uint256)")
    address = local_chain.deploy(account("owner").address, found["Box"].code, box.constructor)
    assert [local_chain.call(address, box.function("half"), x) for x in (0, 7)] == [1, 3]


def test_a_folder_without_a_contract_is_said(tmp_path: Path):
    with pytest.raises(ToolError, match="there is no Solidity file in"):
        compiled(tmp_path)


def test_an_import_that_is_nowhere_is_said(tmp_path: Path):
    (tmp_path / "A.sol").write_text('import "./B.sol";')
    with pytest.raises(ToolError, match=r"A\.sol imports 'B\.sol', which is neither beside it nor in a package"):
        compiled(tmp_path)


def task(source: str) -> str:
    settings = {"outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}}}
    return json.dumps({"language": "Solidity", "sources": {"A.sol": {"content": source}}, "settings": settings})


def test_a_mistake_in_a_source_is_shown():
    with pytest.raises(ToolError, match=r"refused a contract: ParserError"):
        artifacts._compile(task("contract {"))


def test_a_compiler_that_breaks_down_is_shown():
    with pytest.raises(ToolError, match=r"refused a contract|the Solidity compiler failed"):
        artifacts._compile("no json")


def test_a_missing_node_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="node was not found in PATH"):
        artifacts._compile(task("contract A {}"))


def test_a_slim_dump_keeps_the_latest_block_alone():
    blocks = [{"header": {"number": number}} for number in ("0x1", "0x3", "0x2")]
    dump = {"blocks": blocks, "transactions": [1, 2], "accounts": {"a": 1}, "historical_states": {"b": 2}}
    hexed = "0x" + gzip.compress(json.dumps(dump).encode()).hex()
    slim = state.slimmed(hexed)
    assert slim["blocks"] == [{"header": {"number": "0x3"}}]
    assert slim["transactions"] == []
    assert slim["accounts"] == {"a": 1}
