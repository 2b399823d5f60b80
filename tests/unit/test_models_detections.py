import numpy as np
import pytest

from models.detections import Detections, Tracks


def test_columns_of_different_length_are_refused():
    boxes = np.zeros((2, 4), np.float32)
    with pytest.raises(ValueError, match="scores must have 2 rows"):
        Detections(boxes, np.zeros(1, np.float32), np.zeros(2, np.int16))
    with pytest.raises(ValueError, match=r"xyxy must be \(n, 4\)"):
        Detections(np.zeros((2, 3), np.float32), np.zeros(2, np.float32), np.zeros(2, np.int16))


def test_selection_keeps_columns_together():
    tracks = Tracks(
        np.array([1, 2]),
        np.array([[0, 0, 0.2, 0.4], [0.5, 0.5, 0.7, 1.0]], np.float32),
        np.array([[0, 1], [2, 3]], np.float32),
        np.array([1, 2], np.float32),
        np.array([0.5, 0.6], np.float32),
        np.array([0, 1], np.int16),
    )
    one = tracks.select(np.array([False, True]))
    assert len(one) == 1
    assert one.ids.tolist() == [2]
    assert one.velocity.tolist() == [[2, 3]]
    assert one.foot_points[0] == pytest.approx([0.6, 1.0])
    assert len(Tracks.empty()) == len(Detections.empty()) == 0
