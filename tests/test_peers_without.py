"""What is true of the peers whether or not a framework is installed."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from difflab import backends, nn
from difflab.backends.peers.excuses import MISSING, OTHERWISE
from difflab.backends.peers.forecast import forecast
from difflab.backends.peers.plan import Inner, Table, always
from difflab.backends.peers.replay import check_guards, replay
from difflab.backends.protocol import OPERATORS, Backend, Cost
from difflab.errors import GuardError, UnavailableError, UnsupportedError
from difflab.operators import source
from difflab.primitives import REGISTRY

FRAMEWORKS = {"torch": "Torch", "jax": "Jax", "autograd": "Autograd"}


def peer(name: str, **options: Any) -> Any:
    module, kind = backends.PEERS[name]
    return getattr(importlib.import_module(module), kind)(**options)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_peer_is_a_frozen_dataclass_that_prints_itself(name: str) -> None:
    backend = peer(name)
    assert isinstance(backend, Backend)
    assert dataclasses.is_dataclass(backend)
    assert (backend.name, backend.family) == (name, "peer")
    assert backend.capabilities <= {*OPERATORS, "bare", "live-data"}
    assert eval(repr(backend), vars(importlib.import_module(type(backend).__module__))) == backend
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(backend, "name", "other")  # noqa: B010 (assigning is what is refused, to type checkers as well)


def test_options_print_themselves() -> None:
    assert repr(peer("torch", compile=True)) == "Torch(compile=True)"
    assert repr(peer("jax", jit=False)) == "Jax(jit=False, mode='reverse')"


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_without_its_framework_a_peer_says_how_to_install_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("difflab.backends.peers.forecast.find_spec", lambda package: None)
    text = rf"backend '{name}' cannot be used: it needs the package {name}, which is not installed; pip install"
    with pytest.raises(UnavailableError, match=text):
        backends.find(name)
    (listed,) = [one for one in backends.listing() if one.name == name]
    assert listed.unavailable is not None
    assert "difflab[peers]" in listed.unavailable


def test_peers_are_listed_after_what_needs_nothing() -> None:
    assert backends.names()[: len(backends.BUILT_IN)] == list(backends.BUILT_IN)
    assert set(backends.PEERS) <= set(backends.names())


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_nothing_of_theirs_is_imported_before_something_is_prepared(
    name: str, modules_after: Callable[[str], set[str]]
) -> None:
    module, kind = backends.PEERS[name]
    loaded = modules_after(f"from {module} import {kind}; {kind}().unavailable(); import difflab; difflab.backends()")
    assert not {one.partition(".")[0] for one in loaded} & {"torch", "jax", "autograd"}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_forecasts_need_no_framework(name: str, operator: str) -> None:
    made = source(lambda x, w: np.sum(np.tanh(x @ w)), (np.ones((3, 4)), np.ones((4, 2))), argnums=(0, 1))
    cost = peer(name).predict(made.tape, operator, made.wrt)
    assert isinstance(cost, Cost)
    assert cost.works == ()
    assert cost.flops > 0
    assert cost.nbytes > 0
    assert cost.primal_calls > 0


def test_matrices_are_forecast_with_their_blocks() -> None:
    made = source(lambda x: np.sin(x) * x, (np.ones(1000),))
    assert forecast(made.tape, "jacobian", made.wrt).nbytes > 8e6
    whole = source(lambda x: np.sum(np.sin(x)), (np.ones(1000),))
    assert forecast(whole.tape, "hessian", whole.wrt).nbytes > 8e6 > forecast(whole.tape, "hvp", whole.wrt).nbytes


def test_excuses_are_of_primitives_that_there_are() -> None:
    known = {record.name for record in REGISTRY}
    for excuses in (*MISSING.values(), *OTHERWISE.values()):
        assert set(excuses) <= known | {"lanes"}  # which is registered where derivatives are batched
        assert all(excuses.values())


# ---------------------------------------------------------------------------- the replay, in NumPy's own functions


def numpy_table(**more: Any) -> Table:
    """NumPy as a framework: every primitive's own value."""

    def maker(record: Any) -> Any:
        def made(avals: Any, out: Any, keepdims: bool = False, **params: Any) -> Any:
            if keepdims:
                return lambda x: getattr(np, record.name)(x, axis=params["axes"], keepdims=True)
            return lambda *operands: record.evaluate(*operands, **params)

        return made

    equations = {record.name: maker(record) for record in REGISTRY}
    return Table("numpy", equations, more.pop("spans", {}), np.asarray, frozenset(("add", "multiply")), **more)


def test_what_nothing_needs_is_left_out() -> None:
    def loss(x: Any) -> Any:
        np.exp(x)
        return np.sum(np.sin(x))

    found = replay(source(loss, (np.ones(3),)).tape, numpy_table())
    assert found.steps == 2


def test_axes_that_a_reshape_puts_back_are_kept() -> None:
    made = source(lambda x: np.sum(x / np.sum(x, axis=1, keepdims=True) ** 2), (np.arange(1.0, 7.0).reshape(2, 3),))
    found = replay(made.tape, numpy_table())
    assert found.steps == len(made.tape) - 1
    assert found.function(*made.example)[0] == made.tape.evaluate(made.example)[0]
    twice = source(lambda x: np.sum(x, axis=1)[:, None] * x + np.sum(np.sum(x, axis=1)), (np.ones((2, 3)),))
    again = replay(twice.tape, numpy_table())
    assert np.array_equal(again.function(*twice.example)[0], twice.tape.evaluate(twice.example)[0])


def entropy(x: Any, t: Any) -> Any:
    return nn.softmax_cross_entropy(x, t)


def test_the_outermost_composite_that_a_table_has_is_taken() -> None:
    made = source(entropy, (np.arange(6.0).reshape(2, 3), np.full((2, 3), 0.5)))
    inner = {"logsumexp": lambda avals, out, *, axes, keepdims: lambda x: np.log(np.sum(np.exp(x), axes))}
    outer = {"softmax_cross_entropy": always(lambda x, t: np.float64(7.0))}
    assert replay(made.tape, numpy_table(spans=inner)).whole == ("logsumexp",)
    both = replay(made.tape, numpy_table(spans={**inner, **outer}))
    assert (both.whole, both.steps, both.function(*made.example, *both.constants)) == (
        ("softmax_cross_entropy",),
        1,
        (7.0,),
    )
    refusing = {"softmax_cross_entropy": lambda avals, out: None}
    partly = replay(made.tape, numpy_table(spans={**inner, **refusing}))
    assert partly.whole == ("logsumexp",)
    assert partly.function(*made.example, *partly.constants)[0] == pytest.approx(made.tape.evaluate(made.example)[0])


def test_what_is_needed_from_inside_a_composite_is_computed_as_well() -> None:
    made = source(lambda x: nn.softmax(x), (np.arange(4.0),))
    tape = dataclasses.replace(made.tape, outputs=(*made.tape.outputs, made.tape.equations[0].output))
    found = replay(tape, numpy_table(spans={"softmax": lambda avals, out, *, axes: lambda x: x * 0.0}))
    assert [one.tolist() for one in found.function(np.arange(4.0), *found.constants)] == [[0.0] * 4, 3.0]


def test_a_bias_goes_with_the_composite_that_takes_one() -> None:
    made = source(lambda x, w, b: nn.conv2d(x, w) + b, (np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 2)), np.ones(2)))
    spans = {"conv2d": lambda avals, out, **params: lambda x, w, b=None: ("fused", b is not None)}
    found = replay(made.tape, numpy_table(spans=spans, biased=frozenset(("conv2d",))))
    assert found.steps == 1
    assert found.function(*made.example) == (("fused", True),)
    used_twice = source(lambda x, w, b: (nn.conv2d(x, w) + b, nn.conv2d(x, w)), made.example)
    assert replay(used_twice.tape, numpy_table()).steps > 1


def test_images_stay_in_the_layout_of_the_framework_between_its_functions() -> None:
    layouts = (lambda x: np.moveaxis(x, 3, 1), lambda x: np.moveaxis(x, 1, 3))
    spans = {"max_pool2d": lambda avals, out, **params: Inner(lambda x: x[:, :, ::2, ::2])}
    x = np.arange(64.0).reshape(1, 8, 8, 1)[:, ::-1, ::-1]
    made = source(lambda x: nn.max_pool2d(np.tanh(nn.max_pool2d(x, 2)), 2), (x,))
    found = replay(made.tape, numpy_table(spans=spans, layouts=layouts))
    assert found.steps == 5
    assert np.array_equal(found.function(x)[0], made.tape.evaluate([x])[0])


def test_what_a_table_has_not_is_named_with_its_place() -> None:
    made = source(lambda x: np.sum(np.sin(np.cos(x))), (np.ones(3),))
    table = Table("numpy", {"sum": numpy_table().equations["sum"]}, {}, np.asarray, frozenset())
    text = r"backend 'numpy' has no function of its own for the primitives 'cos' .equation 0., 'sin' .equation 1."
    with pytest.raises(UnsupportedError, match=text):
        replay(made.tape, table)


def test_constants_and_literals() -> None:
    weights = np.array([1.0, 2.0])
    made = source(lambda x: (np.sum(weights * x * 3.0), weights, 2.0 * x), (np.ones(2),))
    found = replay(made.tape, numpy_table())
    values = found.function(*made.example, *found.constants)
    for one, expected in zip(values, made.tape.evaluate(made.example), strict=True):
        assert np.array_equal(one, expected)


def test_guards_and_masks_are_looked_at() -> None:
    made = source(lambda x: x * 2.0 if x > 0 else x, (1.0,))
    check_guards(made.tape, [np.array(3.0)])
    with pytest.raises(GuardError, match="another branch"):
        check_guards(made.tape, [np.array(-3.0)])
    masked = source(lambda x: np.sum(x[x > 0]), (np.array([1.0, -1.0]),))
    check_guards(masked.tape, [np.array([-2.0, 3.0])])
    with pytest.raises(GuardError):
        check_guards(masked.tape, [np.array([2.0, 3.0])])


def test_every_framework_is_in_the_extra(root: Any) -> None:
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("peers = "))
    assert all(f'"{name}"' in line for name in FRAMEWORKS)
