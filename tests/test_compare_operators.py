"""compare with an operator: every backend that can do it, natively or deduced, against the certified truth."""

from __future__ import annotations

import made_up_runs
import numpy as np
import pytest

import difflab as dl
from difflab.backends.null import Null
from difflab.errors import InputError

EVERYONE = ["finite", "symbolic", "forward", "reverse", "analytic", "null"]
POINT = {"w": np.array([0.3, -0.5, 0.2])}
DATA = np.linspace(-1, 2, 12).reshape(4, 3)


def loss(params, x):
    return np.sum(np.tanh(x @ params["w"]) ** 2)


def by_hand(params, x):
    h = np.tanh(x @ params["w"])
    return np.sum(h**2), {"w": x.T @ (2 * h * (1 - h**2))}


def residuals(params, x):
    return {"r": np.tanh(x @ params["w"]), "penalty": np.sum(params["w"] ** 2)}


class Zero(Null):
    """A backend that claims more than zeros."""

    def __init__(self):
        object.__setattr__(self, "family", "reverse")
        object.__setattr__(self, "capabilities", frozenset({"hvp"}))


def outcomes(found):
    return dict(zip(found.frame["backend"], found.frame["outcome"], strict=True))


@pytest.mark.parametrize("operator", ["gradient", "jacobian", "jvp", "vjp", "hvp", "hessian"])
def test_every_backend_is_a_row_of_every_operator(operator):
    found = dl.compare(loss, POINT, DATA, operator=operator, backends=EVERYONE, analytic=by_hand)
    second = operator in ("hvp", "hessian")
    assert outcomes(found) == dict.fromkeys(EVERYONE, "ok") | ({"analytic": "unsupported"} if second else {})
    frame = found.frame.set_index("backend")
    assert set(frame["operator"]) == {operator}
    assert (frame.loc[["symbolic", "forward", "reverse"], "rel_error"] < 1e-14).all()
    assert 1e-13 < frame.loc["finite", "rel_error"] < (1e-5 if second else 1e-8)
    assert frame.loc["reverse", "certified"] == "yes"
    assert frame.loc["null", "certified"].startswith("no: the null backend")
    size = {"jvp": 1, "hessian": 9}.get(operator, 3)
    for row in found.rows:
        if row["outcome"] == "ok":
            assert row["call_s"] > 0
            assert row["backend"] == "null" or sum(row["ulp_histogram"]) == size
    if second:
        assert "cannot be differentiated again" in frame.loc["analytic", "reason"]
        assert frame.loc["analytic", "call_s"] is None or np.isnan(frame.loc["analytic", "call_s"])


@pytest.mark.parametrize("operator", ["jacobian", "jvp", "vjp"])
def test_functions_of_several_outputs_have_products_and_jacobians(operator):
    found = dl.compare(residuals, POINT, DATA, operator=operator, backends=EVERYONE, analytic=by_hand)
    assert outcomes(found) == dict.fromkeys(EVERYONE, "ok") | {"analytic": "unsupported"}
    assert "needs one real output of shape ()" in found.rows[4]["reason"]
    assert all(row["rel_error"] < 1e-9 for row in found.rows[:4])
    with pytest.raises(InputError, match=r"hvp of .*residuals.* needs one output of shape"):
        dl.compare(residuals, POINT, DATA, operator="hvp")


def test_vectors_are_given_in_the_users_structure_or_drawn_and_told():
    drawn = dl.compare(loss, POINT, DATA, operator="hvp", backends=["reverse"])
    assert drawn.vectors["w"].shape == (3,)
    assert np.sum(drawn.vectors["w"] ** 2) == pytest.approx(1.0)
    assert any("random numbers of unit length" in sentence for sentence in drawn.manifest["method"])
    again = dl.compare(loss, POINT, DATA, operator="hvp", backends=["reverse"])
    np.testing.assert_array_equal(again.vectors["w"], drawn.vectors["w"])
    given = dl.compare(loss, POINT, DATA, operator="hvp", vectors={"w": np.array([1, 0, 0])}, backends=["reverse"])
    np.testing.assert_array_equal(given.vectors["w"], [1.0, 0.0, 0.0])
    assert any("given by the caller" in sentence for sentence in given.manifest["method"])
    pulled = dl.compare(residuals, POINT, DATA, operator="vjp", backends=["reverse"])
    assert {key: np.shape(value) for key, value in pulled.vectors.items()} == {"r": (4,), "penalty": ()}
    both = dl.compare(loss, POINT, DATA, argnums=(0, 1), operator="jvp", backends=["forward", "reverse"])
    assert both.vectors[1].shape == (4, 3)
    assert outcomes(both) == {"forward": "ok", "reverse": "ok"}


def test_the_vectors_are_those_that_are_used():
    """A Jacobian-vector product of x -> x is the vector itself, and so is the truth."""
    vector = np.array([0.1, -3.0])
    found = dl.compare(lambda x: x * 1.0, np.ones(2), operator="jvp", vectors=vector, backends=["forward", "null"])
    assert found.rows[0]["ulps"] == 0.0
    twice = dl.compare(lambda x: np.sum(x * x), np.ones(2), operator="hvp", vectors=vector, backends=[Zero()])
    assert (twice.rows[0]["outcome"], twice.rows[0]["rel_error"]) == ("invalid", 1.0)


def test_wrong_vectors_and_operators_are_errors():
    with pytest.raises(InputError, match="operator='divergence': it is one of 'gradient', 'jacobian', 'jvp'"):
        dl.compare(loss, POINT, DATA, operator="divergence")
    with pytest.raises(InputError, match="operator 'gradient' takes none; those that do: 'jvp', 'vjp', 'hvp'"):
        dl.compare(loss, POINT, DATA, vectors=POINT)
    with pytest.raises(InputError, match="does not have the structure of the argument"):
        dl.compare(loss, POINT, DATA, operator="hvp", vectors=np.ones(3))
    with pytest.raises(InputError, match=r"a tangent of shape \(2,\) belongs to a value of shape \(3,\)"):
        dl.compare(loss, POINT, DATA, operator="jvp", vectors={"w": np.ones(2)})
    with pytest.raises(InputError, match="the cotangent does not have the structure of the output"):
        dl.compare(residuals, POINT, DATA, operator="vjp", vectors=[1.0])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_small_dtypes_are_graded_in_their_own_units(dtype):
    point, data = {"w": POINT["w"].astype(dtype)}, DATA.astype(dtype)
    for operator in ("gradient", "hvp", "jvp"):
        found = dl.compare(loss, point, data, operator=operator, backends=EVERYONE[:4])
        assert set(outcomes(found).values()) == {"ok"}
        assert {row["dtype"] for row in found.rows} == {dtype}
        eps = float(np.finfo(dtype).eps)
        for row in found.rows[1:]:
            assert row["rel_error"] < 10 * eps
            assert row["digits"] <= -np.log10(eps / 2) + 1e-9
    mixed = dl.compare(lambda p: np.sum(p[0]) * np.sum(p[1]), (point["w"], POINT["w"]), backends=["reverse"])
    assert mixed.rows[0]["dtype"] == dtype


def test_a_function_that_writes_into_its_arguments_leaves_those_of_the_user_alone():
    def careless(x, scale):
        scale *= 2.0
        return np.sum(x * x) * np.sum(np.asarray(scale) * 0 + 1.0)

    scale = np.ones(2)
    with pytest.raises(dl.errors.DifflabError):
        dl.compare(careless, np.ones(3), scale, backends=["finite"])
    np.testing.assert_array_equal(scale, np.ones(2))


def test_a_black_box_has_products_by_quotients():
    def sum_of_set(w):
        return np.sum(np.union1d(w, w) * np.arange(3.0))

    for operator in ("jvp", "vjp", "jacobian", "hvp"):
        found = dl.compare(sum_of_set, POINT["w"], operator=operator, backends=["finite", "reverse"])
        assert outcomes(found) == {"finite": "ok", "reverse": "unsupported"}
        assert found.rows[0]["certified"] == "no: the loss cannot be traced"


def test_the_page_speaks_of_the_operator(tmp_path):
    found = dl.compare(loss, POINT, DATA, operator="hvp", backends=["forward", "reverse"])
    assert found.title == "Ways to compute the Hessian-vector product of loss"
    page = made_up_runs.unexplained(found.save(tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "operator=&#39;hvp&#39;" in page
    assert "One Hessian-vector product" in page
    assert "Each cell: the time of one Hessian-vector product," in page
    assert "the Hessian-vector product of the same recorded function" in page
    assert "One gradient" not in page
