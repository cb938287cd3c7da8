"""Keystores in a private folder: one encrypted file and one mode per address; nothing is ever overwritten."""

from __future__ import annotations

import json
import os
import secrets
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from treasury_arena.errors import ConfigError, ValidationError, nearest
from treasury_arena_keys.hidden import Hidden, private_file, private_folder, strong

if TYPE_CHECKING:
    from treasury_arena_keys.vault import Vault

LOCAL_CHAINS = frozenset({1337, 31337})
"""Ids of test chains on one's own machine: the only ones that a `local` key signs for, and the ones a `live` key never does."""

SIZE_MAX = 65_536


class Mode(StrEnum):
    """What a key is for. One address has one mode, so live money and play money never share a key."""

    LIVE = "live"
    LOCAL = "local"
    PAPER = "paper"

    def check_chain(self, chain_id: int) -> None:
        """Raise ConfigError unless a key of this mode may sign for a chain."""
        if self is Mode.PAPER:
            raise ConfigError("a paper key signs nothing: paper trading writes to no chain")
        if (self is Mode.LOCAL) != (chain_id in LOCAL_CHAINS):
            known = ", ".join(map(str, sorted(LOCAL_CHAINS)))
            raise ConfigError(
                f"a {self} key does not sign for chain {chain_id}; local keys are for the chains {known}, live keys for "
                "all others"
            )


@attrs.frozen
class Key:
    """A key as it lies in the folder, still encrypted."""

    address: str
    mode: Mode
    path: Path


@attrs.frozen
class Keystore:
    """A folder of keys, 0700, whose files are 0600; both are checked before anything is read or written."""

    folder: Path

    def prepare(self) -> None:
        """Make the folder if there is none. Raises ConfigError for one that is open to others."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        private_folder(self.folder, "keystore")

    def add(self, vault: Vault, passphrase: Hidden, mode: Mode, scrypt_n: int | None = None) -> Key:
        """Write a key, durably and as a whole. Raises ValidationError when the address is there already, in any mode.

        `scrypt_n`: the work factor; the vault's own unless given.
        """
        if mode is Mode.LIVE:
            strong(passphrase)
        self.prepare()
        path, marker = self._paths(vault.address)
        if path.exists():
            raise ValidationError(f"{path} exists already; a key is never overwritten")
        if marker.exists() and self._mode(marker) is not mode:
            raise ValidationError(f"{marker} says that this address is {self._mode(marker)}; it cannot become {mode}")
        text = vault.locked(passphrase) if scrypt_n is None else vault.locked(passphrase, scrypt_n)
        # The mode first: a key without one is refused, a mode without a key is nothing.
        if not marker.exists():
            self._write(marker, f"{mode}\n")
        self._write(path, text + "\n")
        return Key(vault.address, mode, path)

    def keys(self) -> list[Key]:
        """All keys, by address. Raises ConfigError for a folder or file that is open to others, or that is damaged."""
        if not self.folder.exists():
            return []
        private_folder(self.folder, "keystore")
        return [self._key(path) for path in sorted(self.folder.glob("*.json"))]

    def find(self, address: str | None, mode: Mode | None = None) -> Key:
        """The key of an address, or the only one (of a mode). Raises ConfigError naming what there is."""
        known = [key for key in self.keys() if mode is None or key.mode is mode]
        told = f" of mode {mode}" if mode else ""
        if address is None:
            if len(known) != 1:
                raise ConfigError(
                    f"{self.folder} holds {len(known)} keys{told}; expected one, or an address to choose by"
                )
            return known[0]
        for key in known:
            if key.address.lower() == address.lower():
                return key
        raise ConfigError(
            f"{self.folder} holds no key{told} of {address}; {nearest(address, [k.address for k in known])}"
        )

    def unlock(self, key: Key, passphrase: Hidden) -> Vault:
        """Decrypt a key. Raises ValidationError when the passphrase does not fit, or another key is inside."""
        from treasury_arena_keys.vault import Vault  # its libraries take a second to import, and listing needs none

        vault = Vault.unlock(self._text(key.path), passphrase, str(key.path))
        if vault.address.lower() != key.address.lower():
            raise ValidationError(f"{key.path}: holds the key of {vault.address}, not of {key.address}")
        return vault

    def _paths(self, address: str) -> tuple[Path, Path]:
        name = address.lower()
        return self.folder / f"{name}.json", self.folder / f"{name}.mode"

    def _key(self, path: Path) -> Key:
        try:
            content = json.loads(self._text(path))
            address = "0x" + str(content["address"]).lower().removeprefix("0x")
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"keystore: {path} is no keystore ({type(error).__name__})") from None
        if address != path.stem:
            raise ConfigError(f"keystore: {path} holds address {address}; expected the one in its name")
        marker = path.with_suffix(".mode")
        if not marker.exists():
            raise ConfigError(f"keystore: {path} has no mode; expected {marker} with one of {', '.join(Mode)}")
        from eth_utils.address import to_checksum_address

        return Key(str(to_checksum_address(address)), self._mode(marker), path)

    def _mode(self, marker: Path) -> Mode:
        text = self._text(marker).strip()
        if text not in set(Mode):
            raise ConfigError(f"keystore: {marker} says {text[:20]!r}; expected one of {', '.join(Mode)}")
        return Mode(text)

    @staticmethod
    def _text(path: Path) -> str:
        private_file(path, "keystore")
        if path.stat().st_size > SIZE_MAX:
            raise ConfigError(f"keystore: {path} is longer than {SIZE_MAX} bytes")
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"keystore: {path} is not UTF-8 text") from None

    def _write(self, path: Path, text: str) -> None:
        """Write a new file whole or not at all; an existing one stays, also against another process at the same moment."""
        draft = self.folder / f".{secrets.token_hex(8)}"
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(file, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            os.link(draft, path)
        except FileExistsError:
            raise ValidationError(f"{path} exists already; a key is never overwritten") from None
        finally:
            draft.unlink()
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
