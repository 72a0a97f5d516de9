"""Calls that a prepared function recognises: the same ones, leaves and results as by taking them apart the long way."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from quick_calls import Pair, assert_alike, total

import difflab as dl
from difflab import prepared as prepared_module
from difflab.calls import bind
from difflab.containers import flatten
from difflab.errors import InputError
from difflab.quick import DEEPEST, MOST_NODES, QuickBinding


@dataclass
class Layer:
    w: Any


class Child(np.ndarray):
    """A kind of array of one's own."""


class Mapping(dict):
    """A kind of dict of one's own."""


class Text(str):
    """A kind of text of one's own."""


def params() -> dict[str, Any]:
    return {"w": np.linspace(0.1, 0.6, 6).reshape(2, 3), "b": np.array([0.5, -0.25, 1.0])}


X = np.linspace(-1.0, 1.0, 4)
Y = np.array([0.75, 0.5])


def known() -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The call that all programs here are prepared for."""
    return (params(), (X, [Y, None])), {}


def called(run: Callable[[], Any]) -> tuple[str, Any]:
    """What a call gives: its result, or the kind and text of its error."""
    try:
        return "result", run()
    except Exception as error:
        return type(error).__name__, str(error)


def long_way(monkeypatch: pytest.MonkeyPatch, *args: Any, **kwargs: Any) -> dl.Prepared:
    """Prepared so that it recognises nothing."""
    with monkeypatch.context() as patched:
        never = lambda *call: SimpleNamespace(leaves=lambda args, kwargs: None)  # noqa: E731
        patched.setattr(prepared_module, "QuickBinding", never)
        return dl.prepare(*args, **kwargs)


def changed(change: Callable[[dict, Any, Any], tuple[Any, ...]], **kwargs: Any) -> tuple[tuple[Any, ...], dict]:
    return change(params(), X * 0.5, Y - 1.0), kwargs


CALLS = {
    "the same containers": changed(lambda p, x, y: (p, (x, [y, None]))),
    "other order of keys": changed(lambda p, x, y: ({"b": p["b"], "w": p["w"]}, (x, [y, None]))),
    "keys of another type": changed(lambda p, x, y: ({"w": p["w"], 1: p["b"]}, (x, [y, None]))),
    "keys of a kind of text": changed(lambda p, x, y: ({Text("w"): p["w"], Text("b"): p["b"]}, (x, [y, None]))),
    "another key": changed(lambda p, x, y: ({"w": p["w"], "c": p["b"]}, (x, [y, None]))),
    "a key more": changed(lambda p, x, y: ({**p, "c": x}, (x, [y, None]))),
    "a key less": changed(lambda p, x, y: ({"w": p["w"]}, (x, [y, None]))),
    "no keys": changed(lambda p, x, y: ({}, (x, [y, None]))),
    "a kind of dict": changed(lambda p, x, y: (Mapping(p), (x, [y, None]))),
    "an ordered dict": changed(lambda p, x, y: (OrderedDict(p), (x, [y, None]))),
    "a list for a dict": changed(lambda p, x, y: (list(p.values()), (x, [y, None]))),
    "an array for a dict": changed(lambda p, x, y: (p["w"], (x, [y, None]))),
    "a list for a tuple": changed(lambda p, x, y: (p, [x, [y, None]])),
    "a tuple for a list": changed(lambda p, x, y: (p, (x, (y, None)))),
    "a named tuple for a tuple": changed(lambda p, x, y: (p, Pair(x, [y, None]))),
    "an item more": changed(lambda p, x, y: (p, (x, [y, None, y]))),
    "an item less": changed(lambda p, x, y: (p, (x, [y]))),
    "empty": changed(lambda p, x, y: (p, ())),
    "an array for None": changed(lambda p, x, y: (p, (x, [y, y]))),
    "None for an array": changed(lambda p, x, y: (p, (None, [y, None]))),
    "None for what is differentiated": changed(lambda p, x, y: ({"w": p["w"], "b": None}, (x, [y, None]))),
    "an empty list for None": changed(lambda p, x, y: (p, (x, [y, []]))),
    "an argument more": changed(lambda p, x, y: (p, (x, [y, None]), x)),
    "an argument less": changed(lambda p, x, y: (p,)),
    "a keyword argument": changed(lambda p, x, y: (p, (x, [y, None])), z=X),
    "another shape": changed(lambda p, x, y: (p, (x[:3], [y, None]))),
    "another shape of the same size": changed(lambda p, x, y: (p, (x.reshape(2, 2), [y, None]))),
    "another number of axes": changed(lambda p, x, y: (p, (x, [y[None], None]))),
    "another dtype": changed(lambda p, x, y: (p, (x.astype("f4"), [y, None]))),
    "integers": changed(lambda p, x, y: (p, (np.arange(4), [y, None]))),
    "integers to differentiate": changed(lambda p, x, y: ({**p, "b": np.arange(3)}, (x, [y, None]))),
    "another order of bytes": changed(lambda p, x, y: (p, (x.astype(">f8"), [y, None]))),
    "equal dtypes that are two objects": changed(
        lambda p, x, y: (p, (np.zeros(4, np.dtype("f8", metadata={"a": 1})), [y, None]))
    ),
    "not contiguous": changed(lambda p, x, y: ({**p, "w": np.ones((3, 2)).T}, (np.arange(8.0)[::2], [y, None]))),
    "backwards": changed(lambda p, x, y: (p, (x[::-1], [y, None]))),
    "read only": changed(lambda p, x, y: (p, (np.broadcast_to(0.5, 4), [y, None]))),
    "a kind of array": changed(lambda p, x, y: (p, (x.view(Child), [y, None]))),
    "a masked array": changed(lambda p, x, y: (p, (np.ma.array(x), [y, None]))),
    "a float": changed(lambda p, x, y: (p, (0.5, [y, None]))),
    "an integer": changed(lambda p, x, y: (p, (2, [y, None]))),
    "a NumPy scalar": changed(lambda p, x, y: (p, (x[0], [y, None]))),
    "text": changed(lambda p, x, y: (p, ("x", [y, None]))),
    "objects": changed(lambda p, x, y: (p, (x.astype(object), [y, None]))),
    "one array twice": changed(lambda p, x, y: ({"w": p["w"], "b": p["b"]}, (x, [x[:2], None]))),
}
RECOGNISED = {
    "the same containers", "keys of a kind of text", "equal dtypes that are two objects", "not contiguous", "backwards",
    "read only", "one array twice",
}  # fmt: skip


@pytest.mark.parametrize("argnums", [0, (1, 0)])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_what_it_gives_the_long_way(name: str, argnums: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    args, kwargs = known()
    short = dl.prepare(total, *args, argnums=argnums, operator="value_and_gradient", **kwargs)
    long = long_way(monkeypatch, total, *args, argnums=argnums, operator="value_and_gradient", **kwargs)
    args, kwargs = CALLS[name]
    if name == "keys of a kind of text":  # equal and of the same hash: what comes back has the keys of the example
        assert_alike(short(*args, **kwargs), short(dict(zip("wb", args[0].values(), strict=True)), *args[1:]))
        return
    for operator in ("value_and_gradient", "gradient", "value"):
        runs = [getattr(p, operator) for p in (short, long)]
        found, expected = [called(lambda run=run: run(*args, **kwargs)) for run in runs]
        assert_alike(found, expected)
    assert short.stats["traces"] == long.stats["traces"]


@pytest.mark.parametrize("name", CALLS)
def test_which_calls_are_recognised(name: str) -> None:
    args, kwargs = known()
    quick = QuickBinding(args, kwargs, bind(total, args, kwargs, 0))
    args, kwargs = CALLS[name]
    leaves = quick.leaves(args, kwargs)
    assert (leaves is not None) == (name in RECOGNISED)
    if leaves is not None:
        expected = bind(total, args, kwargs, 0).leaves
        assert all(found is leaf for found, leaf in zip(leaves, expected, strict=True))


# ------------------------------------------------------------------------------- keyword arguments, statics, numbers


def test_keyword_arguments_come_in_the_order_of_the_call_that_was_prepared() -> None:
    def f(x: Any, *, b: Any, a: Any) -> Any:
        return np.sum(x * b * b * a)

    x, b, a = np.ones(3), np.full(3, 2.0), np.full(3, 5.0)
    p = dl.prepare(f, x, b=b, a=a)
    assert p.gradient(x, b=b, a=a).tolist() == p.gradient(x, a=a, b=b).tolist() == [20.0] * 3
    pairs = dl.prepare(lambda x, **given: f(x, b=given["b"].first, a=given["a"]), x, b=Pair(b, a), a=a)
    assert pairs.gradient(x, b=Pair(b, a), a=a).tolist() == [20.0] * 3
    assert pairs.gradient(x, a=a, b=Pair(b, a)).tolist() == [20.0] * 3


def test_the_order_of_keyword_arguments_may_matter() -> None:
    def f(x: Any, **given: Any) -> Any:
        return np.sum(x * next(iter(given.values())))

    a, b = np.full(2, 3.0), np.full(2, 4.0)
    p = dl.prepare(f, np.ones(2), a=a, b=b)
    assert p.gradient(np.ones(2), a=a, b=b).tolist() == [3.0, 3.0]
    assert p.gradient(np.ones(2), b=b, a=a).tolist() == [4.0, 4.0]


@pytest.mark.parametrize(
    "kwargs",
    [
        {"a": X, "b": {"u": Y, "v": X}},
        {"a": X, "b": {"v": X, "u": Y}},
        {"b": {"u": Y, "v": X}, "a": X},
        {"a": X, "c": {"u": Y, "v": X}},
        {"a": X},
        {"a": X, "b": None},
        {},
    ],
)
def test_dicts_among_the_keyword_arguments(kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    example = {"a": X, "b": {"u": Y, "v": X}}
    short = dl.prepare(total, params(), **example)
    long = long_way(monkeypatch, total, params(), **example)
    assert_alike(short(params(), **kwargs), long(params(), **kwargs))
    assert short.stats["traces"] == long.stats["traces"]


@pytest.mark.parametrize("power", [2, 3, 2.0, True, np.int64(2)])
def test_static_values_are_told_apart(power: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x: Any, power: Any) -> Any:
        return np.sum(x**power)

    short, long = dl.prepare(f, X, 2), long_way(monkeypatch, f, X, 2)
    assert_alike(called(lambda: short(X, power)), called(lambda: long(X, power)))
    assert short.stats["traces"] == long.stats["traces"]


@pytest.mark.parametrize("rate", [0.25, -0.0, np.float64(0.25), np.float32(0.25), 2, True, 1j, np.array(0.25), None])
def test_python_floats(rate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def f(given: Any) -> Any:
        return np.sum(given["x"] * given["rate"]) if given["rate"] is not None else np.sum(given["x"])

    example = {"x": X.astype("f4"), "rate": 0.5}
    short, long = dl.prepare(f, example), long_way(monkeypatch, f, example)
    call = {"x": X.astype("f4"), "rate": rate}
    assert_alike(called(lambda: short(call)), called(lambda: long(call)))
    assert short.stats["traces"] == long.stats["traces"]


def test_zero_axes_and_no_leaves_at_all() -> None:
    p = dl.prepare(lambda x, nothing: np.sin(x) * x, np.array(0.5), {})
    assert_alike(p.gradient(np.array(0.25), {}), dl.gradient(lambda x: np.sin(x) * x)(np.array(0.25)))
    empty = dl.prepare(lambda nothing, x: np.sum(x), {"a": [], "b": ()}, X, operator="value_and_gradient")
    assert_alike(empty({"a": [], "b": ()}, X), (np.sum(X), {"a": [], "b": ()}))


def test_an_output_in_a_container_comes_back_in_it() -> None:
    p = dl.prepare(lambda x: {"loss": np.sum(x * x)}, X, operator="value_and_gradient")
    for _ in range(2):
        assert_alike(p(X), ({"loss": np.sum(X * X)}, 2 * X))


# ------------------------------------------------------------------------------- containers that are not plain


@pytest.mark.parametrize(
    "make", [lambda w, b: Pair(w, b), lambda w, b: OrderedDict(u=w, a=b), lambda w, b: [Layer(w), b]]
)
def test_other_containers(make: Callable[[Any, Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    example = make(*params().values())
    short, long = dl.prepare(total, example, rate=0.5), long_way(monkeypatch, total, example, rate=0.5)
    call = make(*[2.0 * leaf for leaf in params().values()])
    for tree in (call, make(X, Y), params(), (X, Y)):
        found, expected = short(tree, rate=0.25), long(tree, rate=0.25)
        assert type(found) is type(expected)
        assert_alike(flatten(found)[0], flatten(expected)[0])
    assert short.stats["traces"] == long.stats["traces"]


def test_more_than_python_should_compile_and_deeper_than_it_can() -> None:
    wide = [np.array([float(k)]) for k in range(MOST_NODES)]
    deep: Any = X
    for level in range(2 * DEEPEST):
        deep = [deep] if level % 2 else {"next": deep}
    for tree in (wide, deep):
        args = (tree,)
        bound = bind(total, args, {}, 0)
        quick = QuickBinding(args, {}, bound)
        leaves = quick.leaves(args, {})
        assert leaves is not None
        assert all(map(lambda a, b: a is b, leaves, bound.leaves))
        assert_alike(quick.tree(leaves), tree)
    assert QuickBinding((deep,), {}, bind(total, (deep,), {}, 0)).leaves(([deep],), {}) is None


def test_text_of_keys_is_no_code() -> None:
    awkward = ["'", '"', "\\", "\n", "{x}", "%s", "'): return []\n", "é", "\ud800", "", " ", "class", "args"]
    tree = {key: np.array([float(number)]) for number, key in enumerate(awkward)}
    quick = QuickBinding((tree,), {}, bind(total, (tree,), {}, 0))
    leaves = quick.leaves((dict(tree),), {})
    assert leaves is not None
    assert_alike(quick.tree(leaves), tree)
    for key in awkward:
        other = {f"{one}'" if one == key else one: value for one, value in tree.items()}
        assert quick.leaves((other,), {}) is None


# ------------------------------------------------------------------------------- traces, guards, threads, freshness


def test_traced_leaves_take_part_in_the_enclosing_trace() -> None:
    p = dl.prepare(total, params(), X, operator="value_and_gradient")
    inner = lambda x: p.value_and_gradient(params(), x)[0]  # noqa: E731
    slope = dl.gradient(inner)(X)
    np.testing.assert_allclose(slope, dl.gradient(lambda x: total(params(), x))(X), rtol=1e-12)
    curvature = dl.gradient(lambda w: np.sum(p.gradient({**params(), "w": w}, X)["w"]))(params()["w"])
    w = params()["w"]
    np.testing.assert_allclose(curvature, 2.0 * (2 * np.cos(w) - w * np.sin(w)), rtol=1e-12)


def test_another_branch_goes_the_long_way_and_back() -> None:
    def f(given: Any) -> Any:
        return np.sum(given["x"] ** 2) if given["x"][0] > 0 else np.sum(given["x"] ** 3)

    p = dl.prepare(f, {"x": np.ones(2)}, operator="value_and_gradient")
    for _ in range(2):
        assert_alike(p({"x": np.full(2, -2.0)}), (np.float64(-16.0), {"x": np.full(2, 12.0)}))
        assert_alike(p({"x": np.full(2, 2.0)}), (np.float64(8.0), {"x": np.full(2, 4.0)}))
    assert p.stats["traces"] == 2


def test_results_are_fresh() -> None:
    p = dl.prepare(lambda given: np.sum(given["x"] * given["x"]), {"x": X}, operator="value_and_gradient")
    first, second = p({"x": X})[1], p({"x": X})[1]
    assert first is not second
    assert not np.shares_memory(first["x"], second["x"])
    second["x"][...] = 0.0
    assert_alike(first, {"x": 2 * X})


def test_gradient_of_what_is_prepared_for_products() -> None:
    vector = dl.prepare(lambda x: np.sin(x), X, operator="jvp")
    with pytest.raises(InputError, match=r"gradient of .* needs one output of shape \(\)"):
        vector.gradient(X)
    scalar = dl.prepare(lambda x: np.sum(np.sin(x)), X, operator="jvp")
    np.testing.assert_allclose(scalar.gradient(X)[0], np.cos(X), rtol=1e-15)


def test_threads_get_their_own_results() -> None:
    p = dl.prepare(total, params(), operator="value_and_gradient")
    expected = {k: p({key: k * value for key, value in params().items()}) for k in range(4)}
    found: dict[int, list[Any]] = {k: [] for k in range(4)}

    def work(k: int) -> None:
        for _ in range(200):
            found[k].append(p({key: k * value for key, value in params().items()}))

    threads = [Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, results in found.items():
        assert len(results) == 200
        for result in results:
            assert_alike(result, expected[k])
