"""Configuration sections of the daemon's side: where each kind of signer is found. None of them can hold a key."""

# ruff: noqa: RUF009  the calls in class bodies make attrs fields
from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
from attrs.validators import gt, le

from treasury_arena.config.keys import Secret, key


def signer_url(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    """Validator: https, or http on this machine; without a password."""
    try:
        parts = urlsplit(value)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise ValueError("is no URL; expected for example http://127.0.0.1:9000") from error
    if parts.username is not None or parts.password is not None:
        raise ValueError('holds a password; give it as authorization = "env:NAME" or "file:PATH"')
    if not host or port == 0 or parts.fragment:
        raise ValueError(f"is {value!r}; expected for example http://127.0.0.1:9000")
    if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(host)):
        raise ValueError(f"is {value!r}; expected https, or http on a loopback address such as 127.0.0.1")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@attrs.frozen(kw_only=True)
class ProcessSection:
    """``[signer.process]``: a signer of one's own, started with `arena keys serve`."""

    socket: Path = key(attrs.NOTHING, "Its Unix socket.", local=True)
    timeout_s: float = key(5.0, "Longest wait for a signature, in seconds.", gt(0.0), le(60.0))


@attrs.frozen(kw_only=True)
class ExternalSection:
    """``[signer.web3signer]`` and ``[signer.clef]``: a signer that speaks JSON-RPC over HTTP."""

    url: str = key(attrs.NOTHING, "Its address: https, or http on this machine.", signer_url, local=True)
    authorization: Secret | None = key(None, "Value of the header Authorization, by reference.", secret=True)
    timeout_s: float = key(10.0, "Longest wait for a signature, in seconds.", gt(0.0), le(300.0))
