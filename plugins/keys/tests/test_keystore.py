"""Keystores: private, whole, never overwritten, and each address for one mode only."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from treasury_arena.errors import ConfigError, TreasuryArenaError, ValidationError
from treasury_arena_keys.hidden import Hidden
from treasury_arena_keys.keystore import Keystore, Mode
from treasury_arena_keys.vault import SCRYPT_N, Vault

PASSPHRASE = "twelve letters and more"
CHEAP = 1024


def vault_of(digit: str) -> Vault:
    return Vault.of_hex(Hidden(digit * 64))


def test_a_key_is_written_as_ethereum_knows_it_and_found_again(keystore: Keystore) -> None:
    vault = vault_of("1")
    key = keystore.add(vault, Hidden(PASSPHRASE), Mode.LIVE, CHEAP)
    assert keystore.keys() == [key]
    assert keystore.unlock(key, Hidden(PASSPHRASE)).address == vault.address
    stored = json.loads(key.path.read_text())
    assert stored["version"] == 3
    assert stored["crypto"]["kdf"] == "scrypt"
    assert bytes(Account.decrypt(stored, PASSPHRASE)).hex() == "1" * 64
    assert "1" * 64 not in key.path.read_text()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in keystore.folder.iterdir()}
    assert modes == {f"{vault.address.lower()}.json": 0o600, f"{vault.address.lower()}.mode": 0o600}
    assert stat.S_IMODE(keystore.folder.stat().st_mode) == 0o700


def test_the_work_factor_is_the_recommended_one(keystore: Keystore) -> None:
    key = keystore.add(vault_of("2"), Hidden(PASSPHRASE), Mode.LIVE)
    assert json.loads(key.path.read_text())["crypto"]["kdfparams"]["n"] == SCRYPT_N == 262_144


def test_new_keys_differ(keystore: Keystore) -> None:
    assert len({Vault.new().address for _ in range(20)}) == 20


@pytest.mark.parametrize("mode", list(Mode))
def test_an_address_has_one_mode_for_good(keystore: Keystore, mode: Mode) -> None:
    key = keystore.add(vault_of("1"), Hidden(PASSPHRASE), Mode.PAPER, CHEAP)
    before = key.path.read_bytes()
    with pytest.raises(ValidationError, match="never overwritten"):
        keystore.add(vault_of("1"), Hidden("another passphrase"), mode, CHEAP)
    assert key.path.read_bytes() == before
    key.path.unlink()
    if mode is Mode.PAPER:
        assert keystore.add(vault_of("1"), Hidden(PASSPHRASE), mode, CHEAP) == key
    else:
        with pytest.raises(ValidationError, match="is paper; it cannot become"):
            keystore.add(vault_of("1"), Hidden(PASSPHRASE), mode, CHEAP)


def test_writers_at_once_make_one_key(keystore: Keystore) -> None:
    outcomes: list[str] = []

    def write(number: int) -> None:
        try:
            keystore.add(vault_of("1"), Hidden(f"{PASSPHRASE} {number}"), Mode.LIVE, CHEAP)
            outcomes.append(f"{PASSPHRASE} {number}")
        except ValidationError as error:
            outcomes.append("refused" if "never overwritten" in str(error) else str(error))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    winners = [one for one in outcomes if one.startswith(PASSPHRASE)]
    assert len(winners) == 1
    assert outcomes.count("refused") == 5
    (key,) = keystore.keys()
    assert keystore.unlock(key, Hidden(winners[0]))
    assert len(list(keystore.folder.iterdir())) == 2


@pytest.mark.parametrize("broken", ["fsync", "link"])
def test_a_write_that_fails_leaves_no_half_of_a_key(
    keystore: Keystore, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*arguments: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match="No space"):
        keystore.add(vault_of("1"), Hidden(PASSPHRASE), Mode.LIVE, CHEAP)
    assert keystore.keys() == []
    assert list(keystore.folder.iterdir()) == []


@pytest.mark.parametrize("permissions", [0o710, 0o701, 0o750, 0o755, 0o777])
def test_a_folder_open_to_others_is_refused(keystore: Keystore, permissions: int) -> None:
    keystore.add(vault_of("1"), Hidden(PASSPHRASE), Mode.LIVE, CHEAP)
    keystore.folder.chmod(permissions)
    with pytest.raises(ConfigError, match=f"{permissions:04o}; expected 0700"):
        keystore.keys()
    with pytest.raises(ConfigError, match="expected 0700"):
        keystore.add(vault_of("2"), Hidden(PASSPHRASE), Mode.LIVE, CHEAP)


@pytest.mark.parametrize("suffix", [".json", ".mode"])
@pytest.mark.parametrize("permissions", [0o604, 0o620, 0o640, 0o644, 0o666])
def test_a_file_open_to_others_is_refused(keystore: Keystore, suffix: str, permissions: int) -> None:
    key = keystore.add(vault_of("1"), Hidden(PASSPHRASE), Mode.LIVE, CHEAP)
    key.path.with_suffix(suffix).chmod(permissions)
    with pytest.raises(ConfigError, match=f"{permissions:04o}; expected 0600"):
        keystore.keys()


def test_links_are_refused(keystore: Keystore, tmp_path: Path) -> None:
    key = keystore.add(vault_of("1"), Hidden(PASSPHRASE), Mode.LIVE, CHEAP)
    elsewhere = tmp_path / "elsewhere.json"
    key.path.rename(elsewhere)
    key.path.symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="a link is refused"):
        keystore.keys()
    link = tmp_path / "link"
    link.symlink_to(keystore.folder)
    with pytest.raises(ConfigError, match="a link is refused"):
        Keystore(link).keys()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is no keystore"),
        ("[]", "is no keystore"),
        ("{}", "is no keystore"),
        ('{"address": "12"}', "expected the one in its name"),
        ('{"address": 5}', "expected the one in its name"),
    ],
)
def test_a_damaged_keystore_is_told(keystore: Keystore, content: str, told: str) -> None:
    key = keystore.add(vault_of("1"), Hidden(PASSPHRASE), Mode.LIVE, CHEAP)
    key.path.write_text(content)
    with pytest.raises(ConfigError, match=told):
        keystore.keys()


def test_a_key_without_a_mode_or_with_an_unknown_one_is_refused(keystore: Keystore) -> None:
    key = keystore.add(vault_of("1"), Hidden(PASSPHRASE), Mode.LIVE, CHEAP)
    marker = key.path.with_suffix(".mode")
    marker.write_text("lively\n")
    with pytest.raises(ConfigError, match="says 'lively'; expected one of live, local, paper"):
        keystore.keys()
    marker.unlink()
    with pytest.raises(ConfigError, match="has no mode"):
        keystore.keys()


def test_the_wrong_passphrase_and_the_wrong_key_are_told(keystore: Keystore) -> None:
    key = keystore.add(vault_of("1"), Hidden(PASSPHRASE), Mode.LIVE, CHEAP)
    with pytest.raises(ValidationError, match="the passphrase does not fit"):
        keystore.unlock(key, Hidden("wrong"))
    stored = json.loads(vault_of("2").locked(Hidden(PASSPHRASE), CHEAP))
    key.path.write_text(json.dumps(stored | {"address": key.address[2:]}))
    with pytest.raises(ValidationError, match=f"not of {key.address}"):
        keystore.unlock(keystore.keys()[0], Hidden(PASSPHRASE))


def test_which_key_is_meant(keystore: Keystore) -> None:
    with pytest.raises(ConfigError, match="holds 0 keys"):
        keystore.find(None)
    live = keystore.add(vault_of("1"), Hidden(PASSPHRASE), Mode.LIVE, CHEAP)
    paper = keystore.add(vault_of("2"), Hidden("short"), Mode.PAPER, CHEAP)
    assert keystore.find(None, Mode.LIVE) == live
    assert keystore.find(paper.address.lower()) == paper
    with pytest.raises(ConfigError, match="holds 2 keys; expected one"):
        keystore.find(None)
    with pytest.raises(ConfigError, match=f"no key of mode live of {paper.address}; did you mean|known"):
        keystore.find(paper.address, Mode.LIVE)


def test_a_live_key_needs_a_long_passphrase(keystore: Keystore) -> None:
    with pytest.raises(ValidationError, match="at least 12 characters"):
        keystore.add(vault_of("1"), Hidden("eleven lett"), Mode.LIVE, CHEAP)
    assert not keystore.folder.exists()


@pytest.mark.parametrize("text", ["", "0x", "12", "1" * 63, "1" * 66, "g" * 64, "0" * 64, "f" * 64])
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValidationError, match="this is no private key") as refused:
        Vault.of_hex(Hidden(text))
    assert len(text) < 12 or text not in str(refused.value)


@pytest.mark.parametrize(
    ("mode", "chain", "allowed"),
    [
        (Mode.LIVE, 1, True),
        (Mode.LIVE, 8453, True),
        (Mode.LIVE, 31337, False),
        (Mode.LIVE, 1337, False),
        (Mode.LOCAL, 31337, True),
        (Mode.LOCAL, 1337, True),
        (Mode.LOCAL, 1, False),
        (Mode.PAPER, 31337, False),
        (Mode.PAPER, 1, False),
    ],
)
def test_no_chain_takes_keys_of_two_modes(mode: Mode, chain: int, allowed: bool) -> None:
    if allowed:
        mode.check_chain(chain)
    else:
        with pytest.raises(TreasuryArenaError, match=r"paper key signs nothing|does not sign for chain"):
            mode.check_chain(chain)
