"""What layers take: unusual arrays, dtypes, NumPy's integers and numbers; and what they refuse, in which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from samples import rng_of

from difflab import nn
from difflab.errors import InputError
from difflab.execution.program import Program
from difflab.operators import gradient, jvp, vjp
from difflab.tracing import trace_leaves

X, W = np.ones((1, 4, 4, 2)), np.ones((3, 3, 2, 1))

# One argument each; the others are plain arrays of its dtype, so that traced and plain ones meet.
LAYERS: dict[str, Callable[[Any], Any]] = {
    "conv2d of images": lambda x: nn.conv2d(x, np.full((3, 3, 2, 2), 0.2, x.dtype), padding=1),
    "conv2d with a kernel": lambda w: nn.conv2d(np.full((1, 5, 5, 4), 0.2, w.dtype), w, padding="same"),
    "groups": lambda x: nn.conv2d(x, np.full((3, 3, 1, 4), 0.2, x.dtype), padding=1, groups=2),
    "dilation": lambda x: nn.conv2d(x, np.full((2, 2, 2, 2), 0.2, x.dtype), padding=1, dilation=2),
    "conv2d_transpose": lambda x: nn.conv2d_transpose(x, np.full((3, 3, 1, 2), 0.2, x.dtype), 2, 1, 1),
    "nearest": lambda x: nn.upsample2d(x, 2),
    "bilinear": lambda x: nn.upsample2d(x, (2, 3), how="bilinear"),
    "batch_norm": lambda x: nn.batch_norm(x, np.full(2, 1.5, x.dtype), np.full(2, 0.1, x.dtype), epsilon=0.1),
    "local_response_norm": lambda x: nn.local_response_norm(x, 3, 0.5),
    "maxout": lambda x: nn.maxout(x, np.full(x.shape, 0.1, x.dtype)),
    "max_pool2d": lambda x: nn.max_pool2d(x, 2, 1, 1),
    "avg_pool2d": lambda x: nn.avg_pool2d(x, 2, 1, 1),
    "relu": nn.relu,
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "sigmoid": nn.sigmoid,
    "softmax": nn.softmax,
    "logsumexp": lambda x: nn.logsumexp(x, -1),
    "cross entropy of logits": lambda z: nn.softmax_cross_entropy(z, np.full(z.shape, 0.3, z.dtype)),
    "cross entropy of targets": lambda t: nn.softmax_cross_entropy(np.full(t.shape, 0.3, t.dtype), t),
    "dropout": lambda x: nn.dropout(x, np.full(x.shape[-1:], 2, x.dtype)),
    "stop_gradient": nn.stop_gradient,
}
UNUSUAL: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "float32": lambda x: x.astype("f4"),
    "float16": lambda x: x.astype("f2"),
    "reversed": lambda x: np.asfortranarray(x)[:, ::-1, :, ::-1],
    "repeated": lambda x: np.broadcast_to(x[:1, :, :, :1], x.shape),
    "empty": lambda x: x[:0],
}
# A mean over nothing is refused, a kernel is no batch; scipy's expit has no float16.
LEFT_OUT = {
    ("empty", "batch_norm"),
    ("empty", "conv2d with a kernel"),
    ("empty", "cross entropy of logits"),
    ("empty", "cross entropy of targets"),
}
UNUSUAL_CASES = [(kind, name) for kind in UNUSUAL for name in LAYERS if (kind, name) not in LEFT_OUT]


def sums(arrays: Any) -> float:
    return float(np.sum(arrays, dtype="f8"))


@pytest.mark.parametrize(("kind", "name"), UNUSUAL_CASES)
def test_unusual_arrays_give_what_ordinary_ones_give_in_both_modes_and_second_order(kind: str, name: str):
    x = UNUSUAL[kind](0.3 * rng_of("unusual").standard_normal((3, 3, 4, 2)))
    usual = np.array(x, "f8", order="C")
    layer = LAYERS[name]
    eps = float(np.finfo(x.dtype).eps)
    tape = trace_leaves(lambda leaves: [layer(*leaves)], [x])
    for found in (layer(x), tape.evaluate([x])[0], Program(tape).run([x])[0]):
        assert found.dtype == x.dtype
        np.testing.assert_allclose(found, layer(usual), rtol=50 * eps, atol=20 * eps)

    def slope(x):
        return gradient(lambda x: np.sum(layer(x) ** 2))(x)

    t = rng_of("t").standard_normal(x.shape).astype(x.dtype)
    for found, expected in (
        (vjp(layer, x)[1](layer(x))[0], vjp(layer, usual)[1](layer(usual))[0]),
        (jvp(layer, (x,), (t,))[1], jvp(layer, (usual,), (t.astype("f8"),))[1]),
        (jvp(slope, (x,), (t,))[1], jvp(slope, (usual,), (t.astype("f8"),))[1]),
    ):
        assert found.dtype == x.dtype
        np.testing.assert_allclose(found, expected, rtol=50 * eps, atol=20 * eps)


FLOATING = ["avg_pool2d", "local_response_norm", "leaky_relu", "elu", "sigmoid", "softmax", "logsumexp"]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64"])
@pytest.mark.parametrize("name", FLOATING)
def test_integers_and_booleans_count_as_float64(name: str, dtype: str):
    x = rng_of("integers").integers(0, 5, (2, 3, 3, 2)).astype(dtype)
    layer = LAYERS[name]
    tape = trace_leaves(lambda leaves: [layer(*leaves)], [x])
    for found in (layer(x), tape.evaluate([x])[0], Program(tape).run([x])[0]):
        assert found.dtype == "f8"
        np.testing.assert_allclose(found, layer(x.astype("f8")), rtol=1e-15)
    start = np.ones(x.shape)
    assert sums(gradient(lambda w: np.sum(w * layer((w * x).astype(dtype)).ravel()[0]))(start)) == pytest.approx(
        x.size * float(layer(x.astype("f8")).ravel()[0])  # integers follow no tangent
    )


def test_dtypes_of_mixed_arguments_are_those_of_numpy():
    z, t = np.zeros((2, 3), "f4"), np.eye(3)[:2]
    for targets, dtype in (
        (t.astype("f4"), "f4"),
        (t.astype("f2"), "f4"),
        (t, "f8"),
        (t > 0, "f8"),
        (t.astype("i1"), "f8"),
    ):
        assert nn.softmax_cross_entropy(z, targets).dtype == dtype
        tape = trace_leaves(lambda leaves: [nn.softmax_cross_entropy(*leaves)], [z, targets])
        assert Program(tape).run([z, targets])[0].dtype == dtype
    assert nn.conv2d(X.astype("f4"), W).dtype == nn.conv2d(X.astype("i4"), W).dtype == "f8"
    assert nn.dropout(z, 2.0).dtype == nn.leaky_relu(z, 0.5).dtype == nn.elu(z, 2.0).dtype == "f4"
    assert nn.dropout(z, [0, 1, 1]).shape == (2, 3)


def test_numpy_integers_are_sizes_strides_paddings_and_axes():
    assert nn.max_pool2d(X, np.int64(2)).shape == (1, 2, 2, 2)
    assert nn.avg_pool2d(X, np.array([2, 1]), np.uint8(1), np.int8(0)).shape == (1, 3, 4, 2)
    assert nn.conv2d(X, W, stride=np.int32(2), padding=[np.int64(1), 0]).shape == (1, 2, 1, 1)
    assert nn.logsumexp(X, np.int64(1)).shape == (1, 4, 2)
    tape = trace_leaves(lambda leaves: [nn.max_pool2d(leaves[0], np.int64(2))], [X])
    assert [type(entry) for entry in tape.spans[0].params["size"]] == [int, int]


# ---------------------------------------------------------------------------- refusals

REFUSALS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: nn.conv2d(x[0], W), r"conv2d at test_nn_arguments\.py:\d+ takes images of shape \(batch, rows"),
    (lambda x: nn.conv2d(x, W[:, :, :1]), r"kernel of shape \(3, 3, 1, 1\) does not fit .* \(rows, columns, 2, outp"),
    (lambda x: nn.conv2d(x, np.ones((5, 5, 2, 1))), "kernel of 5 does not fit into 4 pixels with .* it has 1 to 4 "),
    (lambda x: nn.conv2d(x, np.ones((0, 3, 2, 1))), "kernel of 0 does not fit into 4 pixels"),
    (lambda x: nn.conv2d(x, W, stride=0), "stride of conv2d at test_nn.* is an integer or a pair of integers, not 0; "),
    (lambda x: nn.conv2d(x, W, stride=True), "stride of conv2d at .* is an integer or a pair of integers, not True;"),
    (lambda x: nn.conv2d(x, W, stride=1.5), "stride of conv2d at .* is an integer or a pair of integers, not 1.5;"),
    (lambda x: nn.conv2d(x, W, stride=(1, None)), r"stride of conv2d at .* pair of integers, not \(1, None\);"),
    (lambda x: nn.conv2d(x, W, padding=-1), "padding of conv2d at .* a pair of integers, not -1; give 0 or more"),
    (lambda x: nn.conv2d(x, W, padding="valid"), "padding is an integer, a pair or 'same', not 'valid'"),
    (lambda x: nn.max_pool2d(x, (1, 2, 3)), r"size of max_pool2d at .* pair of integers, not \(1, 2, 3\);"),
    (lambda x: nn.max_pool2d(x, "2"), "size of max_pool2d at .* pair of integers, not '2';"),
    (lambda x: nn.avg_pool2d(x, 2, stride=x[0, 0, 0, 0]), "stride of avg_pool2d at .* pair of integers, not "),
    (lambda x: nn.max_pool2d(x, 5), r"max_pool2d .* of \(5, 5\) do not fit images of shape \(1, 4, 4, 2\); take"),
    (lambda x: nn.max_pool2d(x[:, :0], 2, padding=1), r"max_pool2d at .* do not fit images of shape \(1, 0, 4, 2\)"),
    (lambda x: nn.avg_pool2d(x, 2, padding=2), r"avg_pool2d at .*padding 2 must be smaller than the window \(2, 2\)"),
    (lambda x: nn.softmax(x, axis=4), "axis 4 of softmax at .* does not fit 4 dimensions; .* an integer from -4 to 3"),
    (lambda x: nn.softmax(x, axis=(0, 0)), r"axis \(0, 0\) of softmax at test_nn.* or a tuple of different ones"),
    (lambda x: nn.softmax(x, axis=(0, -4)), r"axis \(0, -4\) of softmax at .* or a tuple of different ones"),
    (lambda x: nn.softmax(x, axis=0.5), "axis 0.5 of softmax at .* does not fit 4 dimensions"),
    (lambda x: nn.softmax(x[0, 0, 0, 0]), "axis -1 of .* does not fit 0 dimensions; give None for all of them$"),
    (lambda x: nn.logsumexp(x, axis=(0, 5)), r"axis \(0, 5\) of logsumexp at .* does not fit 4 dimensions"),
    (lambda x: nn.logsumexp(x[:0]), r"logsumexp at .* has nothing to reduce along axis None of shape \(0, 4, 4, 2\)"),
    (lambda x: nn.softmax_cross_entropy(x, x[..., :1]), r"\(1, 4, 4, 2\) and targets of shape \(1, 4, 4, 1\) must be"),
    (lambda x: nn.softmax_cross_entropy(x[:0], x[:0]), r"mean over rows; logits of shape \(0, 4, 4, 2\) have none"),
    (lambda x: nn.dropout(x, np.ones(3)), r"dropout at .* \(3,\) does not broadcast against \(1, 4, 4, 2\); dr"),
    (lambda x: nn.dropout(x, np.ones(2) * 1j), "dropout at .* takes real numbers and booleans, not .* complex128"),
    (lambda x: x * nn.softmax("a", None), "softmax at .* takes real numbers and booleans, not .* <U1; convert"),
    (lambda x: x * nn.relu([[1.0], [1.0, 2.0]]), "relu at .* takes an array; give rows of one length"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "message"), REFUSALS, ids=[str(i) for i in range(len(REFUSALS))])
def test_what_does_not_fit_is_refused_with_shapes_on_plain_and_traced_arrays(function: Callable, message: str):
    with pytest.raises(InputError, match=message):
        function(X)
    with pytest.raises(InputError, match=message):
        gradient(lambda x: np.sum(function(x)))(X)
