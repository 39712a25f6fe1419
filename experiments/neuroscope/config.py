"""What a run depends on: one dataclass, from Python, from a command line or from a run's own config.json.

    Config(function_name="sin", lr=0.05)        Config(criterion_params={"l2_weight": 1e-4})
    --function-name sin --lr 0.05               --config runs/run_001/config.json --lr 0.1

A key that does not exist and a value that makes no sense are refused, and what is possible is named.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from math import isfinite, pi
from pathlib import Path
from typing import Any

import numpy as np

from experiments.neuroscope.expression import FormulaError, parse

ACTIVATIONS = ("tanh", "relu", "gelu", "sin", "softplus", "sigmoid")
CRITERIA = ("mse", "l1", "huber")
EQUATIONS = ("poisson", "helmholtz", "heat")
CONDITIONS = ("dirichlet", "neumann", "robin", "periodic")
POINTS = ("uniform", "chebyshev", "random")
SCHEMES = ("uniform", "xavier", "kaiming", "orthogonal", "normal")
OPTIMIZERS = ("gd", "sgd", "heavy_ball", "nesterov", "rmsprop", "adagrad", "adam", "adamw", "lion", "rk4")
MOMENTUM = ("sgd", "heavy_ball", "nesterov", "rmsprop")  # those that take one
DEVICES = ("cpu", "cuda")
SOURCES = ("function_name", "expression", "csv", "target_fn_override")  # of a target: one at a time
LARGEST = 1e9  # of a coordinate: squares and fourth powers are still numbers
NARROWEST = 1e-9  # of a range
OLD_NAMES = {f"{kind}{n}d": kind for kind in EQUATIONS for n in (1, 2)}  # "poisson1d": the inputs say which


class ConfigError(ValueError):
    """A key or value that is not possible; the message says what is."""


def _is(
    default: object, help: str, *, least: float | None = None, above: float | None = None,
    below: float | None = None, most: float | None = None, among: Sequence[str] | None = None
) -> Any:  # fmt: skip
    """A field of `Config` with the values that it may have."""
    allowed = {"help": help, "least": least, "above": above, "below": below, "most": most, "among": among}
    return field(default=default, metadata=allowed)


def _strict(cls: type[Config]) -> type[Config]:
    """Let the constructor name the nearest keys instead of Python's error."""
    build = cls.__init__

    def __init__(self: Config, *arguments: object, **keys: object) -> None:
        for key in keys:
            if key not in cls.__dataclass_fields__:
                raise ConfigError(unknown(key, list(cls.__dataclass_fields__)))
        build(self, *arguments, **keys)

    cls.__init__ = __init__  # type: ignore[method-assign]
    return cls


def unknown(key: str, known: Sequence[str]) -> str:
    """The sentence for a key that does not exist."""
    near = difflib.get_close_matches(key, known, 3) or [k for k in known if key.lower() in k][:3]
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    return f"there is no key '{key}': {guess}The keys are {', '.join(known)}"


@_strict
@dataclass(frozen=True)
class Config:
    """Everything that a run depends on; the same config gives the same metrics, byte for byte."""

    project_name: str | None = _is(None, "name of the run's folder; none: run")
    seed: int = _is(0, "of all that is random", least=0)
    # the function and its samples
    input_dim: int = _is(1, "number of inputs", least=1, most=2)
    function_name: str | None = _is(None, "the target; none: sin, or sin_cos2d for two inputs")
    function_params: dict | None = _is(None, 'its parameters, as {"k": 5}')  # noqa: RUF009
    expression: str = _is("", "a formula in x (and y, or t) as the target")
    csv: str = _is("", "a file of points, a column for each input and one for the output, as the target")
    target_fn_override: Callable | None = _is(None, "from Python: X (N, D) -> (N,) as the target")  # noqa: RUF009
    n_samples: int = _is(500, "points to learn from", least=1, most=1_000_000)
    noise_std: float = _is(0.08, "standard deviation of the noise on them", least=0)
    x_min: float | None = _is(None, "where they begin; none: -2 pi, or the file's smallest")
    x_max: float | None = _is(None, "where they end; none: 2 pi, or the file's largest")
    x2_min: float | None = _is(None, "the same of the second input; none: as the first")
    x2_max: float | None = _is(None, "the same of the second input; none: as the first")
    # the network
    hidden: int = _is(64, "units of a hidden layer", least=1, most=4096)
    depth: int = _is(2, "hidden layers", least=1, most=50)
    activation: str = _is("tanh", "of the hidden units", among=ACTIVATIONS)
    init: str = _is("uniform", "how weights are drawn; uniform: within 1 / sqrt(fan_in)", among=SCHEMES)
    gain: float = _is(1.0, "factor on the weights at the start", above=0)
    # training
    optimizer: str = _is("gd", "gd: gradient descent by hand; rk4: the gradient flow", among=OPTIMIZERS)
    lr: float = _is(0.025, "learning rate; for rk4 the step of time", above=0)
    momentum: float = _is(0.0, "of sgd, heavy_ball, nesterov and rmsprop", least=0, below=1)
    beta1: float = _is(0.9, "of adam, adamw and lion", least=0, below=1)
    beta2: float = _is(0.999, "of adam and adamw; alpha of rmsprop; of lion", least=0, below=1)
    weight_decay: float = _is(0.0, "of adamw and lion; the others have l2_weight", least=0)
    batch_size: int = _is(0, "samples in a step; 0: all", least=0)
    total_steps: int = _is(5000, "steps", least=1, most=10_000_000)
    # the loss
    criterion_name: str = _is("mse", "of the samples", among=CRITERIA)
    criterion_params: dataclasses.InitVar[dict | None] = None  # the keys below, as one dict
    huber_delta: float = _is(1.0, "errors above it count linearly", above=0)
    data_weight: float = _is(1.0, "of the samples in the loss; 0: the equation alone", least=0)
    l2_weight: float = _is(0.0, "of the sum of the squares of all parameters", least=0)
    pde: str | None = _is(None, "an equation whose residual is in the loss", among=EQUATIONS)
    pde_weight: float = _is(1.0, "of its mean square", least=0)
    rhs: str = _is("zero", "its right-hand side, a formula")
    helmholtz_k: float = _is(1.0, "wave number of helmholtz", least=0, most=1e6)
    diffusivity: float = _is(1.0, "of heat", above=0)
    n_collocation: int = _is(0, "points of the residual (2-D: a side); 0: 200 or 20", least=0, most=10_000)
    collocation: str = _is("uniform", "where they are", among=POINTS)
    colloc_min: float | None = _is(None, "where they begin; none: as the samples")
    colloc_max: float | None = _is(None, "where they end; none: as the samples")
    bc: str | None = _is(None, "a condition at the boundary of the range", among=CONDITIONS)
    bc_weight: float = _is(1.0, "of its mean square", least=0)
    bc_values: str = _is("target", "what it prescribes: target, or a formula")
    robin_k: float = _is(1.0, "k of robin: k u + du/dn", above=0)
    # what is measured, and how often
    steps_per_frame: int = _is(20, "steps from a picture of the fit to the next", least=1)
    sharpness_stride: int = _is(20, "steps from a reading of the curvature to the next; 0: none", least=0)
    lanczos_steps: int = _is(8, "products for an eigenvalue at first; more where needed", least=1, most=1000)
    ntk_stride: int = _is(20, "steps from a reading of the kernel to the next; 0: none", least=0)
    ntk_probe_points: int = _is(36, "points of the kernel (2-D: nearest square)", least=4, most=400)
    ntk_topk: int = _is(6, "eigenvalues of it that are kept", least=1)
    n_plot_points: int = _is(400, "of the curve (2-D: 41 a side)", least=10, most=20_000)
    vis_pad_frac: float = _is(0.5, "seen beyond each end of the range, in its widths", least=0, most=10)
    # what is drawn
    picture: bool = _is(True, "write dashboard.png")
    animation: bool = _is(True, "write animation.gif, and .mp4 where ffmpeg is")
    panels: str = _is("classic", "of the animation: classic 2x2, or all", among=("classic", "all"))
    fps: int = _is(20, "frames a second of the animation", least=1, most=50)
    frames: int = _is(120, "frames of the animation, at most", least=1)
    live: bool = _is(True, "write dashboard.html while training runs")
    device: str = _is("cpu", "where gradients are computed", among=DEVICES)

    def __post_init__(self, criterion_params: dict | None) -> None:
        if criterion_params is not None:
            self._spread(criterion_params)
        if isinstance(self.pde, str):
            object.__setattr__(self, "pde", OLD_NAMES.get(self.pde, self.pde))
        hints = typing.get_type_hints(Config)
        for f in fields(self):
            object.__setattr__(self, f.name, _typed(f.name, hints[f.name], getattr(self, f.name)))
            _check(f, getattr(self, f.name))
        self._check_together()

    def _spread(self, given: object) -> None:
        """Take the keys of ``criterion_params`` for those of the config itself."""
        names = [f.name for f in fields(self)]
        known = names[names.index("huber_delta") : names.index("steps_per_frame")]
        if not isinstance(given, Mapping):
            raise ConfigError(f"criterion_params must be a dict, got {given!r}")
        for key, value in given.items():
            if key not in known:
                raise ConfigError(f"criterion_params: {unknown(str(key), known)}")
            object.__setattr__(self, key, value)

    def _check_together(self) -> None:
        """Refuse what is possible by itself and not beside the rest."""
        chosen = [name for name in SOURCES if getattr(self, name)]
        if len(chosen) > 1:
            raise ConfigError(f"one target at a time, got {' and '.join(chosen)}")
        if self.function_params and chosen not in ([], ["function_name"]):
            raise ConfigError(f"function_params belong to function_name, and the target is {chosen[0]}")
        for low, high in (("x_min", "x_max"), ("x2_min", "x2_max"), ("colloc_min", "colloc_max")):
            a, b = getattr(self, low), getattr(self, high)
            if (a is None) != (b is None):
                raise ConfigError(f"{low} and {high} go together, got {a} and {b}")
            if a is not None and max(abs(a), abs(b)) > LARGEST:
                raise ConfigError(f"{low} and {high} must be within {LARGEST:g} of 0, got {a} and {b}")
            if a is not None and not b - a >= NARROWEST:
                raise ConfigError(f"{low} must be below {high} by at least {NARROWEST:g}, got {a} and {b}")
        if self.input_dim == 1 and self.x2_min is not None:
            raise ConfigError("x2_min and x2_max need input_dim 2, got 1")
        if self.momentum and self.optimizer not in MOMENTUM:
            raise ConfigError(f"momentum is for {', '.join(MOMENTUM)}, and the optimizer is {self.optimizer}")
        if self.weight_decay and self.optimizer not in ("adamw", "lion"):
            raise ConfigError("weight_decay is for adamw and lion: with the others, l2_weight is in the loss")
        if self.optimizer == "adamw" and self.lr * self.weight_decay >= 2:
            raise ConfigError("lr times weight_decay must be below 2, or the decay alone makes weights grow")
        if self.batch_size > self.n_samples and not self.csv:
            raise ConfigError(f"batch_size {self.batch_size} exceeds n_samples {self.n_samples}")
        if self.batch_size and self.optimizer == "rk4":
            raise ConfigError("rk4 follows the flow of one loss: batch_size must be 0")
        self._check_equation()

    def _check_equation(self) -> None:
        if self.pde == "heat" and self.input_dim != 2:
            raise ConfigError("heat needs input_dim 2, x and t; got 1")
        if self.pde and self.activation == "relu":
            raise ConfigError(
                "relu has no second derivative, so no equation: take tanh, gelu, sin or softplus"
            )
        if not self.data_weight and not (self.pde and self.pde_weight) and not (self.bc and self.bc_weight):
            raise ConfigError("nothing is left of the loss: data_weight is 0, and no pde or bc has a weight")
        if self.rhs != "zero" and not self.pde:
            raise ConfigError(f"rhs belongs to an equation: choose a pde, one of {', '.join(EQUATIONS)}")
        if self.bc_values != "target" and self.bc in (None, "periodic"):
            kinds = [kind for kind in CONDITIONS if kind != "periodic"]
            raise ConfigError(f"bc_values belong to a condition: choose a bc, one of {', '.join(kinds)}")
        if self.bc in ("neumann", "robin") and self.bc_values == "target":
            raise ConfigError(
                f"{self.bc} needs bc_values, a formula of what is prescribed: a slope is no target"
            )
        for key, without in (("expression", ""), ("rhs", "zero"), ("bc_values", "target")):
            if getattr(self, key) != without:
                try:
                    parse(getattr(self, key), self.input_dim)
                except FormulaError as error:
                    raise ConfigError(f"{key}: {error}") from None

    @property
    def name(self) -> str:
        """Of the folder: the project's name in letters that every file system takes."""
        letters = [c if c.isalnum() and c.isascii() else "-" for c in (self.project_name or "run").lower()]
        return "-".join(part for part in "".join(letters).split("-") if part)[:60] or "run"

    def recorded(self) -> Config:
        """The config as a file can hold it: a callable becomes its name."""
        function, config = self.target_fn_override, copy(self)
        if function is not None:
            name = getattr(function, "__qualname__", type(function).__name__)
            object.__setattr__(config, "target_fn_override", f"{function.__module__}.{name}")
        return config


def from_mapping(given: Mapping[str, Any]) -> Config:
    """Make a config of what a config.json holds.

    Raises:
        ConfigError: as `Config`; or its target was a Python function, which no file holds.
    """
    keys = {key: value for key, value in given.items() if key not in ("name", "criterion_params")}
    if isinstance(keys.get("target_fn_override"), str):
        raise ConfigError(
            f"the target of this run was the function {keys['target_fn_override']}: repeat it from Python"
        )
    known = [f.name for f in fields(Config)]
    for key in keys:
        if key not in known:
            raise ConfigError(unknown(str(key), known))
    return Config(criterion_params=given.get("criterion_params"), **keys)


def load(path: Path | str) -> dict[str, Any]:
    """Read a config.json.

    Raises:
        ConfigError: there is no such file, or it holds no config.
    """
    file = Path(path)
    file = file / "config.json" if file.is_dir() else file
    try:
        found = json.loads(file.read_text("utf-8-sig"))
    except RecursionError:
        raise ConfigError(f"{file} is nested too deeply to be a config") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{file} is no JSON file: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{file} must hold an object of keys and values, got {type(found).__name__}")
    return found


def convert(key: str, text: str) -> object:
    """Read the value of a key from a command line."""
    if key in ("function_params", "criterion_params"):
        try:
            return json.loads(text) if text.lstrip().startswith("{") else _pairs(text)
        except ValueError:
            raise ConfigError(f'{key} must be as k=5,phase=1 or JSON, {{"k": 5}}, got {text!r}') from None
    if key == "target_fn_override":
        raise ConfigError("target_fn_override is for Python: on a command line, take expression or csv")
    kind = typing.get_type_hints(Config)[key]
    if text.lower() == "none" and type(None) in typing.get_args(kind):
        return None
    if kind is bool:
        words = {
            "1": True,
            "true": True,
            "yes": True,
            "on": True,
            "0": False,
            "false": False,
            "no": False,
            "off": False,
        }
        if text.lower() not in words:
            raise ConfigError(f"{key} must be true or false, got {text!r}")
        return words[text.lower()]
    number = next((k for k in (int, float) if k is kind or k in typing.get_args(kind)), None)
    if number is None:
        return text
    scale, digits = (pi, text[:-2] or "1") if number is float and text.endswith("pi") else (1, text)
    digits = f"{digits}1" if digits in ("-", "+") else digits
    try:
        return number(digits) * scale
    except ValueError:
        what = "a whole number" if number is int else "a number, as 0.5 or 2pi"
        raise ConfigError(f"{key} must be {what}, got {text!r}") from None


def _pairs(text: str) -> dict[str, object]:
    """ "k=5,phase=1" as a dict: numbers where they are numbers, texts else."""
    found: dict[str, object] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(part)
        try:
            found[name.strip()] = float(value)
        except ValueError:
            found[name.strip()] = value.strip()
    return found


def _typed(key: str, kind: Any, value: Any) -> Any:
    """The value in the type of its field, or a refusal."""
    options = typing.get_args(kind) or (kind,)
    if value is None and type(None) in options:
        return None
    if bool in options:
        good = isinstance(value, bool)
    elif int in options or float in options:
        number = int if int in options else float
        good = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        good = good and _finite(value) and (number is float or value == int(value))
        value = number(value) if good else value
    elif str in options:
        good = isinstance(value, str) and value.isprintable()
    elif dict in options:
        good = isinstance(value, dict)
    else:
        good = callable(value)
    if not good:
        names = {int: "a whole number", float: "a finite number", bool: "True or False",
                 str: "a line of text", dict: "a dict"}  # fmt: skip
        expected = " or ".join(names.get(o, "None" if o is type(None) else "a function") for o in options)
        raise ConfigError(f"{key} must be {expected}, got {value!r}")
    return value


def _finite(value: Any) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _check(f: dataclasses.Field, value: Any) -> None:
    allowed = f.metadata
    if not allowed or value is None:
        return
    if allowed["among"] is not None and value not in allowed["among"]:
        near = difflib.get_close_matches(str(value), allowed["among"], 1)
        guess = f" Did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{f.name} must be one of {', '.join(allowed['among'])}, got {value!r}.{guess}")
    bounds = (
        ("least", "at least", lambda v, b: v >= b),
        ("above", "above", lambda v, b: v > b),
        ("below", "below", lambda v, b: v < b),
        ("most", "at most", lambda v, b: v <= b),
    )
    wanted = [(words, allowed[name], holds) for name, words, holds in bounds if allowed[name] is not None]
    if not all(holds(value, bound) for _, bound, holds in wanted):
        raise ConfigError(
            f"{f.name} must be {' and '.join(f'{w} {bound:g}' for w, bound, _ in wanted)}, got {value!r}"
        )
