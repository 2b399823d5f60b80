"""The centre's metrics for Prometheus, read when they are asked for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import prometheus_client as prom
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from api.center.entries import Queues
from api.center.model import Numbers
from api.center.refusal import REASONS
from api.center.worker import OUTCOMES, STAGES, Tally

PREFIX = "sharpeyes_center_"


@dataclass(frozen=True, slots=True)
class Sample:
    """The centre at the moment of a scrape.

    Attributes:
        tally: of all workers together.
        workers: processes that live.
        restarts: times that one died.
        queues: what waits in Redis; None where it is away.
        numbers: of the last day; None where the database is away.
    """

    tally: Tally
    workers: int
    restarts: int
    queues: Queues | None
    numbers: Numbers | None


class Metrics(Collector):
    """A registry of its own with the prefix `sharpeyes_center_`, and the standard `process_` metrics.

    Labels are closed tables: no ids of cases, events or nodes.
    """

    def __init__(self, sample: Callable[[], Sample]) -> None:
        self._sample = sample
        self._registry = prom.CollectorRegistry()
        prom.ProcessCollector(registry=self._registry)

    def text(self) -> tuple[bytes, str]:
        """Everything in Prometheus' text format, and its content type."""
        return prom.generate_latest(self), prom.CONTENT_TYPE_PLAIN_0_0_4

    def collect(self) -> Iterator[Metric]:
        """The families, as the client library asks for them."""
        yield from self._registry.collect()
        sample = self._sample()
        yield from _worker_families(sample)
        yield from _queue_families(sample.queues)
        yield from _case_families(sample)


def _worker_families(sample: Sample) -> Iterator[Metric]:
    tally = sample.tally
    yield _gauge("workers", "Worker processes that live.", sample.workers)
    yield _counter("worker_restarts", "Worker processes that died.", sample.restarts)
    yield _labelled("events", "Entries by what became of them.", "outcome", OUTCOMES, tally.events)
    yield _labelled("refused", "Entries refused.", "reason", REASONS, tally.refused)
    yield _counter("batches", "Database transactions of events.", tally.batches)
    yield _counter("redis_failures", "Times that Redis was found away.", tally.redis_failures)
    yield _counter("database_failures", "Times that the database was found away.", tally.database_failures)
    busy = CounterMetricFamily(
        f"{PREFIX}busy_seconds", "Workers' time by stage; read is mostly waiting.", labels=["stage"]
    )
    for stage in STAGES:
        busy.add_metric([stage], tally.seconds.get(stage, 0.0))
    yield busy


def _queue_families(queues: Queues | None) -> Iterator[Metric]:
    yield _gauge("redis_up", "Whether Redis answers.", queues is not None)
    if queues is None:
        return
    yield _gauge("stream_entries", "Entries in the events' stream, stored ones included.", queues.length)
    if queues.lag is not None:
        yield _gauge("stream_lag", "Entries that no worker has read yet.", queues.lag)
    yield _gauge("stream_pending", "Entries read and not yet stored.", queues.pending)
    yield _gauge("dead_letters", "Entries that could not be processed.", queues.dead)
    yield _gauge("quarantined", "Refused entries that are kept.", queues.quarantined)


def _case_families(sample: Sample) -> Iterator[Metric]:
    numbers = sample.numbers
    yield _gauge("database_up", "Whether the database answers.", numbers is not None)
    if numbers is None:
        return
    yield _gauge("cases_opened_lately", "Cases opened in the last day.", numbers.opened)
    yield _gauge("cases_ended_lately", "Cases closed, rejected or voided in the last day.", numbers.ended)
    stages = GaugeMetricFamily(
        f"{PREFIX}case_stage_seconds",
        "Time that cases stayed in a stage, of the last day.",
        labels=["stage", "quantile"],
    )
    for stage in numbers.stages:
        stages.add_metric([stage.stage.value, "0.5"], stage.p50_s)
        stages.add_metric([stage.stage.value, "0.9"], stage.p90_s)
    yield stages
    indicators = GaugeMetricFamily(
        f"{PREFIX}indicator_ratio", "The four indicators over the last day.", labels=["indicator"]
    )
    for name in ("coverage", "sharing", "availability", "control"):
        value = getattr(numbers.indicators, name)
        if value is not None:
            indicators.add_metric([name], value)
    yield indicators


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text)
    family.add_metric([], value)
    return family


def _labelled(name: str, text: str, label: str, known: Sequence[str], values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=[label])
    for one in known:
        family.add_metric([one], values.get(one, 0))
    return family
