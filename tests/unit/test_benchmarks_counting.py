"""The counting benchmark: what it reads, what it refuses, and that its figures are what they are called."""

import json
import sys

import cv2
import numpy as np
import pytest

from benchmarks import common, counting
from benchmarks.counting import DataError, by_size, figures, open_photo, read_points, regions
from benchmarks.detector import Photo
from models.density import HeadMap
from models.training.data import single


@pytest.fixture
def folder(tmp_path):
    """Two grey pictures, one beside points.json and one in `frame`; the second is of the validation split."""
    (tmp_path / "frame").mkdir()
    grey = np.full((360, 640, 3), 120, np.uint8)
    cv2.imwrite(str(tmp_path / "one.jpg"), grey)
    cv2.imwrite(str(tmp_path / "frame" / "scene-3.jpg"), grey)
    write(tmp_path, {"one.jpg": [], "scene-3.jpg": [[10, 20.5]]})
    return tmp_path


def write(folder, value):
    (folder / "points.json").write_text(value if isinstance(value, str) else json.dumps(value))


def test_points_are_read_and_pictures_found_in_either_place(folder):
    points = read_points(folder)
    assert {name: heads.shape for name, heads in points.items()} == {"one.jpg": (0, 2), "scene-3.jpg": (1, 2)}
    assert open_photo(folder, "one.jpg").width == open_photo(folder, "scene-3.jpg").width == 640


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("{", "is not JSON"),
        ([], "must be an object"),
        ({}, "must be an object"),
        ({"a.jpg": 3}, "a.jpg: must be a list"),
        ({"a.jpg": [[1]]}, "a.jpg: must be a list"),
        ({"a.jpg": [[1, "x"]]}, "a.jpg: must be a list"),
        ({"a.jpg": [[1, None]]}, "a.jpg: must be a list"),
        ({"a.jpg": [1, 2]}, "a.jpg: must be a list"),
    ],
)
def test_malformed_points_are_refused(folder, value, complaint):
    write(folder, value)
    with pytest.raises(DataError, match=rf"points\.json: {complaint}"):
        read_points(folder)


def test_marks_near_an_earlier_one_can_be_taken_for_the_same_head():
    heads = np.array([(10, 10), (11, 10), (12.5, 10), (40, 40), (10, 10)], np.float32)
    assert single(heads, 0.0).all()
    assert single(heads, 2.0).tolist() == [True, False, False, True, False]
    assert single(np.zeros((0, 2), np.float32), 3.0).shape == (0,)


def test_missing_and_broken_files_are_named(folder):
    with pytest.raises(DataError, match="cannot be read"):
        read_points(folder / "frame")
    with pytest.raises(DataError, match=r"two\.jpg: points\.json names it"):
        open_photo(folder, "two.jpg")
    with pytest.raises(DataError, match="must be a file within the folder"):
        open_photo(folder, "../one.jpg")
    (folder / "two.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"two\.jpg: is not a picture"):
        open_photo(folder, "two.jpg")


def test_figures_are_mean_errors():
    found = figures(np.array([3.0, 5.0, 10.0]), np.array([2.0, 7.0, 10.0]))
    assert found == pytest.approx({"mae": 1.0, "rmse": (5 / 3) ** 0.5, "bias": -1 / 3})
    bands = by_size(np.array([3.0, 5.0, 50.0]), np.array([3.0, 7.0, 20.0]), np.array([2.0, 7.0, 101.0]))
    assert [(band["people"], band["n"], band["mae"]) for band in bands] == [
        ("0-5", 1, 1.0),
        ("6-10", 1, 2.0),
        ("> 100", 1, 51.0),
    ]
    assert bands[2]["detector"]["bias"] == -81.0


def test_quarters_of_odd_maps_share_the_cells_in_the_middle(folder):
    counts = np.zeros((3, 5), np.float32)
    counts[1, 2] = 4.0
    found = HeadMap(counts, counts.copy(), 0.0)
    quarters = regions(found, np.array([[10.0, 10.0], [639.9, 359.9]]), Photo(folder / "one.jpg"))
    assert [quarter[0] for quarter in quarters] == pytest.approx([1.0] * 4)
    assert [quarter[1] for quarter in quarters] == pytest.approx([0.5] * 4)
    assert [quarter[2] for quarter in quarters] == [1, 0, 0, 1]


def test_it_counts_and_prints_its_figures(folder, monkeypatch, capsys):
    monkeypatch.setattr(common, "RESULTS", folder / "results")
    monkeypatch.setattr(sys, "argv", ["counting.py", str(folder), "--json"])
    counting.main()
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(printed) == {"n", "mae", "rmse", "bias", "detector_mae"}
    assert printed["n"] == 2
    saved = json.loads((folder / "results" / "counting.json").read_text())
    assert saved["split"] == "all"
    assert saved["pictures"]["true"] == [0.0, 1.0]
    assert saved["coverage_95"] > 0.8


def test_what_is_wrong_is_said_and_ends_with_2(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["counting.py", str(folder / "frame")])
    with pytest.raises(SystemExit) as end:
        counting.main()
    assert end.value.code == 2
    assert "cannot be read" in capsys.readouterr().err.replace("\n", "")
    write(folder, {"one.jpg": []} if counting.split_of("one.jpg") == "train" else {"scene-1.jpg": []})
    monkeypatch.setattr(sys, "argv", ["counting.py", str(folder), "--split", "validation"])
    with pytest.raises(SystemExit):
        counting.main()
    assert "validation split" in " ".join(capsys.readouterr().err.split())
