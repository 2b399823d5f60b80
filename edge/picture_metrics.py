"""Metrics of pictures for people: evidence and live view. Part of `edge.metrics`."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from edge.evidence_queue import REASONS
from edge.evidence_service import EvidenceSample
from edge.evidence_store import WHYS
from edge.live import LiveCounts


def live_families(live: Mapping[str, LiveCounts]) -> Iterator[Metric]:
    """What live view does, by camera."""
    viewers = GaugeMetricFamily("sharpeyes_live_viewers", "Who watches live.", labels=["camera"])
    pictures = CounterMetricFamily("sharpeyes_live_pictures", "Pictures for live view.", labels=["camera"])
    spent = CounterMetricFamily(
        "sharpeyes_live_cpu_seconds", "Processor time of live view.", labels=["camera"]
    )
    left_out = CounterMetricFamily(
        "sharpeyes_live_left_out", "Pictures that were due and not shown.", labels=["camera", "reason"]
    )
    for id_, counts in live.items():
        viewers.add_metric([id_], counts.viewers)
        pictures.add_metric([id_], counts.pictures)
        spent.add_metric([id_], counts.cpu_s)
        for why in ("redaction", "undecodable"):
            left_out.add_metric([id_, why], counts.left_out[why])
    yield from (viewers, pictures, spent, left_out)


def evidence_families(sample: EvidenceSample | None) -> Iterator[Metric]:
    """What is kept of incidents; nothing where nobody keeps any."""
    if sample is None:
        return
    maker, store = sample.maker, sample.store
    made = CounterMetricFamily(
        "sharpeyes_evidence_made", "Incidents of which a snapshot and a clip were kept.", value=maker.made
    )
    failed = CounterMetricFamily(
        "sharpeyes_evidence_failed", "Incidents without evidence, by reason.", labels=["reason"]
    )
    for reason in REASONS:
        failed.add_metric([reason], maker.failed.get(reason, 0))
    deleted = CounterMetricFamily(
        "sharpeyes_evidence_deleted", "Pieces of evidence that were deleted, by reason.", labels=["reason"]
    )
    for why in WHYS:
        deleted.add_metric([why], store.deleted.get(why, 0))
    yield from (made, failed, deleted)
    yield GaugeMetricFamily(
        "sharpeyes_evidence_waiting", "Incidents whose evidence is being made.", maker.waiting
    )
    yield GaugeMetricFamily("sharpeyes_evidence_pieces", "Pieces of evidence that are kept.", store.pieces)
    yield GaugeMetricFamily("sharpeyes_evidence_bytes", "Size of the evidence that is kept.", store.bytes)
    yield CounterMetricFamily(
        "sharpeyes_evidence_looks", "Pictures that were looked at for evidence alone.", value=maker.own_looks
    )
