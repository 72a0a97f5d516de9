"""Random losses made of the registry's primitives and of layers, whose numbers stay inside every domain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from difflab import nn
from difflab.backends.peers.excuses import MISSING, OTHERWISE
from difflab.primitives import REGISTRY, Primitive

SHAPES = ((3, 4), (4, 3), (3, 4))
EXCUSED = {name for known in (*MISSING.values(), *OTHERWISE.values()) for name in known}
POOL: list[Primitive] = [
    record
    for record in REGISTRY
    if record.kind == "elementwise" and record.vjp is not None and record.name not in EXCUSED
]

Layer = Callable[[Any, np.random.Generator], Any]


def squashed(x: Any, ends: tuple[float, float]) -> Any:
    """Numbers strictly inside an interval, no two of them equal unless they were."""
    low, high = ends
    return low + (high - low) * (0.1 + 0.8 * nn.sigmoid(x))


def applied(record: Primitive, first: Any, second: Any) -> Any:
    """A primitive of the elements, at operands inside its domain."""
    operands = [squashed(x, ends) for x, ends in zip((first, second), record.domain, strict=False)]
    return record(*operands)


def convolved(x: Any, rng: np.random.Generator) -> Any:
    images = np.reshape(x, (1, *x.shape, 1))
    stride, kernel = int(rng.integers(1, 3)), rng.standard_normal((2, 2, 1, 2))
    maps = nn.conv2d(images, kernel, stride=stride, padding="same") + rng.standard_normal(2)
    return np.reshape(nn.relu(maps), (maps.shape[1], -1))


def pooled(x: Any, rng: np.random.Generator) -> Any:
    images = np.reshape(x, (1, *x.shape, 1))
    pool = (nn.max_pool2d, nn.avg_pool2d)[rng.integers(2)]
    return pool(images, 2, stride=1)[0, :, :, 0]


def taken(x: Any, rng: np.random.Generator) -> Any:
    return x[rng.integers(0, x.shape[0], 3)]


LAYERS: tuple[Layer, ...] = (
    lambda x, rng: x @ rng.standard_normal((x.shape[1], 3)),
    lambda x, rng: x @ x.T,
    lambda x, rng: x.T,
    lambda x, rng: x - np.mean(x, axis=int(rng.integers(2)), keepdims=True),
    lambda x, rng: x * np.sum(x, axis=int(rng.integers(2)), keepdims=True),
    lambda x, rng: x - np.max(x, axis=1, keepdims=True) * 0.5,
    lambda x, rng: np.reshape(x, (x.shape[1], x.shape[0])),
    lambda x, rng: np.concatenate([x, 0.5 * x[:1]], axis=0),
    lambda x, rng: np.cumsum(x, axis=int(rng.integers(2))),
    lambda x, rng: np.cumprod(np.tanh(x), axis=1),
    lambda x, rng: np.where(x > 0.1, x, 0.2 * x),
    lambda x, rng: x[::-1, ::2] if x.shape[1] > 2 else x,
    lambda x, rng: np.sort(x, axis=1),
    lambda x, rng: nn.softmax(x, axis=1),
    lambda x, rng: x - nn.logsumexp(x, axis=1, keepdims=True),
    lambda x, rng: np.broadcast_to(x[None], (2, *x.shape))[1] ** 3,
    convolved,
    pooled,
    taken,
)


def loss_of(seed: int, steps: int = 12) -> Callable[..., Any]:
    """A loss of matrices of ``SHAPES``: the mean of what a dozen drawn steps make of them."""

    def loss(*leaves: Any) -> Any:
        rng = np.random.default_rng([seed, 8])
        values = list(leaves)
        for _ in range(steps):
            x = values[rng.integers(len(values))]
            if rng.random() < 0.5 or min(x.shape) < 2 or max(x.shape) > 12:
                record = POOL[rng.integers(len(POOL))]
                result = applied(record, x, np.mean(values[rng.integers(len(values))]))
            else:
                result = LAYERS[rng.integers(len(LAYERS))](x, rng)
            values.append(np.tanh(result) + 0.1 * x if result.shape == x.shape else np.tanh(result))
        return sum(np.mean(value) for value in values[-4:])

    return loss


def leaves_of(seed: int) -> Sequence[np.ndarray]:
    rng = np.random.default_rng([seed, 9])
    return [rng.standard_normal(shape) for shape in SHAPES]
