"""The log: lines parsed back, ids on each, masked, rotated, and what a full disk does."""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.contracts.runtime import ObserverContext
from treasury_arena.errors import ConfigError
from treasury_arena.events import catalog, daemon, live
from treasury_arena.events.event import Event
from treasury_arena_observers.config import LogSection
from treasury_arena_observers.log import LogObserver, build
from treasury_arena_observers.masking import Mask, MaskedRecords

Sealed = Callable[..., list[Event]]
CANARY = "c4n4ryT0kenNeverShown"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_event_is_one_line_with_its_ids(context: ObserverContext, sealed: Sealed, tmp_path: Path) -> None:
    observer = build(LogSection(path=Path("logs/events.jsonl"), level="debug"), context)
    order = catalog.OrderReserved("i1", "m", "coin", 1, 0, 5, 5)
    stored = sealed(order, daemon.JobClaimed("mark", 60, 1), agent="trend-0001")
    observer.observe(stored)
    observer.observe_live(sealed(live.SlotDisplaced("i2", 1, "0xabc", 7, "used elsewhere")))
    observer.close()
    first, second, third = lines(tmp_path / "logs/events.jsonl")
    assert first == {
        "run": "first",
        "time": stored[0].timestamp,
        "log": "arena",
        "seq": 1,
        "agent": "trend-0001",
        "order": "i1",
        "payload": json.loads(stored[0].data)["payload"],
        "event": "OrderReserved",
        "level": "info",
    }
    assert (second["level"], second["order"], second["payload"]["token"]) == ("debug", None, 1)
    assert (third["log"], third["order"], third["level"]) == ("live", "i2", "error")


def test_the_level_leaves_out_what_is_less_grave(context: ObserverContext, sealed: Sealed, tmp_path: Path) -> None:
    observer = build(LogSection(path=Path("log"), level="warning"), context)
    observer.observe(
        sealed(
            daemon.JobClaimed("mark", 60, 1),
            daemon.JobFinished("mark", 60, ""),
            daemon.JobFinished("mark", 120, "no data"),
            catalog.RunCompleted(1, 2, 3),
            catalog.FuseTripped("survival", 1, "drawdown", [], []),
        )
    )
    observer.close()
    assert [line["event"] for line in lines(tmp_path / "log")] == ["JobFinished", "FuseTripped"]


def test_standard_error_gets_the_same_lines(
    context: ObserverContext, sealed: Sealed, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    observer = build(LogSection(path=Path("stderr")), context)
    observer.observe(sealed(catalog.RunCompleted(1, 2, 3)))
    observer.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["payload"] == {"capital_raw": "3", "cycle": 1, "row": 2}
    assert not (tmp_path / "stderr").exists()


def test_secrets_are_masked_wherever_they_stand(
    context: ObserverContext, sealed: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", f"{CANARY}env")
    observer = build(LogSection(path=Path("log"), level="debug"), context)
    texts = (
        f"https://rpc.example/v2/{CANARY} does not answer",
        f"postgresql://ann:{CANARY}@db/arena is gone",
        f"Authorization: Bearer {CANARY}",
        f'{{"password": "{CANARY}"}}',
        f"env says {CANARY}env",
    )
    observer.observe_live(
        sealed(*(live.SendObserved("i1", 1, "0xa", 1, "0xb", "node", "refused", t, 1) for t in texts))
    )
    call = {"to": "0xa", "secret": CANARY, "deep": [{"api_key": CANARY}]}
    observer.observe_live(
        sealed(live.AttemptSigned("i1", 0, 1, "0xa", 1, 1, "original", "0xb", f"0x{CANARY}", 1, 1, 1, call, "0xd", 1))
    )
    observer.close()
    text = (tmp_path / "log").read_text()
    assert len(text.splitlines()) == len(texts) + 1
    assert CANARY not in text
    assert "does not answer" in text
    assert CANARY not in repr(vars(observer))


def test_the_file_is_private_and_rotates_without_losing_a_line(
    context: ObserverContext, sealed: Sealed, tmp_path: Path
) -> None:
    observer = build(LogSection(path=Path("log"), rotate_bytes=10_000, keep=50), context)
    events = sealed(*(catalog.EmergencyStopEngaged("SOFT", f"reason {n}" + "x" * 200, "ann") for n in range(200)))
    observer.observe(events)
    observer.close()
    files = sorted(tmp_path.glob("log*"))
    assert len(files) > 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert all(file.stat().st_size <= 10_000 for file in files)
    assert sorted(line["seq"] for file in files for line in lines(file)) == [event.seq for event in events]


def test_a_full_disk_is_told_once_and_the_log_goes_on(
    context: ObserverContext, sealed: Sealed, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    observer = build(LogSection(path=Path("log")), context)
    assert isinstance(observer, LogObserver)

    def full(text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(observer._handler, "format", full)
        observer.observe(sealed(*(catalog.RunCompleted(n, 2, 3) for n in range(3))))
    observer.observe(sealed(catalog.RunCompleted(9, 2, 3)))
    observer.close()
    assert told == [
        "observer.log: lines are lost: OSError: [Errno 28] No space left on device",
        "observer.log: it goes on; 3 lines were lost",
    ]
    assert [line["payload"]["cycle"] for line in lines(tmp_path / "log")] == [9]


def test_half_a_line_of_a_killed_process_spoils_no_other(
    context: ObserverContext, sealed: Sealed, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text('{"run": "fir')
    for cycle in range(2):
        observer = build(LogSection(path=Path("log")), context)
        observer.observe(sealed(catalog.RunCompleted(cycle, 2, 3)))
        observer.close()
    half, *whole = (tmp_path / "log").read_text().splitlines()
    assert half == '{"run": "fir'
    assert [json.loads(line)["payload"]["cycle"] for line in whole] == [0, 1]


def test_a_file_that_cannot_be_written_is_refused(context: ObserverContext, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"observer\.log\.path: .*file/log cannot be written"):
        build(LogSection(path=Path("file/log")), context)


@given(st.text(alphabet="abcXYZ0123/:?&=@. -_", min_size=4, max_size=30), st.text(max_size=20), st.text(max_size=20))
def test_a_known_secret_never_passes_the_mask(secret: str, before: str, after: str) -> None:
    mask = Mask([secret])
    if len(secret) >= 4 and secret not in "***":
        assert secret not in mask(f"{before}{secret}{after}").replace("***", "\0")
    assert secret not in repr(mask)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False), lambda inner: st.lists(inner))
)
def test_what_is_no_text_is_left_as_it_is(value: Any) -> None:
    assert Mask().value(value) == value


def test_ports_and_short_parts_do_not_spoil_what_is_told() -> None:
    mask = Mask([f"json://ann:pass@localhost:8080/hook/{CANARY}?to=12345678901"])
    assert mask("1808000 base units, a hooked passer, step 8080") == "1808000 base units, a hooked passer, step 8080"
    assert mask(f"pass hook x{CANARY}x 12345678901") == "*** *** x***x ***"


def test_records_of_libraries_are_masked_with_their_tracebacks() -> None:
    error = ValueError(CANARY)
    record = logging.LogRecord("urllib3", logging.DEBUG, "f", 1, "GET /%s", (CANARY,), (ValueError, error, None))
    assert MaskedRecords(Mask([f"json://host/{CANARY}"])).filter(record)
    assert CANARY not in logging.Formatter().format(record)
    assert "ValueError" in record.getMessage()
