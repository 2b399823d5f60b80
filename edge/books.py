"""Keeps the node's books: what each camera's tasks saw, as events and as totals."""

from collections import Counter
from collections.abc import Mapping

from edge.account import Covered, Reading
from edge.config import Config
from edge.coverage import Ledger, reading_of
from edge.events import EventContext, EventDraft, coverage_events
from edge.floors import tasks_of
from edge.seen import CameraSeen
from streams.clock import Clock
from streams.service import Service


class Books:
    """Steps the coverage ledger by what is seen of each camera.

    Args:
        config: of the node.
        context: of the node, for its events.
        clock: monotonic for the books, UTC for labels.
    """

    def __init__(self, config: Config, context: EventContext, clock: Clock) -> None:
        self._wanted = {camera.id: camera.analysed_fps for camera in config.cameras}
        self._context = context
        self._clock = clock
        tasks = {camera.id: tasks_of(camera) for camera in config.cameras}
        self._ledger = Ledger(tasks, clock.monotonic(), config.node.coverage_s)

    def step(
        self,
        seen: Mapping[str, CameraSeen],
        services: Mapping[str, Service],
        failures: Counter[str],
    ) -> list[EventDraft]:
        """Book the time since the last step; returns `node.coverage` when it is due.

        Args:
            seen: by camera id.
            services: what the plan grants; a camera that is missing has what it asks for.
            failures: pictures by camera whose analysis failed.
        """
        readings: dict[str, Reading] = {}
        for id_, (reader, frames) in seen.items():
            service = services.get(id_, Service(self._wanted[id_]))
            readings[id_] = reading_of(
                reader,
                service,
                self._wanted[id_],
                looks=frames.delivered,
                failures=failures[id_],
            )
        report = self._ledger.step(self._clock.monotonic(), readings)
        return [] if report is None else coverage_events(self._context, self._clock.utc(), report)

    def close(self) -> list[EventDraft]:
        """The last report: nobody looks from here on."""
        return coverage_events(self._context, self._clock.utc(), self._ledger.close(self._clock.monotonic()))

    def totals(self) -> tuple[Covered, ...]:
        """All time since the start, by camera, task and cell."""
        return self._ledger.totals()
