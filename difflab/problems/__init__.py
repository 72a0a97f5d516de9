"""The losses that ship with difflab, each in plain NumPy and with its gradient derived by hand."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType, ModuleType

from ..errors import InputError, did_you_mean
from .activations import ACTIVATIONS_MLP
from .alexnet import ALEXNET
from .cnn import CNN
from .deep import DEEP_MLP, WIDE_MLP, XOR_CORNERS
from .deep_chain import DEEP_LAYERS
from .digits_cnn import DIGITS_CNN
from .digits_mlp import DIGITS_MLP
from .graphs import ADD_MUL, BAYDIN, NORM_SQUARED, SCALAR_NET, SIGMOID_NEURON, TWO_LAYER
from .inpainting import INPAINTING
from .linear import HINGE, LEAST_SQUARES, LOGISTIC
from .mlp import MLP
from .plane import PLANE
from .record import Instance, Problem
from .sigmoid_nets import SIGMOID_NET, TWO_LAYER_NUMPY, XOR
from .toeplitz import TOEPLITZ_CNN, TOEPLITZ_MATRICES

__all__ = ["PROBLEMS", "Instance", "Problem", "find"]

PROBLEMS: Mapping[str, Problem] = MappingProxyType(
    {
        one.name: one
        for one in (
            *(DIGITS_MLP, DIGITS_CNN, MLP, CNN),
            *(BAYDIN, ADD_MUL, SIGMOID_NEURON, SCALAR_NET, NORM_SQUARED, TWO_LAYER),
            *(LEAST_SQUARES, LOGISTIC, HINGE, PLANE),
            *(DEEP_MLP, WIDE_MLP, XOR_CORNERS, DEEP_LAYERS),
            *(XOR, SIGMOID_NET, TWO_LAYER_NUMPY, ACTIVATIONS_MLP, TOEPLITZ_CNN, TOEPLITZ_MATRICES),
            *(INPAINTING, ALEXNET),
        )
    }
)


def find(name: str) -> Problem:
    """The problem of that name.

    Args:
        name: a key of ``PROBLEMS``.

    Returns:
        The problem; its ``build(size, dtype, seed)`` makes an instance.

    Raises:
        InputError: there is no such problem; the message suggests the nearest name.

    Example:
        >>> find("digits-mlp").build("tiny", "float64", 0).n_params
        63
    """
    if name not in PROBLEMS:
        raise InputError(f"there is no problem {name!r} {did_you_mean(str(name), list(PROBLEMS))}")
    return PROBLEMS[name]


class _CallablePackage(ModuleType):
    """`difflab.problems` is this package, and `difflab.problems()` lists what is in it."""

    def __call__(self) -> list[Problem]:
        return list(PROBLEMS.values())


sys.modules[__name__].__class__ = _CallablePackage
