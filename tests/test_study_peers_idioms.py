"""The losses in the words of PyTorch, JAX and autograd: the value and the gradient of ours, ties included."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from difflab import idiomatic
from difflab.problems import Instance, find

pytestmark = pytest.mark.peers

FRAMEWORKS = ("torch", "jax", "autograd")
TOLERANCE = {"float64": 1e-10, "float32": 2e-5}


@pytest.fixture(autouse=True)
def _as_wide_as_before() -> Iterator[None]:
    """JAX's width of numbers holds for the whole process."""
    jax: Any = importlib.import_module("jax")
    before = jax.config.jax_enable_x64
    yield
    jax.config.update("jax_enable_x64", before)


def written(framework: str, problem: str, instance: Instance) -> idiomatic.Idiom:
    write = idiomatic.find(problem, framework)
    assert write is not None
    return write(instance)


def apart(found: dict[str, Any], expected: dict[str, Any]) -> float:
    assert set(found) == set(expected)
    for key, part in expected.items():
        assert (found[key].shape, found[key].dtype) == (part.shape, part.dtype), key
    length = sum(float(np.sum(np.square(part, dtype=np.float64))) for part in expected.values()) ** 0.5
    both = [(np.asarray(found[key], np.float64), part) for key, part in expected.items()]
    return sum(float(np.sum((one - other) ** 2)) for one, other in both) ** 0.5 / length


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("problem", "size"), [("mlp", "tiny"), ("mlp", "64x64-32-10"), ("cnn", "tiny"), ("cnn", "8x8x1-8-16")]
)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_value_and_gradient_are_ours(framework: str, problem: str, size: str, dtype: str) -> None:
    instance = find(problem).build(size, dtype, 3)
    value, gradient = written(framework, problem, instance).answer()
    expected_value, expected = instance.analytic(*instance.args)
    assert value == pytest.approx(float(expected_value), rel=TOLERANCE[dtype])
    assert apart(gradient, expected) < TOLERANCE[dtype]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_five_by_five_kernels_and_colours_too(framework: str) -> None:
    whole = find("cnn").build("20x20x2-12-24", "float64", 1)
    params, x, t = whole.args
    few = replace(whole, args=(params, x[:3], t[:3]))
    assert apart(written(framework, "cnn", few).answer()[1], whole.analytic(*few.args)[1]) < 1e-10


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("problem", ["mlp", "cnn"])
def test_target_rows_need_not_sum_to_one(framework: str, problem: str) -> None:
    instance = find(problem).build("tiny", "float64", 0)
    params, x, t = instance.args
    weights = np.random.default_rng(1).uniform(0.2, 2.0, t.shape)
    other = replace(instance, args=(params, x, t * weights + 0.1))
    value, gradient = written(framework, problem, other).answer()
    expected_value, expected = instance.analytic(*other.args)
    assert value == pytest.approx(float(expected_value), rel=1e-12)
    assert apart(gradient, expected) < 1e-10


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_call_computes_what_the_answer_says_and_leaves_the_data_alone(framework: str) -> None:
    instance = find("cnn").build("tiny", "float64", 0)
    kept = {key: part.copy() for key, part in instance.args[0].items()}
    idiom = written(framework, "cnn", instance)
    assert float(np.asarray(_plain(idiom.call()[0]))) == pytest.approx(idiom.answer()[0], rel=1e-15)
    for key, part in kept.items():
        np.testing.assert_array_equal(instance.args[0][key], part)


def _plain(value: Any) -> Any:
    return value.item()
