import numpy as np
import pytest

from benchmarks.unusual_scenes import camera_of
from edge.cells import MOST, NOWHERE, Cells
from edge.site import Site
from streams.sim.places import PLACES


@pytest.mark.parametrize("name", sorted(PLACES))
def test_the_ground_in_view_is_cut_into_cells(name):
    plane = Site.from_config(camera_of(PLACES[name])).ground
    cells = Cells.of(plane)
    assert 100 <= len(cells) <= MOST
    assert cells.side >= 1.0
    assert cells.find(cells.middle).tolist() == list(range(len(cells)))
    low = plane.to_ground([[0.5, 0.95]])
    assert cells.find(low)[0] != NOWHERE


def test_a_picture_without_ground_is_cut_into_squares():
    cells = Cells.of(None)
    assert len(cells) == 24 * 14
    assert not cells.on_ground
    assert cells.find(np.array([[-0.1, 0.5], [2.0, 0.5], [np.nan, 0.5], [0.8, 0.5]])).tolist()[:3] == [-1] * 3
    assert cells.key != Cells.of(Site.from_config(camera_of(PLACES["gate"])).ground).key


def test_cells_around_count_their_neighbours():
    cells = Cells.of(None)
    one = np.zeros(len(cells))
    middle = int(cells.find(np.array([[0.9, 0.5]]))[0])
    one[middle] = 1.0
    around = cells.around(one)
    assert around[middle] == 0
    assert sorted(around[around > 0]) == [0.5] * 4 + [1.0] * 4
