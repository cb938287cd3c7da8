"""The signer process: ``python -I -m treasury_arena_keys.serve FILE``. It loads no plugin and opens no network connection."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path

from treasury_arena.clock import WallClock
from treasury_arena.errors import ConfigError, TreasuryArenaError
from treasury_arena_keys.hidden import RECURSION, harden, passphrase, private_folder


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Errors are one sentence on standard error."""
    harden()
    try:
        if len(arguments) != 1:
            raise ConfigError("expected one argument, the signer's file")
        return _serve(Path(arguments[0]))
    except TreasuryArenaError as error:
        print(f"arena: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except OSError as error:
        print(f"arena: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr, flush=True)
        return 2


def _alone(path: Path) -> int:
    """Hold the lock of a socket for as long as this process lives. Raises ConfigError while another signer does."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"another signer serves here: {path} is locked") from None
    return file


def _serve(file: Path) -> int:
    # Imported after `harden`, so that nothing runs in a process whose memory others may read.
    from treasury_arena_keys.book import NonceBook
    from treasury_arena_keys.desk import Desk, Rate
    from treasury_arena_keys.keystore import Keystore, Mode
    from treasury_arena_keys.sentinel import placed
    from treasury_arena_keys.server import Server, listen, log
    from treasury_arena_keys.settings import read_settings

    sys.setrecursionlimit(RECURSION)  # py_ecc, which eth_account imports, lifts it so far that deep input would crash
    settings = read_settings(file)
    clock = WallClock()
    path = settings.socket
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    private_folder(path.parent, "socket")
    _alone(path.with_name(f"{path.name}.lock"))
    store = Keystore(settings.keystore)
    key = store.find(settings.address, Mode(settings.mode))
    book = NonceBook(path.with_name(f"{path.name}.nonces"), clock)
    secret = settings.passphrase
    vault = store.unlock(key, passphrase(str(secret) if secret is not None else None))
    desk = Desk(vault, settings.policy(), book, Rate(settings.limits.signatures_per_minute), placed(settings.stop_file))
    server = Server(listen(path), desk, clock)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    log(
        clock,
        f"ready: {key.address} on chain {settings.chain_id}, {settings.mode}, at {path}, stop file {desk.stop_file}",
    )
    server.run()
    path.unlink(missing_ok=True)
    book.close()
    log(clock, "ended")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
