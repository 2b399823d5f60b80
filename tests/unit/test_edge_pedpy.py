"""PedPy, the reference of pedestrian research, agrees on density and flow of the same trajectories."""

import numpy as np
import pytest

pedpy = pytest.importorskip("pedpy", reason="needs PedPy: pip install pedpy")
pandas = pytest.importorskip("pandas")

from edge.field import Ground, density_field  # noqa: E402
from edge.flow import FlowState, Section, step_flow  # noqa: E402
from edge.people import People  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
FPS = 10
HALL = [(0.0, 0.0), (20.0, 0.0), (20.0, 6.0), (0.0, 6.0)]


def trajectories(seed: int = 1, n: int = 220, seconds: float = 40.0):
    """People who walk through a hall along its length, a few of them back: (id, frame, x, y)."""
    rng = np.random.default_rng(seed)
    speed = rng.normal(1.2, 0.2, n).clip(0.6) * np.where(rng.random(n) < 0.2, -1, 1)
    start, y = rng.uniform(-30, 50, n), rng.uniform(0.3, 5.7, n)
    frames = np.arange(int(seconds * FPS))
    rows = []
    for k in range(n):
        x = start[k] + speed[k] * frames / FPS
        inside = (x > 0.05) & (x < 19.95)
        rows += [(k, int(f), float(a), float(y[k])) for f, a in zip(frames[inside], x[inside], strict=True)]
    return pandas.DataFrame(rows, columns=["id", "frame", "x", "y"]), speed


FRAME, SPEED = trajectories()


def people_at(frame: int) -> People:
    part = FRAME[FRAME["frame"] == frame]
    keys = part["id"].to_numpy(np.int64)
    velocity = np.column_stack((SPEED[keys], np.zeros(len(keys))))
    return People.of(part[["x", "y"]].to_numpy(), 1.0, 0.0, velocity, keys)


def test_density_agrees():
    traj = pedpy.TrajectoryData(FRAME, frame_rate=FPS)
    area = pedpy.MeasurementArea([(7.0, 0.0), (13.0, 0.0), (13.0, 6.0), (7.0, 6.0)])
    walkable = pedpy.WalkableArea(HALL)
    classic = pedpy.compute_classic_density(traj_data=traj, measurement_area=area)["density"]
    cells = pedpy.compute_individual_voronoi_polygons(traj_data=traj, walkable_area=walkable)
    voronoi, _ = pedpy.compute_voronoi_density(individual_voronoi_data=cells, measurement_area=area)
    ground = Ground.lay(HALL)
    x, _ = np.meshgrid(ground.columns + ground.origin[0], ground.rows + ground.origin[1])
    within = (x > 7) & (x < 13)
    ours = np.array(
        [density_field(people_at(f), ground).density_per_m2[within].mean() for f in range(0, 400, 10)]
    )
    for reference in (classic, voronoi["density"]):
        theirs = np.array([float(reference.loc[f]) for f in range(0, 400, 10)])
        # Look by look they spread people differently over the area's edge; on average they are one.
        assert ours.mean() == pytest.approx(theirs.mean(), rel=0.04)
        assert np.sqrt(((ours - theirs) ** 2).mean()) < 0.1 * theirs.mean()
        assert np.corrcoef(ours, theirs)[0, 1] > 0.95


@pytest.mark.parametrize("tracked", [True, False], ids=["tracks", "density times speed"])
def test_flow_agrees(tracked):
    traj = pedpy.TrajectoryData(FRAME, frame_rate=FPS)
    line = pedpy.MeasurementLine([(10.0, 0.0), (10.0, 6.0)])
    _, crossing = pedpy.compute_n_t(traj_data=traj, measurement_line=line)
    section, state = Section(np.array([10.0, 6.0]), np.array([10.0, 0.0])), FlowState()
    for frame in range(0, 400, 2):
        people = people_at(frame)
        if not tracked:
            people = People.of(people.at, velocity=people.velocity)
        state, flow = step_flow(state, people, section, frame / FPS)
    ours = (flow.ahead_per_m_min + flow.back_per_m_min) * 6 * flow.observed_s / 60
    theirs = len(crossing)
    assert theirs > 50
    assert ours == pytest.approx(theirs, abs=1 if tracked else 4)
