"""What is to be learned: a function by name, a formula, a function of Python, or points of a file.

Shapes   X (N, D), D inputs, 1 or 2; y (N,); box (D, 2), the range of the samples in each input.
"""

from __future__ import annotations

import csv
import inspect
from collections.abc import Callable
from math import isfinite, pi
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.neuroscope.config import LARGEST, Config, ConfigError, unknown
from experiments.neuroscope.expression import parse

Array = np.ndarray
Function = Callable[[Array], Array]  # X (N, D) -> (N,)
SIDE_2D = 41  # points of a surface along each input


def sine(x: Array, frequency: float = 1.0, phase: float = 0.0) -> Array:
    """sin(frequency x + phase)"""
    return np.sin(frequency * x + phase)


def cosine(x: Array, frequency: float = 1.0, phase: float = 0.0) -> Array:
    """cos(frequency x + phase)"""
    return np.cos(frequency * x + phase)


def sinc(x: Array) -> Array:
    """sin(x) / x"""
    return np.sinc(x / pi)


def poly(x: Array, a: float = 0.0, b: float = 0.0, c: float = 1.0, d: float = 0.0) -> Array:
    """a x^3 + b x^2 + c x + d"""
    return ((a * x + b) * x + c) * x + d


def square(x: Array, period: float = 2 * pi, phase: float = 0.0) -> Array:
    """1 in the first half of each period, -1 in the second"""
    return np.where(np.mod(x + phase, period) < period / 2, 1.0, -1.0)


def sawtooth(x: Array, period: float = 2 * pi, phase: float = 0.0) -> Array:
    """rises from -1 to 1 in each period"""
    return 2 * np.mod((x + phase) / period, 1.0) - 1


def chebyshev(x: Array, k: float = 3) -> Array:
    """T_k(x), the polynomial that is cos(k arccos x) on [-1, 1]"""
    return np.polynomial.chebyshev.Chebyshev.basis(int(k))(x)


def steps(x: Array, width: float = pi / 2) -> Array:
    """a staircase, one up in each width"""
    return np.floor(x / width)


def sin_cos2d(x: Array, y: Array) -> Array:
    """sin x + cos(y) / 2"""
    return np.sin(x) + 0.5 * np.cos(y)


def rbf2d(x: Array, y: Array, cx: float = 0.0, cy: float = 0.0, s: float = 1.5) -> Array:
    """exp(-((x - cx)^2 + (y - cy)^2) / 2 s^2)"""
    return np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s * s))


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "sin": sine,
    "cos": cosine,
    "sinc": sinc,
    "poly": poly,
    "square": square,
    "sawtooth": sawtooth,
    "chebyshev": chebyshev,
    "steps": steps,
    "sin_cos2d": sin_cos2d,
    "rbf2d": rbf2d,
}
POSITIVE = ("period", "width", "s")


class Data(NamedTuple):
    """Samples to learn from, and what is known of the function beyond them."""

    X: Array  # (N, D)
    y: Array  # (N,), with noise
    box: Array  # (D, 2)
    function: Function | None  # None: nothing is known but the points of a file
    outside_X: Array  # (M, D): points of the file that lie outside the box
    outside_y: Array  # (M,)
    label: str  # "sin", "sin(3*x)", "points.csv"


class Plot(NamedTuple):
    """Where a fit is looked at: a grid that reaches beyond the box."""

    axes: list[Array]  # (A,), or (A,) and (B,)
    X: Array  # (M, D): M = A, or A B with the first input running fastest
    inside: Array  # (M,), which points are in the box


def inputs_of(name: str) -> int:
    """How many inputs a function of the registry has."""
    return sum(p.default is p.empty for p in inspect.signature(FUNCTIONS[name]).parameters.values())


def named(name: str, params: dict | None, inputs: int) -> Function:
    """Look a function up, with its parameters.

    Raises:
        ConfigError: there is none of this name with so many inputs, or it has no such parameter.
    """
    known = [n for n in FUNCTIONS if inputs_of(n) == inputs]
    if name not in FUNCTIONS:
        raise ConfigError(
            f"there is no function {name!r}: for input_dim {inputs} there are {', '.join(known)}"
        )
    if name not in known:
        needs = inputs_of(name)
        raise ConfigError(
            f"{name} needs input_dim {needs}, got {inputs}: for {inputs} there are {', '.join(known)}"
        )
    function = FUNCTIONS[name]
    allowed = list(inspect.signature(function).parameters)[inputs:]
    for key, value in (params or {}).items():
        if key not in allowed:
            what = unknown(str(key), allowed) if allowed else f"there is no key '{key}': it has no parameters"
            raise ConfigError(f"function_params of {name}: {what}")
        if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
            raise ConfigError(f"function_params of {name}: {key} must be a finite number, got {value!r}")
        if key in POSITIVE and not value > 0:
            raise ConfigError(f"function_params of {name}: {key} must be above 0, got {value}")
        if key == "k" and (value != int(value) or not 0 <= value <= 50):
            raise ConfigError(f"function_params of {name}: k must be a whole number in [0, 50], got {value}")
    return lambda X: function(*X.T, **(params or {}))


def sample(config: Config) -> Data:
    """Draw the samples of a run.

    Raises:
        ConfigError: the target does not exist, cannot be read or is not finite somewhere in the range.
    """
    if config.csv:
        return _from_file(config)
    function, label = _function(config)
    box = _box(config, np.array([[-2 * pi, 2 * pi]] * config.input_dim))
    rng = np.random.default_rng([config.seed, 0])
    X = rng.uniform(box[:, 0], box[:, 1], (config.n_samples, config.input_dim))
    clean = call(function, X, label)
    if not np.isfinite(clean).all():
        at = X[~np.isfinite(clean)][0]
        raise ConfigError(
            f"{label} is not finite at {', '.join(f'{v:.4g}' for v in at)}: choose another range"
        )
    y = clean + config.noise_std * rng.standard_normal(config.n_samples)
    nothing = np.empty((0, config.input_dim))
    return Data(X, y, box, function, nothing, np.empty(0), label)


def call(function: Function, X: Array, label: str) -> Array:
    """The values (N,) of a target, checked: a function of Python may return anything."""
    try:
        found = function(X.copy())  # it may write into its points
        if np.iscomplexobj(found):
            raise TypeError("it returned complex numbers")
        y = np.ma.filled(np.ma.asarray(found).astype(np.float64), np.nan)
    except Exception as error:
        raise ConfigError(f"{label} failed on points {X.shape}: {type(error).__name__}: {error}") from error
    if y.shape == (len(X), 1):
        y = y[:, 0]
    if y.shape != (len(X),):
        raise ConfigError(f"{label} returned shape {y.shape} for points {X.shape}, expected ({len(X)},)")
    return y


def grid(config: Config, box: Array) -> Plot:
    """Lay the points at which the fit is looked at: the box, and a margin around it."""
    margin = config.vis_pad_frac * (box[:, 1] - box[:, 0])
    count = config.n_plot_points if len(box) == 1 else SIDE_2D
    axes = [np.linspace(low - m, high + m, count) for (low, high), m in zip(box, margin, strict=True)]
    mesh = np.meshgrid(*axes)  # (B, A): the first input runs fastest
    X = np.stack([side.ravel() for side in mesh], axis=1)
    return Plot(axes, X, ((box[:, 0] <= X) & (X <= box[:, 1])).all(axis=1))


def _function(config: Config) -> tuple[Function, str]:
    if config.expression:
        return parse(config.expression, config.input_dim), config.expression
    if config.target_fn_override is not None:
        own = config.target_fn_override
        return own, getattr(own, "__name__", type(own).__name__)
    name = config.function_name or ("sin" if config.input_dim == 1 else "sin_cos2d")
    return named(name, config.function_params, config.input_dim), name


def _box(config: Config, default: Array) -> Array:
    """The range of the samples, (D, 2)."""
    box = default.copy()
    if config.x_min is not None:
        box[:] = config.x_min, config.x_max
    if config.x2_min is not None:
        box[1] = config.x2_min, config.x2_max
    return box


def _from_file(config: Config) -> Data:
    """Points of a CSV file; those outside a range that was asked for are kept to judge by."""
    table, file = read_csv(Path(config.csv), config.input_dim + 1), Path(config.csv)
    X, y = table[:, :-1], table[:, -1]
    box = _box(config, np.stack([X.min(axis=0), X.max(axis=0)], axis=1))
    if not (box[:, 0] < box[:, 1]).all():
        raise ConfigError(f"{file}: all points have the same input, {box[:, 0].tolist()}")
    if np.abs(table).max() > LARGEST:
        raise ConfigError(f"{file}: numbers up to {LARGEST:g} can be learned, one is {np.abs(table).max():g}")
    inside = ((box[:, 0] <= X) & (X <= box[:, 1])).all(axis=1)
    if not inside.any():
        low, high = X.min(axis=0).tolist(), X.max(axis=0).tolist()
        raise ConfigError(f"{file}: no point lies in the range {box.tolist()}, they are in {low} to {high}")
    if config.batch_size > inside.sum():
        raise ConfigError(f"batch_size {config.batch_size} exceeds the {inside.sum()} points of {file}")
    return Data(X[inside], y[inside], box, None, X[~inside], y[~inside], file.name)


def read_csv(file: Path, columns: int) -> Array:
    """Read a table of numbers, with or without a line of names above it; between them commas, ; or tabs.

    Raises:
        ConfigError: the file cannot be read, or a line has other than ``columns`` finite numbers.
    """
    try:
        if not file.is_file():
            raise ConfigError(f"{file} cannot be read: there is no such file")
        text = file.read_text("utf-8-sig")
        mark = max(",;\t", key=text.lstrip().partition("\n")[0].count)
        lines = csv.reader(text.splitlines(), delimiter=mark)
        rows = [(i, row) for i, row in enumerate(lines, 1) if any(cell.strip() for cell in row)]
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{file} is no table of text: {error}") from None
    if rows and not any(_is_number(cell) or cell.strip().lower() in ("nan", "inf") for cell in rows[0][1]):
        rows = rows[1:]  # the names of the columns
    for i, cells in rows:
        if len(cells) != columns or not all(map(_is_number, cells)):
            what = "x and y" if columns == 2 else "two inputs and y"
            got = f"{mark}".join(cells)[:60]
            raise ConfigError(f"{file}, line {i}: expected {columns} finite numbers, {what}, got {got!r}")
    if not rows:
        raise ConfigError(f"{file} has no rows of numbers")
    return np.array([[float(cell) for cell in cells] for _, cells in rows])


def _is_number(cell: str) -> bool:
    try:
        return isfinite(float(cell))
    except ValueError:
        return False
