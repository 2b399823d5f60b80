"""Guessing: every try costs the same, accounts lock, addresses are slowed down, and memory is bounded."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from api.access import accounts, lockout, sessions
from api.access.gate import MOST_WAITING, WRONG
from api.access.lockout import FIRST_LOCK_S, FREE_TRIES, LONGEST_LOCK_S, MOST, Lockout, Rate
from api.access.passwords import Passwords, check_choice, quick
from api.access.roles import Principal
from api.access.sessions import MOST_OF_ONE, Sessions
from api.access.tokens import PREFIX, new_token, same
from api.node import create_app
from tests.support.access import PASSWORD, House, client, sign_in
from tests.support.api_node import FakeNode

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
async def app(house: House) -> FastAPI:
    return create_app(FakeNode(), access=house.access)


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app) as asking:
        yield asking


def outcomes(house: House) -> list[tuple[str, str, str, str]]:
    return [(act.who, act.what, act.object, act.outcome) for act in house.acts()]


async def test_every_refusal_is_the_same(app: FastAPI, house: House) -> None:
    house.user("li")
    answers = set()
    for address, name, password in (("192.0.2.1", "li", "wrong"), ("192.0.2.2", "nobody", PASSWORD)):
        async with client(app, address=address) as http:
            answer = await sign_in(http, name, password)
            answers.add((answer.status_code, answer.text))
    for number in range(FREE_TRIES):
        async with client(app, address=f"192.0.2.{10 + number}") as http:
            await sign_in(http, "li", "wrong")
    async with client(app, address="192.0.2.30") as http:
        locked = await sign_in(http, "li")
    answers.add((locked.status_code, locked.text))
    assert len(answers) == 1
    assert WRONG in locked.text


async def test_every_try_costs_the_same(app: FastAPI, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: each try checks one hash, of the same cost."""
    house.user("li")
    checked: list[str] = []
    real = house.passwords._verified

    def counted(kept: str, password: str) -> bool:
        checked.append(kept.rpartition("$")[0].rpartition("$")[0])
        return real(kept, password)

    monkeypatch.setattr(house.passwords, "_verified", counted)
    for number in range(FREE_TRIES + 2):
        async with client(app, address=f"192.0.2.{number}") as http:
            await sign_in(http, "li", "wrong")
    for number, name in enumerate(("nobody", "li", "x" * 80)):
        async with client(app, address=f"192.0.2.{100 + number}") as http:
            await sign_in(http, name)
    assert len(checked) == FREE_TRIES + 5
    assert len(set(checked)) == 1


async def test_an_account_locks_and_opens_again(app: FastAPI, house: House) -> None:
    house.user("li")

    async def trying(password: str) -> int:
        house.clock.now_s += 1
        async with client(app, address=f"192.0.{house.clock.now_s % 250:.0f}.1") as http:
            return (await sign_in(http, "li", password)).status_code

    for _ in range(FREE_TRIES):
        assert await trying("wrong") == 401
    assert await trying(PASSWORD) == 401
    house.clock.now_s += FIRST_LOCK_S
    assert await trying(PASSWORD) == 204
    assert outcomes(house)[-3:] == [
        ("-", "lockout", "li", "failed"), ("-", "login", "li", "failed"), ("li", "login", "", "done"),
    ]  # fmt: skip


async def test_an_address_gets_few_tries(http: httpx.AsyncClient, house: House) -> None:
    house.user("li")
    answers = [await sign_in(http, f"name{n}", "wrong") for n in range(lockout.BURST + 1)]
    assert [answer.status_code for answer in answers] == [401] * lockout.BURST + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    house.clock.now_s += int(answers[-1].headers["retry-after"])
    assert (await sign_in(http, "li")).status_code == 204


async def test_locks_grow_to_a_limit_and_are_forgotten() -> None:
    now = [0.0]
    lock = Lockout(lambda: now[0])
    lengths = []
    for _ in range(FREE_TRIES + 8):
        if lock.failed("li"):
            begun = now[0]
            while lock.locked("li"):
                now[0] += 1
            lengths.append(now[0] - begun)
    assert lengths[:3] == [FIRST_LOCK_S, 2 * FIRST_LOCK_S, 4 * FIRST_LOCK_S]
    assert max(lengths) == LONGEST_LOCK_S
    now[0] += lockout.FORGOTTEN_S + 1
    assert not any(lock.failed("li") for _ in range(FREE_TRIES - 1))
    assert lock.failed("li")
    assert not lock.failed("li")
    lock.succeeded("li")
    assert not lock.locked("li")


async def test_memory_is_bounded_and_locks_outlast_a_flood() -> None:
    lock, rate = Lockout(lambda: 0.0), Rate(lambda: 0.0)
    for _ in range(FREE_TRIES):
        lock.failed("li")
    for number in range(2 * MOST):
        lock.failed(f"name-{number}")
        rate.take(f"address-{number}")
    assert len(lock) <= MOST
    assert len(rate) <= MOST
    assert lock.locked("li")
    for number in range(MOST + 1):
        for _ in range(FREE_TRIES):
            lock.failed(f"other-{number}")
    assert len(lock) <= MOST
    many = Sessions(lambda: 0.0, 60, 60)
    for number in range(sessions.MOST + 5):
        many.begin(Principal(f"user{number}"))
    assert len(many) == sessions.MOST
    for _ in range(MOST_OF_ONE + 3):
        last = many.begin(Principal("li"))
    assert sum(one.principal.name == "li" for one in many._sessions.values()) == MOST_OF_ONE
    assert many.find(last) is not None


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("short", "12 to 128"), ("x" * 129, "12 to 128"), ("aaaabbbbccccdddd", "few different"),
        ("my name is LI-hua!", "hold the name"), ("twelve\x00characters", "control"),
    ],
)  # fmt: skip
async def test_passwords_that_will_not_do(password: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        check_choice(password, "li-hua")
    assert password not in str(caught.value)


async def test_passwords_are_argon2id_of_a_cost_that_hurts() -> None:
    kept = Passwords().hash(PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    cheap = quick()
    composed, decomposed = "\u00e9criture 12345", "e\u0301criture 12345"
    assert cheap.check(composed, cheap.hash(decomposed))
    assert not cheap.check(PASSWORD, None)
    assert not cheap.check(PASSWORD, "no hash")
    assert not cheap.check("\ud800", cheap.hash(PASSWORD))


async def test_tokens_are_of_256_random_bits() -> None:
    assert new_token(lambda count: bytes(range(count))) == PREFIX + bytes(range(32)).hex()
    assert new_token() != new_token()
    assert same("ä\ud800", "ä\ud800")
    assert not same("a", "b")


async def test_a_crowd_at_the_door_is_told_to_come_again(
    app: FastAPI, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    real = house.passwords._verified

    def slow(kept: str, password: str) -> bool:
        assert go_on.wait(20)
        return real(kept, password)

    house.user("li")
    monkeypatch.setattr(house.passwords, "_verified", slow)
    async with AsyncExitStack() as stack:
        crowd = [
            await stack.enter_async_context(client(app, address=f"192.0.2.{number}"))
            for number in range(MOST_WAITING + 1)
        ]
        trying = [asyncio.create_task(sign_in(one, "li")) for one in crowd]
        done, _ = await asyncio.wait(trying, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = done
        assert refused.result().status_code == 503
        assert (await crowd[0].get("/healthz")).status_code == 200
        go_on.set()
        assert sorted(answer.status_code for answer in await asyncio.gather(*trying)) == [204] * 8 + [503]


async def test_every_token_is_looked_at_whichever_it_is(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: neither place nor likeness of a token shows in the work."""
    secrets = [house.token("viewer", name=f"machine-{number}") for number in range(5)]
    compared: list[str] = []
    monkeypatch.setattr(accounts, "same", lambda one, other: compared.append(one) or same(one, other))
    book, now = house.accounts.book(), house.clock.utc()
    for secret in (secrets[0], secrets[4], secrets[2][:-1] + "x", "", "x" * 10_000):
        compared.clear()
        book.token(secret, now)
        assert len(compared) == 5
