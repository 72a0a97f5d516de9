"""The complex step on a function that cannot be traced: it is given complex numbers, and watched."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import as_array, namespace, placed, to_host
from ..errors import InputError, UnsupportedError, location_of
from ..primitives.complexes import complex_dtype
from .noise import direction
from .protocol import Source

STEPS = {np.dtype(np.complex128): 2.0**-664, np.dtype(np.complex64): 2.0**-66}
"""About 1e-200 and 1e-20: far below any real part, and far above what vanishes."""
WATCHED = threading.Lock()
"""Warnings are caught for the whole process, so one such function runs at a time."""
OTHERWISE = "use backend 'finite', or write the function with NumPy so that it can be traced"
TRUST = 1e-6
"""Differences are not believed beyond this part of them."""
DOUBT = 10.0
"""A derivative along a line that is farther from differences than so many times their usual error is not believed."""
UNREAL = 0.25
"""An imaginary part that is larger than the step to this power, relatively, is no derivative: a root of what is
negative, say, where the real function is no number."""


def narrowest(dtypes: set[np.dtype], step: str | float) -> float:
    """The step that no complex number of these dtypes loses.

    Args:
        dtypes: complex ones.
        step: "auto" or a number.

    Returns:
        The number itself, or about 1e-200, 1e-20 where there is single precision.

    Raises:
        InputError: the step that was given is lost.

    Example:
        >>> narrowest({np.dtype(np.complex64)}, "auto") == 2.0**-66
        True
    """
    single = any(dtype.itemsize < 16 for dtype in dtypes)
    if step == "auto":
        return STEPS[np.dtype(np.complex64 if single else np.complex128)]
    if single and float(step) < float(np.finfo(np.float32).tiny):
        raise InputError(f"ComplexStep(step={step!r}): the step is nothing in single precision, which the loss uses")
    return float(step)


class ComplexCalls:
    """Calls of a black box with complex numbers.

    Args:
        source: the function.
        step: "auto" or a number.

    Raises:
        UnsupportedError: it takes no complex numbers, loses their imaginary parts, or returns complex numbers anyway.
    """

    def __init__(self, source: Source, step: str | float):
        self._source = source
        self._state = np.random.get_state()  # noqa: NPY002 (the one that users draw from)
        outputs = self._outputs(source.example, None)
        self._kinds = [output.dtype.kind for output in outputs]
        if "c" in self._kinds:
            raise UnsupportedError(
                "backend 'complex-step' needs a function of real numbers, and this one returns complex ones; "
                f"{OTHERWISE}"
            )
        arrays = [*outputs, *[as_array(source.example[i]) for i in source.wrt]]
        dtypes = {array.dtype for array in arrays if array.dtype.kind == "f"}
        self._eps = max([float(np.finfo(dtype).eps) for dtype in dtypes], default=2.0**-52)
        self.step = narrowest({complex_dtype(dtype) for dtype in dtypes}, step)
        self._unreal = self.step**UNREAL if step == "auto" else np.inf

    def _outputs(self, leaves: Sequence[Any], state: Any) -> list[np.ndarray]:
        """The outputs, with the random numbers of a state of the global generator."""
        if state is not None:
            np.random.set_state(state)  # noqa: NPY002 (the one that users draw from)
        return [as_array(output) for output in self._source.call(leaves)]

    def imaginary(self, leaves: Sequence[Any], state: Any) -> list[np.ndarray]:
        """The imaginary parts of the outputs at a complex point, zeros for integers and truth values.

        Raises:
            UnsupportedError: the function takes no complex numbers, or loses their imaginary parts.
        """
        with WATCHED, warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            try:
                outputs = self._outputs(leaves, state)
            except np.exceptions.ComplexWarning as error:
                raise UnsupportedError(
                    f"backend 'complex-step': at {location_of(error)} the function drops the imaginary part, which "
                    f"holds the derivative ({error}); {OTHERWISE}"
                ) from None
            except (TypeError, ValueError, AttributeError) as error:
                raise UnsupportedError(
                    f"backend 'complex-step': the function takes no complex numbers ({type(error).__name__} at "
                    f"{location_of(error)}: {error}); {OTHERWISE}"
                ) from error
        for output, kind in zip(outputs, self._kinds, strict=True):
            if kind == "f" and output.dtype.kind != "c":
                raise UnsupportedError(
                    "backend 'complex-step': the function returns a real number for a complex one, so that the "
                    "derivative in the imaginary part was lost on the way (abs, real, a norm, a cast or a comparison "
                    f"do that); {OTHERWISE}"
                )
        pairs = zip(outputs, self._kinds, strict=True)
        return [self._slope(output) if kind == "f" else namespace(output).zeros(output.shape) for output, kind in pairs]

    def _slope(self, output: Any) -> Any:
        """The imaginary part, NaN where it is none that the step made."""
        xp, part = namespace(output), output.imag
        return xp.where(xp.abs(part) > self._unreal * xp.maximum(xp.abs(output.real), 1), np.nan, part)

    def check(self) -> None:
        """Hold the derivative along a line against central differences at three steps.

        Raises:
            UnsupportedError: they differ by more than the differences can be off.
        """
        leaves, moving = [as_array(leaf) for leaf in self._source.example], self._source.wrt
        lines = {i: self._line(leaves[i]) for i in moving if leaves[i].dtype.kind == "f"}

        def moved(far: complex) -> list[Any]:
            found: list[Any] = list(leaves)
            for i, line in lines.items():
                dtype = complex_dtype(leaves[i].dtype) if isinstance(far, complex) else leaves[i].dtype
                found[i] = as_array((leaves[i] + far * line).astype(dtype))
            return found

        slopes = [to_host(part) / self.step for part in self.imaginary(moved(1j * self.step), self._state)]
        ahead: list[np.ndarray] = []
        differences = []
        for h in self._eps ** (1 / 3) * np.array([1.0, 0.6, 0.35]):
            with np.errstate(all="ignore"):
                ahead, behind = (list(map(to_host, self._outputs(moved(far), self._state))) for far in (h, -h))
                pairs = zip(ahead, behind, strict=True)
                differences.append([(np.asarray(a, float) - np.asarray(b, float)) / (2 * h) for a, b in pairs])
        np.random.set_state(self._state)  # noqa: NPY002 (the one that users draw from)
        for slope, value, kind, *found in zip(slopes, ahead, self._kinds, *differences, strict=True):
            with np.errstate(all="ignore"):
                wide, apart = found[0], np.ptp(found, axis=0)
                rounding = self._eps ** (2 / 3) * (np.max(np.abs(value), initial=0.0) + np.abs(wide))
                far = np.abs(slope - wide) > DOUBT * (apart + rounding + TRUST * np.abs(wide))
            if kind == "f" and np.any(far):
                at = int(np.argmax(far))
                raise UnsupportedError(
                    "backend 'complex-step': along a line the function's imaginary part says "
                    f"{np.ravel(slope)[at]:.6g} and central differences say {np.ravel(wide)[at]:.6g}; something on the "
                    f"way drops imaginary parts (abs, real, a norm, a cast), or this is a kink; {OTHERWISE}"
                )

    def _line(self, x: Any) -> Any:
        return placed(direction(x.size).reshape(x.shape), self._source.device) * namespace(x).maximum(abs(x), 1)
