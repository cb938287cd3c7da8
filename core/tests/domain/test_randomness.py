"""Streams depend on their address alone."""

from __future__ import annotations

import itertools

import pytest

from treasury_arena.randomness import stream

ADDRESS = (7, 3, "search/farmer", 2)


def test_the_same_address_draws_the_same_numbers() -> None:
    assert stream(*ADDRESS).random(8).tolist() == stream(*ADDRESS).random(8).tolist()


def test_a_stream_does_not_depend_on_draws_made_elsewhere() -> None:
    alone = stream(*ADDRESS).random(8).tolist()
    other = stream(7, 3, "search/trend")
    mine = stream(*ADDRESS)
    interleaved = []
    for _ in range(8):
        other.random()
        interleaved.append(float(mine.random()))
    assert interleaved == alone


@pytest.mark.parametrize(
    "changed",
    [(8, 3, "search/farmer", 2), (7, 4, "search/farmer", 2), (7, 3, "search/trend", 2), (7, 3, "search/farmer", 3)],
)
def test_every_part_of_the_address_counts(changed: tuple[int, int, str, int]) -> None:
    assert stream(*changed).random(4).tolist() != stream(*ADDRESS).random(4).tolist()


def test_neighbouring_addresses_do_not_run_together() -> None:
    firsts = {float(stream(a, b, "x", c).random()) for a, b, c in itertools.product(range(6), repeat=3)}
    assert len(firsts) == 6**3
    assert float(stream(1, 12, "x").random()) != float(stream(11, 2, "x").random())


def test_numbers_stay_the_same_from_release_to_release() -> None:
    assert stream(42, 0, "golden").integers(0, 10**6, 4).tolist() == [998110, 204374, 998094, 236990]
