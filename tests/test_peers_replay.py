"""Twenty random tapes and all shipped problems, replayed by PyTorch, JAX and autograd (``pytest -m peers``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from peer_checks import apart
from peer_tapes import POOL, leaves_of, loss_of

import difflab as dl
from difflab import nn
from difflab.backends import find
from difflab.backends.peers.replay import replay
from difflab.operators import source
from difflab.problems import PROBLEMS

pytestmark = pytest.mark.peers

NAMES = ("torch", "jax", "autograd")
SEEDS = range(20)


def check(made: Any, name: str, tolerance: float) -> None:
    """Value and gradients of a peer against the tape's own values and reverse mode."""
    prepared = find(name).prepare(made, "value_and_gradient", made.example)
    value, gradients = prepared.value_and_gradient(made.example)
    (plain,) = made.tape.evaluate(made.example)
    ours = dl.Reverse().prepare(made, "value_and_gradient", made.example).value_and_gradient(made.example)
    for found, expected in zip([value, value, *gradients], [plain, ours[0], *ours[1]], strict=True):
        fault = apart(found, expected, tolerance)
        assert not fault, fault
    bare_value, bare_gradients = prepared.bare(made.example)()
    unwrapped = [np.asarray(one.detach() if name == "torch" else one) for one in (bare_value, *bare_gradients)]
    for found, expected in zip(unwrapped, [value, *gradients], strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_tapes(seed: int, name: str) -> None:
    check(source(loss_of(seed), tuple(leaves_of(seed)), argnums=(0, 1, 2)), name, 1e-10)


def test_random_tapes_hold_most_primitives_of_the_elements_and_many_others() -> None:
    used = set()
    for seed in SEEDS:
        made = source(loss_of(seed), tuple(leaves_of(seed)), argnums=(0, 1, 2))
        used |= {equation.primitive.name for equation in made.tape.equations}
    assert len(used & {record.name for record in POOL}) > len(POOL) // 2
    assert {"matmul", "sum", "gather", "slice", "where", "cumprod", "max_pool", "windows", "concatenate"} <= used


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_problems(problem: str, name: str) -> None:
    instance = PROBLEMS[problem].build("tiny", "float64", 0)
    check(source(instance.loss, instance.args, argnums=0), name, 1e-10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("problem", ["mlp", "digits-mlp", "digits-cnn", "cnn"])
def test_problems_in_single_precision(problem: str, name: str) -> None:
    instance = PROBLEMS[problem].build("tiny", "float32", 0)
    check(source(instance.loss, instance.args, argnums=0), name, 1e-5)


def test_a_network_of_images_is_the_calls_that_a_person_would_write() -> None:
    from difflab.backends.peers.torch_table import table

    instance = PROBLEMS["cnn"].build("tiny", "float64", 0)
    found = replay(source(instance.loss, instance.args, argnums=0).tape, table())
    assert found.whole == ("conv2d", "conv2d", "max_pool2d", "max_pool2d", "softmax_cross_entropy")
    # In and out of PyTorch's layout, two of convolution with bias, relu and pooling, flattening, x @ w + b, the loss.
    assert found.steps == 1 + 2 * 3 + 1 + 3


def layered(x: Any, w: Any, v: Any) -> Any:
    """What has its own layout in PyTorch beside what has not, and values that are needed in both."""
    maps = nn.conv2d(x, w, padding=1, stride=2) + v
    both = np.tanh(maps)
    spread = nn.upsample2d(both, 2)
    back = nn.conv2d_transpose(nn.max_pool2d(both, 2, padding=1), w, stride=2)
    return np.sum(both * both) + np.sum(nn.avg_pool2d(spread, 3, stride=2) ** 2) + np.sum(back[:, ::2] ** 2)


@pytest.mark.parametrize("name", NAMES)
def test_images_in_both_layouts(name: str) -> None:
    rng = np.random.default_rng(4)
    args = (rng.standard_normal((2, 5, 6, 2)), rng.standard_normal((3, 3, 2, 2)), rng.standard_normal(2))
    check(source(layered, args, argnums=(0, 1, 2)), name, 1e-10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("padding", ["same", 0, (1, 2)])
@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 1, 1), (1, 2, 1), ((2, 1), 1, 2)])
def test_convolutions(name: str, padding: Any, stride: Any, dilation: int, groups: int) -> None:
    def loss(x: Any, w: Any) -> Any:
        return np.sum(nn.conv2d(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups) ** 2)

    rng = np.random.default_rng(5)
    args = (rng.standard_normal((2, 6, 7, 4)), rng.standard_normal((3, 2, 4 // groups, 2)))
    check(source(loss, args, argnums=(0, 1)), name, 1e-10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("targets", ["given", "moving", "one row", "three axes"])
def test_cross_entropy_with_targets_that_do_not_sum_to_one(name: str, targets: str) -> None:
    rng = np.random.default_rng(6)
    shape = {"one row": (5,), "three axes": (2, 3, 5)}.get(targets, (4, 5))
    args = (rng.standard_normal(shape), rng.uniform(0.0, 1.0, shape))
    made = source(nn.softmax_cross_entropy, args, argnums=(0, 1) if targets == "moving" else 0)
    check(made, name, 1e-10)
