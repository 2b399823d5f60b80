"""Each head, from a graph that says a known tensor to the boxes it means."""

import numpy as np
import pytest

from models.errors import SessionError
from models.zoo import load_detector
from tests.support.onnx_models import Photo, write_manifest, write_model

SQUARE = Photo(64, 64)
SHAPE = [1, 3, 64, 64]
CELLS = 64 + 16 + 4
BACKGROUND = -8.0


def detector(folder, head, outputs, **changes):
    write_model(folder / "tiny.onnx", outputs, changes.pop("shape", SHAPE))
    return load_detector(str(write_manifest(folder, head, **changes)), ("cpu",))


def assert_finds(found, boxes, scores, labels):
    assert found.labels.tolist() == labels
    assert found.scores == pytest.approx(np.array(scores), abs=1e-4)
    assert found.xyxy * 64 == pytest.approx(np.array(boxes, float).reshape(-1, 4), abs=1e-2)


def nanodet_table(bins=8):
    """Two cells that see something: column 3, row 2 of stride 8, and column 1, row 1 of stride 32."""
    table = np.zeros((CELLS, 2 + 4 * bins), np.float32)
    table[:, :2] = BACKGROUND
    sides = table[:, 2:].reshape(CELLS, 4, bins)
    table[2 * 8 + 3, 0] = 2.0
    sides[2 * 8 + 3, range(4), [1, 2, 1, 3]] = 50
    table[64 + 16 + 3, 1] = 1.0
    sides[64 + 16 + 3, :, [0, 1]] = 50  # between two bins: half a stride
    return table


NANODET_BOXES = ([20, 4, 36, 44], [32, 32, 64, 64])
SCORES = (1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(-1.0)))


def test_nanodet_with_logits_channels_first(tmp_path):
    head = 'kind = "nanodet"\nscores = "logits"\norder = "channels-first"'
    found = detector(tmp_path, head, {"out": nanodet_table().T[None]}).detect(SQUARE)
    assert_finds(found, NANODET_BOXES, SCORES, [0, 1])


def test_nanodet_as_published_in_three_outputs_of_probabilities(tmp_path):
    table = nanodet_table()
    table[:, :2] = 1 / (1 + np.exp(-table[:, :2]))
    parts = {f"s{i}": part[None] for i, part in enumerate(np.split(table, [64, 80]))}
    found = detector(tmp_path, 'kind = "nanodet"', parts).detect(SQUARE)
    assert_finds(found, NANODET_BOXES, SCORES, [0, 1])
    only = detector(tmp_path, 'kind = "nanodet"', parts).detect(SQUARE, 0.8)
    assert_finds(only, NANODET_BOXES[:1], SCORES[:1], [0])


def test_nanodet_in_several_channel_first_outputs(tmp_path):
    head = 'kind = "nanodet"\nscores = "logits"\norder = "channels-first"\noffset = 0.0'
    parts = {f"s{i}": part.T[None] for i, part in enumerate(np.split(nanodet_table(), [64, 80]))}
    found = detector(tmp_path, head, parts).detect(SQUARE)
    assert_finds(found, [[16, 0, 32, 40], [16, 16, 48, 48]], SCORES, [0, 1])


@pytest.mark.parametrize("order", ["cells-first", "channels-first"])
def test_nanodet_with_another_number_of_classes_says_so(tmp_path, order):
    table = nanodet_table()[None] if order == "cells-first" else nanodet_table().T[None]
    head = f'kind = "nanodet"\norder = "{order}"'
    wrong = detector(tmp_path, head, {"out": table}, classes='["person"]')
    with pytest.raises(SessionError, match="expected outputs of 33"):
        wrong.detect(SQUARE)


def test_nanodet_with_other_strides_says_so(tmp_path):
    wrong = detector(tmp_path, 'kind = "nanodet"\nstrides = [8, 16]', {"out": nanodet_table()[None]})
    with pytest.raises(SessionError, match="expected 80 cells"):
        wrong.detect(SQUARE)


def yolox_table():
    table = np.zeros((1, CELLS, 7), np.float32)
    table[0, 2 * 8 + 3] = [0.5, 0.5, np.log(2), np.log(4), 0.9, 0.8, 0.1]
    table[0, 64 + 16 + 3] = [-0.5, -0.5, 0, 0, 0.5, 0.2, 0.9]
    table[0, 5] = [0, 0, 0, 0, 0.05, 1, 1]  # not an object
    table[0, 6] = [0, 0, 0, 0, 0.5, 0.1, 0.1]  # an object of no class
    return table


def test_yolox_adds_its_grid(tmp_path):
    found = detector(tmp_path, 'kind = "yolox"', {"output": yolox_table()}).detect(SQUARE)
    assert_finds(found, [[20, 4, 36, 36], [0, 0, 32, 32]], [0.72, 0.45], [0, 1])


def test_yolox_decoded_in_the_graph(tmp_path):
    table = yolox_table()[:, [19]]
    table[..., :4] = [32, 32, 16, 24]
    found = detector(tmp_path, 'kind = "yolox"\ndecoded = true', {"output": table}).detect(SQUARE)
    assert_finds(found, [[24, 20, 40, 44]], [0.72], [0])


def test_yolov8_in_both_orders(tmp_path):
    rows = np.array([[32, 32, 16, 24, 0.1, 0.7], [10, 10, 8, 8, 0.05, 0.02]], np.float32)
    for order, table in (("channels-first", rows.T), ("cells-first", rows)):
        head = f'kind = "yolov8"\norder = "{order}"'
        found = detector(tmp_path, head, {"output0": table[None]}).detect(SQUARE)
        assert_finds(found, [[24, 20, 40, 44]], [0.7], [1])


def test_yolov5_has_objectness(tmp_path):
    rows = np.array([[[32, 32, 16, 24, 0.5, 0.1, 0.8]]], np.float32)
    head = 'kind = "yolov8"\norder = "cells-first"\nobjectness = true'
    assert_finds(detector(tmp_path, head, {"o": rows}).detect(SQUARE), [[24, 20, 40, 44]], [0.4], [1])


def test_ssd_with_labels_of_its_own(tmp_path):
    outputs = {
        "detection_boxes": np.array([[[0.25, 0.5, 0.75, 1.0], [0, 0, 1, 1], [0, 0, 1, 1]]]),
        "detection_scores": np.array([[0.9, 0.8, 0.05]]),
        "detection_classes": np.array([[2.0, 0.0, 1.0]]),  # car, background, too weak
    }
    head = (
        'kind = "ssd"\nboxes = "detection_boxes"\nscores = "detection_scores"\n'
        'labels = "detection_classes"\nfirst_class = 1'
    )
    found = detector(tmp_path, head, outputs, input='size = [64, 64]\nletterbox = "stretch"').detect(SQUARE)
    assert_finds(found, [[32, 16, 64, 48]], [0.9], [1])


def test_ssd_with_a_table_of_scores_and_pixels(tmp_path):
    outputs = {"boxes": np.array([[[8, 16, 24, 48]]]), "scores": np.array([[[0.2, 0.6]]])}
    head = 'kind = "ssd"\nboxes = "boxes"\nscores = "scores"\ncorners = "xyxy"\nunits = "pixels"'
    assert_finds(detector(tmp_path, head, outputs).detect(SQUARE), [[8, 16, 24, 48]], [0.6], [1])


def test_ssd_with_outputs_that_do_not_fit_says_so(tmp_path):
    outputs = {"boxes": np.zeros((1, 2, 4)), "scores": np.zeros((1, 3, 2))}
    wrong = detector(tmp_path, 'kind = "ssd"\nboxes = "boxes"\nscores = "scores"', outputs)
    with pytest.raises(SessionError, match="expected boxes"):
        wrong.detect(SQUARE)
    wrong = detector(tmp_path, 'kind = "ssd"\nboxes = "box"\nscores = "scores"', outputs)
    with pytest.raises(SessionError, match="no output 'box', only boxes, scores"):
        wrong.detect(SQUARE)


@pytest.mark.parametrize(("activation", "expected"), [("sigmoid", SCORES[0]), ("softmax", 0.8754)])
def test_detr_queries(tmp_path, activation, expected):
    logits = np.full((1, 3, 2 + (activation == "softmax")), BACKGROUND)
    logits[0, 1, 1] = 2.0
    if activation == "softmax":
        logits[0, :, 2] = [9, 0.05, 9]
    boxes = np.tile([0.5, 0.5, 0.25, 0.5], (1, 3, 1))
    head = f'kind = "detr"\nactivation = "{activation}"'
    found = detector(tmp_path, head, {"pred_boxes": boxes, "logits": logits}).detect(SQUARE)
    assert_finds(found, [[24, 16, 40, 48]], [expected], [1])


def test_detr_does_not_suppress_but_sorts_and_cuts(tmp_path):
    logits = np.array([[[0.0, -9], [1.0, -9], [2.0, -9]]])
    boxes = np.tile([0.5, 0.5, 0.25, 0.5], (1, 3, 1))
    made = detector(tmp_path, 'kind = "detr"', {"pred_boxes": boxes, "logits": logits}, max_detections="2")
    found = made.detect(SQUARE)
    assert found.scores == pytest.approx(1 / (1 + np.exp([-2.0, -1.0])))


def test_detr_with_another_number_of_classes_says_so(tmp_path):
    wrong = detector(
        tmp_path, 'kind = "detr"', {"pred_boxes": np.zeros((1, 3, 4)), "logits": np.zeros((1, 3, 91))}
    )
    with pytest.raises(SessionError, match=r"logits \(n, 2\)"):
        wrong.detect(SQUARE)


def test_boxes_in_a_letterboxed_picture_come_back_as_its_fractions(tmp_path):
    rows = np.array([[[32, 16, 32, 32, 0.9, 0.1]]], np.float32)
    made = detector(tmp_path, 'kind = "yolov8"\norder = "cells-first"', {"o": rows})
    found = made.detect(Photo(200, 100))
    assert found.xyxy[0] == pytest.approx([0.25, 0, 0.75, 1.0])


def test_what_lies_in_the_border_alone_is_left_out(tmp_path):
    rows = np.array([[[32, 56, 16, 8, 0.9, 0.1]]], np.float32)
    made = detector(tmp_path, 'kind = "yolov8"\norder = "cells-first"', {"o": rows})
    assert len(made.detect(Photo(200, 100))) == 0
