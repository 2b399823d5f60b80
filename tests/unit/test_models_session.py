import numpy as np
import onnxruntime
import pytest

from models.errors import IntegrityError, ProviderError, SessionError
from models.manifest import ModelFile
from models.session import Session, available_providers, choose_providers
from tests.support.onnx_models import write_manifest, write_model

CPU, CUDA, OPENVINO = "CPUExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
HEAD = 'kind = "yolov8"'
OUTPUTS = {"out": np.zeros((1, 6, 1))}


def model(folder, *, shape=(1, 3, 64, 64), dtype="float32", **changes):
    write_model(folder / "tiny.onnx", OUTPUTS, shape, dtype)
    return ModelFile.read(write_manifest(folder, HEAD, **changes))


@pytest.mark.parametrize(
    ("wanted", "available", "chosen"),
    [
        ((), (CPU,), (CPU,)),
        ((), (CPU, OPENVINO, CUDA, "AzureExecutionProvider"), (CUDA, OPENVINO, CPU)),
        ((), (CUDA, TENSORRT, CPU), (TENSORRT, CUDA, CPU)),
        ((), ("AzureExecutionProvider",), (CPU,)),
        (("cpu",), (CUDA, CPU), (CPU,)),
        (("OpenVINO", "cuda"), (CUDA, OPENVINO, CPU), (OPENVINO, CUDA, CPU)),
        ((CUDA,), (CUDA, CPU), (CUDA, CPU)),
        (("DmlExecutionProvider",), ("DmlExecutionProvider", CPU), ("DmlExecutionProvider", CPU)),
    ],
)
def test_providers_are_taken_from_what_is_there(wanted, available, chosen):
    assert choose_providers(wanted, available) == chosen


def test_a_missing_provider_is_named_with_what_there_is():
    with pytest.raises(ProviderError, match=r"'cuda' is not available here; there are CPUExecutionProvider"):
        choose_providers(("cuda",), (CPU,))
    with pytest.raises(ProviderError, match="did you mean 'openvino'"):
        choose_providers(("opnvino",), (CPU,))


def test_it_runs_on_the_cpu_and_returns_outputs_by_name(tmp_path):
    session = Session(model(tmp_path), ("cpu",))
    assert session.providers == (CPU,)
    assert CPU in available_providers()
    outputs = session.run(np.zeros((1, 3, 64, 64), np.float32))
    assert {name: value.shape for name, value in outputs.items()} == {"out": (1, 6, 1)}


def test_a_wrong_tensor_is_an_error_of_ours(tmp_path):
    session = Session(model(tmp_path), ("cpu",))
    with pytest.raises(SessionError, match="tiny: inference failed"):
        session.run(np.zeros((1, 3, 32, 64), np.float32))


def test_a_swapped_file_is_not_loaded(tmp_path):
    there = model(tmp_path)
    write_model(there.weights, {"other": np.ones((1, 6, 1))}, (1, 3, 64, 64))
    with pytest.raises(IntegrityError, match="vouches for"):
        Session(there)


def test_a_corrupt_file_with_the_right_hash_is_refused(tmp_path):
    (tmp_path / "tiny.onnx").write_bytes(b"not a network")
    there = ModelFile.read(write_manifest(tmp_path, HEAD))
    with pytest.raises(SessionError, match="ONNX Runtime refuses it"):
        Session(there)


@pytest.mark.parametrize(
    ("made", "changes", "words"),
    [
        ({"dtype": "uint8"}, {}, "input.dtype: the model takes uint8, not float32"),
        ({"shape": (1, 3, 32, 64)}, {}, "input.size: the model takes"),
        ({"shape": (1, 64, 64, 3)}, {}, "input.size: the model takes"),
        ({"shape": (1, 3, 64)}, {}, "input.size: the model takes"),
        ({}, {"input": 'size = [64, 64]\nname = "image"'}, "input.name: must name one of .* images"),
        ({}, {"input": "size = [64, 64]\nstride = 32"}, "input.stride: the model's size is fixed"),
    ],
)
def test_a_manifest_that_does_not_fit_the_model_is_told_which_key(tmp_path, made, changes, words):
    with pytest.raises(SessionError, match=words):
        Session(model(tmp_path, **made, **changes), ("cpu",))


def test_free_sizes_fit_a_stride(tmp_path):
    free = model(tmp_path, shape=("n", 3, "h", "w"), input="size = [64, 64]\nstride = 32")
    assert Session(free).run(np.zeros((1, 3, 32, 64), np.float32))


class _LosesProviders(onnxruntime.InferenceSession):
    """ONNX Runtime where a provider's libraries are missing: it drops it without a word."""

    def __init__(self, content, options, providers):
        super().__init__(content, options, providers=[CPU])


def test_a_provider_that_cannot_start_is_an_error_if_wanted_and_a_warning_if_not(tmp_path, monkeypatch):
    there = model(tmp_path)
    monkeypatch.setattr(onnxruntime, "InferenceSession", _LosesProviders)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    with pytest.raises(ProviderError, match="CUDAExecutionProvider could not start; in use: CPU"):
        Session(there, ("cuda",))
    assert Session(there).providers == (CPU,)
