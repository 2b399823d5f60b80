"""The only door to ONNX Runtime: a verified model on the best execution provider there is."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime as ort
import structlog
from numpy.typing import NDArray

from models.errors import ProviderError, SessionError
from models.manifest import InputSpec, ModelFile, suggestion

PREFERENCE = (
    "TensorrtExecutionProvider",
    "CUDAExecutionProvider",
    "OpenVINOExecutionProvider",
    "CPUExecutionProvider",
)
"""Best first. Others (DirectML, CoreML ...) are used when the configuration names them."""

_SHORT = {"tensorrt": PREFERENCE[0], "cuda": PREFERENCE[1], "openvino": PREFERENCE[2], "cpu": PREFERENCE[3]}

log = structlog.get_logger(__name__)


def available_providers() -> tuple[str, ...]:
    """Execution providers of the installed ONNX Runtime, by its own account."""
    return tuple(ort.get_available_providers())


def choose_providers(wanted: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """Full provider names in order of use, the CPU always last.

    `wanted` may use short names (`cuda`, `openvino` ...); empty takes the best of what is available.
    Raises ProviderError with the list of what there is when a wanted one is missing.
    """
    cpu = PREFERENCE[-1]
    if not wanted:
        return tuple(name for name in PREFERENCE if name in available) or (cpu,)
    chosen = []
    for word in wanted:
        name = _SHORT.get(word.lower(), word)
        if name not in available:
            hint = suggestion(name, available) or suggestion(word, _SHORT)
            raise ProviderError(
                f"execution provider {word!r} is not available here; there are {', '.join(available)}{hint}"
            )
        chosen.append(name)
    return tuple(dict.fromkeys([*chosen, cpu]))


class Session:
    """One loaded network. `run` may be called from one thread at a time.

    Attributes:
        batches: whether the network takes several pictures at once.
    """

    def __init__(self, model: ModelFile, providers: Sequence[str] = (), threads: int = 1) -> None:
        """Verify the model's hash, then load it.

        Raises IntegrityError, ProviderError, or SessionError when ONNX Runtime refuses the file or the
        file's input is not what the manifest says.
        """
        chosen = choose_providers(providers, available_providers())
        content = model.verified_bytes()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would burn the cores that decoding needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(content, options, providers=list(chosen))
        except Exception as error:  # noqa: BLE001 - its exceptions share no base class
            raise SessionError(f"{model.weights}: ONNX Runtime refuses it: {error}") from None
        self._input = _check_input(model, self._session.get_inputs())
        self._outputs = tuple(output.name for output in self._session.get_outputs())
        self.batches = not isinstance(self._session.get_inputs()[0].shape[0], int)
        self._name = model.manifest.name
        if wanting := [name for name in chosen if name not in self.providers]:
            self._say_missing(providers, wanting)
        log.info("model loaded", model=self._name, providers=self.providers, threads=threads)

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers in use, best first."""
        return tuple(self._session.get_providers())

    @property
    def accelerated(self) -> bool:
        """Whether a GPU does the work: a batch costs hardly more than a picture there, new sizes a lot."""
        return self.providers[0] in PREFERENCE[:2]

    def _say_missing(self, wanted: Sequence[str], missing: Sequence[str]) -> None:
        """ONNX Runtime drops a provider whose libraries it cannot load without a word; say it."""
        text = f"{', '.join(missing)} could not start; in use: {', '.join(self.providers)}"
        if wanted:
            raise ProviderError(f"{self._name}: {text}; are its driver and libraries installed?")
        log.warning("execution provider unavailable", model=self._name, reason=text)

    def run(self, tensor: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Outputs by name for one input tensor, (n, 3, h, w) or (n, h, w, 3) as the manifest says.

        More than one picture (n) is for networks that take `batches`.
        Raises SessionError when inference fails.
        """
        try:
            values = self._session.run(self._outputs, {self._input: tensor})
        except Exception as error:  # noqa: BLE001 - its exceptions share no base class
            raise SessionError(f"{self._name}: inference failed: {error}") from None
        return dict(zip(self._outputs, values, strict=True))


def _check_input(model: ModelFile, inputs: Sequence[ort.NodeArg]) -> str:
    spec = model.manifest.input
    names = [item.name for item in inputs]
    name = spec.name if spec.name is not None else names[0] if len(names) == 1 else None
    if name not in names:
        raise SessionError(
            f"{model.path}: input.name: must name one of the model's inputs {', '.join(names)}"
        )
    found = inputs[names.index(name)]
    kind = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}.get(found.type, found.type)
    if kind != spec.dtype:
        raise SessionError(f"{model.path}: input.dtype: the model takes {kind}, not {spec.dtype}")
    expected = _shape(spec)
    fits = len(found.shape) == 4 and all(
        side == want or not isinstance(side, int) for side, want in zip(found.shape, expected, strict=True)
    )
    if not fits:
        raise SessionError(f"{model.path}: input.size: the model takes {found.shape}, not {list(expected)}")
    if spec.stride and any(isinstance(found.shape[axis], int) for axis in _sides(spec)):
        raise SessionError(
            f"{model.path}: input.stride: the model's size is fixed at {found.shape}; leave it out"
        )
    return str(name)


def _shape(spec: InputSpec) -> tuple[int, int, int, int]:
    width, height = spec.size
    return (1, height, width, 3) if spec.layout == "nhwc" else (1, 3, height, width)


def _sides(spec: InputSpec) -> tuple[int, int]:
    return (1, 2) if spec.layout == "nhwc" else (2, 3)
