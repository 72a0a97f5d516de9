"""Long tapes: generated code in several parts, loops with a guard in every pass, no recursion, linear growth."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from samples import Steps, agree, compose, leaves_of, no_aliases, rng_of

import difflab as dl
from difflab import transforms
from difflab.errors import GuardError
from difflab.execution import codegen
from difflab.execution.program import Program
from difflab.tracing import trace_leaves


def chain(count: int) -> Any:
    def function(x: Any) -> Any:
        for _ in range(count // 2):
            x = np.hypot(x, 1e-4) * 0.99999
        return np.sum(x)

    return function


def slope_of_chain(x: np.ndarray, count: int) -> np.ndarray:
    """The chain rule, written as a product."""
    slope = np.ones_like(x)
    for _ in range(count // 2):
        slope = slope * (x / np.hypot(x, 1e-4) * 0.99999)
        x = np.hypot(x, 1e-4) * 0.99999
    return slope


@pytest.mark.long
def test_a_chain_of_100_000_operations_differentiates():
    x = np.array([0.5, 2.0])
    tape = trace_leaves(lambda leaves: [chain(100_000)(leaves[0])], [x])
    assert len(tape) == 100_001
    program = Program(transforms.gradient(tape, (0,)))
    assert len(program.text.split("def run(")) - 1 == -(-len(program.tape) // codegen.PART)
    _, gradient = program.run([x])
    np.testing.assert_allclose(gradient, slope_of_chain(x, 100_000), rtol=1e-9)


def test_no_generated_function_is_longer_than_it_may_be():
    assert codegen.PART <= 2000
    program = Program(trace_leaves(lambda leaves: [chain(3 * codegen.PART)(leaves[0])], [np.ones(2)]))
    bodies = program.text.split("def run(")[1:]
    assert len(bodies) > 2
    assert all(body.count("\n") <= codegen.PART + 5 for body in bodies)


@pytest.mark.parametrize("mode", ["value", "gradient", "jvp"])
@pytest.mark.parametrize("seed", range(4))
def test_parts_compute_what_one_function_computes(seed: int, mode: str, monkeypatch: pytest.MonkeyPatch):
    """Drawn functions cut into parts of three equations: buffers, views, passed arguments and results cross them."""
    rng = rng_of(f"parts {seed}")
    steps: Steps = [(int(a), int(b), int(c)) for a, b, c in rng.integers(0, 30, (12, 3))]
    leaves = leaves_of(f"parts {seed}")
    tape = trace_leaves(lambda traced: compose(steps, traced), leaves)
    if mode == "gradient":
        tape = transforms.gradient(
            trace_leaves(lambda traced: [sum(np.sum(out) for out in compose(steps, traced))], leaves), (0, 1)
        )
    if mode == "jvp":
        tape = transforms.jvp(tape, (0,))
        leaves = [*leaves, np.ones_like(leaves[0])]
    with np.errstate(all="ignore"):
        whole = Program(tape).run(leaves)
        monkeypatch.setattr(codegen, "PART", 3)
        program = Program(tape)
        parts = program.run(leaves)
        again = program.run(leaves)
    assert agree(parts, whole)
    assert agree(parts, again)
    no_aliases([out for out in parts if out.ndim], leaves)


def test_guards_and_threads_in_a_program_of_many_parts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(codegen, "PART", 3)

    def function(x: Any) -> Any:
        for _ in range(20):
            x = x * 0.5 if np.sum(x) > 1.0 else x * 1.5
        return np.sum(x * x)

    x = np.array([3.0, 2.0])
    program = Program(transforms.gradient(trace_leaves(lambda leaves: [function(leaves[0])], [x]), (0,)))
    with pytest.raises(GuardError):
        program.run([-x])
    with ThreadPoolExecutor(8) as pool:
        points = [x * (1 + 1e-6 * k) for k in range(64)]
        for point, (_, gradient) in zip(points, pool.map(lambda p: program.run([p]), points), strict=True):
            np.testing.assert_array_equal(gradient, program.run([point])[1])


def test_a_loop_that_looks_at_its_value_in_every_pass_is_linear(monkeypatch: pytest.MonkeyPatch):
    """Each look runs only what was recorded since the last one, however deep the chain and low the recursion limit."""
    evaluated = []
    multiply = dl.trace(lambda x: x * 0.999, 1.0).tape.equations[0].primitive
    evaluate = multiply.evaluate

    def counted(*operands: Any) -> Any:
        evaluated.append(1)
        return evaluate(*operands)

    def function(x: Any) -> Any:
        passes = 0
        while x > 0.01:
            x = x * 0.999
            passes += 1
        return x * passes

    object.__setattr__(multiply, "evaluate", counted)
    try:
        tape = trace_leaves(lambda leaves: [function(leaves[0])], [np.float64(50.0)])
    finally:
        object.__setattr__(multiply, "evaluate", evaluate)
    passes = len(tape.guards) - 1
    assert passes > 8000 > sys.getrecursionlimit()
    assert len(evaluated) == passes
    assert dl.gradient(function)(50.0) == pytest.approx(passes * 0.999**passes)
