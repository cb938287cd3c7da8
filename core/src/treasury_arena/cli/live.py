"""What the commands about orders on a chain share: the live store of a daemon's folder, and its trading without a key."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from treasury_arena.cli.common import find_folder, find_store, read_config, say
from treasury_arena.clock import WallClock
from treasury_arena.daemon.opening import stop_file
from treasury_arena.daemon.trading import ChainTrading, NoSigner
from treasury_arena.errors import ConfigError
from treasury_arena.registry.loader import load_registry
from treasury_arena.store import EventStore, open_store
from treasury_arena.trading.live.records import IntentRecord, Records


def live_store(run: Path | None, out: Path | None, *, readonly: bool) -> EventStore:
    folder = find_folder(run, out)
    url = folder.live_url()
    if url is None:
        raise ConfigError(f"{folder.path} has no orders on a chain: they are those of a daemon in mode local or live")
    return open_store(url, create=False, readonly=readonly)


@contextlib.contextmanager
def chain_trading(
    run: Path | None, out: Path | None, db: str | None = None, *, readonly: bool = False
) -> Iterator[ChainTrading]:
    """The orders of a daemon's folder with its chain, signing nothing. `db`: the arena's database, else the folder's own."""
    folder = find_folder(run, out)
    registry = load_registry()
    settings = read_config(folder.kept_config(), registry, {"seed": folder.notes()["seed"]})
    with find_store(run, out, db) as arena, live_store(run, out, readonly=readonly) as store:
        signer = NoSigner(settings.live.address)
        stop = stop_file(arena, folder.path)
        yield ChainTrading(settings, registry, store, arena, WallClock(), stop, settings.daemon.fuses, say, signer)


def told_order(records: Records, intent: IntentRecord) -> dict[str, Any]:
    slot = records.open_slot(intent.intent_id)
    attempts = [] if slot is None else records.attempts(slot.slot)
    return {
        "id": intent.intent_id,
        "state": str(intent.state),
        "agent": intent.agent_id or "",
        "role": intent.role,
        "market": intent.market,
        "target_raw": intent.target_raw,
        "reserved_at": intent.reserved_at,
        "step": min(intent.next_step + 1, len(intent.steps)),
        "steps": len(intent.steps),
        "why": intent.failed or "",
        "transactions": [
            {"nonce": slot.nonce, "state": str(slot.state), "kind": attempt.call["kind"], "hash": attempt.tx_hash}
            for attempt in attempts
            if slot is not None
        ],
    }
