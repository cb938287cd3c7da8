"""The signer's own file: which key, which socket, which rules. The daemon neither reads nor writes it."""

# ruff: noqa: RUF009  the calls in class bodies make attrs fields
from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, lt

from treasury_arena.config.keys import Secret, key, section
from treasury_arena.config.read import read_toml
from treasury_arena.errors import ConfigError
from treasury_arena_keys.functions import parse
from treasury_arena_keys.keystore import Mode
from treasury_arena_keys.policy import Allowed, Policy
from treasury_arena_keys.unix import NAME_BYTES_MAX

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def _address(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if not _ADDRESS.fullmatch(value):
        raise ValueError(f"is {value!r}; expected an address, 0x and 40 hex digits")


@attrs.frozen(kw_only=True)
class ContractSettings:
    """A contract that may be called."""

    address: str = key(attrs.NOTHING, "Its address.", _address)
    functions: list[str] = key(
        attrs.NOTHING,
        "Functions that may be called, as Solidity writes them; `self` for an address that must be the sender, `calls[]` for "
        "calls within the call.",
    )
    allowances: dict[str, int] = key(
        attrs.Factory(dict), "Spender's address = the most base units that may be allowed it at once."
    )
    value_raw_max: int = key(0, "Most wei that may go along with a call.", ge(0))

    def __attrs_post_init__(self) -> None:
        selectors = [parse(text).selector for text in self.functions]
        if len(set(selectors)) != len(selectors):
            raise ValueError("functions: two have the same selector")
        for spender, amount in self.allowances.items():
            if not _ADDRESS.fullmatch(spender):
                raise ValueError(f"allowances: {spender!r} is no address; expected 0x and 40 hex digits")
            if not 0 <= amount < 2**256:
                raise ValueError(f"allowances: {spender} may be allowed {amount}; expected 0 to 2^256 - 1 base units")
        if len({spender.lower() for spender in self.allowances}) != len(self.allowances):
            raise ValueError("allowances: a spender is named twice")

    def allowed(self, name: str) -> Allowed:
        functions = [parse(text) for text in self.functions]
        bounds = {spender.lower(): amount for spender, amount in self.allowances.items()}
        return Allowed(name, {one.selector: one for one in functions}, bounds, self.value_raw_max)


@attrs.frozen(kw_only=True)
class LimitSettings:
    """Limits of every transaction."""

    gas_max: int = key(1_500_000, "Highest gas limit.", gt(0), lt(2**63))
    fee_cap_raw_max: int = key(200_000_000_000, "Most wei per unit of gas in all.", gt(0))
    tip_raw_max: int = key(10_000_000_000, "Most wei per unit of gas for the block's maker.", ge(0))
    signatures_per_minute: int = key(30, "Signatures within 60 s; repeats count.", gt(0))


@attrs.frozen(kw_only=True)
class SignerSettings:
    """The file of one signer process."""

    keystore: Path = key(attrs.NOTHING, "Folder of the keys.")
    address: str = key(attrs.NOTHING, "Whose key is unlocked; the only sender.", _address)
    mode: Literal["live", "local"] = key(attrs.NOTHING, "What the key was made for.")
    chain_id: int = key(attrs.NOTHING, "The only chain.", gt(0), lt(2**63))
    socket: Path = key(attrs.NOTHING, "Unix socket, in a private folder; the nonce book lies beside it.")
    stop_file: Path = key(attrs.NOTHING, "While it exists, or its folder cannot be read, nothing is signed.")
    passphrase: Secret | None = key(
        None, "Passphrase by reference; asked for on the terminal unless given.", secret=True
    )
    limits: LimitSettings = section(LimitSettings, "Limits of every transaction.")
    contracts: dict[str, ContractSettings] = key(attrs.NOTHING, "Contracts that may be called, by a name of your own.")

    def __attrs_post_init__(self) -> None:
        Mode(self.mode).check_chain(self.chain_id)
        addresses = [one.address.lower() for one in self.contracts.values()]
        if len(set(addresses)) != len(addresses):
            raise ValueError("contracts: an address has two entries")
        if self.address.lower() in addresses:
            raise ValueError("contracts: the sender itself is no contract")

    def policy(self) -> Policy:
        """The rules."""
        contracts = {one.address.lower(): one.allowed(name) for name, one in self.contracts.items()}
        limits = self.limits
        return Policy(
            self.chain_id, self.address, contracts, limits.gas_max, limits.fee_cap_raw_max, limits.tip_raw_max
        )


def read_settings(file: Path) -> SignerSettings:
    """Read the signer's file; its paths are relative to its folder. Raises ConfigError with one line per mistake.

    A file that others may write, or that is another user's, is refused: whoever writes it decides what is signed.
    """
    reading = read_toml(file, SignerSettings)
    found = os.stat(file)
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(
            f"{file}: belongs to user {found.st_uid}; expected user {os.geteuid()}, who runs this, or root"
        )
    if found.st_mode & 0o022:
        raise ConfigError(
            f"{file}: has permissions {stat.S_IMODE(found.st_mode):04o}; expected none that let others write (chmod go-w {file})"
        )
    if reading.problems:
        raise ConfigError("\n".join(map(str, reading.problems)))
    settings: SignerSettings = reading.settings
    home = file.absolute().parent
    settings = attrs.evolve(
        settings,
        keystore=home / settings.keystore,
        socket=home / settings.socket,
        stop_file=home / settings.stop_file,
    )
    if len(os.fsencode(settings.socket.name)) > NAME_BYTES_MAX:
        raise ConfigError(
            f"{file}: socket: the name {settings.socket.name} has more than {NAME_BYTES_MAX} bytes; choose a shorter one"
        )
    return settings
