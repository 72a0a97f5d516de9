"""Raw kernels on the host: by the primitive that their first line names, or compiled by g++, for the stand-in of CuPy.

``run`` is what a launch of a ``RawKernel`` does.  By default it needs no compiler: the first line of a text of
difflab's says what it computes.  Tests of the texts themselves call ``compile_kernels``; then each is compiled as C++,
with the words of CUDA in the headers below, and runs once for each thread of each block.
"""

from __future__ import annotations

import ast
import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difflab.primitives import REGISTRY, convolution_kernels, patch_kernels, scatter_kernels, sorting_kernels, spots
from difflab.primitives.raw_kernels import C_TYPES

HEADER = r"""
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <ucontext.h>
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define __align__(bytes) alignas(bytes)
#define __launch_bounds__(...)
struct Place { unsigned x = 0, y = 0, z = 0; };
static Place blockIdx, threadIdx, blockDim, gridDim;
static inline float __int_as_float(int bits) { float value; std::memcpy(&value, &bits, 4); return value; }
static inline double __longlong_as_double(long long bits) { double value; std::memcpy(&value, &bits, 8); return value; }
template <class T> static inline T __ldg(const T* place) { return *place; }
static ucontext_t scheduler, *current = nullptr;
static inline void __syncthreads() { swapcontext(current, &scheduler); }
"""
HALF = r"""
#pragma once
struct __half {
    _Float16 held;
    __half() = default;
    __half(float value) : held((_Float16)value) {}
    operator float() const { return (float)held; }
};
"""
COMPLEX = r"""
#pragma once
#include <complex>
template <class T> using complex = std::complex<T>;
"""
FOOTER = r"""
template <class... P, std::size_t... N>
static void call(void (*kernel)(P...), void** arguments, std::index_sequence<N...>) { kernel(*(P*)arguments[N]...); }
template <class... P> static void call(void (*kernel)(P...), void** arguments) {
    call(kernel, arguments, std::index_sequence_for<P...>());
}
static void** given;
static char* finished;
static void enter() { call(KERNEL, given); *finished = 1; }
extern "C" void run_kernel(const unsigned* grid, const unsigned* block, void** arguments, int meet) {
    const std::size_t room = 65536;
    given = arguments;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    const unsigned threads = block[0] * block[1] * block[2];
    ucontext_t* fibres = (ucontext_t*)std::malloc(threads * sizeof(ucontext_t));
    char *stack = (char*)std::malloc(meet ? threads * room : 1), *done = (char*)std::malloc(threads);
    for (unsigned b = 0; b < grid[0] * grid[1] * grid[2]; ++b) {
        blockIdx = {b % grid[0], b / grid[0] % grid[1], b / grid[0] / grid[1]};
        for (unsigned t = 0; t < threads; ++t) {
            done[t] = 0;
            if (!meet) continue;
            getcontext(&fibres[t]);
            fibres[t].uc_stack.ss_sp = &stack[t * room];
            fibres[t].uc_stack.ss_size = room;
            fibres[t].uc_link = &scheduler;
            makecontext(&fibres[t], enter, 0);
        }
        for (unsigned left = threads; left;) { // each time every thread runs to where all meet, or to its end
            left = 0;
            for (unsigned t = 0; t < threads; ++t) {
                if (done[t]) continue;
                threadIdx = {t % block[0], t / block[0] % block[1], t / block[0] / block[1]};
                finished = &done[t];
                if (!meet) { enter(); continue; }
                current = &fibres[t];
                swapcontext(&scheduler, current);
                left += !done[t];
            }
        }
    }
    std::free(fibres), std::free(stack), std::free(done);
}
"""


class _Mode:
    compiled = False


MODE = _Mode()


def compile_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here to the end of the test kernels are compiled by g++."""
    _compiler()
    monkeypatch.setattr(MODE, "compiled", True)


def run(
    code: str, name: str, grid: Sequence[int], block: Sequence[int], arguments: Sequence[Any], shared_mem: int = 0
) -> None:
    """What a launch does.

    Args:
        code: the kernel's text.
        name: of its function.
        grid: blocks.
        block: threads of a block.
        arguments: host arrays for those on the device, and numbers.
        shared_mem: bytes of dynamic shared memory, of which difflab's kernels take none.
    """
    if shared_mem:
        raise NotImplementedError("the double has no dynamic shared memory")
    if not MODE.compiled:
        return _by_name(code, arguments)
    held, pointers = [], (ctypes.c_void_p * len(arguments))()
    for position, argument in enumerate(arguments):
        value = _argument(argument)
        held.append(value)
        pointers[position] = ctypes.cast(ctypes.pointer(value), ctypes.c_void_p).value
    sizes = [(ctypes.c_uint * 3)(*[*given, 1, 1][:3]) for given in (grid, block)]
    _library(code, name)(*sizes, pointers, int("__syncthreads" in code))


def _argument(value: Any) -> Any:
    """What stands for an argument in C: arrays by their first element, Python's numbers as CuPy passes them."""
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    number = value if isinstance(value, np.generic) else np.asarray(value)[()]
    return np.ctypeslib.as_ctypes_type(number.dtype.str)(number.item())


# ---------------------------------------------------------------------------- by name


def _copied(x: np.ndarray) -> np.ndarray:
    return x


MORE: dict[str, Callable] = {
    "copy": _copied,
    **{
        one.name: one.evaluate
        for one in (
            sorting_kernels.target_runs, sorting_kernels.merge_runs, scatter_kernels.add_runs, spots.pick, spots.put,
            patch_kernels.patches, patch_kernels.from_patches, *convolution_kernels.PRIMITIVES,
        )
    },
}  # fmt: skip
"""What is no primitive of the registry."""


def _by_name(code: str, arguments: Sequence[Any]) -> None:
    found = re.match(r"// (\w+) (\{.*\})\n", code)
    if found is None:
        raise NotImplementedError(
            "the text of this kernel does not begin with what it computes, as those of difflab/primitives/"
            "raw_kernels.py do; a test of other texts calls cxx_double.compile_kernels"
        )
    name = found[1]
    evaluate = MORE[name] if name in MORE else REGISTRY[name].evaluate
    *operands, out = arguments
    with np.errstate(all="ignore"):
        out[...] = evaluate(*operands, **ast.literal_eval(found[2]))


# ---------------------------------------------------------------------------- by g++


def _compiler() -> str:
    found = shutil.which("g++")
    if found is None:
        raise RuntimeError("tests marked cxx compile kernels with g++, which is not there; install g++ (Debian: g++)")
    return found


@functools.cache
def _folder() -> tempfile.TemporaryDirectory:
    folder = tempfile.TemporaryDirectory(prefix="difflab-kernels")
    place = Path(folder.name)
    (place / "cupy").mkdir()
    (place / "words.h").write_text(HEADER)
    (place / "cuda_fp16.h").write_text(HALF)
    (place / "cupy" / "complex.cuh").write_text(COMPLEX)
    return folder


@functools.lru_cache(maxsize=512)
def _library(code: str, name: str) -> Callable:
    folder = _folder()
    number = _library.cache_info().misses
    source, target = (Path(folder.name, f"kernel{number}.{end}") for end in ("cpp", "so"))
    source.write_text(f'#include "words.h"\n{code}\n#define KERNEL {name}\n{FOOTER}')
    command = [_compiler(), "-std=c++17", "-O1", "-w", "-ffp-contract=off", "-fno-strict-aliasing", "-shared", "-fPIC",
               f"-I{folder.name}", str(source), "-o", str(target)]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"g++ does not compile the kernel {name}:\n{ran.stderr}\n{code}")
    return ctypes.CDLL(str(target)).run_kernel


# ---------------------------------------------------------------------------- element-wise kernels with raw operands

PARAMETER = re.compile(r"(raw )?\s*(\w+) (\w+)$")
NAMED = {"bool": "?", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
         "int64": "q", "uint64": "Q", "float16": "e", "float32": "f", "float64": "d", "complex64": "F",
         "complex128": "D"}  # fmt: skip


def run_elementwise(
    in_params: str, out_params: str, operation: str, name: str, arguments: Sequence[Any], size: int, preamble: str = ""
) -> None:
    """What a launch of an ``ElementwiseKernel`` does, with operands that are raw or not, by g++.

    Args:
        in_params: as CuPy takes them, such as ``"raw T x, int32 n"``.
        out_params: likewise.
        operation: the loop's body, in which ``i`` counts.
        name: of the kernel.
        arguments: host arrays, already broadcast where not raw, and numbers; those of results stand last.
        size: how often the body runs.
        preamble: what is defined above.
    """
    lines, types = ["#include <cuda_fp16.h>", "#include <cupy/complex.cuh>", "typedef __half float16;"], {}
    declared, bodies, passed = [], [], []
    for text, argument in zip([*_parameters(in_params), *_parameters(out_params)], arguments, strict=True):
        raw, kind, label = PARAMETER.match(text).groups()  # type: ignore[union-attr] (CuPy takes no other text)
        given = argument.dtype if isinstance(argument, np.ndarray | np.generic) else np.asarray(argument).dtype
        c_name = C_TYPES[NAMED[kind]] if kind in NAMED else types.setdefault(kind, C_TYPES[given.char])
        if isinstance(argument, np.ndarray):
            where = _flat_place("at" if raw else "i", argument)
            passed.append(argument)
            declared.append(f"{c_name}* {label}_held")
            if raw:
                reading = f"{c_name}& operator[](long long at) const {{ return held[{where}]; }}"
                bodies.append(f"struct {{ {c_name}* held; {reading} }} {label}{{{label}_held}};")
            else:
                bodies.append(f"{c_name}& {label} = {label}_held[{where}];")
        else:
            passed.append(np.asarray(argument, NAMED.get(kind, given.char))[()])
            declared.append(f"{c_name} {label}")
    lines += [f"typedef {c_name} {kind};" for kind, c_name in types.items()]
    lines += [preamble, f"void {name}({', '.join(declared)}) {{", "const long long i = blockIdx.x;", *bodies]
    code = "\n".join([*lines, operation, ";}"])
    held = [_argument(value) for value in passed]
    pointers = (ctypes.c_void_p * len(held))(*[ctypes.cast(ctypes.pointer(one), ctypes.c_void_p).value for one in held])
    if size:
        _library(code, name)((ctypes.c_uint * 3)(size, 1, 1), (ctypes.c_uint * 3)(1, 1, 1), pointers, 0)


def _parameters(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _flat_place(at: str, array: np.ndarray) -> str:
    """The place of the element that stands ``at`` in C order."""
    terms, below = [], 1
    for size, stride in zip(reversed(array.shape), reversed(array.strides), strict=True):
        terms.append(f"({at} / {below} % {max(size, 1)}) * {stride // array.itemsize}LL")
        below *= max(size, 1)
    return " + ".join(terms) or "0"
