"""compare: the quick look at one's own loss, in this process."""

from __future__ import annotations

import numpy as np
import pytest

import difflab as dl
from difflab.errors import InputError, StoreError, TraceError
from difflab.harness.host_side import HostSide
from difflab.harness.interleave import BUDGET, ROUNDS, SAMPLES, interleave


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


def test_what_is_forecast_to_take_too_long_is_refused_with_the_figures_and_progress_is_told():
    told = []
    n = 200_000
    found = dl.compare(
        lambda w: np.sum(np.tanh(w) ** 2), np.full(n, 0.5),
        backends=["forward", "reverse"], reference_seconds=0.1, call_seconds=0.5, progress=told.append,
    )  # fmt: skip
    assert found.frame["outcome"].tolist() == ["skipped_predicted", "ok"]
    assert "(200 000 evaluations of " in found.rows[0]["reason"]
    assert found.rows[0]["reason"].endswith("the limit is 500 ms")
    assert found.rows[1]["certified"].startswith("no: the loss alone is forecast to take ")
    assert [event["text"].partition(",")[0] for event in told] == [
        "certifying the gradient", "forward: preparing and calling once", "reverse: preparing and calling once",
        "timing by turns",
    ]  # fmt: skip
    assert [event["done"] for event in told] == [0, 1, 2, 3]
    assert {event["steps"] for event in told} == {4}


def test_memory_counts_what_a_program_keeps_between_calls():
    x = np.linspace(-1.0, 1.0, 120_000).reshape(400, 300)
    w = np.full(300, 0.01)
    (row,) = dl.compare(loss, w, x, backends=["reverse"], reference_seconds=0.1).rows
    assert row["held_bytes"] > 0.9 * row["predicted_bytes"]
    assert row["held_bytes"] >= row["array_bytes"]
    assert row["call_s_least"] <= row["call_s"] <= row["call_s_most"]


def test_calls_too_slow_to_repeat_count_with_their_first_time():
    calls = {"quick": 0, "slow": 0, "endless": 0}

    def counting(name):
        def call():
            calls[name] += 1

        return call

    once = {"quick": 1e-6, "slow": BUDGET / 2, "endless": 10 * BUDGET}
    rows = {name: {"case": name, "first_call_s": seconds} for name, seconds in once.items()}
    ready = [(row, counting(name)) for name, row in rows.items()]
    samples = interleave(ready, lambda: lambda: None, HostSide())
    assert calls["endless"] == 0
    assert calls["slow"] == len(samples["slow"][0]) == 2
    assert calls["quick"] > ROUNDS * SAMPLES == len(samples["quick"][0])
    assert rows["endless"]["call_s"] == samples["endless"][0][0] == 10 * BUDGET


def test_nothing_to_compare_is_an_error():
    with pytest.raises(InputError, match="no backend is named; give at least one"):
        dl.compare(loss, *ARGS, backends=[])
