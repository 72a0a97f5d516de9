"""The array of the stand-in for CuPy: what it tells, what it refuses, and how its operations run or are captured."""

from __future__ import annotations

import functools
import types
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

NUMBERS = (bool, int, float, complex, np.generic)
"""What CuPy's functions take beside its arrays."""
MEMBERS: dict[str, dict[str, Callable]] = {}
"""Functions by module and name; ``cupy_functions.py`` fills it."""


class State:
    """What is counted and whether a stream is being captured; one for each installed double."""

    def __init__(self) -> None:
        self.copies: Counter[str] = Counter()
        self.launches = 0
        self.capturing: list[Callable[[], Any]] | None = None
        self.runtime_error: type[Exception] = RuntimeError
        self.linalg = "ignore"

    def to_host(self) -> None:
        """Something is copied to the host."""
        self.refuse_capture("cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing")
        self.copies["to host"] += 1

    def to_device(self, what: str = "to device") -> None:
        """Something is copied from the host: data, or "addresses" of the arrays that CuPy's own function joins."""
        self.refuse_capture("cudaErrorStreamCaptureUnsupported: a copy from pageable memory while capturing")
        self.copies[what] += 1

    def refuse_capture(self, why: str, error: type[Exception] | None = None) -> None:
        """What a captured stream must not do."""
        if self.capturing is not None:
            raise (error or self.runtime_error)(why)

    def launch(self, action: Callable[[], Any]) -> None:
        """Run now, or when the graph that is being captured is launched."""
        self.launches += 1
        if self.capturing is None:
            action()
        else:
            self.capturing.append(action)


STATE = State()


class Pointer:
    """A place in the memory of an array, which it keeps alive."""

    def __init__(self, owner: np.ndarray, offset: int = 0):
        self.owner, self.offset = owner, offset
        self.ptr = owner.ctypes.data + offset
        self.mem = types.SimpleNamespace(size=owner.nbytes)

    def __add__(self, offset: int) -> Pointer:
        return Pointer(self.owner, self.offset + offset)

    def memory(self, nbytes: int) -> np.ndarray:
        """So many bytes from here on; only what lies in one piece is memory to others."""
        whole = self.owner.reshape(-1).view(np.uint8)
        if not np.may_share_memory(whole, self.owner):
            raise ValueError("the pointer is one into an array that does not lie in one piece")
        return whole[self.offset : self.offset + nbytes]

    def copy_from_device_async(self, source: Pointer, size: int, stream: Any = None) -> None:
        if size:
            target, given = self.memory(size), source.memory(size)
            STATE.launch(lambda: np.copyto(target, given))


class ndarray:
    """An array that only functions of its own module, its operators and ``get`` may read."""

    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment] (as CuPy's)

    def __init__(
        self, shape: Any, dtype: Any = float, memptr: Pointer | None = None, *, held: np.ndarray | None = None
    ):
        if memptr is not None:
            nbytes = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
            held = memptr.memory(nbytes).view(dtype).reshape(shape)
        self.held = np.empty(shape, dtype) if held is None else held

    # ---------------------------------------------------------------- what it is

    shape = property(lambda self: self.held.shape)
    dtype = property(lambda self: self.held.dtype)
    size = property(lambda self: self.held.size)
    ndim = property(lambda self: self.held.ndim)
    nbytes = property(lambda self: self.held.nbytes)
    itemsize = property(lambda self: self.held.itemsize)
    strides = property(lambda self: self.held.strides)
    flags = property(lambda self: self.held.flags)

    @property
    def data(self) -> Any:
        return Pointer(self.held)

    @property
    def base(self) -> Any:
        return None if self.held.base is None else ndarray((), held=self.held.base)

    def __len__(self) -> int:
        return len(self.held)

    def __repr__(self) -> str:
        return f"device {self.held!r}"

    # ---------------------------------------------------------------- what the host may ask

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def get(self, *args: Any, **kwargs: Any) -> np.ndarray:
        STATE.to_host()
        return self.held.copy()

    def item(self, *args: Any) -> Any:
        return self.get().item(*args)

    def tolist(self) -> Any:
        return self.get().tolist()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def set(self, value: np.ndarray) -> None:
        STATE.to_device()
        self.held[...] = value

    def fill(self, value: Any) -> None:
        """A zero of either sign is written by clearing the memory."""
        number = np.asarray(value.held if isinstance(value, ndarray) else value, self.held.dtype)[()]
        STATE.launch(lambda: self.held.fill(0 if number == 0 else number))

    # ---------------------------------------------------------------- NumPy's protocols, as CuPy answers them

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        if method != "__call__" or ufunc.signature is not None:
            return NotImplemented
        if not all(isinstance(one, (ndarray, np.ndarray, *NUMBERS)) for one in inputs):
            return NotImplemented
        found = MEMBERS["cupy"].get(ufunc.__name__)
        return NotImplemented if found is None else found(*inputs, **kwargs)

    def __array_function__(self, function: Any, kinds: Any, args: Any, kwargs: Any) -> Any:
        path = ".".join(["cupy", *function.__module__.split(".")[1:]])
        found = MEMBERS.get(path, {}).get(function.__name__)
        if found is None or not all(issubclass(kind, ndarray | np.ndarray) for kind in kinds):
            return NotImplemented
        return found(*args, **kwargs)

    # ---------------------------------------------------------------- items

    def __getitem__(self, key: Any) -> ndarray:
        place = _place(key)
        return launched(lambda: self.held[place], [self.held])

    def __setitem__(self, key: Any, value: Any) -> None:
        place, given = _place(key), inside(value)

        def store() -> None:
            self.held[place] = given

        STATE.launch(store)

    def __iter__(self) -> Any:
        return iter([self[position] for position in range(len(self))])


def _place(key: Any) -> Any:
    """An index as NumPy takes it: arrays of the host are uploaded, and of a mask the size is asked for."""
    if isinstance(key, tuple):
        return tuple([_place(part) for part in key])
    if isinstance(key, ndarray):
        if key.dtype == bool:
            STATE.to_host()
        return key.held
    if isinstance(key, np.ndarray | list):
        STATE.to_device()
        return np.array(inside(key) if isinstance(key, list) else key)
    return key


def inside(value: Any) -> Any:
    """What the double's own code works on; a NumPy array is refused, as CuPy does."""
    if isinstance(value, ndarray):
        return value.held
    if isinstance(value, tuple | list):
        return type(value)([inside(item) for item in value])
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def leaves(value: Any) -> list[np.ndarray]:
    """What the arrays among arguments hold."""
    if isinstance(value, ndarray):
        return [value.held]
    if isinstance(value, tuple | list):
        return [leaf for item in value for leaf in leaves(item)]
    return []


def launched(compute: Callable[[], Any], operands: list[np.ndarray]) -> Any:
    """The result of an operation; a view stays one, and while capturing it is filled when the graph runs."""
    with np.errstate(all="ignore"):
        result = compute()
    if isinstance(result, tuple | list):  # CuPy has no named tuples
        parts = [_arrayed(one, functools.partial(_part, compute, at), operands) for at, one in enumerate(result)]
        return parts if isinstance(result, list) else tuple(parts)
    return _arrayed(result, compute, operands)


def _part(compute: Callable[[], Any], at: int) -> Any:
    return compute()[at]


def _arrayed(result: Any, compute: Callable[[], Any], operands: list[np.ndarray]) -> Any:
    if not isinstance(result, np.ndarray | np.generic):
        return result
    if isinstance(result, np.ndarray) and any(np.may_share_memory(result, one) for one in operands):
        return ndarray((), held=result)
    held = np.array(result)
    STATE.launches += 1
    if STATE.capturing is not None:
        held.fill(0)

        def fill() -> None:
            with np.errstate(all="ignore"):
                held[...] = compute()

        STATE.capturing.append(fill)
    return ndarray((), held=held)


def filled(out: Any, name: str, compute: Callable[[], Any], casting: str = "unsafe") -> Any:
    """``out``, which is filled now or when the graph runs."""
    if not isinstance(out, ndarray):
        raise TypeError(f"out must be a cupy.ndarray, not {type(out)}")

    def fill() -> None:
        with np.errstate(all="ignore"):
            result = np.asarray(compute())
            if np.broadcast_shapes(result.shape, out.shape) != out.shape:
                raise ValueError(f"the result of {name} has shape {result.shape}, and out {out.shape}")
            np.copyto(out.held, result, casting=casting)  # type: ignore[arg-type] (one of NumPy's words)

    STATE.launch(fill)
    return out
