"""A signer process on a key of its own, rules to sign by, and transactions that they allow."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from treasury_arena.contracts.chain import Fees, SignerContext, Unsigned
from treasury_arena_keys.client import SocketSigner, at
from treasury_arena_keys.hidden import Hidden
from treasury_arena_keys.keystore import Keystore, Mode
from treasury_arena_keys.vault import Vault

CANARY = "c0ffee" * 10 + "beef"
"""A private key that must never be seen."""

PASSPHRASE = "canary-passphrase-never-seen"
CHAIN = 31337
TOKEN, POOL, ROUTER = ("0x" + digit * 40 for digit in "abc")
GWEI = 10**9

RULES = f"""
[limits]
gas_max = 500_000
fee_cap_raw_max = {100 * GWEI}
tip_raw_max = {5 * GWEI}
signatures_per_minute = {{rate}}

[contracts.token]
address = "{TOKEN}"
functions = ["approve(address,uint256)"]

[contracts.token.allowances]
"{POOL}" = 1_000_000

[contracts.pool]
address = "{POOL}"
functions = ["supply(address,uint256,self,uint16)", "withdraw(address,uint256,self)"]

[contracts.router]
address = "{ROUTER}"
functions = ["swap((address,address,uint24,self,uint256,uint256))", "multicall(uint256,calls[])"]
value_raw_max = 1000
"""


def call(signature: str, *values: Any) -> str:
    """Calldata of a function; an encoder of its own, not the signer's reader."""
    inside = signature[signature.index("(") + 1 : -1]
    parts, depth, part = [], 0, ""
    for letter in inside:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append(part)
            part = ""
        else:
            part += letter
    types = [*parts, part] if inside else []
    return "0x" + (keccak(signature.encode())[:4] + encode(types, values)).hex()


def approve(amount: int = 1_000, spender: str = POOL) -> str:
    return call("approve(address,uint256)", spender, amount)


@attrs.define
class House:
    """A folder with a keystore, a signer's file and, once started, its process."""

    folder: Path
    address: str
    running: list[subprocess.Popen[str]] = attrs.field(factory=list)

    CHAIN, TOKEN, POOL, ROUTER, GWEI = CHAIN, TOKEN, POOL, ROUTER, GWEI
    CANARY, PASSPHRASE = CANARY, PASSPHRASE
    call, approve = staticmethod(call), staticmethod(approve)

    @property
    def socket(self) -> Path:
        return self.folder / "run" / "s"

    @property
    def stop_file(self) -> Path:
        return self.folder / "arena.db.stop"

    @property
    def file(self) -> Path:
        return self.folder / "signer.toml"

    @property
    def diary(self) -> str:
        return (self.folder / "diary").read_text()

    @property
    def context(self) -> SignerContext:
        return SignerContext(CHAIN, self.address, self.stop_file)

    @property
    def client(self) -> SocketSigner:
        return at(self.socket, self.context, 10.0)

    def write(self, rate: int = 100_000, **changes: Any) -> Path:
        """The signer's file."""
        values: dict[str, Any] = {
            "keystore": "keys",
            "address": self.address,
            "mode": "local",
            "chain_id": CHAIN,
            "socket": "run/s",
            "stop_file": "arena.db.stop",
            "passphrase": "file:" + str(self.folder / "passphrase"),
        } | changes
        lines = [
            f"{name} = {value if isinstance(value, int) else f'{chr(34)}{value}{chr(34)}'}"
            for name, value in values.items()
        ]
        self.file.write_text("\n".join(lines) + RULES.format(rate=rate))
        self.file.chmod(0o600)
        return self.file

    def begin(self, **variables: str) -> subprocess.Popen[str]:
        """Start the process without waiting for it."""
        with open(self.folder / "diary", "a") as diary:
            process = subprocess.Popen(
                [sys.executable, "-I", "-m", "treasury_arena_keys.serve", str(self.file)],
                stdin=subprocess.DEVNULL,
                stdout=diary,
                stderr=diary,
                text=True,
                env={**os.environ, **variables},
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def start(self) -> subprocess.Popen[str]:
        """Start the process and wait until it answers."""
        process = self.begin()
        for _ in range(1_200):
            assert process.poll() is None, self.diary
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(self.socket))
                    probe.sendall(b'{"do": "about"}\n')
                    if probe.recv(65_536):
                        return process
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the signer never answered: {self.diary}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal the newest process and wait for its end."""
        process = self.running[-1]
        os.kill(process.pid, number)
        return process.wait(20)

    def close(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait(20)

    def transaction(self, **changes: Any) -> Unsigned:
        """A transaction that the rules allow: an allowance for the pool."""
        fees = Fees(changes.pop("cap", 20 * GWEI), changes.pop("tip", GWEI))
        transaction = Unsigned(CHAIN, self.address, 0, TOKEN, 0, approve(), 60_000, fees)
        return attrs.evolve(transaction, **changes)

    def raw(self, data: bytes, *, half: bool = True) -> bytes:
        """What the socket answers to bytes."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.socket))
            try:
                connection.sendall(data)
                if half:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:  # it hung up before all was sent
                return b""
            answer = b""
            try:
                while part := connection.recv(65_536):
                    answer += part
            except ConnectionResetError:
                return answer
            return answer


@pytest.fixture(scope="session")
def encrypted() -> tuple[str, str]:
    """The canary's keystore, made once: its address and text. Cheap to open, so that tests start many signers."""
    vault = Vault.of_hex(Hidden(CANARY))
    return vault.address, vault.locked(Hidden(PASSPHRASE), scrypt_n=1024)


@pytest.fixture
def make_house(encrypted: tuple[str, str], tmp_path: Path) -> Iterator[Callable[[str], House]]:
    """Makes houses, and ends what they started."""
    houses: list[House] = []

    def make(name: str = "h") -> House:
        address, text = encrypted
        folder = tmp_path / name
        (folder / "keys").mkdir(parents=True, mode=0o700)
        for path in (folder / "keys" / f"{address.lower()}.json", folder / "keys" / f"{address.lower()}.mode"):
            path.write_text(text if path.suffix == ".json" else "local\n")
            path.chmod(0o600)
        (folder / "passphrase").write_text(PASSPHRASE + "\n")
        (folder / "passphrase").chmod(0o600)
        house = House(folder, address)
        house.write()
        houses.append(house)
        return house

    yield make
    for house in houses:
        house.close()


@pytest.fixture
def house(make_house: Callable[[str], House]) -> House:
    return make_house("h")


@pytest.fixture
def served(house: House) -> House:
    """A house whose signer runs."""
    house.start()
    return house


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path / "keystore")


@pytest.fixture(scope="session")
def modes() -> type[Mode]:
    return Mode
