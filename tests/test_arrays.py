"""The choice between NumPy and CuPy, on a machine that may have neither a GPU nor CuPy."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest

from difflab import arrays
from difflab.errors import UnavailableError


class DeviceArray:
    """A stand-in for a CuPy array, which refuses to become a NumPy array by itself."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def get(self):
        return self.values

    def __array__(self, dtype=None, copy=None):
        raise TypeError("implicit conversion to the host")


@pytest.fixture
def fake_cupy(monkeypatch):
    module = ModuleType("cupy")
    module.ndarray = DeviceArray  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def test_plain_arrays_stay_with_numpy():
    assert arrays.namespace(np.ones(2), 3.0) is np
    assert not arrays.is_device_array(np.ones(2))
    host = np.arange(3.0)
    assert arrays.to_host(host) is host
    arrays.synchronise(host)  # nothing is pending


def test_device_arrays_choose_cupy_and_come_back_only_when_asked(fake_cupy):
    device = DeviceArray([1.0, 2.0])
    assert arrays.namespace(np.ones(2), device) is fake_cupy
    np.testing.assert_array_equal(arrays.to_host(device), [1.0, 2.0])


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="gpu: says what is missing only where it is")
def test_without_cupy_it_is_one_sentence():
    with pytest.raises(UnavailableError, match=r"device 'gpu' needs the package cupy.*pip install 'difflab\[gpu\]'"):
        arrays.import_cupy()
