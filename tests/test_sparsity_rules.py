"""The rule ``depends`` of every primitive against its own JVP, one unit tangent at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from grouped import by_primitive, one_test_each
from samples import Case, all_cases, cases_of, is_float, rng_of

from difflab.primitives import REGISTRY
from difflab.primitives.record import Primitive
from difflab.tracing import trace_leaves
from difflab.transforms.sparsity import Pattern, jacobian_pattern

CASES = [case for case in all_cases(REGISTRY, ("float64",)) if case.ordinary]
every_case = one_test_each(by_primitive(CASES))
POINTS = 3
# What these leave out no rule looks for; everything else has to be exact.
WIDE = {
    "maximum minimum fmax fmin relu max min cummax cummin max_pool pool_select pool_route": "one of several moves",
    "heaviside": "flat beside its jump",
    "cholesky eigh eigvalsh qr": "factors that are or read triangles",
    "eig": "scaled eigenvectors",
    "det_derivative sign_det": "cofactors without a row and a column, and a sign",
}
EXACT = {primitive.name for primitive in REGISTRY} - {name for names in WIDE for name in names.split()}


def live(case: Case) -> list[int]:
    return [position for position, array in enumerate(case.arrays) if is_float(array)]


def nearby(case: Case, number: int) -> Case:
    """The case at another point, without zeros."""
    rng = rng_of(f"{case.label}-{number}")
    moved = [a * rng.uniform(0.95, 1.05, a.shape) + (a == 0) * 0.1 if is_float(a) else a for a in case.arrays]
    return case._replace(arrays=tuple(np.asarray(a) for a in moved))


def slopes(case: Case, positions: Iterable[int]) -> np.ndarray:
    """Where the Jacobian by the JVP of the primitive is not 0: (out.size, coordinates of the operands)."""
    value = case.value
    columns = []
    for position in positions:
        array = case.arrays[position]
        for place in range(array.size):
            column = np.zeros(value.size, bool)
            for unit in (1.0, 1j) if array.dtype.kind == "c" else (1.0,):
                tangent = np.zeros(array.shape, array.dtype)
                tangent.flat[place] = unit
                tangents = tuple(tangent if i == position else None for i in range(len(case.arrays)))
                assert case.primitive.jvp is not None
                with np.errstate(all="ignore"):
                    pushed = case.primitive.jvp(tangents, value, *case.arrays, **case.params)
                if pushed is not None:
                    column |= np.ravel(np.broadcast_to(pushed, value.shape) != 0)
            columns.append(column)
    return np.stack(columns, axis=1) if columns else np.zeros((value.size, 0), bool)


def pattern_of_case(case: Case, positions: list[int]) -> Pattern:
    """With all floating operands as inputs, or with those beside ``positions`` as constants."""
    inputs = [position for position, array in enumerate(case.arrays) if position in positions or not is_float(array)]

    def run(leaves: list[Any]) -> list[Any]:
        given = dict(zip(inputs, leaves, strict=True))
        operands = [given.get(position, array) for position, array in enumerate(case.arrays)]
        return [case.primitive(*operands, **case.params)]

    leaves = [case.arrays[position] for position in inputs]
    return jacobian_pattern(trace_leaves(run, leaves), [inputs.index(p) for p in positions], leaves)


def as_matrix(pattern: Pattern) -> np.ndarray:
    indptr, indices = pattern.csr()
    matrix = np.zeros(pattern.shape, bool)
    matrix[np.repeat(np.arange(pattern.shape[0]), np.diff(indptr)), indices] = True
    return matrix


def verdicts(case: Case) -> dict[str, tuple[bool, bool]]:
    """For all floating operands, and for each alone: no entry left out at any point; no entry too many at all."""
    found = {}
    if case.primitive.jvp is None:
        return found
    positions = live(case)
    for chosen in {tuple(positions), *[(position,) for position in positions]}:
        there = [case] if 0 in np.shape(case.value) else [case, *[nearby(case, number) for number in range(POINTS)]]
        seen = [slopes(one, chosen) for one in there]
        # Zeros of constants are used where they are, so that the pattern is that of each point.
        patterns = [as_matrix(pattern_of_case(one, list(chosen))) for one in there]
        inside = all(bool(np.all(s <= p)) for s, p in zip(seen, patterns, strict=True))
        exact = bool(np.array_equal(np.logical_or.reduce(seen), np.logical_or.reduce(patterns)))
        found[str(chosen)] = (inside, exact)
    return found


# ---------------------------------------------------------------------------- nothing goes without a rule


def unruled(records: Iterable[Primitive]) -> list[str]:
    """What has a derivative, and neither a rule nor a reason why there is none."""
    without = [record for record in records if not callable(record.depends) and not record.depends]
    return [record.name for record in without if record.jvp is not None or not record.excuse]


def test_every_primitive_has_a_rule_or_a_reason():
    assert unruled(REGISTRY) == []


def test_completeness_would_notice_a_primitive_without_rule():
    sin = REGISTRY["sin"]
    assert unruled([replace(sin, depends=None)]) == ["sin"]
    assert unruled([replace(sin, depends="nobody knows")]) == []
    assert unruled([replace(sin, depends=None, jvp=None)]) == ["sin"]
    assert unruled([replace(sin, depends=None, jvp=None, excuse="flat")]) == []


# ---------------------------------------------------------------------------- nothing is left out


@every_case
def test_pattern_holds_all_non_zeros(case: Case):
    for chosen, (inside, _) in verdicts(case).items():
        assert inside, f"an entry for the operands {chosen} is missing"


@one_test_each(by_primitive(case for case in CASES if case.primitive.name in EXACT))
def test_pattern_is_exact(case: Case):
    for chosen, (_, exact) in verdicts(case).items():
        assert exact, f"an entry for the operands {chosen} is too many"


def test_what_is_called_wide_is_registered():
    names = [name for names in WIDE for name in names.split()]
    assert set(names) <= {primitive.name for primitive in REGISTRY}
    assert len(names) == len(set(names))


# ---------------------------------------------------------------------------- the checks notice


def broken(primitive: Primitive, how: str) -> Primitive:
    """A primitive with a wrong rule."""
    rule = primitive.depends
    assert callable(rule)

    def wrong(table: Any, *operands: Any, **params: Any) -> np.ndarray:
        if how == "drops an operand":
            operands[-1].ids = np.zeros_like(operands[-1].ids)
        ids = np.array(rule(table, *operands, **params))
        if how == "drops an element":
            ids.flat[-1] = 0
        if how == "takes all":
            ids[...] = table.everything(*[operand.ids for operand in operands])
        return ids

    return replace(primitive, depends=wrong)


@pytest.mark.parametrize("name", ["add", "multiply", "matmul", "concatenate", "logaddexp", "solve", "slide"])
def test_a_rule_that_drops_an_operand_is_noticed(name: str):
    cases = cases_of(broken(REGISTRY[name], "drops an operand"))
    assert not all(inside for case in cases for inside, _ in verdicts(case).values())


LAST = sorted({c.primitive.name for c in CASES if c.primitive.jvp and slopes(c, live(c))[-1:].any()} & EXACT)
"""Whose last element moves."""


@pytest.mark.parametrize("name", LAST)
def test_a_rule_that_drops_an_element_is_noticed(name: str):
    cases = [case for case in cases_of(broken(REGISTRY[name], "drops an element")) if case.ordinary]
    assert not all(inside for case in cases for inside, _ in verdicts(case).values())


@pytest.mark.parametrize("name", ["sin", "add", "gather", "sum", "cumsum", "windows", "fold", "matmul", "fft", "pad"])
def test_a_rule_that_takes_all_is_noticed(name: str):
    cases = cases_of(broken(REGISTRY[name], "takes all"))
    assert not all(exact for case in cases for _, exact in verdicts(case).values())
