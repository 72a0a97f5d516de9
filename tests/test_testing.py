"""The checks for other people's rules and backends find every fault that is planted, and pass what has none."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_gates import made, product

import difflab as dl
from difflab import backends
from difflab.backends.protocol import Cost
from difflab.errors import InputError
from difflab.primitives import REGISTRY
from difflab.primitives.record import OUT, Aval, Call, Operand, Primitive
from difflab.testing import CheckError, check_backend, check_primitive

X, Y = np.array([0.3, -0.7, 1.2]), np.array([0.5, 1.5, 2.0])


def number_of(faults: Sequence[str]) -> str:
    return "1 fault" if len(faults) == 1 else f"{len(faults)} faults"


# ---------------------------------------------------------------------------- primitives


# A cast loses what differences of its value would show, and the samples of max_pool are ties on purpose.
OURS = [primitive.name for primitive in REGISTRY if primitive.name not in ("cast", "max_pool")]


@pytest.mark.parametrize("name", OURS)
def test_our_own_primitives_pass(name: str):
    primitive = REGISTRY[name]
    samples: list[tuple] = []
    if primitive.samples is None:
        rng = np.random.default_rng(0)
        drawn = [rng.uniform(*ends, size=3) for ends in primitive.domain]
        samples = [tuple(a > 0 for a in drawn) if primitive.name.startswith("logical") else tuple(drawn)]
    report = check_primitive(primitive, *samples)
    assert report.comparisons > (4 if primitive.jvp is None else 20)
    assert str(report).startswith(f"the primitive {name}: {report.comparisons} comparisons, no fault")


def test_right_rules_pass_in_any_combination():
    right = (lambda c, out, x, y: (c * y, c * x)), (lambda t, out, x, y: t[0] * y + x * t[1])
    for vjp, jvp in ((right[0], None), (None, right[1]), right, (None, None)):
        assert check_primitive(made(product, vjp, jvp), (X, Y)).left_out == ()
    report = check_primitive(made(product, right[0], opaque=True), (X, Y))
    assert report.left_out == ("second order: the primitive is opaque",)
    straight = made(lambda x: np.round(x), lambda c, out, x: (c,))
    with pytest.raises(CheckError, match=r"in x differs from central differences: .*the rule gives .* and they give"):
        check_primitive(straight, (X,), dtypes=["float64"])
    check_primitive(straight, (X,), differences=False, dtypes=["float64"])


def mean_only(x):
    return np.sum(x) / 3.0


CALLS = itertools.count(1)


def counted(x):
    return x * float(next(CALLS))


def overwriting(x):
    x += 1.0
    return x * 2.0


OPAQUE = {"opaque": True, "abstract": lambda x: x}
GOOD = lambda c, out, x: (c * 2.0,)  # noqa: E731
FAULTY: list[tuple[Any, Any, str]] = [
    (
        made(product, lambda c, out, x, y: (c * x, c * x)),
        (X, Y),
        "the derivative in x differs from central differences",
    ),
    (
        made(product, lambda c, out, x, y: (c * y, c * x), lambda t, out, x, y: t[0] * y),
        (X, Y),
        "JVP and VJP are not each other's transpose in y (sample 0, float64)",
    ),
    (made(product, lambda c, out, x, y: (c * y, None)), (X, Y), "the derivative in y differs from central differences"),
    (
        made(mean_only, lambda c, out, x: (c,)),
        (X,),
        "the VJP rule (sample 0, float64) raised RuleError: the vjp rule of",
    ),
    (made(counted, GOOD, **OPAQUE), (X,), "the function gives another value for the same arguments"),
    (made(overwriting, GOOD, **OPAQUE), (X,), "the function writes into its arguments"),
    (made(lambda x: x, GOOD, **OPAQUE), (X,), "the value shares memory with argument [0]"),
    (made(lambda x: np.log(x), GOOD), (X,), "the value is NaN at an ordinary sample"),
    (made(lambda x: x.astype("f8") * 2.0, GOOD), (X,), "arguments of float32 precision give a value of float64"),
    (made(lambda x: x * 2.0, opaque=True), (X,), "raised UnsupportedError: the primitive `m:f` is opaque and has no"),
    (made(lambda x: 1 / 0, GOOD), (X,), "the value (sample 0, float64) raised ZeroDivisionError: division by zero"),
]


@pytest.mark.parametrize(("primitive", "sample", "fault"), FAULTY, ids=range(len(FAULTY)))
def test_planted_faults_are_named(primitive: Any, sample: tuple, fault: str):
    with pytest.raises(AssertionError, match=re.escape(fault)) as caught:
        check_primitive(primitive, sample)
    assert isinstance(caught.value, CheckError)
    assert any(fault in sentence for sentence in caught.value.faults)
    assert str(caught.value).startswith(f"the primitive m:f has {number_of(caught.value.faults)}:\n- ")


def record(**changes: Any) -> Primitive:
    """x -> 2 x as a record, with a rule exchanged."""
    rules: dict[str, Any] = {
        "evaluate": lambda x: 2.0 * x,
        "abstract": lambda x: Aval(x.shape, x.dtype),
        "jvp": lambda tangents, y, x: 2.0 * tangents[0],
        "vjp": lambda cotangent, y, x, wanted: (2.0 * cotangent,),
        "into": lambda avals: Call(np.multiply, (Operand(0), 2, OUT)),
        "batch": lambda size, flags, x: twice(x),
    }
    return Primitive(**{"name": "twice", "kind": "general", **rules, **changes})


twice = record()
RECORDS = [
    (
        {"abstract": lambda x: Aval(x.shape, np.dtype("f4"))},
        "the shape rule says float32[3] and the value is float64[3]",
    ),
    ({"into": lambda avals: Call(np.multiply, (Operand(0), 3, OUT))}, "the buffer rule fills in another value"),
    (
        {"batch": lambda size, flags, x: twice(twice(x))},
        "the batching rule gives something else than lane by lane for lanes in",
    ),
    ({"batch": lambda size, flags, x: np.sum(x)}, "the batching rule (sample 0, float64) raised ValueError"),
    ({"vjp": lambda c, y, x, wanted: (2.0 * c, c)}, "the VJP gives 2 cotangents for 1 arguments"),
    ({"vjp": lambda c, y, x, wanted: (np.sum(c),)}, "the VJP gives float64[] for args[0] of float64[3]"),
    ({"jvp": lambda t, y, x: np.sum(t[0])}, "the JVP gives float64[] for a value of float64[3] in args[0]"),
    (
        {"vjp": lambda c, y, x, wanted: (np.asarray(np.multiply(c, 2.0, out=c)),)},
        "a derivative rule writes into its arguments",
    ),
    ({"jvp": None, "vjp": None}, "it has no derivative and no written excuse"),
]


@pytest.mark.parametrize(("changes", "fault"), RECORDS, ids=range(len(RECORDS)))
def test_planted_faults_of_records_are_named(changes: dict, fault: str):
    assert check_primitive(twice, (X,)).comparisons
    with pytest.raises(CheckError, match=re.escape(fault)):
        check_primitive(record(**changes), (X,))


def test_second_derivatives_are_checked_on_their_own():
    """A rule that is right at first order and hides part of its dependence from the second."""
    hidden = made(lambda x: x * x * x, lambda c, out, x: (3.0 * c * dl.stop_gradient(x * x),))
    with pytest.raises(CheckError) as caught:
        check_primitive(hidden, (X,), dtypes=["float64"])
    wanted = "the second derivative differs from differences of the first in x (sample 0, float64)"
    assert caught.value.faults == (wanted,)


def test_there_is_something_to_try_it_on():
    with pytest.raises(InputError, match="give samples, tuples of arrays to try it on"):
        check_primitive(made(product))
    with pytest.raises(InputError, match="is given a primitive, not builtin_function_or_method"):
        check_primitive(math.sin, (1.0,))


# ---------------------------------------------------------------------------- backends


@pytest.mark.parametrize(("name", "rtol"), [("reverse", 1e-12), ("forward", 1e-12), ("finite", 1e-4)])
def test_our_own_backends_pass(name: str, rtol: float):
    report = check_backend(name, rtol=rtol)
    assert report.comparisons > 300
    assert str(report) == f"the backend {name!r}: {report.comparisons} comparisons, no fault"


@dataclasses.dataclass(frozen=True)
class Other:
    """A third party's backend: reverse mode with one thing done wrongly."""

    fault: str = ""
    name: str = "other"
    family: str = "peer"
    capabilities: frozenset[str] = frozenset({"gradient", "value_and_gradient", "vjp"})

    def unavailable(self) -> str | None:
        return None

    def predict(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Any:
        return Cost(math.nan, 0.0, 0.0) if self.fault == "forecast" else Cost(1.0, tape.flops, 0.0)

    def prepare(self, source: Any, operator: str, example: Any) -> Any:
        return PreparedOther(dl.Reverse().prepare(source, operator, example), self.fault)


class PreparedOther:
    """What it prepares."""

    def __init__(self, right: Any, fault: str):
        self.right = right
        self.fault = fault
        self.stats: dict[str, Any] = {}
        self.kept: Any = None
        self.calls = 0
        self.last: Any = None
        self.lock = threading.Lock()

    def value(self, leaves: Any) -> list[Any]:
        return self.right.value(leaves)

    def value_and_gradient(self, leaves: Any) -> Any:
        self.calls += 1
        if self.fault == "thread":
            self.last = leaves
            threading.Event().wait(1e-3)
            leaves = self.last
        value, gradients = self.right.value_and_gradient(leaves)
        if self.fault == "value":
            gradients = [g * 1.001 for g in gradients]
        if self.fault == "frozen" and self.kept is None:
            self.kept = value, [np.array(g) for g in gradients]
        if self.fault == "frozen":
            return self.kept[0], [np.array(g) for g in self.kept[1]]
        if self.fault == "alias":
            self.kept = self.kept or gradients
            for mine, new in zip(self.kept, gradients, strict=True):
                mine[...] = new
            return value, list(self.kept)
        if self.fault == "writes":
            leaves[0][...] = 1.0
        if self.fault == "shape":
            gradients = [g[None] for g in gradients]
        if self.fault == "dtype":
            gradients = [g.astype("f8") for g in gradients]
        if self.fault == "random":
            gradients = [g * (1 + 1e-13 * self.calls) for g in gradients]
        if self.fault == "crash":
            raise RuntimeError("something of mine\nbroke")
        return value, gradients

    def vjp(self, leaves: Any) -> Any:
        values, pullback = self.right.vjp(leaves)
        if self.fault == "pullback":
            self.last = pullback
            return values, lambda cotangents: self.last(cotangents)
        return values, pullback


BACKEND_FAULTS = [
    ("value", "gradient of arrays at the example is further than 1e-10 from reverse mode's"),
    ("frozen", "gradient of arrays at another point is further than"),
    ("alias", "results of gradient of arrays share memory with the next call's"),
    ("writes", "gradient of arrays writes into its arguments"),
    ("shape", "gradient of arrays at the example gives float64(1, 3) instead of float64(3,)"),
    ("dtype", "gradient of float32 at the example gives float64(3,) instead of float32(3,)"),
    ("random", "gradient of arrays gives another answer the second time"),
    ("thread", "gradient of arrays gives other answers when called from several threads"),
    ("pullback", "the pullback of vjp of arrays, called crosswise, is further than"),
    ("crash", "gradient of arrays raised RuntimeError: something of mine"),
    ("forecast", "the forecast of gradient is Cost(primal_calls=nan"),
]


@pytest.mark.parametrize(("fault", "sentence"), BACKEND_FAULTS)
def test_planted_faults_of_backends_are_named(fault: str, sentence: str):
    with pytest.raises(CheckError, match=re.escape(sentence)) as caught:
        check_backend(Other(fault))
    assert str(caught.value).startswith(f"the backend 'other' has {number_of(caught.value.faults)}:\n- ")


def test_a_backend_without_faults_passes_with_what_it_does_not_declare():
    assert check_backend(Other()).comparisons > 150


def test_capabilities_that_are_none():
    with pytest.raises(CheckError, match=r"it declares \['divergence'\], which are no operators .*gradient"):
        check_backend(Other(capabilities=frozenset({"divergence", "gradient", "value_and_gradient"})))
    with pytest.raises(CheckError, match="it declares no operator"):
        check_backend(Other(capabilities=frozenset()))


def test_zeros_do_not_pass_for_gradients():
    with pytest.raises(CheckError, match="gradient of a number at the example is further than"):
        check_backend("null")


def test_the_tolerance_is_a_positive_number():
    with pytest.raises(InputError, match="rtol=0 is a positive number"):
        check_backend("reverse", rtol=0)


# ---------------------------------------------------------------------------- plugins

PLUGIN = """
import dataclasses
from difflab.backends.protocol import Cost
from difflab.backends.reverse import Reverse

@dataclasses.dataclass(frozen=True)
class Plugged:
    scale: float = 1.0
    name: str = "plugged"
    family: str = "reverse"
    capabilities: frozenset = frozenset({"gradient", "value_and_gradient", "vjp"})

    def unavailable(self):
        return None

    def predict(self, tape, operator, wrt):
        return Cost(1.0, tape.flops, 0.0)

    def prepare(self, source, operator, example):
        return Reverse().prepare(source, operator, example)
"""


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A distribution of somebody else's, installed as far as Python can tell."""
    (tmp_path / "plugged_backend.py").write_text(PLUGIN)
    info = tmp_path / "plugged_backend-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged-backend\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[difflab.backends]\nplugged = plugged_backend:Plugged\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("plugged_backend", None)


@pytest.mark.usefixtures("plugged")
def test_a_plugin_is_found_by_its_entry_point_and_checked():
    assert "plugged" in backends.names()
    (listed,) = [one for one in backends.listing() if one.name == "plugged"]
    assert set(listed.operators) >= {"gradient", "value_and_gradient", "vjp"}
    assert dl.gradient(lambda x: x * x, backend="plugged")(3.0) == 6.0
    assert dl.prepare(lambda x: np.sum(x * x), X, backend="plugged").gradient(X)[0] == 2 * X[0]
    assert backends.find("plugged", scale=2.0).name == "plugged"
    assert check_backend("plugged").subject == "the backend 'plugged'"


def test_without_the_plugin_its_name_is_unknown():
    with pytest.raises(InputError, match="unknown backend 'plugged'"):
        dl.gradient(lambda x: x * x, backend="plugged")(3.0)
