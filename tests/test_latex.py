"""``Trace.to_latex``: the lectures' formulas word for word, symbols of their own, and text that LaTeX can set."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser

import difflab as dl
from difflab import nn
from difflab.errors import InputError, UnsupportedError
from difflab.problems import PROBLEMS
from difflab.walk.latex.letters import symbol_of

RANDOM = np.random.default_rng(0)
X, Y, W, T = (RANDOM.normal(size=shape) for shape in ((97, 4), (97,), (4, 3), (97, 3)))
SIZES = [(name, size) for name, problem in PROBLEMS.items() for size in problem.sizes if size.startswith("tiny")]


def text_of(name: str, size: str = "tiny") -> str:
    """The formulas of a problem."""
    instance = PROBLEMS[name].build(size, "float64", 0)
    return dl.trace(instance.loss, *instance.args).to_latex()


def lines(text: str) -> list[str]:
    """The lines of an environment, without what aligns and ends them."""
    return [line.strip().removesuffix(r"\\").replace("&", "").strip() for line in text.splitlines()[1:-1]]


def written(loss: Callable[..., Any], *args: Any, **keywords: Any) -> list[str]:
    return lines(dl.trace(loss, *args).to_latex(**keywords))


# ---------------------------------------------------------------------------- what the lectures write


def test_least_squares_is_the_lecture_s_formula() -> None:
    assert written(lambda w, X, y: np.mean((X @ w - y) ** 2), np.ones(4), X, Y) == [
        "N = 97",
        r"L = \frac{1}{N} \lVert X w - y \rVert^2",
        r"\frac{\partial L}{\partial w} = \frac{2}{N} X^\top (X w - y)",
    ]


def test_a_sum_over_the_number_of_rows_is_a_mean_too() -> None:
    assert written(lambda w, X, y: np.sum((X @ w - y) ** 2) / len(y), np.ones(4), X, Y)[0] == "N = 97"


def test_half_of_two_squares_is_no_mean() -> None:
    assert written(lambda w: np.sum(w**2) / 2, np.ones(2)) == [
        r"L = \frac{1}{2} \lVert w \rVert^2",
        r"\frac{\partial L}{\partial w} = w",
    ]


@pytest.mark.parametrize(
    ("penalty", "gradient"),
    [
        (lambda w, lam: lam * np.sum(w**2), r"2 \lambda w"),
        (lambda w, lam: 0.5 * lam * np.sum(w**2), r"\lambda w"),
    ],
)
def test_ridge_adds_what_the_problem_defines(penalty: Callable[..., Any], gradient: str) -> None:
    found = written(lambda w, X, y, lam: np.mean((X @ w - y) ** 2) + penalty(w, lam), np.ones(4), X, Y, 0.1)
    assert found[-1] == rf"\frac{{\partial L}}{{\partial w}} = \frac{{2}}{{N}} X^\top (X w - y) + {gradient}"


def test_logistic_regression() -> None:
    assert lines(text_of("logistic", "tiny-l2")) == [
        "N = 4",
        r"v = -y \odot (X w + b \mathbf{1})",
        r"L = \frac{1}{N} \mathbf{1}^\top \log(1 + e^v) + \ell_2 \lVert w \rVert^2",
        r"g = -\frac{1}{N} y \odot \sigma(v)",
        r"\frac{\partial L}{\partial b} = \mathbf{1}^\top g",
        r"\frac{\partial L}{\partial w} = X^\top g + 2 \ell_2 w",
        r"\sigma(a) = \frac{1}{1 + e^{-a}}",
    ]


def test_two_layers_as_the_lectures_differentiate_them_by_hand() -> None:
    assert lines(text_of("two-layer")) == [
        "A_1 = X W_1",
        r"O_1 = \max(0, A_1)",
        "A_2 = O_1 W_2",
        r"L = \lVert A_2 \rVert_F^2",
        r"\frac{\partial L}{\partial W_1} = 2 X^\top ((A_2 W_2^\top) \odot [A_1 > 0])",
        r"\frac{\partial L}{\partial W_2} = 2 O_1^\top A_2",
        r"[a > b] = \tfrac{1}{2} \text{ where } a = b",
    ]


def test_the_deltas_of_xor_go_back_layer_by_layer() -> None:
    assert lines(text_of("xor")) == [
        r"A_1 = X W_1 + \mathbf{1} b_1^\top",
        r"O_1 = \sigma(A_1)",
        r"A_2 = O_1 W_2 + \mathbf{1} b_2^\top",
        r"O_2 = \sigma(A_2)",
        r"A_3 = O_2 W_3 + b_3 \mathbf{1}",
        r"R = \sigma(A_3) - Y",
        r"L = \lVert R \rVert^2",
        r"\Delta_3 = 2 \sigma'(A_3) \odot R",
        r"\Delta_2 = \sigma'(A_2) \odot (\Delta_3 W_3^\top)",
        r"\Delta_1 = \sigma'(A_1) \odot (\Delta_2 W_2^\top)",
        *[rf"\frac{{\partial L}}{{\partial b_{k}}} = \Delta_{k}^\top \mathbf{{1}}" for k in (1, 2, 3)],
        r"\frac{\partial L}{\partial W_1} = X^\top \Delta_1",
        r"\frac{\partial L}{\partial W_2} = O_1^\top \Delta_2",
        r"\frac{\partial L}{\partial W_3} = O_2^\top \Delta_3",
        r"\sigma(a) = \frac{1}{1 + e^{-a}}",
        r"\sigma'(a) = \sigma(a) (1 - \sigma(a))",
    ]


def test_norm_squared() -> None:
    assert lines(text_of("norm-squared")) == [
        r"L = \lVert W x \rVert^2",
        r"\frac{\partial L}{\partial W} = 2 W x x^\top",
        r"\frac{\partial L}{\partial x} = 2 W^\top W x",
    ]


def test_softmax_regression_on_targets_whose_rows_are_taken_to_sum_to_one() -> None:
    loss = lambda W, X, T: np.mean(nn.logsumexp(X @ W, axis=1) - np.sum(T * (X @ W), axis=1))  # noqa: E731 (one line)
    found = written(loss, W, X, T)
    assert found[3:] == [
        r"S = \operatorname{softmax}(A)",
        r"\frac{\partial L}{\partial W} = \frac{1}{N} X^\top (S - T)",
        r"\operatorname{softmax}, \operatorname{logsumexp} : \text{of each row}",
    ]


@pytest.mark.parametrize("name", ["digits-mlp", "mlp"])
def test_softmax_cross_entropy_keeps_the_sums_of_the_targets_rows(name: str) -> None:
    """The tape knows no one-hot rows; that the shift by the maximum leaves the gradient alone, the algebra knows."""
    found = lines(text_of(name))
    delta = {"digits-mlp": r"\Delta_2 = \frac{1}{N} (\operatorname{diag}(T \mathbf{1}) S - T)"}
    assert delta.get(name, r"G = (T \mathbf{1}) S - T") in found
    assert r"\Delta_1 = \tanh'(A_1) \odot (\Delta_2 W_2^\top)" in found
    assert not re.search(r"operatorname{max}|infty", "".join(found))


def test_graphs_of_numbers() -> None:
    assert lines(text_of("baydin"))[1:] == [
        r"\frac{\partial L}{\partial x_1} = \frac{1}{x_1} + x_2",
        r"\frac{\partial L}{\partial x_2} = x_1 - \cos(x_2)",
    ]
    assert lines(text_of("scalar-net")) == [
        "v = w_1 x",
        r"o = \max(0, v)",
        "r = w_2 o - y",
        r"L = \frac{1}{2} r^2",
        r"\frac{\partial L}{\partial w_1} = r w_2 x [v > 0]",
        r"\frac{\partial L}{\partial w_2} = r o",
        r"[a > b] = \tfrac{1}{2} \text{ where } a = b",
    ]
    assert r"\bar{v} = \sigma'(v)" in lines(text_of("sigmoid-neuron"))


@pytest.mark.parametrize(
    ("loss", "args", "gradient"),
    [
        (
            lambda w, A, c: 0.5 * w @ A @ w - c @ w,
            (np.ones(3), np.eye(3) + 1, np.ones(3)),
            r"\frac{1}{2} (A + A^\top) w - c",
        ),
        (lambda W, A: np.trace(W.T @ A @ W), (W, np.ones((4, 4))), r"(A + A^\top) W"),
        (lambda A, c: c @ np.linalg.solve(A, c), (np.eye(3) * 2, np.ones(3)), r"-A^{-\top} c c^\top A^{-\top}"),
        (lambda A: np.linalg.slogdet(A)[1], (np.eye(3) * 2,), r"A^{-\top}"),
        (
            lambda w, A, c: c @ nn.softmax(A @ w),
            (np.ones(3), np.eye(3), np.ones(3)),
            r"A^\top (s \odot (c - c^\top s \mathbf{1}))",
        ),
        (lambda w: np.sum(np.cumsum(w[1:])), (np.ones(4),), None),
    ],
)
def test_gradients_of_the_matrix_cookbook(loss: Callable[..., Any], args: tuple, gradient: str | None) -> None:
    found = [line for line in written(loss, *args) if r"\partial" in line]
    assert len(found) == 1
    if gradient is not None:
        assert found[0].split(" = ", 1)[1] == gradient
    else:
        assert r"\operatorname{into}_{[1{:}]}" in found[0]


# ---------------------------------------------------------------------------- honesty


def test_a_tie_is_never_hidden() -> None:
    """Where a relation of the user's stands beside it, the step with its half is written out."""
    loss = lambda x: np.sum(np.where(x > 1.0, x, 0.0) * np.maximum(0.0, x))  # noqa: E731 (one line)
    found = "\n".join(written(loss, np.ones(3)))
    assert r"\tfrac{1}{2} ([x > 0] + [x \geq 0])" in found
    assert "where" not in found


def test_ones_say_how_many_they_are_where_nothing_else_does() -> None:
    """G = 1 c^T alone would not tell how many rows it has; added to a matrix it would."""
    found = written(lambda w: np.sum(np.max(np.outer(np.ones(5), w), axis=0)), np.ones(3))
    assert r"\mathbf{1}_5 w^\top" in "".join(found)
    assert r"\mathbf{1}_" not in "".join(written(lambda w, X: np.sum((X + w) ** 2), np.ones(3), np.ones((5, 3))))


def test_constants_are_written_out_or_declared() -> None:
    small, large = np.array([1.0, 2.0, 4.0]), RANDOM.normal(size=(50, 3))
    found = written(lambda w: np.sum((large @ w) ** 2) + small @ w, np.ones(3))
    assert r"C_1 \in \mathbb{R}^{50 \times 3} \text{ (constant)}" in found
    assert any(line.endswith(r"(1.0, 2.0, 4.0)^\top") for line in found)


def test_what_has_no_matrix_formula_is_a_named_function_with_its_meaning() -> None:
    found = lines(text_of("digits-cnn"))
    assert any(
        line.startswith(r"\operatorname{windows} : \text{every window of the image; size=(3, 3)") for line in found
    )
    gradient = next(line for line in found if line.startswith(r"\frac{\partial L}{\partial K_1}"))
    assert gradient.endswith(r"(O_1^\top \operatorname{reshape}_{64 \times 2}(\Delta_1))")


def test_every_function_of_a_problem_is_known_or_explained() -> None:
    known = {"softmax", "logsumexp", "diag", "sign", "reshape", "into", "tr"}
    for name, size in SIZES:
        text = text_of(name, size)
        used = set(re.findall(r"\\operatorname{([a-z-]+)}", re.sub(r"(?m)^.*&:.*$", "", text)))
        explained = set(re.findall(r"(?m)^  \\operatorname{([a-z-]+)}(?:_{\d+})? &:", text))
        assert used <= explained | known, (name, used - explained - known)


def test_a_branch_of_python_s_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"formulas of .* would freeze a branch .* np\.where"):
        dl.trace(lambda x: x * x if x > 0 else x, 2.0).to_latex()


def test_an_output_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        dl.trace(lambda x: x * x, np.ones(3)).to_latex()


def test_an_argument_that_the_loss_does_not_read_has_the_gradient_zero() -> None:
    assert (
        written(lambda w, u: np.sum(w), np.ones(3), np.ones(2), argnums=1)[-1] == r"\frac{\partial L}{\partial u} = 0"
    )


# ---------------------------------------------------------------------------- symbols


@pytest.mark.parametrize(
    ("path", "rank", "symbol"),
    [
        ("params['w1']", 2, "W_1"),
        ("params['w1']", 1, "w_1"),
        ("params['b']", 0, "b"),
        ("x", 2, "X"),
        ("W", 1, "W"),
        ("lam", 0, r"\lambda"),
        ("alpha", 1, r"\alpha"),
        ("sigma", 2, r"\Sigma"),
        ("l2", 0, r"\ell_2"),
        ("yhat", 1, r"\hat{y}"),
        ("w_out", 2, r"W_{\mathrm{out}}"),
        ("weights", 2, r"\mathrm{weights}"),
        ("layers[0][1]", 1, r"\mathrm{layers}_{0,1}"),
        ("net.layers[2].w", 2, "W_2"),
    ],
)
def test_symbols_keep_the_user_s_letters(path: str, rank: int, symbol: str) -> None:
    assert str(symbol_of(path, rank)) == symbol


def test_two_quantities_never_share_a_symbol() -> None:
    params = {"w": np.ones((3, 2)), "L": np.ones(2), "N": np.ones(2), "a": np.ones((4, 3)), "o": np.ones(2)}
    loss = lambda p, W: np.mean((np.tanh(p["a"] @ p["w"] + p["L"]) - p["N"]) ** 2) + np.sum(W * p["o"])  # noqa: E731
    found = written(loss, params, np.ones((3, 2)), argnums=(0, 1))
    left = [line.split(" = ")[0] for line in found if not line.startswith(r"\tanh'")]
    inputs = [re.sub(r".*partial (.*)}$", r"\1", name) for name in left if r"\partial" in name]
    assert len(set(left)) == len(left)
    assert len(set(inputs)) == len(inputs) == 6
    assert not set(inputs) & set(left)
    assert r"\frac{\partial \ell}{\partial L}" in left
    assert "M = 8" in found


def test_a_user_s_sigma_is_not_the_sigmoid() -> None:
    found = "\n".join(written(lambda sigma: np.sum(nn.sigmoid(sigma)), np.ones(3)))
    assert r"\operatorname{sigmoid}'(\sigma)" in found


def test_a_user_s_e_and_i_are_not_euler_s_number_and_the_identity() -> None:
    assert written(lambda e: np.sum(np.exp(e)), np.ones(3))[0] == r"o = \exp(e)"
    assert written(lambda x: np.sum(np.exp(x)), np.ones(3))[0] == "o = e^x"
    found = written(lambda i: np.sum((i @ i - np.eye(3)) ** 2), np.ones((3, 3)))
    assert r"I I - \mathrm{Id}" in "\n".join(found)


def test_computed_fractions_are_printed_as_fractions() -> None:
    found = written(lambda w, X, y: np.sum((X @ w - y) ** 2) / (2 * len(y)), np.ones(4), X[:7], Y[:7])
    assert found[-1] == r"\frac{\partial L}{\partial w} = \frac{1}{7} X^\top (X w - y)"


def test_shapes_on_request() -> None:
    found = written(lambda w, X: np.sum(X @ w), np.ones(4), np.ones((97, 4)), shapes=True)
    assert found[:2] == [r"w \in \mathbb{R}^{4}", r"X \in \mathbb{R}^{97 \times 4}"]


def test_argnums_chooses_the_arguments_and_shapes_are_enough() -> None:
    shapes = dl.Shape((4,), "float64"), dl.Shape((97, 4), "float64")
    found = lines(dl.trace(lambda w, X: np.sum((X @ w) ** 2), *shapes).to_latex(argnums=(1, 0)))
    assert found[1:] == [
        r"\frac{\partial L}{\partial X} = 2 X w w^\top",
        r"\frac{\partial L}{\partial w} = 2 X^\top X w",
    ]


# ---------------------------------------------------------------------------- text that LaTeX can set


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_every_line_is_set(name: str, size: str) -> None:
    """Matplotlib's own parser reads every line, with amsmath's fences under the names that it has for them."""
    text = text_of(name, size)
    assert text.startswith("\\begin{aligned}\n")
    assert text.endswith("\n\\end{aligned}")
    rows = text.splitlines()[1:-1]
    assert all(row.count("&") - row.count(r"\&") == 1 for row in rows)
    assert all(row.endswith(r" \\") for row in rows[:-1])
    assert not rows[-1].endswith("\\")
    parser = MathTextParser("path")
    for line in lines(text):
        assert line.count("{") - line.count(r"\{") == line.count("}") - line.count(r"\}")
        plain = line.replace(r"\lVert", r"\|").replace(r"\rVert", r"\|").replace(r"\lvert", "|").replace(r"\rvert", "|")
        parser.parse(f"${plain.replace('tfrac', 'frac')}$")


def test_a_long_tape_takes_time_in_proportion() -> None:
    """A thousand equations: no formula is written out over and over."""

    def steps(count: int) -> str:
        def loss(x: Any) -> Any:
            for _ in range(count):
                x = x - 0.01 * np.sin(x) * x
            return x

        return dl.trace(loss, 2.0).to_latex()

    assert len(steps(200)) < 4.5 * len(steps(50))
