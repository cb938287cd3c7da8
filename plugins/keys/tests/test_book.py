"""The nonce book: one transaction for a nonce, unless another outbids it, and nothing is signed that it cannot hold."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treasury_arena.clock import VirtualClock
from treasury_arena.contracts.chain import Fees, Unsigned
from treasury_arena.errors import ConfigError, SignerError
from treasury_arena_keys.book import NonceBook, least_replacement

ME = "0x" + "Aa" * 20
FIRST = Unsigned(31337, ME, 7, "0x" + "bb" * 20, 0, "0x00", 50_000, Fees(800, 80))
CLOCK = VirtualClock(datetime(2024, 5, 1, tzinfo=UTC))


def opened(path: Path) -> NonceBook:
    return NonceBook(path, CLOCK)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nonces"


@pytest.fixture
def book(path: Path) -> Iterator[NonceBook]:
    found = opened(path)
    found.claim(FIRST, "first")
    yield found
    found.close()


def refused(book: NonceBook, transaction: Unsigned, digest: str) -> SignerError:
    with pytest.raises(SignerError) as error:
        book.claim(transaction, digest)
    return error.value


def test_the_same_transaction_is_signed_again(book: NonceBook) -> None:
    book.claim(FIRST, "first")
    book.claim(attrs.evolve(FIRST, sender=ME.lower()), "first")


@pytest.mark.parametrize(("cap", "tip"), [(899, 90), (900, 89), (0, 0), (10**30, 89)])
def test_another_one_must_outbid_it_in_both_fees(book: NonceBook, cap: int, tip: int) -> None:
    other = attrs.evolve(FIRST, fees=Fees(cap, tip))
    error = refused(book, other, "second")
    assert (error.code, error.least_cap_raw, error.least_tip_raw) == ("nonce", 900, 90)
    assert "nonce 7; a replacement needs a fee cap of 900 and a tip of 90 wei" in str(error)
    assert refused(book, other, "second").code == "nonce"  # what was refused was not written down


def test_what_outbids_is_outbid_in_turn_by_the_highest(book: NonceBook) -> None:
    book.claim(attrs.evolve(FIRST, fees=Fees(900, 90)), "second")
    book.claim(attrs.evolve(FIRST, fees=Fees(1_013, 102)), "third")
    error = refused(book, attrs.evolve(FIRST, fees=Fees(1_139, 115)), "fourth")
    assert (error.least_cap_raw, error.least_tip_raw) == (1_140, 115)
    for earlier in ("first", "second", "third"):
        book.claim(FIRST, earlier)


@pytest.mark.parametrize("change", [{"chain_id": 1}, {"sender": "0x" + "cc" * 20}, {"nonce": 8}], ids=str)
def test_other_chains_senders_and_nonces_are_their_own(book: NonceBook, change: dict[str, object]) -> None:
    book.claim(attrs.evolve(FIRST, **change), "second")  # type: ignore[arg-type]
    assert refused(book, FIRST, "second").code == "nonce"


def test_capitals_of_a_sender_make_no_other_sender(book: NonceBook) -> None:
    assert refused(book, attrs.evolve(FIRST, sender=ME.lower()), "second").code == "nonce"


def test_a_book_that_is_opened_again_remembers(book: NonceBook, path: Path) -> None:
    book.close()
    again = opened(path)
    again.claim(FIRST, "first")
    assert refused(again, FIRST, "second").code == "nonce"
    again.close()
    with contextlib.closing(sqlite3.connect(path)) as direct:
        rows = direct.execute("SELECT * FROM signed").fetchall()
    assert rows == [(31337, ME.lower(), "7", "first", "800", "80", "2024-05-01T00:00:00Z")]


def test_nonces_and_fees_of_any_size(path: Path) -> None:
    book = opened(path)
    large = attrs.evolve(FIRST, nonce=2**64 - 1, fees=Fees(2**200, 2**199))
    book.claim(large, "first")
    assert refused(book, large, "second").least_cap_raw == 9 * 2**197
    book.close()


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_a_replacement_is_an_eighth_dearer_rounded_up(cap: int, tip: int) -> None:
    least = least_replacement(cap, tip)
    for was, needed in ((cap, least.cap_raw), (tip, least.tip_raw)):
        assert 8 * needed >= 9 * was > 8 * (needed - 1)


def test_only_its_owner_reads_it_and_one_process_has_it(book: NonceBook, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="cannot be used"):
        opened(path)


def test_a_file_of_everybody_is_refused(path: Path) -> None:
    path.touch()
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="nonce book"):
        opened(path)


def test_a_file_that_is_no_book_is_refused(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="cannot be used"):
        opened(path)


def test_what_cannot_be_written_is_not_signed(book: NonceBook) -> None:
    book.close()
    error = refused(book, attrs.evolve(FIRST, nonce=8), "other")
    assert error.code == "book"
    assert "nothing is signed" in str(error)


def test_a_damaged_book_is_refused(book: NonceBook, path: Path) -> None:
    for nonce in range(100, 400):
        book.claim(attrs.evolve(FIRST, nonce=nonce), f"digest-{nonce}")
    book.close()
    content = bytearray(path.read_bytes())
    content[2 * 4096 + 12 : 2 * 4096 + 14] = b"\x00\x09"  # where a row of the table lies
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is damaged; put back a copy"):
        opened(path)
