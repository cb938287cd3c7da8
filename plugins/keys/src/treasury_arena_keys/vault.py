"""One unlocked key. It signs; it is never shown, copied or pickled, and no error of its libraries leaves here with its frames."""

from __future__ import annotations

import json
import secrets
from typing import Any, NoReturn

from eth_account import Account
from eth_account.signers.local import LocalAccount

from treasury_arena.contracts.chain import Unsigned
from treasury_arena.errors import SignerError, ValidationError
from treasury_arena_keys.hidden import Hidden

SCRYPT_N = 2**18
"""Work factor of a keystore; the recommended one, about a second and 256 MiB."""


class Vault:
    """Holds a key.

    Attributes:
        address: whose key it is, with checksum.
    """

    __slots__ = ("_account", "address")

    def __init__(self, account: LocalAccount) -> None:
        self._account = account
        self.address = str(account.address)

    def __repr__(self) -> str:
        return f"Vault({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")

    @classmethod
    def new(cls) -> Vault:
        """A random key."""
        return cls.of_hex(Hidden(secrets.token_hex(32)))

    @classmethod
    def of_hex(cls, text: Hidden) -> Vault:
        """The key that 64 hex digits spell, with or without ``0x``. Raises ValidationError, which does not repeat them."""
        vault: Vault | None = None
        # The error is raised outside of `except`: raised inside, it would carry the library's frames, and the key in them.
        try:
            vault = cls(Account.from_key(bytes.fromhex(text.reveal().strip().removeprefix("0x"))))
        except Exception:
            vault = None
        if vault is None:
            raise ValidationError("this is no private key: expected 64 hex digits, in the range of the curve")
        return vault

    @classmethod
    def unlock(cls, keystore: str, passphrase: Hidden, what: str) -> Vault:
        """The key in a keystore. Raises ValidationError naming `what`."""
        fault = ""
        vault: Vault | None = None
        try:
            vault = cls(Account.from_key(Account.decrypt(keystore, passphrase.reveal())))
        except ValueError as error:
            fault = "the passphrase does not fit" if "MAC mismatch" in str(error) else "it is no keystore"
        except Exception:
            fault = "it is no keystore"
        if vault is None:
            raise ValidationError(f"{what}: {fault}")
        return vault

    def locked(self, passphrase: Hidden, scrypt_n: int = SCRYPT_N) -> str:
        """The keystore of this key (JSON, version 3, scrypt)."""
        text, fault = "", ""
        try:
            text = json.dumps(
                Account.encrypt(self._account.key, passphrase.reveal(), kdf="scrypt", iterations=scrypt_n)
            )
        except Exception as error:
            fault = type(error).__name__
        if fault:
            raise ValidationError(f"the key could not be encrypted ({fault})")
        return text

    def sign(self, transaction: Unsigned) -> str:
        """The signed bytes as ``0x`` and hex digits. Raises SignerError."""
        t, raw, fault = transaction, "", ""
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": t.chain_id,
            "nonce": t.nonce,
            "to": bytes.fromhex(t.to[2:]),
            "value": t.value_raw,
            "data": t.data,
            "gas": t.gas,
            "maxFeePerGas": t.fees.cap_raw,
            "maxPriorityFeePerGas": t.fees.tip_raw,
            "accessList": [],
        }
        try:
            raw = "0x" + bytes(self._account.sign_transaction(fields).raw_transaction).hex()
        except Exception as error:
            fault = type(error).__name__
        if fault:
            raise SignerError(f"the key could not sign the transaction of nonce {t.nonce} ({fault})")
        return raw
