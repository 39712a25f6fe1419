"""What a run may be asked for: every key, every refusal, formulas, files, the command line."""

from __future__ import annotations

import dataclasses
import json
from math import pi
from pathlib import Path

import numpy as np
import pytest

from experiments.neuroscope.app import main, read
from experiments.neuroscope.config import Config, ConfigError, convert, from_mapping, load
from experiments.neuroscope.engine import Trainer
from experiments.neuroscope.expression import FormulaError, parse
from experiments.neuroscope.presets import PRESETS
from experiments.neuroscope.targets import FUNCTIONS, call, inputs_of, named, sample

Array = np.ndarray

# --- refusals ---------------------------------------------------------------------------------------------

REFUSED = [
    ({"lrr": 0.1}, "no key 'lrr': did you mean lr"),
    ({"completely_else": 1}, "The keys are project_name, seed"),
    ({"lr": 0}, "lr must be above 0, got 0"),
    ({"lr": float("nan")}, "lr must be a finite number"),
    ({"lr": "fast"}, "lr must be a finite number, got 'fast'"),
    ({"lr": True}, "lr must be a finite number"),
    ({"seed": -1}, "seed must be at least 0"),
    ({"hidden": 2.5}, "hidden must be a whole number, got 2.5"),
    ({"depth": 0}, "depth must be at least 1"),
    ({"input_dim": 3}, "input_dim must be at least 1 and at most 2, got 3"),
    ({"activation": "tanj"}, "must be one of tanh, relu.*Did you mean tanh"),
    ({"optimizer": "sgdm"}, "optimizer must be one of gd, sgd"),
    ({"criterion_name": "ce"}, "criterion_name must be one of mse, l1, huber"),
    ({"momentum": 1.0, "optimizer": "sgd"}, "momentum must be at least 0 and below 1"),
    ({"momentum": 0.9}, "momentum is for sgd, heavy_ball, nesterov, rmsprop, and the optimizer is gd"),
    ({"weight_decay": 0.1}, "weight_decay is for adamw and lion"),
    ({"batch_size": 501}, "batch_size 501 exceeds n_samples 500"),
    ({"batch_size": 5, "optimizer": "rk4"}, "batch_size must be 0"),
    ({"x_min": 1.0}, "x_min and x_max go together"),
    ({"x_min": 1.0, "x_max": 1.0}, "x_min must be below x_max"),
    ({"x2_min": 0.0, "x2_max": 1.0}, "need input_dim 2"),
    ({"expression": "x", "csv": "a.csv"}, "one target at a time, got expression and csv"),
    ({"expression": "x", "function_params": {"k": 1}}, "function_params belong to function_name"),
    ({"function_params": 3}, "function_params must be a dict or None"),
    ({"pde": "wave"}, "pde must be one of poisson, helmholtz, heat"),
    ({"pde": "heat"}, "heat needs input_dim 2"),
    ({"pde": "poisson", "activation": "relu"}, "relu has no second derivative"),
    ({"data_weight": 0.0}, "nothing is left of the loss"),
    ({"bc": "neumann"}, "neumann needs bc_values"),
    (
        {"bc": "dirichlet", "bc_values": "sin(z)"},
        "bc_values: 'sin\\(z\\)': there is no 'z' here, only x, pi, e",
    ),
    ({"rhs": "1 +", "pde": "poisson"}, "rhs: '1 \\+' cannot be read"),
    ({"rhs": "", "pde": "poisson"}, "rhs: '' cannot be read"),
    ({"rhs": "x"}, "rhs belongs to an equation: choose a pde"),
    ({"bc": "periodic", "bc_values": "x"}, "bc_values belong to a condition: choose a bc, one of dirichlet"),
    ({"expression": "zero"}, "there is no 'zero' here"),
    ({"bc": "dirichlet", "bc_values": ""}, "bc_values: '' cannot be read"),
    ({"data_weight": 0.0, "pde": "poisson", "pde_weight": 0.0}, "nothing is left of the loss"),
    ({"x_min": -1e308, "x_max": 1e308}, "must be within 1e\\+09 of 0"),
    ({"x_min": 0.0, "x_max": 1e-12}, "x_min must be below x_max by at least 1e-09"),
    ({"helmholtz_k": 1e200}, "helmholtz_k must be at least 0 and at most 1e\\+06"),
    ({"pde": ["poisson"]}, "pde must be a line of text or None, got \\['poisson'\\]"),
    ({"lr": 10**400}, "lr must be a finite number"),
    ({"hidden": 10**9}, "hidden must be at least 1 and at most 4096"),
    ({"n_samples": 1e15}, "n_samples must be at least 1 and at most 1e\\+06"),
    ({"project_name": "\ud800"}, "project_name must be a line of text or None"),
    ({"csv": "a\0b"}, "csv must be a line of text"),
    ({"target_fn_override": "abc"}, "target_fn_override must be a function or None"),
    ({"optimizer": "adamw", "lr": 1.0, "weight_decay": 2.0}, "lr times weight_decay must be below 2"),
    ({"criterion_params": {"l2": 1}}, "criterion_params: there is no key 'l2': did you mean l2_weight"),
    ({"criterion_params": [1]}, "criterion_params must be a dict"),
    ({"device": "gpu"}, "device must be one of cpu, cuda"),
    ({"animation": "yes"}, "animation must be True or False"),
    ({"target_fn_override": 3}, "target_fn_override must be a function or None"),
]


@pytest.mark.parametrize(("keys", "sentence"), REFUSED, ids=lambda v: str(v)[:40])
def test_what_makes_no_sense_is_refused_in_a_sentence(keys: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Config(**keys)


def test_the_originals_examples_work() -> None:
    assert Config(project_name=None, input_dim=1).name == "run"
    config = Config(project_name="2d-sincos", input_dim=2, function_name="sin_cos2d")
    assert config.name == "2d-sincos"
    config = Config(criterion_name="mse", criterion_params={"l2_weight": 1e-4, "pde": "poisson1d"})
    assert (config.l2_weight, config.pde) == (1e-4, "poisson")


def test_a_project_becomes_a_folders_name() -> None:
    assert Config(project_name="../../Étude №1: a b").name == "tude-1-a-b"
    assert Config(project_name="///").name == "run"
    assert len(Config(project_name="x" * 500).name) == 60


def test_a_config_survives_its_file(tmp_path: Path) -> None:
    config = Config(lr=0.1, function_params={"frequency": 2.0}, x_min=-1.0, x_max=1.0, pde="poisson")
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"name": "run", **dataclasses.asdict(config)}), "utf-8")
    assert from_mapping(load(file)) == config
    assert from_mapping(load(tmp_path)) == config
    recorded = Config(target_fn_override=np.sin).recorded()
    with pytest.raises(ConfigError, match=r"the function .*sin: repeat it from Python"):
        from_mapping(dataclasses.asdict(recorded))


@pytest.mark.parametrize(
    ("text", "sentence"), [("[1]", "must hold an object"), ("{", "is no JSON file"), (None, "cannot be read")]
)
def test_a_bad_config_file_is_named(text: str | None, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=f"c.json {sentence}"):
        load(file)


# --- formulas ---------------------------------------------------------------------------------------------


def test_formulas_compute() -> None:
    x = np.linspace(-2, 2, 7)[:, None]
    for text, expected in {
        "sin(3*x) + x**2/2": np.sin(3 * x) + x**2 / 2,
        "-x % 2": (-x) % 2,
        "where(x > 0, 1, -x)": np.where(x > 0, 1, -x),
        "maximum(x, minimum(1, e))": np.maximum(x, 1),
        "2": np.full_like(x, 2),
        "sinc(x) * pi": np.sinc(x / pi) * pi,
        "(x > 0) + (x > 1) - (x < -1)": (x > 0) + 1.0 * (x > 1) - (x < -1),
        "where(x, 1, 2)": np.where(x == 0, 2, 1),
        "-(x <= 0)": -1.0 * (x <= 0),
        "exp(-x**2) + abs(+x)": np.exp(-(x**2)) + np.abs(x),
    }.items():
        np.testing.assert_allclose(parse(text, 1)(x), expected[:, 0], rtol=1e-14)
    X = np.array([[1.0, 2.0]])
    assert parse("x + 10*y", 2)(X) == parse("x + 10*t", 2)(X) == 21


NO_FORMULAS = r"""
__import__('os').system('true') | x.__class__ | (lambda: 1)() | [x for x in y] | x[0] | 'a' | open(x)
eval('1') | x if x else 1 | x and 1 | f(x) | sin | sin(x, x) | where(x) | x; x | x = 1 | 1j | True | sin(x=x)
0 < x < 1 | x // 2 | ~x | x << 1 | None | ... | x @ x | {x} | *x | print(x) | sin(*[x]) | x := 1 | y | t
""".replace("\n", " | ").split(" | ")[1:]


@pytest.mark.parametrize("text", [*NO_FORMULAS, "\x00", "x" * 501, "(" * 400])
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        parse(text, 1)


def test_a_formula_that_cannot_be_computed_ends_at_once() -> None:
    x = np.array([[-1.0], [0.0]])
    assert np.isinf(parse("9**9**9**9", 1)(x)).all()
    assert np.isnan(parse("log(x)", 1)(x)[0])
    assert not np.isfinite(parse("1/x", 1)(x)[1])
    with pytest.raises(ConfigError, match=r"log\(x\) is not finite at"):
        sample(Config(expression="log(x)"))


# --- targets ----------------------------------------------------------------------------------------------


def test_every_function_of_the_registry() -> None:
    x = np.linspace(-4, 4, 9)
    X = x[:, None]
    truth = {
        "sin": np.sin(x), "cos": np.cos(x), "sinc": np.sin(x) / np.where(x == 0, 1, x) + (x == 0), "poly": x,
        "square": np.where(np.mod(x, 2 * pi) < pi, 1, -1), "sawtooth": 2 * np.mod(x / (2 * pi), 1) - 1,
        "chebyshev": 4 * x**3 - 3 * x, "steps": np.floor(x / (pi / 2)),
    }  # fmt: skip
    for name, expected in truth.items():
        np.testing.assert_allclose(named(name, None, 1)(X), expected, atol=1e-12)
    Z = np.array([[0.5, -1.0], [2.0, 0.3]])
    np.testing.assert_allclose(named("sin_cos2d", None, 2)(Z), np.sin(Z[:, 0]) + 0.5 * np.cos(Z[:, 1]))
    bell = named("rbf2d", {"cx": 1.0, "cy": 0.5, "s": 2.0}, 2)(Z)
    np.testing.assert_allclose(bell, np.exp(-((Z[:, 0] - 1) ** 2 + (Z[:, 1] - 0.5) ** 2) / 8))
    np.testing.assert_allclose(
        named("poly", {"a": 1, "b": 2, "c": 3, "d": 4}, 1)(X), x**3 + 2 * x**2 + 3 * x + 4
    )
    assert set(truth) | {"sin_cos2d", "rbf2d"} == set(FUNCTIONS)
    assert [inputs_of(n) for n in ("sin", "rbf2d")] == [1, 2]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"function_name": "sine"}, "no function 'sine': for input_dim 1 there are sin, cos"),
        ({"function_name": "rbf2d"}, "rbf2d needs input_dim 2, got 1"),
        ({"function_name": "sin", "input_dim": 2}, "sin needs input_dim 1, got 2: for 2 there are sin_cos2d"),
        ({"function_name": "square", "function_params": {"perod": 1}}, "did you mean period"),
        ({"function_name": "square", "function_params": {"period": 0}}, "period must be above 0"),
        ({"function_name": "sinc", "function_params": {"k": 1}}, "it has no parameters"),
        ({"function_name": "sin", "function_params": {"phase": "a"}}, "phase must be a finite number"),
        ({"function_name": "chebyshev", "function_params": {"k": 1.5}}, "whole number in \\[0, 50\\]"),
        ({"csv": "nowhere.csv"}, "nowhere.csv cannot be read"),
    ],
    ids=str,
)
def test_targets_that_cannot_be_had(keys: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        sample(Config(**keys))


def test_samples_lie_in_their_range_with_their_noise() -> None:
    data = sample(Config(n_samples=4000, noise_std=0.3))
    assert data.X.shape == (4000, 1)
    assert data.X.min() >= -2 * pi
    assert data.X.max() <= 2 * pi
    noise = data.y - np.sin(data.X[:, 0])
    assert noise.std() == pytest.approx(0.3, rel=0.05)  # 4.5 standard deviations of that estimate
    data = sample(Config(input_dim=2, x_min=0.0, x_max=1.0, x2_min=5.0, x2_max=6.0))
    assert data.box.tolist() == [[0, 1], [5, 6]]
    assert (data.X.min(axis=0) >= [0, 5]).all()


def test_a_function_of_ones_own_is_checked() -> None:
    assert sample(Config(target_fn_override=lambda X: X[:, 0] ** 2, noise_std=0.0)).y.min() >= 0
    assert call(lambda X: X**2, np.ones((3, 1)), "f").shape == (3,)
    assert call(lambda X: [1, 2, 3], np.ones((3, 1)), "f").tolist() == [1, 2, 3]
    assert np.isnan(call(lambda X: np.ma.masked_array([1.0, 2.0], [0, 1]), np.ones((2, 1)), "f")[1])
    points = np.ones((3, 1))
    call(lambda X: X.fill(7) or X[:, 0], points, "f")
    assert points.tolist() == [[1], [1], [1]]
    with pytest.raises(ConfigError, match="it returned complex numbers"):
        call(lambda X: X[:, 0] + 1j, np.ones((3, 1)), "f")
    with pytest.raises(ConfigError, match=r"f returned shape \(2,\) for points \(3, 1\), expected \(3,\)"):
        call(lambda X: np.ones(2), np.ones((3, 1)), "f")
    with pytest.raises(ConfigError, match=r"f failed on points \(3, 1\): ZeroDivisionError"):
        call(lambda X: 1 / 0, np.ones((3, 1)), "f")


def test_points_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_text("\ufeffx, y\n0, 1\n1, 2.5\n\n2, 4\n3, 9\n", "utf-8")
    data = sample(Config(csv=str(file)))
    assert data.X[:, 0].tolist() == [0, 1, 2, 3]
    assert data.box.tolist() == [[0, 3]]
    data = sample(Config(csv=str(file), x_min=0.0, x_max=2.0))
    assert data.y.tolist() == [1, 2.5, 4]
    assert (data.outside_X.tolist(), data.outside_y.tolist()) == ([[3]], [9])
    for mark in (";", "\t"):
        file.with_name("other.csv").write_text(f"\n0{mark}1\n1{mark}2.5\n", "utf-8")
        assert sample(Config(csv=str(file.with_name("other.csv")))).y.tolist() == [1, 2.5]
    with pytest.raises(ConfigError, match="no point lies in the range"):
        sample(Config(csv=str(file), x_min=7.0, x_max=8.0))
    with pytest.raises(ConfigError, match="batch_size 9 exceeds the 4 points"):
        sample(Config(csv=str(file), batch_size=9))
    with pytest.raises(ConfigError, match="say nothing about the boundary"):
        Trainer(Config(csv=str(file), bc="dirichlet"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"1,2\n3\n", "line 2: expected 2 finite numbers, x and y, got '3'"),
        (b"1,2\na,b\n", "line 2: expected 2 finite numbers, x and y, got 'a,b'"),
        (b"0x10,2\n1,2\n", "line 1: expected 2 finite numbers, x and y, got '0x10,2'"),
        (b"1;2;3\n", "line 1: expected 2 finite numbers, x and y, got '1;2;3'"),
        (b"1,2 3\n", "line 1: expected 2 finite numbers, x and y, got '1,2 3'"),
        (b"1e10,2\n2,3\n", "numbers up to 1e\\+09 can be learned"),
        (b"x,y\n1,nan\n", "line 2: expected 2 finite"),
        (b"nan,nan\n1,2\n", "line 1: expected 2 finite"),
        (b"x,y\n", "has no rows"),
        (b"", "has no rows"),
        (b"\xff\xfe1,2", "is no table of text"),
        (b"1,2\n1,3\n", "all points have the same input"),
    ],
)
def test_bad_files_are_refused_with_the_line(text: bytes, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_bytes(text)
    with pytest.raises(ConfigError, match=f"p.csv.*{sentence}"):
        sample(Config(csv=str(file)))


# --- the command line -------------------------------------------------------------------------------------


def test_options_in_every_spelling() -> None:
    config = read(
        ["--lr", "0.1", "--function-name=cos", "total_steps=7", "--x-min", "-2pi", "--x-max=pi",
         "--function-params", '{"frequency": 2}', "--project-name", "none", "--live", "--animation=no"]
    ).config  # fmt: skip
    assert (config.lr, config.function_name, config.total_steps) == (0.1, "cos", 7)
    assert (config.x_min, config.x_max) == pytest.approx((-2 * pi, pi))
    assert (config.animation, config.live, config.project_name) == (False, True, None)
    assert config.function_params == {"frequency": 2}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--lrr", "1"], "no key 'lrr': did you mean lr"),
        (["0.1"], "'0.1' is no option"),
        (["--lr"], "--lr needs a value"),
        (["--lr", "--seed", "1"], "--lr needs a value"),
        (["--lr", "x"], "lr must be a number, as 0.5 or 2pi, got 'x'"),
        (["--seed", "1.5"], "seed must be a whole number, got '1.5'"),
        (["--animation", "maybe"], "animation must be true or false"),
        (["--function-params", "{k: 1}"], "function_params must be as k=5,phase=1 or JSON"),
        (["--function-params", "five"], "function_params must be as k=5,phase=1 or JSON"),
        (["--target-fn-override", "f"], "is for Python"),
        (["--preset", "dmeo"], "no preset 'dmeo': there are demo"),
        (["--config", "nowhere.json"], "nowhere.json cannot be read"),
        (["--replay", "nowhere"], "there is no folder nowhere"),
        (["--compare="], "--compare needs a value"),
        (["--open=maybe"], "--open takes no value, got 'maybe'"),
        (["--list=3"], "--list takes no value"),
        (["--"], "'--' is no option"),
        (["=3"], "'=3' is no option"),
        (["--replay", "nowhere", "--preset", "demo"], "a replay trains nothing"),
        (["--n-samples", "1000000", "--batch-size", "2000000"], "batch_size 2000000 exceeds n_samples"),
    ],
)
def test_a_command_line_that_makes_no_sense(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert "Traceback" not in said


def test_a_target_of_ones_own_replaces_that_of_a_preset() -> None:
    config = read(["--preset", "demo", "--expression", "sin(x)", "--lr", "0.01"]).config
    assert (config.expression, config.function_name, config.hidden, config.lr) == ("sin(x)", None, 32, 0.01)


def test_a_config_file_may_hold_anything(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    for text, sentence in {
        '{"self": 1}': "there is no key 'self'",
        "[" * 100_000: "nested too deeply|no JSON",
        '{"lr": [1]}': "lr must be a finite number, got",
    }.items():
        file.write_text(text, "utf-8")
        with pytest.raises(ConfigError, match=sentence):
            read(["--config", str(file)])
    file.write_text('\ufeff{"lr": 0.5}', "utf-8")
    assert read(["--config", str(file)]).config.lr == 0.5
    file.write_text('{"criterion_params": {"l2_weight": 0.5}}', "utf-8")
    assert read(["--config", str(file)]).config.l2_weight == 0.5
    assert read(["--config", str(file), "--l2-weight", "0.25"]).config.l2_weight == 0.25
    with pytest.raises(ConfigError, match="not from both"):
        read(["--config", str(file), "--preset", "demo"])
    file.write_text(json.dumps({"target_fn_override": "m.f"}), "utf-8")
    assert read(["--config", str(file), "--function-name", "cos"]).config.function_name == "cos"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_possible(name: str) -> None:
    assert read(["--preset", name]).config.name == name


def test_help_names_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for field in dataclasses.fields(Config):
        assert f"--{field.name.replace('_', '-')} " in said
    assert main(["--list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in (*PRESETS, *FUNCTIONS))


def test_parameters_in_short() -> None:
    assert convert("function_params", "k=5, phase=-1.5") == {"k": 5.0, "phase": -1.5}
    assert convert("criterion_params", "l2_weight=1e-4,pde=poisson") == {"l2_weight": 1e-4, "pde": "poisson"}


def test_numbers_are_read_with_pi() -> None:
    assert convert("x_min", "-pi") == pytest.approx(-pi)
    assert convert("x_max", "0.5pi") == pytest.approx(pi / 2)
