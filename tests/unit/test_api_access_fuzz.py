"""Schemathesis over the node's own description, as every role: it answers as it says, and never 500."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.access.roles import Role
from api.access.rules import rules_of
from api.node import create_app
from edge.audit import verify_log
from tests.support.access import House
from tests.support.api_node import FakeNode, make_events

EXAMPLES = 15
"""By operation, role and kind of data (right or wrong); all of it takes some seconds."""
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
]  # fmt: skip
schemathesis.serializer.alias(["application/sdp", "application/trickle-ice-sdpfrag"], "text/plain")
KEPT = "argon2"
"""Begins what is kept of every password: it stands in no answer."""


async def quiet_node() -> FakeNode:
    """A node with events whose stream ends at once."""
    node = FakeNode()
    await node.show(make_events(3))
    node.board.close()
    return node


def served(house: House) -> FastAPI:
    loop = asyncio.new_event_loop()
    try:
        return create_app(loop.run_until_complete(quiet_node()), access=house.access)
    finally:
        loop.close()


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("role", [*Role, None])
def test_it_answers_as_described(tmp_path: Path, role: Role | None, mode: GenerationMode) -> None:
    house = House(tmp_path)
    house.user("li", "admin")
    app = served(house)
    headers = {"Authorization": f"Bearer {house.token(role)}"} if role is not None else {}
    schema = schemathesis.openapi.from_dict(app.openapi())
    schema.app = app
    asked: set[str] = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        strategies = operation.as_strategy(generation_mode=mode)

        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=strategies)
        def ask(case: Any) -> None:
            house.clock.now_s += 60  # nobody is slowed down here
            answer = case.call(base_url="http://127.0.0.1:8080", headers=headers)
            case.validate_response(answer, checks=CHECKS)
            assert KEPT not in answer.text
            asked.add(case.operation.path)

        # where nothing is taken, nothing can be wrong
        with suppress(Unsatisfiable):
            ask()
    described = {path for _, path, _ in rules_of(app)} & set(app.openapi()["paths"])
    least = {"/login", "/setup", "/events", "/events/recent"}
    assert asked == described if mode is GenerationMode.POSITIVE else asked >= least
    assert not verify_log(tmp_path).fault
