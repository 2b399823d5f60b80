"""The counting network: three stages of NanoDet-g's backbone, fused at stride 8, and one small head.

Plain convolutions and ReLU, no normalisation layers: what is trained is what will run in integers. The
backbone starts from the weights of the detector that ships with the product, trained on COCO.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

CENTRE = 115.0
"""Grey level that stands for zero, as in `models.build.graph`."""

SPREAD = 57.4
"""Grey levels that stand for one; divided into the first convolution's weights on export."""

STRIDE = 8
"""Input pixels a cell of the output is wide and high; sides of the input are multiples of twice that."""

NANODET_SLOPE = 0.1
"""Of the leaky ReLU that the backbone's weights were trained with; training takes it to 0."""


DROP = 0.1
"""Share of the joined channels that are left out at a time while training."""


class Rectifier(nn.Module):
    """A ReLU whose slope for negative values can be changed: `slope` is 0 for the plain one."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, any shape."""
        return functional.leaky_relu(x, self.slope) if self.slope else functional.relu(x)


class Conv(nn.Module):
    """A 3 x 3 convolution and its rectifier."""

    def __init__(self, inner: int, outer: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, 3, stride, 1)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.zeros_(self.conv.bias)
        self.act = Rectifier()

    def forward(self, x: Tensor) -> Tensor:
        """(n, inner, h, w) -> (n, outer, h / stride, w / stride)."""
        return self.act(self.conv(x))


class Twice(nn.Module):
    """Half the channels, convolved once and twice, joined."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Conv(width, width // 2)
        self.second = Conv(width // 2, width // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) -> the same."""
        x = self.first(x)
        return torch.cat((self.second(x), x), 1)


class Stage(nn.Module):
    """A stage of NanoDet-g's backbone: its entry joined with what some blocks make of it."""

    def __init__(self, inner: int, width: int, blocks: int, stride: int) -> None:
        super().__init__()
        self.entry = Conv(inner, width, stride)
        self.blocks = nn.Sequential(*[Twice(width) for _ in range(blocks)])
        self.exit = Conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inner, h, w) -> (n, 2 x width, h / stride, w / stride)."""
        x = self.entry(x)
        return torch.cat((self.exit(self.blocks(x)), x), 1)


class Counter(nn.Module):
    """From a picture to two logits a cell: whether people may be there at all, and how many then.

    The pair is a zero-inflated Poisson distribution [Ma, Sanchez, Guha: ZIP, arXiv:2506.19955]: the cell
    is empty with probability 1 - sigmoid(first), else Poisson with mean softplus(second).
    """

    def __init__(self, neck: int = 48) -> None:
        super().__init__()
        self.stem = Conv(3, 32, 2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.stage1 = Stage(32, 32, 1, 1)
        self.stage2 = Stage(64, 64, 2, 2)
        self.stage3 = Stage(128, 128, 2, 2)
        self.side2 = nn.Conv2d(128, neck, 1)
        self.side3 = nn.Conv2d(256, neck, 1)
        self.join = Rectifier()
        self.drop = nn.Dropout2d(DROP)
        self.head = Conv(neck, neck)
        self.out = nn.Conv2d(neck, 2, 1)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.copy_(torch.tensor([-1.0, -1.0]))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) float, blue first, (level - CENTRE) / SPREAD -> (n, 2, h / 8, w / 8) logits."""
        return self.upper(self.lower(x))

    def lower(self, x: Tensor) -> Tensor:
        """(n, 3, h, w), as `forward` takes it -> (n, 64, h / 4, w / 4): what sees edges and colours."""
        return self.stage1(self.pool(self.stem(x)))

    def upper(self, x: Tensor) -> Tensor:
        """(n, 64, h / 4, w / 4) from `lower` -> (n, 2, h / 8, w / 8) logits."""
        fine = self.stage2(x)
        coarse = self.side3(self.stage3(fine))
        joined = self.side2(fine) + functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        return self.out(self.head(self.drop(self.join(joined))))

    def set_slope(self, slope: float) -> None:
        """Bend the backbone's rectifiers; the head's stay plain."""
        for part in (self.stem, self.stage1, self.stage2, self.stage3):
            for module in part.modules():
                if isinstance(module, Rectifier):
                    module.slope = slope

    def backbone(self) -> Iterator[nn.Conv2d]:
        """The convolutions that come from NanoDet-g, in the order of its graph."""
        for part in (self.stem, self.stage1, self.stage2, self.stage3):
            yield from (module for module in part.modules() if isinstance(module, nn.Conv2d))

    def start_from(self, detector: Path) -> None:
        """Take the backbone from `nanodet-g-416-fp32.onnx`; raises ValueError if the file does not fit."""
        mine = list(self.backbone())
        weights = _convolutions(detector)
        with torch.no_grad():
            for index, (conv, (kernel, bias)) in enumerate(zip(mine, weights, strict=False)):
                if kernel.shape != tuple(conv.weight.shape):
                    raise ValueError(
                        f"{detector}: convolution {index} is {kernel.shape}, not {conv.weight.shape}"
                    )
                conv.weight.copy_(torch.from_numpy(kernel.copy()))
                conv.bias.copy_(torch.from_numpy(bias.copy()))
        if len(weights) < len(mine):
            raise ValueError(f"{detector}: has {len(weights)} convolutions, {len(mine)} are wanted")


def _convolutions(path: Path) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Kernel and bias of each convolution, the first for input as `Counter` takes it."""
    model = onnx.load(str(path))
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in tensors:
            tensors[node.output[0]] = tensors[node.input[0]]
    subtract = next(node for node in model.graph.node if node.op_type == "Sub")
    mean = tensors[subtract.input[1]].astype(np.float64)
    pairs = [
        (tensors[node.input[1]].astype(np.float64), tensors[node.input[2]].astype(np.float64))
        for node in model.graph.node
        if node.op_type == "Conv"
    ]
    kernel, bias = pairs[0]
    pairs[0] = (kernel * SPREAD, bias + (kernel * (CENTRE - mean)).sum((1, 2, 3)))
    return [(kernel.astype(np.float32), bias.astype(np.float32)) for kernel, bias in pairs]


def expected(logits: Tensor) -> Tensor:
    """(n, 2, h, w) logits -> (n, h, w) expected heads a cell."""
    return torch.sigmoid(logits[:, 0]) * functional.softplus(logits[:, 1])
