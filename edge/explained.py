"""Why something is unusual: the cell, the quantity, its value, what is usual there, and how rare that is."""

from collections.abc import Mapping

import numpy as np

from edge.cells import Cells
from edge.geometry import Floats
from edge.normality import DENSITIES, EDGES_M_S, NUMBERS, WAYS, Usual
from edge.passages import KIND, PLACE, QUANTITIES, SPEED, STANDS_M_S, WAY, Step

TAILS = tuple(f"{name}_tail_share" for name in ("place", "size", "way", "speed"))
"""Measures that say how rare each quantity is, as the p-value of the last seconds; 1 is usual."""

_ASPECT = 16 / 9
_LOW, _HIGH = 0.05, 0.95


def explained(cells: Cells, usual: Usual, made: Step, row: int) -> dict[str, float]:
    """The measures of one who is judged.

    Args:
        cells: of the camera.
        usual: what is usual at this hour.
        made: the step.
        row: whose.
    """
    seen = made.seen
    cell, group = int(seen.cell[row]), int(seen.group[row])
    measures = _place(cells, cell)
    for name, p in zip(TAILS, made.row[row].tolist(), strict=True):
        measures[name] = float(f"{p:.3g}")
    measures["count_usual_per_h"] = round(float(usual.visits_per_h[cell]), 2)
    measures["held_usual_share"] = round(min(float(usual.held[cell]), 1.0), 4)
    kinds = usual.kinds[cell]
    measures["size_usual_share"] = round(float(kinds[seen.size[row]] / max(kinds.sum(), 1e-9)), 4)
    speed = float(made.speed[row])
    if not np.isnan(speed):
        low, high = _range(usual.speeds[cell, group])
        measures |= {
            "speed_m_s": round(speed, 2),
            "speed_usual_low_m_s": round(low, 2),
            "speed_usual_high_m_s": round(high, 2),
        }
    if speed >= STANDS_M_S:
        measures |= _way(usual.ways[cell, group], made.velocity[row])
    return measures


def leading(measures: Mapping[str, float]) -> str:
    """The quantity that is rarest: `place`, `kind`, `way` or `speed`."""
    tails = [measures.get(name, 1.0) for name in TAILS]
    return QUANTITIES[int(np.argmin(tails))]


def numbers(usual: Usual, many: tuple[float, float]) -> dict[str, float]:
    """How many are there now, and how dense where it is densest, beside what is usual; never told alone."""
    most = int(np.argmax(usual.number_p[1:] <= 1 - _HIGH))
    dense = int(np.argmax(usual.density_p[1:] <= 1 - _HIGH))
    return {
        "count": round(many[0], 2),
        "count_usual_high": float(NUMBERS[min(most, len(NUMBERS) - 1)]),
        "density_cell_per_m2": round(many[1], 3),
        "density_usual_high_per_m2": float(DENSITIES[min(dense, len(DENSITIES) - 1)]),
    }


def words(measures: Mapping[str, float]) -> str:
    """A sentence for people, from the measures alone."""
    if "cell_x_m" in measures:
        where = f"at x {measures['cell_x_m']:.1f} m, y {measures['cell_y_m']:.1f} m"
    else:
        where = (
            f"at {measures['cell_right_share']:.0%} from the left, "
            f"{measures['cell_down_share']:.0%} from the top"
        )
    return f"{where}: {_TELLERS[leading(measures)](measures)}"


def _told_place(measures: Mapping[str, float]) -> str:
    return (
        f"something moves where {measures['count_usual_per_h']:.2g} an hour do at this time "
        f"(p {measures['place_tail_share']:.2g})"
    )


def _told_kind(measures: Mapping[str, float]) -> str:
    return (
        f"something of a size that {measures['size_usual_share']:.1%} of all have there "
        f"(p {measures['size_tail_share']:.2g})"
    )


def _told_way(measures: Mapping[str, float]) -> str:
    if "way_deg" not in measures:
        return f"it went a way that is not usual there (p {measures['way_tail_share']:.2g})"
    return (
        f"it goes towards {measures['way_deg']:.0f} degrees, where {measures['way_usual_share']:.0%} go "
        f"towards {measures['way_usual_deg']:.0f} (p {measures['way_tail_share']:.2g})"
    )


def _told_speed(measures: Mapping[str, float]) -> str:
    return (
        f"{measures.get('speed_m_s', 0.0):.1f} m/s, where {measures.get('speed_usual_low_m_s', 0.0):.1f} to "
        f"{measures.get('speed_usual_high_m_s', 0.0):.1f} are usual (p {measures['speed_tail_share']:.2g})"
    )


_TELLERS = {
    QUANTITIES[PLACE]: _told_place,
    QUANTITIES[KIND]: _told_kind,
    QUANTITIES[WAY]: _told_way,
    QUANTITIES[SPEED]: _told_speed,
}


def _place(cells: Cells, cell: int) -> dict[str, float]:
    x, y = cells.middle[cell].tolist()
    if cells.on_ground:
        return {"cell_x_m": round(x, 2), "cell_y_m": round(y, 2), "cell_side_m": round(cells.side, 2)}
    return {"cell_right_share": round(x / _ASPECT, 3), "cell_down_share": round(y, 3)}


def _range(counts: Floats) -> tuple[float, float]:
    """Metres per second between which nine of ten are."""
    below = np.concatenate(([0.0], np.cumsum(counts)))
    if below[-1] <= 0:
        return 0.0, float(EDGES_M_S[-1])
    low, high = np.interp((_LOW * below[-1], _HIGH * below[-1]), below, EDGES_M_S)
    return float(low), float(high)


def _way(counts: Floats, velocity: Floats) -> dict[str, float]:
    measures = {"way_deg": round(float(np.degrees(np.arctan2(velocity[1], velocity[0]))) % 360.0, 1)}
    if counts.sum() > 0:
        most = int(counts.argmax())
        measures["way_usual_deg"] = most * 360.0 / WAYS
        measures["way_usual_share"] = round(float(counts[most] / counts.sum()), 3)
    else:
        measures |= {"way_usual_deg": 0.0, "way_usual_share": 0.0}
    return measures
