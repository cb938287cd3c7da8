"""The signer process from outside: what it signs, refuses, survives and remembers."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
import time
from pathlib import Path
from typing import Any

import attrs
import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treasury_arena.contracts.chain import Fees, SignerContext
from treasury_arena.errors import SignerError
from treasury_arena_keys.client import at
from treasury_arena_keys.transactions import payload
from treasury_arena_keys.wire import LINE_MAX


def test_a_signature_is_of_exactly_the_transaction(served: Any) -> None:
    asked = served.transaction(nonce=7)
    signed = served.client.sign(asked)
    assert Account.recover_transaction(signed.raw) == served.address
    reference = Account.sign_transaction(
        {
            "type": 2,
            "chainId": asked.chain_id,
            "nonce": 7,
            "to": bytes.fromhex(asked.to[2:]),
            "value": 0,
            "data": asked.data,
            "gas": asked.gas,
            "maxFeePerGas": asked.fees.cap_raw,
            "maxPriorityFeePerGas": asked.fees.tip_raw,
        },
        served.CANARY,
    )
    assert signed.raw == "0x" + bytes(reference.raw_transaction).hex()
    assert signed.hash == "0x" + bytes(reference.hash).hex()


def test_who_it_is(served: Any) -> None:
    about = served.client.about()
    assert about == {
        "ok": True,
        "address": served.address,
        "chain_id": served.CHAIN,
        "stop_file": os.path.realpath(served.stop_file),
        "stopped": "",
    }


def test_the_same_again_gives_the_same_bytes_and_another_needs_higher_fees(served: Any) -> None:
    first = served.transaction()
    signed = served.client.sign(first)
    assert served.client.sign(first) == signed
    other = attrs.evolve(first, data=served.approve(2_000))
    with pytest.raises(SignerError, match="another transaction was signed for nonce 0") as refused:
        served.client.sign(other)
    least = Fees(refused.value.least_cap_raw, refused.value.least_tip_raw)
    assert refused.value.code == "nonce"
    assert least == Fees(22_500_000_000, 1_125_000_000)
    for fees in (Fees(least.cap_raw - 1, least.tip_raw), Fees(least.cap_raw, least.tip_raw - 1)):
        with pytest.raises(SignerError, match="nonce 0"):
            served.client.sign(attrs.evolve(other, fees=fees))
    assert served.client.sign(attrs.evolve(other, fees=least)).raw != signed.raw


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_restarted_signer_remembers(served: Any, number: int) -> None:
    first = served.transaction()
    signed = served.client.sign(first)
    code = served.end(number)
    assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL), served.diary
    assert served.socket.exists() == (number == signal.SIGKILL)
    with pytest.raises(SignerError, match="does not answer") as absent:
        served.client.sign(first)
    assert absent.value.code == "absent"
    served.start()
    with pytest.raises(SignerError, match="another transaction was signed"):
        served.client.sign(attrs.evolve(first, data=served.approve(2_000)))
    assert served.client.sign(first) == signed


def test_a_kill_at_any_moment_leaves_no_two_signatures_for_a_nonce(served: Any) -> None:
    """Threads ask for rival transactions of the same nonces while the process is killed again and again."""
    given_out: dict[int, set[str]] = {}
    codes: set[str] = set()
    lock, over, rounds = threading.Lock(), threading.Event(), 6

    def ask(amount: int) -> None:
        nonce = 0
        while not over.is_set():
            asked = served.transaction(nonce=nonce, data=served.approve(amount))
            try:
                signed = served.client.sign(asked)
            except SignerError as error:
                if error.code == "absent":
                    continue
                codes.add(error.code)
            else:
                with lock:
                    given_out.setdefault(nonce, set()).add(signed.raw)
            nonce += 1

    askers = [threading.Thread(target=ask, args=(amount,)) for amount in (1, 2, 3)]
    for one in askers:
        one.start()
    try:
        for at_round in range(rounds):
            goal = len(given_out) + 5 + at_round
            while len(given_out) < goal and any(one.is_alive() for one in askers):
                over.wait(0.005)
            served.end(signal.SIGKILL)
            served.start()
    finally:
        over.set()
        for one in askers:
            one.join(60)
    assert len(given_out) >= 5 * rounds
    assert codes <= {"nonce"}
    assert {nonce: len(raws) for nonce, raws in given_out.items() if len(raws) != 1} == {}


def test_concurrent_clients_get_one_signature_per_nonce(served: Any) -> None:
    outcomes: list[tuple[int, str]] = []
    lock = threading.Lock()

    def ask(amount: int) -> None:
        for nonce in range(10):
            try:
                served.client.sign(served.transaction(nonce=nonce, data=served.approve(amount)))
                code = "signed"
            except SignerError as error:
                code = error.code
            with lock:
                outcomes.append((nonce, code))

    askers = [threading.Thread(target=ask, args=(amount,)) for amount in range(1, 9)]
    for one in askers:
        one.start()
    for one in askers:
        one.join(60)
    for nonce in range(10):
        codes = sorted(code for at, code in outcomes if at == nonce)
        assert codes == ["nonce"] * 7 + ["signed"]


def test_more_than_its_connections_are_told_that_it_is_busy(served: Any) -> None:
    import socket

    idle = [socket.socket(socket.AF_UNIX) for _ in range(16)]
    try:
        for one in idle:
            one.connect(str(served.socket))
        with pytest.raises(SignerError, match="under way already"):
            [served.client.about() for _ in range(20)]
    finally:
        for one in idle:
            one.close()


def test_the_rate_is_counted_per_process(house: Any) -> None:
    house.write(rate=3)
    house.start()
    for nonce in range(3):
        house.client.sign(house.transaction(nonce=nonce))
    with pytest.raises(SignerError, match="3 signatures a minute") as refused:
        house.client.sign(house.transaction(nonce=3))
    assert refused.value.code == "rate"
    house.end()
    house.start()
    assert house.client.sign(house.transaction(nonce=3)).raw


def test_what_the_rules_refuse_is_not_signed(served: Any) -> None:
    with pytest.raises(SignerError, match=r"refused \(allowance\).*at most 1000000") as refused:
        served.client.sign(served.transaction(data=served.approve(1_000_001)))
    assert refused.value.code == "allowance"
    assert served.client.sign(served.transaction()).raw, "a refusal leaves the nonce free"


def test_both_sides_must_watch_the_same_stop_file(served: Any) -> None:
    other = SignerContext(served.CHAIN, served.address, served.folder / "other.stop")
    with pytest.raises(SignerError, match="both must watch the same") as refused:
        at(served.socket, other).sign(served.transaction())
    assert refused.value.code == "stop_file"


def test_the_client_asks_for_no_other_chain_or_sender(served: Any) -> None:
    for change in ({"chain_id": 1}, {"sender": served.POOL}):
        with pytest.raises(SignerError, match="asked to sign for"):
            served.client.sign(served.transaction(**change))
    assert "refused" not in served.diary


def ask(house: Any, **changes: Any) -> dict[str, Any]:
    request = {
        "do": "sign",
        "sender": house.address,
        "unsigned": "0x" + payload(house.transaction()).hex(),
        "stop_file": os.path.realpath(house.stop_file),
    } | changes
    found: dict[str, Any] = json.loads(house.raw(json.dumps(request).encode() + b"\n"))
    return found


def test_a_lying_asker_is_not_believed(served: Any) -> None:
    assert ask(served)["ok"]
    assert ask(served, sender=served.POOL)["code"] == "sender"
    elsewhere = payload(served.transaction(chain_id=1))
    assert ask(served, unsigned="0x" + elsewhere.hex())["code"] == "chain"
    for bad in ("", "0x", "0x02", "02f8", "0x02" + "ff" * 40, "0x" + payload(served.transaction()).hex() + "00"):
        assert ask(served, unsigned=bad)["code"] == "request"
    assert ask(served, more="x")["code"] == "request"
    assert ask(served, do="export")["code"] == "request"
    assert ask(served, do=["sign"])["code"] == "request"


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=300).map(lambda data: data + b"\n"),
        st.recursive(st.none() | st.integers() | st.text(max_size=20), lambda inner: st.lists(inner, max_size=3)).map(
            lambda value: json.dumps(value).encode() + b"\n"
        ),
        st.dictionaries(st.sampled_from(["do", "sender", "unsigned", "stop_file"]), st.text(max_size=30)).map(
            lambda value: json.dumps(value).encode() + b"\n"
        ),
    )
)
def test_garbage_is_answered_with_a_refusal(garbage_house: Any, garbage: bytes) -> None:
    answer = json.loads(garbage_house.raw(garbage))
    assert answer["ok"] is False
    assert answer["code"] in {"request"}
    assert garbage_house.running[-1].poll() is None


@pytest.fixture
def garbage_house(served: Any) -> Any:
    return served


def test_a_line_without_end_is_cut_off(served: Any) -> None:
    served.raw(b"x" * (LINE_MAX + 10))
    served.raw(b"[" * (LINE_MAX - 1) + b"\n")
    assert served.client.about()["ok"]
    assert f"longer than {LINE_MAX} bytes" in served.diary


def test_what_is_on_disk_is_private(served: Any) -> None:
    served.client.sign(served.transaction())
    found = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in served.socket.parent.iterdir()}
    assert found["s"] == 0o600
    assert {"s", "s.lock", "s.nonces"} <= set(found)
    assert set(found.values()) == {0o600}


def test_two_signers_do_not_share_a_socket(served: Any) -> None:
    second = served.begin()
    assert second.wait(60) == 2
    assert "another signer serves here" in served.diary
    assert served.client.sign(served.transaction()).raw


def test_the_process_has_no_plugin_no_node_client_and_protected_memory(served: Any) -> None:
    process = served.running[-1].pid
    limits = Path(f"/proc/{process}/limits").read_text()
    (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]
    # What is not dumpable belongs to root in /proc, so that no other process of its user can read its memory.
    assert Path(f"/proc/{process}/mem").stat().st_uid == 0
    if os.geteuid() != 0:
        with pytest.raises(PermissionError):
            Path(f"/proc/{process}/environ").read_bytes()


def test_a_folder_of_any_depth_holds_the_socket(house: Any) -> None:
    """A Unix socket's address has 107 bytes; runs in deep folders have longer ones."""
    deep = "run/" + "deep/" * 40 + "s"
    house.write(socket=deep)
    path = house.folder / deep
    path.parent.parent.mkdir(parents=True)
    path.parent.mkdir(mode=0o700)
    process = house.begin()
    client = at(path, house.context, 10.0)
    for _ in range(600):
        assert process.poll() is None, house.diary
        try:
            client.about()
            break
        except SignerError:
            time.sleep(0.05)
    assert Account.recover_transaction(client.sign(house.transaction()).raw) == house.address
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
    assert house.end() == 0
    with pytest.raises(SignerError, match="does not answer"):
        client.about()
