"""The chain of hashes finds any change."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from api.center.history import GENESIS, Entry, check, seal

entries = st.builds(
    Entry,
    id=st.just(0),
    case=st.none() | st.integers(1, 9),
    at_ms=st.integers(0, 10**13),
    who=st.text(max_size=5),
    action=st.sampled_from(["open", "accept"]),
    before=st.none() | st.just("REPORTED"),
    after=st.none() | st.just("ACCEPTED"),
    why=st.text(max_size=8),
    detail=st.just("{}"),
)
chains = st.lists(entries, min_size=1, max_size=6)


def sealed(rows: list[Entry]) -> list[tuple[Entry, str]]:
    chain, last = [], GENESIS
    for number, row in enumerate(rows, 1):
        entry = row._replace(id=number)
        last = seal(last, entry)
        chain.append((entry, last))
    return chain


def test_an_empty_history_is_whole() -> None:
    verified = check([], 0, GENESIS)
    assert verified.intact
    assert verified.rows == 0


@given(chains)
def test_an_untouched_history_is_whole(rows: list[Entry]) -> None:
    chain = sealed(rows)
    verified = check(chain, len(chain), chain[-1][1])
    assert (verified.rows, verified.first_broken, verified.head) == (len(rows), None, chain[-1][1])


@given(chains, st.data())
def test_any_single_change_is_found(rows: list[Entry], data: st.DataObject) -> None:
    chain = sealed(rows)
    at = data.draw(st.integers(0, len(chain) - 1))
    entry, hashed = chain[at]
    column = data.draw(st.sampled_from([*Entry._fields, "hash"]))
    old = hashed if column == "hash" else getattr(entry, column)
    new = data.draw(st.none() | st.integers() | st.text(max_size=9) | st.binary(max_size=3))
    if new == old and type(new) is type(old):
        return
    changed = (entry, new) if column == "hash" else (entry._replace(**{column: new}), hashed)
    broken = [*chain[:at], changed, *chain[at + 1 :]]
    verified = check(broken, len(chain), chain[-1][1])
    assert verified.first_broken == at + 1


@given(chains, st.data())
def test_rows_left_out_added_or_swapped_are_found(rows: list[Entry], data: st.DataObject) -> None:
    chain = sealed(rows)
    head = chain[-1][1]
    at = data.draw(st.integers(0, len(chain) - 1))
    shorter = chain[:at] + chain[at + 1 :]
    assert check(shorter, len(chain), head).first_broken == at + 1
    longer = sealed([*rows, rows[0]])
    assert check(longer, len(chain), head).first_broken == len(chain) + 1
    for one, other in itertools.pairwise(range(len(chain))):
        swapped = list(chain)
        swapped[one], swapped[other] = swapped[other], swapped[one]
        assert check(swapped, len(chain), head).first_broken == one + 1


def test_a_chain_that_was_replaced_as_a_whole_differs_in_its_head() -> None:
    entry = Entry(1, None, 0, "a", "surge", None, None, "b", "{}")
    forged = sealed([entry._replace(why="c")])
    assert check(forged, 1, sealed([entry])[-1][1]).first_broken == 1
