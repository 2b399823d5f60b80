"""What the density model is taught with: which heads count, and which pictures are kept to validate."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.training import data, scenes
from models.training.split import TRAINING_SEED, split_of
from streams.sim.camera import Camera
from streams.sim.places import PLACES

BLANK = np.zeros((8, 8, 3), np.uint8)
pixels = arrays(np.float32, st.tuples(st.integers(0, 12), st.just(2)), elements=st.floats(0, 20, width=32))


@given(pixels, st.floats(0.5, 5))
def test_marks_that_stay_are_apart_and_near_all_that_go(points, gap):
    kept = data.apart(data.Sample("a.jpg", BLANK, points), gap).points
    away = np.hypot(*(points[:, None] - kept).transpose(2, 0, 1))
    assert len(kept) <= len(points)
    assert not len(points) or (kept[0] == points[0]).all()
    stays = (away == 0).any(axis=1)
    earlier = np.hypot(*(points[:, None] - points).transpose(2, 0, 1)) < gap
    assert all(stays[row] or earlier[row, :row].any() for row in range(len(points)))


def test_without_a_gap_all_marks_stay():
    points = np.zeros((3, 2), np.float32)
    assert len(data.apart(data.Sample("a.jpg", BLANK, points), 0.0).points) == 3
    assert len(data.apart(data.Sample("a.jpg", BLANK, points), 3.0).points) == 1


def test_worlds_are_held_out_by_their_seed():
    last, first = (f"play-crowding-seed{seed}-0-1.jpg" for seed in (TRAINING_SEED - 1, TRAINING_SEED))
    assert split_of(last) == "validation"
    assert split_of(first) == "train"
    assert scenes.HELD_OUT_SEED < TRAINING_SEED


def test_heads_are_hidden_by_things_and_buildings_but_not_by_air():
    gate = PLACES["gate"]  # a hedge of 0.9 m and posts at y = 19, a facade of 9 m at y = 30
    low, high = Camera(0.7, 5.0, 60.0), Camera(6.0, 20.0, 60.0)
    beyond_hedge = np.array([[-10.0, 21.0, 0.8], [-10.0, 21.0, 1.6], [0.0, 21.0, 0.8], [-10.0, 17.0, 0.8]])
    assert scenes.behind(gate, low, beyond_hedge).tolist() == [True, False, False, False]
    assert not scenes.behind(gate, high, beyond_hedge[1:]).any()
    beyond_facade = np.array([[0.0, 32.0, 1.6], [0.0, 29.0, 1.6], [25.0, 31.0, 1.6], [0.0, 32.0, 40.0]])
    assert scenes.behind(gate, high, beyond_facade).tolist() == [True, False, False, False]


@pytest.mark.parametrize("scenario", ["surge"])
def test_a_world_is_drawn_with_all_its_heads(tmp_path, monkeypatch, scenario):
    monkeypatch.setattr(scenes, "TIMES", 1)
    monkeypatch.setattr(scenes, "SECONDS", (4.0,))
    found = scenes.play(scenario, 500, tmp_path)
    assert sorted(found) == [f"play-{scenario}-seed500-0-{kind}.jpg" for kind in range(3)]
    assert max(map(len, found.values())) > 30
    for name, points in found.items():
        image = cv2.imread(str(tmp_path / name))
        assert image.shape == (360, 640, 3)
        assert all(0 <= x < 640.1 and 0 <= y < 360.1 for x, y in points)
    assert scenes.play(scenario, 500, tmp_path) == found


def test_a_camera_over_random_clusters_is_drawn_once(tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "PICTURES_A_CAMERA", 2)
    task = scenes.Task(tmp_path, 3)
    found = scenes._draw(task)
    assert sorted(found) == ["scene-00003-0.jpg", "scene-00003-1.jpg"]
    task.notes.write_text(json.dumps({"kept.jpg": []}))
    assert scenes._draw(task) == {"kept.jpg": []}
    loaded = tmp_path / "points.json"
    loaded.write_text(json.dumps(found))
    assert [len(one.points) for one in data.load(tmp_path)] == [len(found[name]) for name in sorted(found)]
