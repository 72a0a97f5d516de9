"""The chain rule of tensors: factors of two layers, their structure, and that their product is the gradient."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from harness_runs import run
from hypothesis import given, settings
from hypothesis import strategies as st

from difflab import value_and_gradient
from difflab.backends import find
from difflab.errors import UnsupportedError
from difflab.harness import catalogue, study_file
from difflab.harness.examinations import chain as examine_chain
from difflab.harness.examinations.chain import examine, in_denominator, in_numerator
from difflab.harness.study import shipped
from difflab.maps_layers import CHAIN, CHAIN_SIZE, LAYERS, PAIRS, chain
from difflab.report import answer, render

SETTINGS = {**CHAIN_SIZE, "scales": (1, 2), "formed": 2**23}


def examined(pair: str, backend: str = "reverse", dtype: str = "float64", **changed: Any) -> dict[str, Any]:
    channel = SimpleNamespace(phase=lambda name: None)
    spec = {"size": pair, "dtype": dtype, "seed": 0}
    session: Any = SimpleNamespace(backend=find(backend), spec=spec, channel=channel)
    found = examine(session, {"settings": SETTINGS | changed, "quick": False})
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def kinds(pair: str) -> dict[str, str]:
    return {one["name"]: one["structure"]["kind"] for one in examined(pair)["findings"]["factors"]}


# ---------------------------------------------------------------------------- the pairs


@pytest.mark.parametrize("pair", PAIRS)
def test_the_gradient_of_a_pair_is_the_one_derived_by_hand(pair: str) -> None:
    instance = CHAIN.build(pair, "float64", 1)
    value, found = value_and_gradient(instance.loss)(*instance.args)
    known, by_hand = instance.analytic(*instance.args)
    assert value == pytest.approx(known, rel=1e-14)
    assert set(found) == set(by_hand)
    for name, slope in found.items():
        assert np.max(np.abs(slope - by_hand[name])) < 1e-12 * max(1.0, float(np.max(np.abs(slope))))


def test_every_layer_stands_in_both_places_or_has_no_weights() -> None:
    firsts, seconds = ({pair.split("-")[place] for pair in PAIRS} for place in (0, 1))
    assert seconds == set(LAYERS)
    assert firsts == {name for name, layer in LAYERS.items() if layer.weights((3, 6), CHAIN_SIZE)}


# ---------------------------------------------------------------------------- factors


def test_the_factors_of_two_dense_layers() -> None:
    found = {one["name"]: one for one in examined("dense-dense")["findings"]["factors"]}
    assert list(found) == ["dL/dy2", "dy2/dW2", "dy2/dy1", "dy1/dW1", "dy1/dx"]
    assert (found["dL/dy2"]["out"], found["dL/dy2"]["into"]) == ([], [3, 4])
    assert (found["dy1/dW1"]["out"], found["dy1/dW1"]["into"]) == ([3, 4], [6, 4])
    assert found["dy1/dW1"]["bytes"] == 8 * 3 * 4 * 6 * 4
    assert found["dy2/dy1"]["structure"]["text"] == "block diagonal: 3 equal blocks of 4 x 4"
    assert found["dy1/dW1"]["structure"]["text"] == "Kronecker product of a 3 x 6 block with the identity of 4"
    made = chain("dense-dense", CHAIN_SIZE, "float64", 0)
    weights = np.kron(made.x, np.eye(4))
    assert np.allclose(found["dy1/dW1"]["matrix"], weights, rtol=1e-5)
    assert np.allclose(found["dy2/dy1"]["matrix"], np.kron(np.eye(3), made.params["W2"].T), rtol=1e-5)


def test_a_bias_is_the_identity_and_an_activation_is_diagonal() -> None:
    found = {one["name"]: one for one in examined("dense-bias")["findings"]["factors"]}
    assert found["dy2/dy1"]["structure"]["text"] == "identity of 12"
    assert found["dy2/db2"]["structure"]["text"] == "Kronecker product of a 3 x 1 block with the identity of 4"
    for activation in ("relu", "sigmoid"):
        assert kinds(f"dense-{activation}")["dy2/dy1"] == "diagonal"


def test_a_softmax_has_a_block_for_every_example() -> None:
    found = {one["name"]: one for one in examined("dense-softmax")["findings"]["factors"]}
    assert found["dy2/dy1"]["structure"]["text"] == "block diagonal: 3 different blocks of 4 x 4"


def test_a_convolution_is_a_band() -> None:
    found = {one["name"]: one for one in examined("conv-dense")["findings"]["factors"]}
    assert found["dy1/dx"]["structure"]["text"].endswith("each banded Toeplitz")
    assert found["dy1/dk1"]["structure"]["kind"] == "Kronecker product"
    assert found["dy2/dy1"]["into"] == [3, 4, 2]


# ---------------------------------------------------------------------------- the chain


@pytest.mark.parametrize("pair", PAIRS)
def test_the_chain_is_the_gradient_of_reverse_mode(pair: str) -> None:
    found = examined(pair, scales=(1,))
    assert found["outcome"] == "ok"
    for one in found["findings"]["chains"]:
        assert one["difference"] < 1e-14
        assert one["numerator_difference"] < 1e-14


@pytest.mark.parametrize(("backend", "slack"), [("forward", 1e-14), ("complex-step", 1e-13), ("finite", 1e-7)])
def test_other_backends_form_the_same_factors(backend: str, slack: float) -> None:
    found = examined("conv-sigmoid", backend)
    assert found["outcome"] == "ok"
    assert max(one["difference"] for one in found["findings"]["chains"]) < slack
    ours = examined("conv-sigmoid")["findings"]["factors"]
    theirs = found["findings"]["factors"]
    assert [one["structure"]["text"] for one in theirs] == [one["structure"]["text"] for one in ours]


def test_in_single_precision() -> None:
    found = examined("dense-dense", dtype="float32")
    assert found["outcome"] == "ok"
    assert found["findings"]["factors"][1]["bytes"] == 4 * found["findings"]["factors"][1]["entries"]


def test_the_steps_are_reshape_product_reshape_in_reverse_order() -> None:
    (by_w1, _, _) = examined("dense-dense")["findings"]["chains"]
    assert by_w1["variable"] == "W1"
    told = [(one["do"], one["what"], one["before"], one["after"]) for one in by_w1["steps"]]
    assert told == [
        ("reshape", "dL/dy2", [3, 4], [12, 1]),
        ("reshape", "dy2/dy1", [3, 4, 3, 4], [12, 12]),
        ("product", "dL/dy1", [12, 12, 12, 1], [12, 1]),
        ("reshape", "dL/dy1", [12, 1], [3, 4]),
        ("reshape", "dy1/dW1", [6, 4, 3, 4], [24, 12]),
        ("product", "dL/dW1", [24, 12, 12, 1], [24, 1]),
        ("reshape", "dL/dW1", [24, 1], [6, 4]),
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 3), max_size=2), st.lists(st.integers(1, 3), max_size=2),
    st.lists(st.integers(1, 3), max_size=3), st.integers(0, 99),
)  # fmt: skip
def test_both_layouts_contract_tensors_of_any_rank(
    last: list[int], middle: list[int], first: list[int], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    by_last = generator.standard_normal(last)
    later, earlier = generator.standard_normal((*last, *middle)), generator.standard_normal((*middle, *first))
    path = [("dL/dz", 0, by_last), ("dz/dy", len(last), later), ("dy/dx", len(middle), earlier)]
    truth = np.tensordot(np.tensordot(by_last, later, len(last)), earlier, len(middle))
    for found in (in_denominator(path, []), in_numerator(path)):
        assert found.shape == tuple(first)
        assert np.allclose(found, truth, rtol=1e-12, atol=1e-12)


def test_a_wrong_factor_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = examine_chain._factors

    def spoilt(*given: Any) -> Any:
        found = ordinary(*given)
        found["dy2/dy1"][1][0, 0, 0, 0] *= 1.001
        return found

    monkeypatch.setattr(examine_chain, "_factors", spoilt)
    found = examined("dense-dense")
    assert found["outcome"] == "invalid"
    assert found["reason"].startswith("the chain differs from reverse mode by ")


# ---------------------------------------------------------------------------- what it costs, and the settings


def test_factors_cost_bytes_that_reverse_mode_does_not_take() -> None:
    one, four = examined("dense-dense", scales=(1, 4))["findings"]["scales"]
    assert one["factor_bytes"] == 8 * (12 + 12 * 12 + 12 * 16 + 12 * 24)
    assert four["size"] == {"examples": 12, "inputs": 24, "units": 16, "kernel": 3, "channels": 2}
    assert four["factor_peak"] > four["factor_bytes"] > 20 * four["implicit_peak"]
    assert four["factor_bytes"] / one["factor_bytes"] > 200


def test_factors_that_are_too_large_are_counted_and_not_formed() -> None:
    one, two = examined("dense-relu", formed=1000)["findings"]["scales"]
    assert one["formed"]
    assert not two["formed"]
    assert "factor_peak" not in two
    assert two["factor_bytes"] > 8 * 1000
    assert two["implicit_peak"] > 0


def test_the_sizes_of_the_layers_are_settings() -> None:
    found = examined("conv-dense", examples=2, inputs=9, units=5, kernel=4, channels=3)
    assert found["n_params"] == 4 * 3 + 6 * 3 * 5
    assert found["findings"]["factors"][2]["out"] == [2, 5]
    assert found["findings"]["factors"][2]["into"] == [2, 6, 3]


def test_layers_that_do_not_fit_are_refused_in_a_sentence() -> None:
    with pytest.raises(UnsupportedError, match=r"the layers conv-dense do not fit each other at these sizes: conv2d"):
        examined("conv-dense", kernel=7)


def test_the_shipped_study_has_pairs_of_every_sort() -> None:
    path = shipped()["tensor-chain"]
    study = study_file.parse(path.read_text(), path.name, lambda names, problems: catalogue.collect(names, problems))
    assert study.answer == "chain"
    assert {"dense-dense", "dense-relu", "conv-dense"} <= set(study.problems[0].sizes)
    assert study.settings.inputs == 6


def test_a_run_of_a_study_of_chains(tmp_path: Path) -> None:
    text = 'title = "T"\nquestion = "Q"\nlook_for = "L"\nanswer = "chain"\n'
    text += '[[problem]]\nname = "difflab.maps_layers:CHAIN"\nsizes = ["dense-bias"]\n[[backend]]\nname = "forward"\n'
    text += "[chain]\nexamples = 2\ninputs = 3\nunits = 5\nscales = [1]\n"
    path = tmp_path / "chains.toml"
    path.write_text(text)
    results = run(path, tmp_path / "run")
    (row,) = results.rows
    assert row["outcome"] == "ok"
    assert row["n_params"] == 3 * 5 + 5
    assert row["findings"]["size"] == {"examples": 2, "inputs": 3, "units": 5, "kernel": 3, "channels": 2}
    assert answer(results).text.startswith("Of 4 factors of 1 pair of layers, 1 is an identity, ")
    assert "identity of 10" in render(results)
