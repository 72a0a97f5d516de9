"""compare: the quick look at one's own loss, in this process."""

from __future__ import annotations

import numpy as np
import pytest

import difflab as dl
from difflab.errors import InputError, StoreError, TraceError


def loss(w, x):
    return np.sum(np.tanh(x @ w) ** 2)


ARGS = (np.array([0.3, -0.5, 0.2]), np.linspace(-1, 1, 12).reshape(4, 3))


def by_hand(w, x):
    h = np.tanh(x @ w)
    return np.sum(h**2), x.T @ (2 * h * (1 - h**2))


def test_every_family_is_a_row_with_its_certified_error():
    found = dl.compare(
        loss, *ARGS, backends=["finite", "symbolic", "forward", "reverse", "analytic", "null"], analytic=by_hand
    )
    frame = found.frame.set_index("backend")
    assert list(frame.index) == ["finite", "symbolic", "forward", "reverse", "analytic", "null"]
    assert set(frame["outcome"]) == {"ok"}
    exact = frame.loc[["symbolic", "forward", "reverse", "analytic"], "rel_error"]
    assert (exact < 1e-13).all()
    assert 1e-13 < frame.loc["finite", "rel_error"] < 1e-8
    assert frame.loc["null", "certified"].startswith("no: the null backend")
    assert frame["n_params"].tolist() == [3] * 6
    calls = dict(zip(frame.index, frame["primal_calls"], strict=True))
    assert (calls["finite"], calls["forward"]) == (7, 3)
    assert min(row["call_s"] for row in found.rows) > 0
    assert {len(processes) for processes in found.samples.values()} == {1}


def test_a_wrong_gradient_is_invalid_and_says_by_how_much():
    found = dl.compare(
        loss, *ARGS, backends=["analytic"], analytic=lambda w, x: (by_hand(w, x)[0], 2 * by_hand(w, x)[1])
    )
    (row,) = found.rows
    assert row["outcome"] == "invalid"
    assert row["rel_error"] == pytest.approx(1.0)
    assert "over the tolerance" in row["reason"]


def test_what_a_backend_cannot_do_is_its_row_and_not_an_exception():
    found = dl.compare(loss, *ARGS, backends=["analytic", "reverse"])
    assert found.frame["outcome"].tolist() == ["unsupported", "ok"]
    assert "needs a gradient derived by hand" in found.rows[0]["reason"]


def test_backends_named_twice_are_told_apart_by_their_options():
    found = dl.compare(loss, *ARGS, backends=[dl.Finite(), dl.Finite(scheme="forward")])
    assert found.frame["backend"].tolist() == [
        "Finite(scheme='central', step='auto')",
        "Finite(scheme='forward', step='auto')",
    ]


def test_the_page_is_written_and_shows_the_rows(tmp_path):
    found = dl.compare(loss, *ARGS, backends=["forward", "reverse"])
    page = found.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "reverse" in page
    assert "loss" in page
    assert "<table" in found._repr_html_()
    with pytest.raises(StoreError, match=r"the page cannot be written to .*: No such file or directory"):
        found.save(tmp_path / "missing" / "page.html")


def test_faults_of_the_function_itself_are_errors():
    with pytest.raises(InputError, match=r"needs one output of shape \(\), and it returns shape \(3,\)"):
        dl.compare(lambda w: 2 * w, ARGS[0])
    state = []

    def remembers(w):
        state.append(0)
        return np.sum(w) * len(state)

    with pytest.raises(TraceError, match="likely causes are hidden state"):
        dl.compare(remembers, ARGS[0])


def test_a_hand_derived_gradient_given_in_either_way_is_judged():
    def wrong(w, x):
        value, gradient = by_hand(w, x)
        return value, gradient * 1.001

    by_value = dl.compare(loss, *ARGS, backends=["reverse", dl.Analytic(wrong)])
    assert by_value.frame["outcome"].tolist() == ["ok", "invalid"]
    by_keyword = dl.compare(loss, *ARGS, backends=["reverse"], analytic=wrong)
    assert by_keyword.frame["backend"].tolist() == ["reverse", "analytic"]
    assert by_keyword.rows[1]["rel_error"] == pytest.approx(1e-3, rel=1e-6)


def test_a_black_box_is_compared_as_far_as_that_goes():
    def sum_of_set(w):
        return np.sum(np.union1d(w, w) * np.arange(3.0))

    found = dl.compare(sum_of_set, ARGS[0], backends=["finite", "reverse"])
    assert found.frame["outcome"].tolist() == ["ok", "unsupported"]
    assert found.rows[0]["certified"] == "no: the loss cannot be traced"
    assert "np.union1d" in found.rows[1]["reason"]
    with pytest.raises(TraceError, match=r"np\.union1d"):
        dl.compare(sum_of_set, ARGS[0], backends=["reverse"])


def test_a_loss_that_is_nan_is_said_once_with_the_argument():
    with pytest.raises(InputError, match=r"nothing can be compared: the loss is nan at .*argument x contains NaN"):
        dl.compare(loss, ARGS[0], np.where(ARGS[1] > 0.9, np.nan, ARGS[1]))
