"""Notifications over the loopback: what arrives, what is tried again, what is lost and told, and that nothing waits for it."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treasury_arena.audience import Audience
from treasury_arena.config.keys import Secret
from treasury_arena.contracts.runtime import ObserverContext
from treasury_arena.errors import ConfigError
from treasury_arena.events import catalog, daemon, live
from treasury_arena.events.event import Event
from treasury_arena.store import EventStore
from treasury_arena_observers.config import TOLD, NotifySection
from treasury_arena_observers.notify import NotifyObserver, build, message
from treasury_arena_observers.outbox import Letter, Outbox, Pace

CANARY = "c4n4ryT0kenNeverShown"
#: Apprise asks for a module of the standard library that later Pythons do not have.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
Append = Callable[..., list[Event]]
Make = Callable[..., NotifyObserver]


def stop(reason: str = "feeds are wrong") -> catalog.EmergencyStopEngaged:
    return catalog.EmergencyStopEngaged("HARD", reason, "ann")


@pytest.fixture
def make(receiver: Any, context: ObserverContext, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Observers of the receiver, whose address holds the canary as user, password, path and query."""
    made: list[NotifyObserver] = []

    def built(urls: str | None = None, **keys: Any) -> NotifyObserver:
        own = f"json://{CANARY}u:{CANARY}p@127.0.0.1:{receiver.port}/{CANARY}?+X-Key={CANARY}h"
        monkeypatch.setenv("ARENA_NOTIFY_TEST", own if urls is None else urls)
        chosen = {"group_seconds": 0.0, "retry_seconds": 0.01, **keys}
        observer = build(NotifySection(urls=Secret("env:ARENA_NOTIFY_TEST"), **chosen), context)
        assert isinstance(observer, NotifyObserver)
        made.append(observer)
        return observer

    yield built
    receiver.silent.clear()
    receiver.go_on.set()
    for observer in made:
        observer.close()


def test_an_event_arrives_at_a_real_webhook(
    make: Make, receiver: Any, append: Append, opened_arena: catalog.ArenaOpened
) -> None:
    observer = make()
    observer.observe(append(opened_arena, stop()))
    receiver.wait(lambda one: bool(one.got))
    (got,) = receiver.got
    assert got["title"] == "first: EmergencyStopEngaged"
    assert got["message"] == "2024-01-01T00:00:00Z EmergencyStopEngaged: feeds are wrong; level HARD, operator ann"
    assert got["type"] == "failure"
    assert CANARY in receiver.paths[0]


def test_the_chosen_types_are_told_and_no_others(make: Make, receiver: Any, append: Append) -> None:
    observer = make(events=("OperatorCalled",))
    observer.observe(append(stop(), live.OperatorCalled("gas", "the purse is empty")))
    observer.observe_live(append(live.OperatorCalled("peg", "a coin is off")))
    observer.close()
    text = "\n".join(got["message"] for got in receiver.got)
    assert "the purse is empty" in text
    assert "a coin is off" in text
    assert "EmergencyStopEngaged" not in text


def test_events_of_one_moment_are_one_message(make: Make, receiver: Any, append: Append) -> None:
    observer = make(group_seconds=3_600.0, lines=2)
    observer.observe(append(*(live.OperatorCalled(str(n), f"call {n}") for n in range(4)), stop()))
    observer.close()  # the end waits for no group
    (got,) = receiver.got
    lines = got["message"].splitlines()
    assert [line.split(": ")[1].split(";")[0] for line in lines[:2]] == ["call 0", "feeds are wrong"]
    assert lines[2:] == ["and 3 more"]
    assert got["title"] == "first: EmergencyStopEngaged, OperatorCalled"


def test_what_is_refused_is_tried_again(make: Make, receiver: Any, append: Append, told: list[str]) -> None:
    receiver.refuse = 3
    observer = make()
    observer.observe(append(stop()))
    receiver.wait(lambda one: bool(one.got))
    observer.close()
    assert len(receiver.paths) == 4
    assert len(receiver.got) == 1
    assert "not delivered, it is tried again" in told[0]
    assert told[1].endswith("delivered at try 4")


def test_what_is_given_up_is_told_and_counted_in_the_next_message(
    make: Make, receiver: Any, append: Append, told: list[str]
) -> None:
    receiver.refuse = 2
    observer = make(tries=2)
    observer.observe(append(stop("first reason")))
    receiver.wait(lambda one: len(one.paths) == 2)
    observer.observe(append(stop("second reason")))
    receiver.wait(lambda one: bool(one.got))
    observer.close()
    text = "\n".join(got["message"] for got in receiver.got)
    assert "second reason" in text
    assert "1 further events could not be told: see `arena events`" in text
    assert any("1 events given up after 2 tries" in line for line in told)


def test_an_address_that_hangs_delays_neither_commit_nor_the_other_address(
    make: Make,
    receiver: Any,
    append: Append,
    store: EventStore,
    told: list[str],
) -> None:
    second = f"json://127.0.0.1:{receiver.port}/second"
    first = f"json://127.0.0.1:{receiver.port}/first"
    observer = make(f"{first} {second}", queue=3, ending_seconds=0.0)
    receiver.silent.set()
    audience = Audience([observer])
    audience.listen(store)
    count = 50
    for number in range(count):
        audience(append(stop(f"reason {number}")))  # returns although nobody answers
    assert store.last()[0] == count
    assert sum("3 events wait already; further ones are lost" in line for line in told) == 2
    receiver.wait(lambda one: {"/first", "/second"} <= {path.rstrip("/") for path in one.paths})
    audience.close()
    assert sum("events not delivered: no answer" in line for line in told) == 2


def test_the_hourly_limit_holds_events_back_and_loses_none(make: Make, receiver: Any, append: Append) -> None:
    observer = make(hourly=2)
    for number in range(2):
        observer.observe(append(stop(f"reason {number}")))
        receiver.wait(lambda one, number=number: len(one.got) == number + 1)
    for number in range(2, 6):
        observer.observe(append(stop(f"reason {number}")))
    assert len(receiver.got) == 2
    observer.close()
    assert len(receiver.got) == 3
    assert all(f"reason {number}" in receiver.got[2]["message"] for number in range(2, 6))


@given(st.lists(st.booleans(), max_size=12), st.integers(1, 400), st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_every_event_is_in_a_message_or_counted_in_one(refusals: list[bool], count: int, queue: int) -> None:
    """Whatever an address refuses before it gets well again, the letters add up."""
    delivered: list[int] = []
    answers = iter(refusals)

    def send(letters: Any, lost: int) -> str:
        if next(answers, False):
            return "no"
        delivered.append(len(letters) + lost)
        return ""

    pace = Pace(group_seconds=0.0, hourly=3_600, tries=2, retry_seconds=0.0001, retry_seconds_max=0.001, queue=queue)
    told: list[str] = []
    outbox = Outbox("test", send, pace, told.append)
    for number in range(count):
        outbox.put(Letter(logging.INFO, "T", str(number)))
    outbox.end()
    outbox.join(30.0)
    left = sum(int(found[1]) for line in told[-1:] if (found := re.search(r": (\d+) events given up", line)))
    assert sum(delivered) + left == count


def test_the_secret_appears_nowhere(
    make: Make,
    receiver: Any,
    append: Append,
    told: list[str],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    context: ObserverContext,
) -> None:
    library = logging.getLogger("apprise")
    library.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "apprise"):
            receiver.refuse = 2
            observer = make(tries=2)
            assert CANARY not in repr(observer) + repr(vars(observer))
            observer.observe(append(stop(f"the node at https://rpc.example/{CANARY} and {CANARY}h failed")))
            receiver.wait(lambda one: len(one.paths) == 2)
            observer.close()
            for urls in (f"nonsense://{CANARY}", f"json://[{CANARY}", f"tgram://{CANARY}"):
                with pytest.raises(ConfigError) as refused:
                    make(urls)
                shown = [
                    repr(frame.f_locals)
                    for frame, _ in traceback.walk_tb(refused.value.__traceback__)
                    if str(frame.f_globals["__name__"]).startswith("treasury_arena")
                ]
                assert len(shown) >= 2
                assert refused.value.__suppress_context__ or refused.value.__context__ is None
                assert CANARY not in "".join(shown) + str(refused.value)
                assert "env:ARENA_NOTIFY_TEST" in str(refused.value)
    finally:
        library.removeHandler(caplog.handler)
    out, err = capfd.readouterr()
    for text in (*told, caplog.text, out, err):
        assert CANARY not in text
    assert told
    assert caplog.text


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (f"tgram://123456789:AA{CANARY * 2}/42", "Telegram"),
        (f"discord://123456789012345678/{CANARY}", "Discord"),
        (f"mailtos://ann:{CANARY}@example.org?to=ann@example.org", "Email"),
        (f"jsons://127.0.0.1/{CANARY}", "JSON"),
    ],
)
def test_the_usual_services_are_known_by_their_kind_alone(
    context: ObserverContext, monkeypatch: pytest.MonkeyPatch, url: str, kind: str
) -> None:
    monkeypatch.setenv("ARENA_NOTIFY_TEST", url)
    observer = NotifyObserver(NotifySection(urls=Secret("env:ARENA_NOTIFY_TEST")), context)
    assert [outbox.name for outbox in observer._outboxes] == [f"address 1 of env:ARENA_NOTIFY_TEST ({kind})"]
    observer.close()


def test_a_missing_secret_and_an_empty_one_are_refused(context: ObserverContext, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="env:ARENA_ABSENT: the environment variable ARENA_ABSENT is not set"):
        build(NotifySection(urls=Secret("env:ARENA_ABSENT")), context)
    file = tmp_path / "urls"
    file.write_text("# nothing yet\n")
    with pytest.raises(ConfigError, match="holds no URL"):
        build(NotifySection(urls=Secret(f"file:{file}")), context)


def test_a_type_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no event type 'FuseTriped'.*FuseTripped"):
        NotifySection(urls=Secret("env:X"), events=("FuseTriped",))


def test_the_default_tells_what_a_person_must_know() -> None:
    assert {"EmergencyStopEngaged", "FuseTripped", "JobMissed", "LeaseLost", "RunCompleted"} <= set(TOLD)
    assert attrs.fields(NotifySection).events.default == TOLD


def test_a_message_without_letters_says_that_events_were_lost() -> None:
    title, body, level = message("first", [], 7, 20)
    assert (title, level) == ("first: events were lost", logging.ERROR)
    assert body == "7 further events could not be told: see `arena events`"


def test_a_missed_job_is_told_in_plain_fields(make: Make, receiver: Any, append: Append) -> None:
    observer = make()
    observer.observe(append(daemon.JobMissed("cycle", 0, 86_400, 86_400, 2, "nobody was there")))
    observer.close()
    assert receiver.got[0]["message"].endswith(
        "JobMissed: nobody was there; job cycle, first 0, last 86400, every 86400, count 2"
    )
    assert receiver.got[0]["type"] == "warning"
