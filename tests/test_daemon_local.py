"""A daemon whose agents trade on a chain: a real local node, real vaults, a signer in a process of its own, and `kill -9`."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from treasury_arena.clock import WallClock
from treasury_arena.errors import StoreError
from treasury_arena.store import EventStore, open_store
from treasury_arena.store.lease import Lease
from treasury_arena.store.replay import replay
from treasury_arena_evm.interfaces.tokens import ERC20, ERC4626
from treasury_arena_evm.local.accounts import account
from treasury_arena_evm.local.deploy import deploy_vault
from treasury_arena_evm.local.market import LocalMarket
from treasury_arena_keys.hidden import Hidden
from treasury_arena_keys.keystore import Keystore, Mode
from treasury_arena_keys.vault import Vault

pytestmark = pytest.mark.no_cover

CAPITAL_RAW = 373_261_000_000
MARKETS = ("usdc_lending", "usdt_lending", "dai_lending")
WAIT_SECONDS = 900
ARENA = "from treasury_arena.cli.main import run; run()"


@attrs.define
class Place:
    """A funded address on a local chain with three vaults, its signer, and a daemon's folder."""

    folder: Path
    market: LocalMarket
    address: str
    vaults: dict[str, str]
    running: list[subprocess.Popen[bytes]] = attrs.field(factory=list)
    begun: bool = False

    @property
    def out(self) -> Path:
        return self.folder / "run"

    def spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the program; what it says goes into the folder."""
        with open(self.folder / "said", "ab") as said:
            process = subprocess.Popen([sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        self.running.append(process)
        return process

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def daemon(self) -> subprocess.Popen[bytes]:
        return self.spawn("-c", ARENA, "daemon", str(self.folder / "arena.toml"), "--out", str(self.out))

    def end(self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
        os.kill(process.pid, number)
        return process.wait(300)

    def ready(self, process: subprocess.Popen[bytes], times: int) -> None:
        """Wait until the daemon has said so many times that it is at work."""
        for _ in range(WAIT_SECONDS * 5):
            assert process.poll() is None, self.said()
            if self.said().count("arena daemon in") >= times:
                return
            time.sleep(0.2)
        raise AssertionError(f"it was never ready: {self.said()}")

    def live(self) -> EventStore:
        return open_store(self.out / "live.db", create=False, readonly=True)

    def until(self, holds: Callable[[EventStore], bool], process: subprocess.Popen[bytes]) -> None:
        """Wait until something holds in the live store."""
        for _ in range(WAIT_SECONDS * 5):
            assert process.poll() is None, self.said()
            try:
                with self.live() as store:
                    self.begun = True
                    if holds(store):
                        return
            except StoreError:  # not there yet, or being made
                assert not self.begun
            time.sleep(0.2)
        raise AssertionError(f"it never came: {self.said()}")

    def on_chain(self) -> tuple[int, int]:
        """USDC in the wallet, and what all shares of the vaults would pay."""
        chain = self.market.chain
        lent = 0
        for vault in self.vaults.values():
            shares = int(chain.call(vault, ERC20.function("balanceOf"), self.address))
            lent += int(chain.call(vault, ERC4626.function("previewRedeem"), shares))
        return self.market.balance("USDC", self.address), lent

    def check(self) -> None:
        """Books and chain agree, no allowance is left, and the tables are what the events say."""
        wallet, lent = self.on_chain()
        with self.live() as store:
            books = store.balances()
            cash = sum(
                amount
                for (name, asset), amount in books.items()
                if asset == "USDC" and (name.startswith("pool:") or name.endswith((":available", ":reserved")))
            )
            held = sum(amount for (name, _), amount in books.items() if ":position:" in name)
            assert cash == wallet
            assert abs(held - lent) <= 2 * len(self.vaults)
            assert replay(store).ok
            signed = list(store.read(event_type="AttemptSigned"))
            finals = list(store.read(event_type="StepFinal"))
            assert len({event.payload.nonce for event in signed}) == len(finals)
        for vault in self.vaults.values():
            token = self.market.token("USDC").address
            assert int(self.market.chain.call(token, ERC20.function("allowance"), self.address, vault)) == 0

    def check_log(self) -> None:
        """Every live event is one line of the log, and no line holds bytes that could be sent."""
        lines = [json.loads(line) for line in (self.out / "events.jsonl").read_text().splitlines()]
        found = [line for line in lines if line["log"] == "live"]
        with self.live() as store:
            events = list(store.read())
        assert [(line["seq"], line["event"]) for line in found] == [(event.seq, event.event_type) for event in events]
        signed = [line for line in found if line["event"] == "AttemptSigned"]
        assert signed
        assert {line["payload"]["signed"] for line in signed} == {"***"}
        assert all(line["order"] for line in signed)


def settled(count: int) -> Callable[[EventStore], bool]:
    """At least so many orders are settled, and none is under way."""

    def holds(store: EventStore) -> bool:
        ended = [e for e in store.read(event_type="IntentEnded") if e.payload.status == "SETTLED"]
        reserved = list(store.read(event_type="IntentReserved"))
        return len(ended) >= count and len(reserved) == len(list(store.read(event_type="IntentEnded")))

    return holds


@pytest.fixture
def place(make_local_market: Any, house: Any, tmp_path: Path) -> Iterator[Place]:
    market: LocalMarket = make_local_market()
    who = account("erin")
    owner = account("owner").address
    vaults = {name: deploy_vault(market.chain, owner, market.token("USDC")) for name in MARKETS}
    market.fund("USDC", who.address, CAPITAL_RAW)
    keys = tmp_path / "keys"
    Keystore(keys).add(Vault.of_hex(Hidden(who.key)), Hidden("only for tests"), Mode.LOCAL, scrypt_n=1024)
    (tmp_path / "passphrase").write_text("only for tests\n")
    (tmp_path / "passphrase").chmod(0o600)
    found = Place(tmp_path, market, who.address, vaults)
    _write_signer(found)
    _write_arena(found, house)
    found.spawn("-I", "-m", "treasury_arena_keys.serve", str(tmp_path / "signer.toml"))
    _answering(found)
    yield found
    for process in found.running:
        if process.poll() is None:
            process.kill()
        process.wait(20)


def _write_signer(place: Place) -> None:
    usdc = place.market.token("USDC").address
    lines = [
        'keystore = "keys"',
        f'address = "{place.address}"',
        'mode = "local"',
        f"chain_id = {int(place.market.chain.rpc('eth_chainId'), 16)}",
        'socket = "s"',
        'stop_file = "run/arena.db.stop"',
        f'passphrase = "file:{place.folder / "passphrase"}"',
        "[limits]",
        "gas_max = 2_000_000",
        "fee_cap_raw_max = 500_000_000_000",
        "tip_raw_max = 50_000_000_000",
        "signatures_per_minute = 1000",
        "[contracts.usdc]",
        f'address = "{usdc}"',
        'functions = ["approve(address,uint256)"]',
        "[contracts.usdc.allowances]",
        *(f'"{vault}" = {CAPITAL_RAW}' for vault in place.vaults.values()),
    ]
    for name, vault in place.vaults.items():
        functions = '["deposit(uint256,self)", "withdraw(uint256,self,self)", "redeem(uint256,self,self)"]'
        lines += [f"[contracts.{name}]", f'address = "{vault}"', f"functions = {functions}"]
    (place.folder / "run").mkdir()
    (place.folder / "signer.toml").write_text("\n".join(lines) + "\n")
    (place.folder / "signer.toml").chmod(0o600)


def _write_arena(place: Place, house: Any) -> None:
    tree = copy.deepcopy(house.small)
    tree["end"] = (
        "2025-12-31"  # a day of its lasts a second: on a busy machine the small run's market would be over first
    )
    tree["strategies"] = {"enabled": ["farmer"]}
    tree["markets"] = {
        name: {
            "model": "erc4626.vault",
            "asset": "USDC",
            "columns": {"rate": f"{coin}.lending_rate", "price": "USDC.price", "gas": "gas.usd"},
        }
        for name, coin in zip(MARKETS, ("USDC", "USDT", "DAI"), strict=True)
    }
    tree["daemon"] = {
        "mode": "local",
        "speed": 86_400.0,
        "scheduler": "plain",
        "order_seconds": 1,
        "reconcile_seconds": 5,
    }
    tree["live"] = {
        "address": place.address,
        "fidelity_bps": 100_000.0,
        "markets": {name: {"vault": vault} for name, vault in place.vaults.items()},
    }
    tokens = {s: {"address": t.address, "decimals": t.decimals} for s, t in place.market.tokens.items()}
    tree["chain"] = {
        "evm": {
            "chain": "local",
            "endpoints": {"anvil": place.market.url},
            "wrapped": place.market.token("WETH").address,
            "tokens": tokens,
            "vaults": place.vaults,
        }
    }
    tree["signer"] = {"process": {"socket": str(place.folder / "s")}}
    tree["observer"] = {"log": {"path": "events.jsonl", "level": "debug"}}
    (place.folder / "arena.toml").write_text(house.toml(tree))


def _answering(place: Place) -> None:
    for _ in range(600):
        assert place.running[-1].poll() is None, place.said()
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(place.folder / "s"))
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the signer never answered: {place.said()}")


def in_memory(pid: int, key: str) -> list[str]:
    """In which forms a key is in the memory or the environment of a process; asserts that something was read at all."""
    digits = key.removeprefix("0x")
    forms = {"bytes": bytes.fromhex(digits), "hex": digits.encode(), "upper": digits.upper().encode()}
    forms["number"] = int(digits, 16).to_bytes(32, "little")
    found, size = set(), 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            begin, end = (int(part, 16) for part in span.split("-"))
            if not rights.startswith("rw"):
                continue
            try:
                memory.seek(begin)
                data = memory.read(end - begin)
            except (
                OSError,
                ValueError,
                OverflowError,
            ):  # the process has given it back meanwhile, or it is the kernel's
                continue
            size += len(data)
            found |= {name for name, form in forms.items() if form in data}
    assert size > 10_000_000
    data = Path(f"/proc/{pid}/environ").read_bytes()
    return sorted(found | {f"environment: {name}" for name, form in forms.items() if form in data})


def test_a_key_in_memory_would_be_found() -> None:
    """The test of the test."""
    key = account("erin").key
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; k = sys.stdin.readline(); big = bytearray(2 * 10**7); print(1, flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(key + "\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "1\n"
    assert "hex" in in_memory(holder.pid, key)
    holder.communicate("\n")


def test_agents_trade_on_the_chain_through_kills_and_the_books_are_the_chains(place: Place, house: Any) -> None:
    daemon = place.daemon()
    place.until(settled(2), daemon)
    found = in_memory(daemon.pid, account("erin").key)
    assert found == []  # strategies and plugins run where no key is
    assert place.end(daemon) == 0, place.said()
    place.check()
    place.check_log()
    assert place.on_chain()[1] > 0
    _persons(place, house)
    for _ in range(3):  # kill -9, wherever it is
        daemon = place.daemon()
        with place.live() as store:
            before = store.last()[0]
        place.until(lambda store, before=before: store.last()[0] > before + 12, daemon)  # type: ignore[misc]
        place.end(daemon, signal.SIGKILL)
        time.sleep(1)
    starts = place.said().count("arena daemon in")
    daemon = place.daemon()
    place.ready(daemon, starts + 1)
    with place.live() as store:
        count = len(list(store.read(event_type="IntentEnded")))
    place.until(settled(count), daemon)
    assert place.end(daemon) == 0, place.said()
    place.check()
    starts = place.said().count("arena daemon in")
    # Who leaves takes no new risk: agents that the arena funds meanwhile would lend again.
    house.arena("stop", place.out, "--soft", "--reason", "leaving", "--json").ok()
    flat = house.arena("flatten", place.out, "--reason", "leaving", "--json").ok().json
    assert flat["agents"]
    daemon = place.daemon()
    place.ready(daemon, starts + 1)
    place.until(lambda store: not any(a for (n, _), a in store.balances().items() if ":position:" in n), daemon)
    assert place.end(daemon) == 0, place.said()
    assert place.on_chain()[1] == 0
    place.check()
    waiting = house.arena("quarantine", "list", place.out, "--json").ok().json
    assert set(flat["agents"]) <= set(waiting["agents"])
    agent = flat["agents"][0]
    house.arena("quarantine", "resolve", agent, place.out, "--reason", "back").ok()
    assert agent not in house.arena("quarantine", "list", place.out, "--json").ok().json["agents"]
    _corrected(place, house)
    with contextlib.closing(sqlite3.connect(place.out / "live.db", isolation_level=None)) as damaged:
        damaged.execute("DROP TRIGGER IF EXISTS events_no_update")
        assert damaged.execute("UPDATE events SET data = replace(data, 'a', 'b') WHERE seq = 9").rowcount == 1
    refused = house.arena("daemon", place.folder / "arena.toml", "--out", place.out, "--seconds", "1")
    assert refused.code == 1
    assert "is damaged, and nothing is built on it (event 9" in refused.err


def _corrected(place: Place, house: Any) -> None:
    """Gas topped up by hand: told by `check`, shown by a dry run, booked by a person who gives a reason."""
    words = ("correct", place.out, "--reason", "topped up by hand", "--json")
    unknown = len(house.arena("check", place.out, "--json").json["differences"])
    gas = int(place.market.chain.rpc("eth_getBalance", place.address, "latest"), 16)
    place.market.chain.rpc("anvil_setBalance", place.address, hex(gas + 10**18))
    told = house.arena("check", place.out, "--json").json["differences"]
    assert len(told) == unknown + 1
    with place.live() as store:
        before = store.last()[0]
    dry = house.arena(*words, "--dry-run")
    assert dry.code == (1 if unknown else 0), dry.err
    (event,) = dry.json["events"]
    assert (event["type"], event["fields"]["amount_raw"]) == ("CapitalAdjusted", str(10**18))
    with place.live() as store:
        assert store.last()[0] == before
    with open_store(place.out / "live.db") as store:  # another process is at work: nothing may be corrected beside it
        lease = Lease(store, WallClock())
        lease.acquire()
        refused = house.arena(*words)
        assert refused.code == 1
        assert "the lease" in refused.err
        lease.release()
    done = house.arena(*words)
    assert done.code == dry.code
    assert done.json["events"] == dry.json["events"]
    assert len(house.arena("check", place.out, "--json").json["differences"]) == unknown
    with place.live() as store:
        assert replay(store).ok


def _persons(place: Place, house: Any) -> None:
    """What persons see and do while no daemon runs."""
    listed = house.arena("orders", place.out, "--all", "--json").ok().json["orders"]
    assert {order["state"] for order in listed} <= {"SETTLED", "EXECUTING", "RESERVED", "CANCELLED"}
    checked = house.arena("check", place.out, "--json")
    assert checked.code == 1  # the address was given coins that no book knows
    assert all("that no book knows" in difference for difference in checked.json["differences"])
    house.arena("stop", place.out, "--reason", "look").ok()
    with place.live() as store:
        before = len(list(store.read(event_type="AttemptSigned")))
    starts = place.said().count("arena daemon in")
    daemon = place.daemon()
    place.ready(daemon, starts + 1)
    time.sleep(4)
    assert place.end(daemon) == 0, place.said()
    with place.live() as store:
        assert len(list(store.read(event_type="AttemptSigned"))) == before
    house.arena("release", place.out, "--reason", "looked").ok()
    bad = house.arena("quarantine", "resolve", "nobody", place.out, "--reason", "why")
    assert bad.code == 2 or "no open order" in bad.err


def test_live_waits_for_a_person_who_types_what_is_armed(
    place: Place, house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (place.folder / "arena.toml").read_text()
    for old, new in (('mode = "local"', 'mode = "live"'), ("speed = 86400.0", "speed = 1.0")):
        assert old in text
        text = text.replace(old, new)
    text = text.replace('scheduler = "plain"', 'scheduler = "plain"\nfuses = ["survival"]\nheartbeat_seconds = 2', 1)
    text += "\n[fuse.survival]\nconditions = []\n"
    (place.folder / "arena.toml").write_text(text)
    refused = place.daemon()
    assert refused.wait(120) == 2
    assert "live is not armed" in place.said()
    address, chain = place.address, int(place.market.chain.rpc("eth_chainId"), 16)
    wanted = f"chain {chain} address {address} limit 5000.000000 USDC"
    for typed in ("yes", wanted.replace("5000", "50000"), ""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed + "\n"))
        wrong = house.arena("arm", place.out, "--limit", "5000", "--operator", "ann")
        assert wrong.code != 0
    with place.live() as store:
        assert not list(store.read(event_type="LiveArmed"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(wanted + "\n"))
    done = house.arena("arm", place.out, "--limit", "5000", "--operator", "ann", "--json").ok()
    assert done.json["armed"] == wanted
    daemon = place.daemon()
    place.ready(daemon, 1)
    with place.live() as store:
        armed = next(iter(store.read(event_type="LiveArmed"))).payload
        assert (armed.chain_id, armed.address, armed.limit_raw, armed.operator) == (
            chain,
            address.lower(),
            5_000_000_000,
            "ann",
        )
        assert store.balance("pool:live", "USDC") == place.on_chain()[0]
    place.until(lambda store: bool(list(store.read(event_type="FuseArmed"))), daemon)
    status = house.arena("fuse", "status", place.out, "--json").ok().json
    assert status["fuses"][0]["fuse"] == "survival"
    assert place.end(daemon) == 0, place.said()
