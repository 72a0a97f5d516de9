"""Generated kernels on the host, for the stand-in of CuPy: NumPy runs their text, with CuPy's parameters and refusals.

A text of difflab's is one assignment per line, in words that C++ and Python read alike; Python's ``eval`` computes it
with the table ``FUNCTIONS`` below.  Raw kernels, and element-wise ones with ``raw`` parameters, go to ``cxx_double``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import cxx_double
import numpy as np
import scipy.special as sp

NAME = re.compile(r"[a-zA-Z_][a-zA-Z_0-9]*\Z")
ASSIGNMENT = re.compile(r"const (\w+) (\w+) = (.*);\Z")
STORE = re.compile(r"(\w+) = (\w+);?\Z")
FUNCTION = re.compile(r"__device__ inline (\w+) (\w+)\(([^)]*)\) \{\n((?:  const .*;\n)*)  return (\w+);\n\}")
TYPES = {
    "bool": "?", "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8", "uint8": "u1", "uint16": "u2",
    "uint32": "u4", "uint64": "u8", "float16": "f2", "float": "f4", "double": "f8", "complex64": "c8",
    "complex128": "c16",
}  # fmt: skip


def _cast(code: str) -> Callable[..., Any]:
    dtype = np.dtype(code)

    def cast(value: Any, imag: Any = None) -> Any:
        if imag is None:
            return np.asarray(value).astype(dtype)
        result = np.empty(np.broadcast_shapes(np.shape(value), np.shape(imag)), dtype)
        result.real, result.imag = value, imag
        return result

    return cast


def _scaled(x: Any, n: Any) -> Any:
    return np.ldexp(x, np.clip(n, -100000, 100000).astype(np.int32))


FUNCTIONS: dict[str, Any] = {
    **{name: getattr(np, name) for name in (
        "sqrt exp exp2 expm1 cbrt log log2 log10 log1p sin cos tan sinh cosh tanh hypot floor ceil trunc rint fmod "
        "copysign isnan isinf isfinite signbit sign heaviside fabs abs conj"
    ).split()},
    **{name: getattr(sp, name) for name in "erf erfc erfcx erfinv erfcinv j0 j1 y0 y1 exp10".split()},
    **{name: _cast(code) for name, code in TYPES.items()},
    "infinity": np.float32(np.inf), "not_a_number": np.float32(np.nan),
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "pow": np.power, "choose": np.where, "both": np.logical_and,
    "either": np.logical_or, "no": np.logical_not, "truth": _cast("?"), "larger": np.maximum, "smaller": np.minimum,
    "larger_number": np.fmax, "smaller_number": np.fmin, "whole_quotient": np.floor_divide,
    "whole_modulo": np.remainder, "whole_remainder": np.fmod, "whole_power": np.power, "whole_size": np.abs,
    "greatest_divisor": np.gcd, "least_multiple": np.lcm, "shifted_left": np.left_shift,
    "shifted_right": np.right_shift, "modulo": np.remainder, "floor_quotient": np.floor_divide,
    "fraction": lambda x: np.modf(x)[0], "scaled": _scaled, "sigmoid": sp.expit, "log_sigmoid": sp.log_expit,
    "log_add_exp": np.logaddexp, "log_add_exp2": np.logaddexp2, "sinc_of": np.sinc, "relative_exp": sp.exprel,
    "log_normal_cdf": sp.log_ndtr, "logit_of": sp.logit, "cosine_less_one": sp.cosm1, "sine_of_degrees": sp.sindg,
    "cosine_of_degrees": sp.cosdg, "times_log": sp.xlogy, "times_log1p": sp.xlog1py, "entropy": sp.entr,
    "relative_entropy": sp.rel_entr, "divergence": sp.kl_div, "huber_loss": sp.huber,
    "pseudo_huber_loss": sp.pseudo_huber, "box_cox": sp.boxcox, "inverse_box_cox": sp.inv_boxcox,
    "normcdf": sp.ndtr, "normcdfinv": sp.ndtri, "tgamma": sp.gamma, "lgamma": sp.gammaln, "cyl_bessel_i0": sp.i0,
    "cyl_bessel_i1": sp.i1, "real_part": np.real, "imag_part": np.imag, "complex_exp2": np.exp2,
    "complex_expm1": np.expm1, "complex_log2": np.log2, "complex_log1p": np.log1p, "complex_power": np.power,
}  # fmt: skip
"""What the functions of kernels are in NumPy; types are functions too."""

REDUCING = {"a + b": np.add, "a * b": np.multiply, "larger(a, b)": np.maximum, "smaller(a, b)": np.minimum}


class Parameter(NamedTuple):
    """One parameter of a kernel: a dtype, or a letter that stands for one."""

    raw: bool
    kind: str
    name: str

    @property
    def dtype(self) -> np.dtype | None:
        return None if len(self.kind) == 1 else np.dtype(self.kind)


def _parameters(text: str) -> tuple[Parameter, ...]:
    found = []
    for part in [part.split() for part in text.split(",") if part.strip()]:
        if len(part) < 2:
            raise Exception(f"Syntax error: {' '.join(part)}")
        if strange := set(part[:-2]) - {"raw", "_non_const"}:
            raise Exception(f'Unknown keyword "{strange.pop()}"')
        found.append(Parameter("raw" in part[:-2], part[-2], part[-1]))
    return tuple(found)


def _named(name: str) -> str:
    if not NAME.match(name):
        raise ValueError(f'Invalid kernel name: "{name}"')
    return name


def evaluate(lines: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Run assignments: every value in its declared type."""
    known: dict[str, Any] = {**FUNCTIONS, **values}
    with np.errstate(all="ignore"):
        for line in lines:
            declared = ASSIGNMENT.match(line.strip())
            if declared is None:
                raise SyntaxError(f"the double reads one assignment per line, not {line!r}")
            kind, name, text = declared.groups()
            known[name] = FUNCTIONS[kind](eval(text, {"__builtins__": {}}, known))
    return known


class _Kernel:
    """What both kinds of kernels share."""

    state: Any = None
    array: type = object

    def __init__(self, in_params: str, out_params: str, name: str):
        self.in_params, self.out_params = _parameters(in_params), _parameters(out_params)
        self.name = _named(name)
        self.nin, self.nout = len(self.in_params), len(self.out_params)

    def _checked(self, args: Sequence[Any]) -> None:
        """CuPy's refusals: types that are no arrays or not the declared ones."""
        if len(args) not in (self.nin, self.nin + self.nout):
            raise TypeError(f"Wrong number of arguments for {self.name!r}.")
        for value in args:
            if isinstance(value, np.ndarray | list | tuple):
                raise TypeError(f"Unsupported type {type(value)}")
        for value in args[self.nin :]:
            if not isinstance(value, self.array):
                raise TypeError("Output arguments type must be cupy.ndarray")
        letters: dict[str, np.dtype] = {}
        for parameter, value in zip((*self.in_params, *self.out_params), args, strict=False):
            if isinstance(value, self.array):
                expected = parameter.dtype or letters.setdefault(parameter.kind, value.dtype)  # type: ignore[attr-defined] (the double's array)
                if expected != value.dtype:  # type: ignore[attr-defined] (as above)
                    raise TypeError(f"Type is mismatched. {parameter.name} {value.dtype} {expected}")  # type: ignore[attr-defined] (as above)

    def _held(self, value: Any, parameter: Parameter) -> Any:
        return value.held if isinstance(value, self.array) else np.asarray(value, parameter.dtype)  # type: ignore[attr-defined] (the double's array)

    def _outputs(self, args: Sequence[Any], shape: tuple[int, ...]) -> list[Any]:
        given = list(args[self.nin :])
        if not given:
            kinds = {one.kind: value.dtype for one, value in zip(self.in_params, args, strict=True)
                     if isinstance(value, self.array)}  # type: ignore[attr-defined] (the double's array)  # fmt: skip
            return [self.array(shape, one.dtype or kinds[one.kind]) for one in self.out_params]
        for parameter, out in zip(self.out_params, given, strict=True):
            if not parameter.raw and out.shape != shape:
                raise ValueError("Out shape is mismatched")
        return given


class ElementwiseKernel(_Kernel):
    """As CuPy's, for texts of difflab's."""

    def __init__(
        self, in_params: str, out_params: str, operation: str, name: str = "kernel", reduce_dims: bool = True,
        preamble: str = "", no_return: bool = False, return_tuple: bool = False, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(in_params, out_params, name)
        if strange := set(kwargs) - {"options", "loop_prep", "after_loop"}:
            raise TypeError(f"_get_elementwise_kernel() got an unexpected keyword argument {strange.pop()!r}")
        if "i" in [parameter.name for parameter in (*self.in_params, *self.out_params)]:
            raise ValueError("Can not use 'i' as a parameter name")
        self.texts = (in_params, out_params)
        self.operation, self.preamble, self.no_return, self.kwargs = operation, preamble, no_return, kwargs

    def __call__(self, *args: Any, size: int = -1, stream: Any = None, block_size: int = 128) -> Any:
        self._checked(args)
        parameters = (*self.in_params, *self.out_params)
        whole = [one.held for parameter, one in zip(parameters, args, strict=False)
                 if not parameter.raw and isinstance(one, self.array)]  # type: ignore[attr-defined] (the double's array)  # fmt: skip
        if size != -1 and whole:
            raise ValueError("Specified 'size' can be used only if all of the ndarray are 'raw'.")
        if size == -1 and not whole:
            raise ValueError("Loop size is undecided.")
        shape = np.broadcast_shapes(*[one.shape for one in whole]) if whole else (size,)
        out = self._outputs(args, shape)
        if 0 not in shape:
            filled = (*args[: self.nin], *out)
            held = [self._held(value, parameter) for value, parameter in zip(filled, parameters, strict=True)]
            self.state.launch(lambda: self._run(held, parameters, shape))
        return None if self.no_return else out[0] if self.nout == 1 else tuple(out)

    def _run(self, held: list[np.ndarray], parameters: Sequence[Parameter], shape: tuple[int, ...]) -> None:
        spread = [one if parameter.raw else np.broadcast_to(one, shape)
                  for one, parameter in zip(held[: self.nin], parameters, strict=False)]  # fmt: skip
        if any(parameter.raw for parameter in parameters):
            size = int(np.prod(shape))
            cxx_double.run_elementwise(
                *self.texts, self.operation, self.name, [*spread, *held[self.nin :]], size, self.preamble
            )
            return
        lines = self.operation.splitlines()
        stores = [found.groups() for line in lines[len(lines) - self.nout :] if (found := STORE.match(line))]
        values = {parameter.name: one for parameter, one in zip(self.in_params, spread, strict=True)}
        known = evaluate(lines[: len(lines) - self.nout], values)
        places = {parameter.name: one for parameter, one in zip(self.out_params, held[self.nin :], strict=True)}
        assert sorted(name for name, _ in stores) == sorted(places), "every output is stored once, at the end"
        for name, value in stores:
            assert known[value].dtype == places[name].dtype, f"{name} is declared otherwise than it is computed"
            places[name][...] = known[value]


class ReductionKernel(_Kernel):
    """As CuPy's, for texts of difflab's."""

    def __init__(
        self, in_params: str, out_params: str, map_expr: str, reduce_expr: str, post_map_expr: str, identity: Any,
        name: str = "reduce_kernel", reduce_type: str | None = None, reduce_dims: bool = True, preamble: str = "",
        options: tuple = (),
    ):  # fmt: skip
        super().__init__(in_params, out_params, name)
        self.map_expr, self.reduce_expr, self.post_map_expr = map_expr, reduce_expr, post_map_expr
        self.identity = "" if identity is None else str(identity)
        self.reduce_type = reduce_type or self.out_params[0].kind
        self.preamble, self.options = preamble, options

    def __call__(
        self, *args: Any, out: Any = None, axis: Any = None, keepdims: bool = False, stream: Any = None
    ) -> Any:
        args = args if out is None else (*args, out)
        self._checked(args)
        held = [self._held(value, parameter) for value, parameter in zip(args, self.in_params, strict=False)]
        shape = np.broadcast_shapes(*[one.shape for one in held])
        axes = tuple(range(len(shape))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(sorted([np.lib.array_utils.normalize_axis_index(one, len(shape)) for one in axes]))
        kept = tuple(size for at, size in enumerate(shape) if at not in axes)
        if keepdims:
            kept = tuple(1 if at in axes else size for at, size in enumerate(shape))
        place = self._outputs(args, kept)[0]
        if place.size:
            if not self.identity and 0 in shape:
                raise ValueError(f"zero-size array to reduction operation {self.name} which has no identity")
            self.state.launch(lambda: self._run([np.broadcast_to(one, shape) for one in held], place.held, axes))
        return place

    def _run(self, held: list[np.ndarray], place: np.ndarray, axes: tuple[int, ...]) -> None:
        cast = FUNCTIONS[self.reduce_type]
        names = {parameter.name: one for parameter, one in zip(self.in_params, held, strict=True)}
        functions = {found.group(2): _function(found) for found in FUNCTION.finditer(self.preamble)}
        with np.errstate(all="ignore"):
            known = {**FUNCTIONS, **functions, **names}
            mapped = cast(eval(self.map_expr, {"__builtins__": {}}, known))
            begin = cast(eval(self.identity, {"__builtins__": {}}, FUNCTIONS))
            mapped = np.ascontiguousarray(np.broadcast_to(mapped, held[0].shape))
            total = REDUCING[self.reduce_expr].reduce(mapped, axis=axes, dtype=mapped.dtype)
            total = REDUCING[self.reduce_expr](begin, total)
        found = STORE.match(self.post_map_expr)
        assert found is not None
        assert found.groups() == (self.out_params[0].name, "a")
        place[...] = np.reshape(total, place.shape).astype(place.dtype)


def _function(found: re.Match) -> Callable[..., Any]:
    """A function of a preamble, one assignment per line."""
    kind, _, parameters, body, result = found.groups()
    names = [part.split()[-1] for part in parameters.split(",")]

    def call(*values: Any) -> Any:
        return FUNCTIONS[kind](evaluate(body.splitlines(), dict(zip(names, values, strict=True)))[result])

    return call


class RawKernel:
    """As CuPy's: a text that is compiled as a whole."""

    state: Any = None
    array: type = object

    def __init__(
        self, code: str, name: str, options: tuple = (), backend: str = "nvrtc", translate_cucomplex: bool = False,
        enable_cooperative_groups: bool = False, jitify: bool = False,
    ):  # fmt: skip
        self.code, self.name, self.options = code, _named(name), options

    def __call__(
        self, grid: tuple, block: tuple, args: Sequence[Any], *, shared_mem: int = 0, stream: Any = None
    ) -> None:
        if not isinstance(grid, tuple) or not isinstance(block, tuple):
            raise TypeError("Argument 'grid' has incorrect type (expected tuple)")
        for value in args:
            if isinstance(value, np.ndarray):
                raise TypeError(f"Unsupported type {type(value)}")
        held = [one.held if isinstance(one, self.array) else one for one in args]  # type: ignore[attr-defined] (the double's array)
        self.state.launch(lambda: cxx_double.run(self.code, self.name, grid, block, held, shared_mem))


def install(cupy: Any, state: Any, ndarray: type) -> None:
    """Fill in ``ElementwiseKernel``, ``ReductionKernel`` and ``RawKernel``."""
    for kernel in (ElementwiseKernel, ReductionKernel, RawKernel):
        made = type(kernel.__name__, (kernel,), {"state": state, "array": ndarray})
        setattr(cupy, kernel.__name__, made)
