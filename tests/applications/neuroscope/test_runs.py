"""Runs as a whole: folders, records that repeat byte for byte, blow-ups, Ctrl-C, replays, films, devices."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from experiments.neuroscope import app, devices
from experiments.neuroscope.app import main, run
from experiments.neuroscope.config import OPTIMIZERS, Config, ConfigError
from experiments.neuroscope.engine import Trainer
from experiments.neuroscope.recorder import Recorder, replay

ROOT = Path(__file__).resolve().parents[3]
SMALL = {
    "hidden": 6,
    "n_samples": 20,
    "total_steps": 40,
    "n_plot_points": 40,
    "animation": False,
    "picture": False,
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def small(**keys: object) -> Config:
    return Config(**SMALL | keys)  # type: ignore[arg-type]


def test_a_run_leaves_its_record(capsys: pytest.CaptureFixture[str]) -> None:
    history = run(small(picture=True))
    folder = Path("runs/run_001")
    assert {f.name for f in folder.iterdir()} == {
        "config.json", "metrics.csv", "snapshots.npz", "end.json", "verdict.json", "dashboard.html",
        "dashboard.png",
    }  # fmt: skip
    assert history.end.how == "completed"
    assert json.loads((folder / "config.json").read_text("utf-8"))["hidden"] == 6
    lines = (folder / "metrics.csv").read_text("ascii").splitlines()
    assert len(lines) == 1 + 41
    assert lines[0].startswith("step,loss,data,clean,ood")
    said = capsys.readouterr().out
    assert "Run directory: runs" in said
    assert "Target: sin: 1-6-6-1 tanh, mse, gd, lr 0.025" in said
    assert "completed 40 steps" in said
    assert run(small()).name == "run_002"
    verdict = json.loads((folder / "verdict.json").read_text("utf-8"))
    assert verdict["how"] == "completed"
    assert verdict["stack"]["mode"] == "solutions"


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"batch_size": 7, "optimizer": "adam", "lr": 0.01, "activation": "relu"},
        {"input_dim": 2, "pde": "heat", "bc": "dirichlet", "collocation": "random", "n_collocation": 5},
    ],
    ids=str,
)
def test_the_same_config_gives_the_same_bytes(keys: dict) -> None:
    for _ in range(2):
        run(small(**keys))
    for name in ("metrics.csv", "snapshots.npz", "end.json", "config.json"):
        assert Path("runs/run_001", name).read_bytes() == Path("runs/run_002", name).read_bytes()
    run(small(seed=1, **keys))
    assert Path("runs/run_001/metrics.csv").read_bytes() != Path("runs/run_003/metrics.csv").read_bytes()


def test_what_is_measured_does_not_change_what_happens() -> None:
    a = run(small(batch_size=7))
    b = run(small(batch_size=7, sharpness_stride=0, ntk_stride=0, steps_per_frame=13))
    assert np.array_equal(a.columns["loss"], b.columns["loss"])
    assert "sharpness" not in b.columns
    assert b.frames.tolist() == [0, 1, 2, 4, 8, 13, 26, 39, 40]


def test_two_runs_at_once_take_two_folders() -> None:
    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(lambda s: app.Run("same", small(seed=s), fresh=True).folder.name, range(8)))
    assert sorted(names) == [f"same_{i:03d}" for i in range(1, 9)]


def test_a_run_that_blows_up_says_when_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(small(lr=3.0)) == 1
    end = json.loads(Path("runs/run_001/end.json").read_text("utf-8"))
    assert end["how"] == "diverged"
    assert 0 < end["step"] < 40
    assert "above the edge 0.6667 of gd (2 / lr)" in end["why"]
    assert "Below that edge is lr " in end["advice"]
    rows = Path("runs/run_001/metrics.csv").read_text("ascii").splitlines()
    assert len(rows) == end["step"] + 2  # the header, and a row for each step from 0 on
    assert f"blew up at step {end['step']}" in capsys.readouterr().out
    assert replay("runs/run_001").frames.tolist()[-1] == end["step"]  # the film shows how it went
    advised = float(end["advice"].split("lr ")[1].split(",")[0])
    assert run(small(lr=advised)).end.how == "completed"
    assert run(small(optimizer="lion", lr=1e200)).end.how == "diverged"


def test_a_replay_is_the_record_and_trains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    history = run(small(activation="relu"))
    monkeypatch.setattr(Trainer, "train", None)
    again = replay("runs/run_001")
    assert again.end == history.end
    assert again.title == history.title
    for name, values in history.columns.items():
        np.testing.assert_array_equal(again.columns[name], values)
    for name in ("frames", "output", "slope", "curvature", "target"):
        np.testing.assert_array_equal(getattr(again, name), getattr(history, name))
    assert again.page() == history.page()
    before = Path("runs/run_001/dashboard.html").read_bytes()
    assert main(["--replay", "runs/run_001", "--animation", "yes", "--frames", "2"]) == 0
    assert Path("runs/run_001/dashboard.html").read_bytes() == before
    with Image.open("runs/run_001/animation.gif") as film:
        assert film.n_frames == 2
    assert sorted(p.name for p in Path("runs").iterdir()) == ["run_001"]
    assert main(["--replay", "runs/run_001", "--lr", "0.1"]) == 2


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("metrics.csv", "step,loss", "stop,loss"),
        ("metrics.csv", "\n3,", "\n4,"),
        ("end.json", '"completed"', '"exploded"'),
        ("end.json", '"step": 40', '"step": "a"'),
    ],
)
def test_a_record_that_was_changed_is_refused(name: str, old: str, new: str) -> None:
    run(small())
    file = Path("runs/run_001", name)
    file.write_text(file.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(ConfigError, match=r"the record in .*run_001 is damaged"):
        replay("runs/run_001")


@pytest.mark.parametrize("name", ["metrics.csv", "snapshots.npz", "end.json"])
def test_a_damaged_record_is_named(name: str) -> None:
    run(small())
    file = Path("runs/run_001", name)
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(ConfigError, match=r"the record in .*run_001 is damaged"):
        replay("runs/run_001")
    file.unlink()
    with pytest.raises(ConfigError, match=f"holds no record of a run: {name} is missing"):
        replay("runs/run_001")
    with pytest.raises(ConfigError, match="there is no folder nowhere"):
        replay("nowhere")


def test_ctrl_c_leaves_a_whole_record(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = Trainer.train

    def stopped(self: Trainer, recorder: Recorder):
        for step in train(self, recorder):
            if step == 13:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(Trainer, "train", stopped)
    assert main(small()) == 130
    assert "interrupted after 12 steps" in capsys.readouterr().out
    history = replay("runs/run_001")
    assert history.end.how == "interrupted"
    assert history.columns["step"].tolist() == list(range(13))
    assert Path("runs/run_001/dashboard.html").stat().st_size > 10_000


@pytest.mark.parametrize("stage", ["_look", "_structure", "_curvature"])
def test_ctrl_c_at_any_stage_leaves_a_record_that_replays(
    stage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done, calls = getattr(Trainer, stage), []

    def stopped(self: Trainer, *arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return done(self, *arguments)

    monkeypatch.setattr(Trainer, stage, stopped)
    assert main(small(steps_per_frame=1, sharpness_stride=1)) == 130
    history = replay("runs/run_001")
    assert history.end.how == "interrupted"
    assert history.frames.tolist() == history.columns["step"].tolist() == [0, 1, 2]


def test_ctrl_c_while_drawing_keeps_the_record(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app.draw, "picture", stopped)
    assert main(small(picture=True)) == 130
    assert "Stopped while drawing. The record is whole: --replay runs" in capsys.readouterr().out
    assert json.loads(Path("runs/run_001/verdict.json").read_text("utf-8"))["how"] == "completed"
    assert replay("runs/run_001").end.how == "completed"


def test_a_start_that_is_not_finite_is_not_blamed_on_the_rate() -> None:
    end = run(small(expression="1e300 * x", noise_std=0.0)).end
    assert (end.how, end.step) == ("diverged", 0)
    assert "its part 'data' is inf" in end.why
    assert "lr" not in end.advice


def test_files_that_cannot_be_written_are_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs").write_text("not a folder", "utf-8")
    assert main(small()) == 2
    said = capsys.readouterr().err
    assert "the run cannot be written" in said
    assert "Traceback" not in said
    assert Path("runs").read_text("utf-8") == "not a folder"


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_step_is_measured_and_the_first_one_too(optimizer: str) -> None:
    config = small(optimizer=optimizer, lr=0.001, total_steps=3, sharpness_stride=1)
    trainer = Trainer(config)
    path = [trainer.method.theta]
    Path("r").mkdir()
    with Recorder(Path("r"), trainer.history, trainer.columns) as recorder:
        for _ in trainer.train(recorder):
            path.append(trainer.method.theta)
    lengths = [np.linalg.norm(b - a) for a, b in pairwise(path)]
    np.testing.assert_allclose(trainer.history.columns["step_norm"][:3], lengths, rtol=1e-12)
    assert min(lengths) > 0
    assert (trainer.history.columns["projection"][:3] != 0).all()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_in_earnest(tmp_path: Path) -> None:
    words = [
        "--total-steps",
        "1000000",
        "--sharpness-stride",
        "0",
        "--project-name",
        f"stopped {os.getpid()}",
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "STACK": "solutions"}
    folder = ROOT / "runs" / f"stopped-{os.getpid()}_001"
    with subprocess.Popen(
        [sys.executable, "-m", "experiments.neuroscope", *words], cwd=ROOT, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            while b"Device" not in (line := process.stdout.readline()):
                assert line, "it ended before it began"
            time.sleep(1.0)
            os.killpg(process.pid, signal.SIGINT)
            said = process.stdout.read().decode()
            assert process.wait(60) == 130, said
            assert "Traceback" not in said
            assert "interrupted after" in said
            assert replay(folder).end.how == "interrupted"
        finally:
            process.kill()
            shutil.rmtree(folder, ignore_errors=True)


def test_a_run_repeats_from_its_own_config() -> None:
    run(small(function_name="square", function_params={"period": 3.0}))
    assert main(["--config", "runs/run_001", "--total-steps", "20"]) == 0
    assert replay("runs/run_002").config["total_steps"] == 20
    assert main(["--config", "runs/run_001/config.json"]) == 0
    assert Path("runs/run_001/metrics.csv").read_bytes() == Path("runs/run_003/metrics.csv").read_bytes()


def test_points_of_a_file_are_judged_by_those_outside() -> None:
    x = np.linspace(-3, 3, 61)
    rows = "\n".join(f"{a},{np.sin(a)}" for a in x)
    Path("sine.csv").write_text(rows, "utf-8")
    history = run(small(csv="sine.csv", x_min=-2.0, x_max=2.0))
    assert len(history.data.X) == 41
    assert len(history.data.outside_y) == 20
    assert not history.at("clean")[0].size
    assert history.at("ood")[0].tolist() == [0, 1, 2, 4, 8, 20, 40]
    assert np.isnan(history.target).all()
    assert not run(small(csv="sine.csv")).at("ood")[0].size  # nothing is known outside


@pytest.mark.parametrize(
    "keys",
    [{}, {"input_dim": 2}, {"activation": "relu"}, {"optimizer": "adam"}, {"sharpness_stride": 0}],
    ids=str,
)
def test_films_of_every_kind(
    keys: dict, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    panels = "all" if "input_dim" not in keys else "classic"
    run(small(animation=True, picture=True, frames=2, panels=panels, **keys))
    assert "There is no ffmpeg here" in capsys.readouterr().out
    with Image.open("runs/run_001/animation.gif") as film:
        assert film.n_frames == 2
        first = np.asarray(film.convert("RGB")).astype(int)
        film.seek(1)
        assert np.abs(np.asarray(film.convert("RGB")) - first).max() > 50  # something moved
    with Image.open("runs/run_001/dashboard.png") as picture:
        shades = np.asarray(picture.convert("L"))
    assert 0.01 < (shades < 200).mean() < 0.6


def test_the_live_page_follows_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    live = app.page.write_live
    monkeypatch.setattr(
        app.page, "write_live", lambda folder, data: (written.append(data["end"]["how"]), live(folder, data))
    )
    monkeypatch.setattr(app.time, "perf_counter", iter(range(10**9)).__next__)
    monkeypatch.setattr(app.time, "sleep", lambda seconds: None)
    run(small(), console=Console(force_terminal=True, file=io.StringIO()))
    assert set(written[:-1]) == {"running"}
    assert len(written) > 2
    assert written[-1] == "completed"
    assert not Path("runs/run_001/live.js").exists()


# --- devices ----------------------------------------------------------------------------------------------


class Strict(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that is not NumPy's, as CuPy's are not: it never turns into one by itself."""

    def __init__(self, inner: np.ndarray):
        self.inner = np.array(inner)

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError("implicit conversion to a NumPy array is not allowed: use .get()")

    def __array_ufunc__(self, ufunc: Callable, method: str, *inputs: object, **keys: object) -> object:
        if any(isinstance(i, np.ndarray) and i.ndim for i in inputs):
            raise TypeError("an array of the device and one of NumPy's do not mix")
        out = getattr(ufunc, method)(*map(_inner, inputs), **{k: _inner(v) for k, v in keys.items()})
        return Strict(out)

    def __array_function__(self, function: Callable, types: object, args: tuple, keys: dict) -> object:
        return Strict(function(*map(_inner, args), **{k: _inner(v) for k, v in keys.items()}))

    @property
    def T(self) -> Strict:
        return Strict(self.inner.T)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.inner.shape

    @property
    def dtype(self) -> np.dtype:
        return self.inner.dtype

    def reshape(self, *shape: int) -> Strict:
        return Strict(self.inner.reshape(*shape))

    def sum(self, axis: int | None = None) -> Strict:
        return Strict(self.inner.sum(axis))

    def __getitem__(self, key: object) -> Strict:
        return Strict(self.inner[key])

    def __float__(self) -> float:
        return float(self.inner)


def _inner(value: object) -> object:
    if isinstance(value, Strict):
        return value.inner
    return type(value)(map(_inner, value)) if isinstance(value, list | tuple) else value


def cupy(count: int = 1) -> types.ModuleType:
    """A stand-in for CuPy with a GPU, or none."""
    module = types.ModuleType("cupy")
    module.__version__ = "13.0"
    module.asarray = lambda a, dtype=None: Strict(np.asarray(a, dtype))
    module.asnumpy = lambda a: a.inner.copy()
    runtime = types.SimpleNamespace(
        getDeviceCount=lambda: count, getDeviceProperties=lambda i: {"name": b"A Stand-In"}
    )
    module.cuda = types.SimpleNamespace(runtime=runtime)
    return module


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {
            "criterion_name": "huber",
            "activation": "gelu",
            "optimizer": "adam",
            "batch_size": 7,
            "l2_weight": 0.1,
        },
        {"criterion_name": "l1", "activation": "relu", "optimizer": "rk4"},
        {"activation": "softplus", "input_dim": 2, "pde": "heat", "bc": "neumann", "bc_values": "x"},
        {"activation": "sin", "bc": "periodic", "pde": "helmholtz"},
    ],
    ids=str,
)
def test_the_same_code_runs_on_a_device(keys: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy())
    here, there = run(small(**keys)), run(small(device="cuda", **keys))
    assert there.end.how == "completed"
    for name, values in here.columns.items():
        np.testing.assert_array_equal(there.columns[name], values)
    assert devices.open_device("cuda").name == "cuda (A Stand-In)"


def test_a_device_that_is_not_there_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(["--device", "cuda"]) == 2
    said = capsys.readouterr().err
    assert "device cuda needs CuPy, which is not installed" in said
    assert "pip install cupy-cuda12x" in said
    monkeypatch.setitem(sys.modules, "cupy", cupy(0))
    assert main(["--device", "cuda"]) == 2
    said = capsys.readouterr().err
    assert "CuPy 13.0 is installed and finds no GPU" in said
    assert "device cpu needs neither" in said
    assert not Path("runs").exists()


# --- from Python ------------------------------------------------------------------------------------------


def test_it_is_used_from_python_with_nothing_installed_first(tmp_path: Path) -> None:
    program = """
from experiments.neuroscope import Config, main, replay
code = main(Config(project_name="2d-sincos", input_dim=2, function_name="sin_cos2d", hidden=5, total_steps=20,
                   animation=False))
print(code, replay("runs/2d-sincos_001").end.how)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().rstrip().endswith("0 completed")
