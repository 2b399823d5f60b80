"""A centre that lost its database, or got an old copy of it back, asks for what it had receipted once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.outbox import Outbox
from tests.support.outbox_drafts import draft

PLENTY = 1_000_000


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db", PLENTY, until="receipted") as opened:
        opened.append([draft()] * 10)
        opened.sent(range(1, 11))
        opened.receipted(8)
        yield opened


def given_up(outbox: Outbox) -> list[tuple[int, int]]:
    return outbox._gaps.covering(1, outbox.counts().newest)


def test_what_was_let_go_is_said_to_be_gone_so_that_the_hole_closes(outbox: Outbox) -> None:
    assert outbox.receipted(0) == 0

    # two are still here and go out again, the others are named in a gap
    assert outbox.ask_again(1, 10) == 2
    assert given_up(outbox) == [(1, 8)]


def test_an_old_copy_lacks_only_what_came_after_it(outbox: Outbox) -> None:
    outbox.receipted(5)

    assert outbox.ask_again(1, 10) == 2
    assert given_up(outbox) == [(6, 8)]


def test_a_question_that_a_receipt_overtook_makes_no_gap(outbox: Outbox) -> None:
    assert outbox.ask_again(3, 8) == 0
    assert given_up(outbox) == []


def test_it_is_so_after_a_restart(tmp_path: Path, outbox: Outbox) -> None:
    outbox.close()

    with Outbox(tmp_path / "outbox.db", PLENTY, until="receipted") as opened:
        opened.receipted(0)
        assert opened.ask_again(1, 10) == 2
        assert given_up(opened) == [(1, 8)]
