"""Where a gradient is computed: on the processor, or on a GPU through CuPy; the code is the same.

NumPy's functions hand an array of CuPy's on to CuPy. So all that differs is where arrays are made, and that
what comes back has to be asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from experiments.neuroscope.config import ConfigError

Array = np.ndarray


class Device(NamedTuple):
    """A place for arrays.

    Attributes:
        name: for people.
        put: from an array of NumPy's to one of the device.
        get: back again.
    """

    name: str
    put: Callable[[Array], Array]
    get: Callable[[Array], Array]


def open_device(name: str) -> Device:
    """Find a device.

    Args:
        name: "cpu" or "cuda".

    Raises:
        ConfigError: there is no CuPy or no GPU that it can use; the message says which, and what to do.
    """
    if name == "cpu":
        return Device("cpu", lambda a: np.asarray(a, np.float64), np.asarray)
    cupy = _cupy()
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        if not count:
            raise RuntimeError("it counts 0 of them")
        model = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    except Exception as error:  # CuPy raises its own kinds: no driver, an old driver, no device
        raise ConfigError(
            f"device cuda: CuPy {cupy.__version__} is installed and finds no GPU ({error}). "
            "Look whether nvidia-smi sees one and its driver is recent enough; device cpu needs neither"
        ) from None
    return Device(f"cuda ({model})", lambda a: cupy.asarray(a, np.float64), cupy.asnumpy)


def _cupy() -> ModuleType:
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        raise ConfigError(
            f"device cuda needs CuPy, which is not installed ({error}). pip install cupy-cuda12x or "
            "cupy-cuda13x, as nvidia-smi names the version; device cpu needs neither"
        ) from None
