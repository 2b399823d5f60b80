"""The numbers: indicators, stage times, precision, false alarms; by queries that hold no case in memory."""

from datetime import datetime

import sqlalchemy as sa

from api.center.instants import DAY_MS, HOUR_MS, unix_ms
from api.center.lifecycle import STAGES
from api.center.numbers import CameraAlarms, Indicators, Numbers, Precision, StageTime, rank, ratio
from api.center.schema import cases, covered, incidents, keys, nodes, stages


def read_numbers(
    connection: sa.Connection, since: datetime, until: datetime, now_ms: int, patience_ms: int
) -> Numbers:
    """All numbers of a time.

    Args:
        connection: to read from.
        since: when the time begins.
        until: when it ends, excluded.
        now_ms: by which nodes are available or not.
        patience_ms: silence after which a node is not available.
    """
    span = (unix_ms(since), unix_ms(until))
    precision = _precision(connection, *span)
    days = (span[1] - span[0]) / DAY_MS
    analysed_ms, degraded_ms, blind_ms, camera_ms = _covered(connection, *span)
    seen_ms = analysed_ms + degraded_ms
    false = sum(row.false for row in precision)
    by_camera: dict[str, int] = {}
    for row in precision:
        by_camera[row.camera] = by_camera.get(row.camera, 0) + row.false
    opened, ended, control = _cases(connection, *span)
    return Numbers(
        since=since,
        until=until,
        indicators=Indicators(
            coverage=ratio(seen_ms, seen_ms + blind_ms),
            sharing=_sharing(connection),
            availability=_availability(connection, now_ms - patience_ms),
            control=control,
        ),
        stages=_stages(connection, *span),
        precision=precision,
        false_alarms=tuple(
            CameraAlarms(camera, count, count / days) for camera, count in sorted(by_camera.items()) if count
        ),
        false_alarms_per_camera_day=ratio(false, camera_ms / DAY_MS),
        opened=opened,
        ended=ended,
    )


def _covered(connection: sa.Connection, since_ms: int, until_ms: int) -> tuple[int, int, int, int]:
    names = ("analysed_ms", "degraded_ms", "blind_ms", "camera_ms")
    query = sa.select(*(sa.func.coalesce(sa.func.sum(covered.c[name]), 0) for name in names)).where(
        covered.c.hour >= since_ms // HOUR_MS, covered.c.hour <= (until_ms - 1) // HOUR_MS
    )
    analysed, degraded, blind, camera = connection.execute(query).one()
    return int(analysed), int(degraded), int(blind), int(camera)


def _sharing(connection: sa.Connection) -> float | None:
    query = sa.select(sa.func.sum(nodes.c.stored), sa.func.sum(nodes.c.top))
    stored, created = connection.execute(query).one()
    return ratio(int(stored or 0), int(created or 0))


def _availability(connection: sa.Connection, since_ms: int) -> float | None:
    """Share of the nodes heard lately, without those whose keys were all revoked."""
    held = sa.select(keys.c.node_id).where(keys.c.revoked_ms.is_(None))
    given = sa.select(keys.c.node_id)
    expected = sa.or_(nodes.c.id.in_(held), nodes.c.id.not_in(given))
    heard = sa.func.count(sa.case((nodes.c.heard_ms > since_ms, 1)))
    here, known = connection.execute(sa.select(heard, sa.func.count()).where(expected)).one()
    return ratio(here, known)


def _cases(connection: sa.Connection, since_ms: int, until_ms: int) -> tuple[int, int, float | None]:
    """Cases opened and ended in the time, and the share that met every deadline so far."""
    opened_in = (cases.c.opened_ms >= since_ms, cases.c.opened_ms < until_ms)
    opened = connection.execute(sa.select(sa.func.count()).where(*opened_in).select_from(cases)).scalar_one()
    over = cases.c.ended_ms.is_not(None)
    ended_in = (cases.c.ended_ms >= since_ms, cases.c.ended_ms < until_ms)
    ended = connection.execute(sa.select(sa.func.count()).where(*ended_in).select_from(cases)).scalar_one()
    decided = sa.func.count(sa.case((sa.or_(over, cases.c.missed > 0), 1)))
    in_time = sa.func.count(sa.case((sa.and_(over, cases.c.missed == 0), 1)))
    good, all_ = connection.execute(sa.select(in_time, decided).where(*opened_in)).one()
    return opened, ended, ratio(good, all_)


def _stages(connection: sa.Connection, since_ms: int, until_ms: int) -> tuple[StageTime, ...]:
    times = []
    for stage in STAGES:
        chosen = (stages.c.stage == stage, stages.c.ended_ms >= since_ms, stages.c.ended_ms < until_ms)
        counting = sa.select(sa.func.count()).select_from(stages).where(*chosen)
        if not (count := connection.execute(counting).scalar_one()):
            continue
        ordered = sa.select(stages.c.spent_ms).where(*chosen).order_by(stages.c.spent_ms).limit(1)
        p50_ms, p90_ms = (
            connection.execute(ordered.offset(rank(count, share))).scalar_one() for share in (0.5, 0.9)
        )
        times.append(StageTime(stage, count, p50_ms / 1000, p90_ms / 1000))
    return tuple(times)


def _precision(connection: sa.Connection, since_ms: int, until_ms: int) -> tuple[Precision, ...]:
    by = (nodes.c.node, incidents.c.camera, incidents.c.kind, incidents.c.zone)
    query = (
        sa.select(
            *by,
            sa.func.count(sa.case((incidents.c.verdict.is_(True), 1))),
            sa.func.count(sa.case((incidents.c.verdict.is_(False), 1))),
        )
        .join_from(incidents, nodes, nodes.c.id == incidents.c.node_id)
        .where(incidents.c.verdict_ms >= since_ms, incidents.c.verdict_ms < until_ms)
        .group_by(*by)
        .order_by(*by)
    )
    return tuple(
        Precision(f"{node}/{camera}", f"{kind}/{zone}", true, false)
        for node, camera, kind, zone, true, false in connection.execute(query)
    )
