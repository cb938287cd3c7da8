"""`arena keys`: make, import and list keys, and start the signer process."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from treasury_arena.errors import ConfigError, ValidationError
from treasury_arena_keys.hidden import Hidden, passphrase, private_file
from treasury_arena_keys.keystore import SIZE_MAX, Key, Keystore, Mode

folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("keys"),
    show_default=True,
    help="The keystore: a folder that only you may enter (0700).",
)
mode_option = click.option(
    "--mode",
    type=click.Choice([str(mode) for mode in Mode]),
    required=True,
    help="What the key is for: live money, a test chain on this machine (local), or paper trading. It cannot be changed.",
)
passphrase_option = click.option(
    "--passphrase",
    metavar="REFERENCE",
    help="env:NAME or file:PATH of the passphrase; asked for on the terminal unless given. Never the passphrase itself.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


def _told(key: Key) -> dict[str, str]:
    return {"address": key.address, "mode": str(key.mode), "file": str(key.path)}


def _show(document: Any, text: str, as_json: bool) -> int:
    click.echo(json.dumps(document, indent=1, sort_keys=True) if as_json else text)
    return 0


@click.group()
def keys() -> None:
    """Keys in encrypted files, and the process that signs with one of them.

    \b
    Example:
      arena keys create --mode local
    """


@keys.command()
@folder_option
@mode_option
@passphrase_option
@json_option
def create(folder: Path, mode: str, passphrase: str | None, as_json: bool) -> int:
    """Make a new random key and write it encrypted; nothing is ever overwritten.

    \b
    Example:
      arena keys create --mode live --folder keys
    """
    from treasury_arena_keys.vault import Vault

    store = Keystore(folder)
    store.prepare()
    key = store.add(Vault.new(), _passphrase(passphrase, confirm=True), Mode(mode))
    return _show(_told(key), f"{key.address} ({key.mode}) written to {key.path}; keep a copy of the file", as_json)


@keys.command("import")
@folder_option
@mode_option
@passphrase_option
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, allow_dash=True),
    default=Path("-"),
    help="A private file, or - for standard input (default): a key of 64 hex digits, or a keystore (JSON).",
)
@click.option(
    "--source-passphrase",
    metavar="REFERENCE",
    help="env:NAME or file:PATH of the passphrase of the keystore that is imported; asked for unless given.",
)
@json_option
def import_key(
    folder: Path, mode: str, passphrase: str | None, source: Path, source_passphrase: str | None, as_json: bool
) -> int:
    """Take in an existing key and write it encrypted anew; the source is left as it is.

    \b
    Example:
      arena keys import --mode live --from old-keystore.json
    """
    store = Keystore(folder)
    store.prepare()
    vault = _imported(_content(source), source_passphrase)
    key = store.add(vault, _passphrase(passphrase, confirm=True), Mode(mode))
    return _show(_told(key), f"{key.address} ({key.mode}) written to {key.path}", as_json)


def _content(source: Path) -> Hidden:
    if str(source) == "-":
        found = Hidden(sys.stdin.read(SIZE_MAX + 1))
    else:
        try:
            private_file(source, "import")
            with open(source, encoding="utf-8") as file:
                found = Hidden(file.read(SIZE_MAX + 1))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"import: the file {source} cannot be read ({type(error).__name__})") from None
    if len(found.reveal()) > SIZE_MAX:
        raise ConfigError(f"import: more than {SIZE_MAX} characters; expected a key or a keystore")
    return found


def _imported(content: Hidden, reference: str | None) -> Any:
    from treasury_arena_keys.vault import Vault

    if not content.reveal().lstrip().startswith("{"):
        if reference is not None:
            raise ConfigError("--source-passphrase: what was given is no keystore; a plain key has no passphrase")
        return Vault.of_hex(content)
    return Vault.unlock(content.reveal(), _passphrase(reference, confirm=False), "import")


def _passphrase(reference: str | None, *, confirm: bool) -> Hidden:
    return passphrase(reference, confirm=confirm)


@keys.command("list")
@folder_option
@json_option
def list_keys(folder: Path, as_json: bool) -> int:
    """List the keys of a keystore: address, mode, file. Needs no passphrase.

    \b
    Example:
      arena keys list --json
    """
    found = Keystore(folder).keys()
    text = "\n".join(f"{key.address}  {key.mode:5}  {key.path}" for key in found) or f"no keys in {folder}"
    return _show([_told(key) for key in found], text, as_json)


@keys.command()
@click.argument("wanted", metavar="[ADDRESS]", required=False)
@folder_option
@click.option("--mode", type=click.Choice([str(mode) for mode in Mode]), help="Only a key of this mode.")
@click.option("--unlock", is_flag=True, help="Decrypt the key as well, to prove that file and passphrase fit.")
@passphrase_option
@json_option
def address(
    wanted: str | None, folder: Path, mode: str | None, unlock: bool, passphrase: str | None, as_json: bool
) -> int:
    """Print the address of a key: the only one there is, or the one named.

    \b
    Example:
      arena keys address --mode live --unlock
    """
    store = Keystore(folder)
    key = store.find(wanted, Mode(mode) if mode else None)
    if passphrase is not None and not unlock:
        raise ValidationError("--passphrase is of use with --unlock only")
    if unlock:
        store.unlock(key, _passphrase(passphrase, confirm=False))
    return _show(_told(key) | {"unlocked": unlock}, key.address, as_json)


@keys.command()
@click.argument("file", type=click.Path(path_type=Path))
def serve(file: Path) -> None:
    """Start the signer of FILE: unlock its key and answer on its Unix socket until SIGTERM.

    This process is replaced by one that loads no plugin; only there is the key decrypted.

    \b
    Example:
      arena keys serve signer.toml
    """
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-I", "-m", "treasury_arena_keys.serve", str(file)])
