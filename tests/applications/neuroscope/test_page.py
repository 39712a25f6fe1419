"""The dashboard of real runs in a real browser: what is seen is what was recorded."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from experiments.neuroscope import page
from experiments.neuroscope.app import run
from experiments.neuroscope.config import Config
from experiments.neuroscope.recorder import End, replay
from tests.engine.browser import Browser, Tab, find

NONE = "no Chromium on this machine: the dashboard was not driven"
pytestmark = [
    pytest.mark.skipif(
        os.name == "nt", reason="the browser's debugging pipe needs file descriptors of POSIX"
    ),
    pytest.mark.skipif(os.name != "nt" and find() is None, reason=NONE),
]
SMALL = {"hidden": 8, "n_samples": 30, "total_steps": 60, "steps_per_frame": 5, "sharpness_stride": 5,
         "noise_std": 0.0, "animation": False, "picture": False}  # fmt: skip
RUNS: dict[str, dict] = {
    "plain": {},
    "other": {"lr": 0.01, "activation": "relu"},
    "lost": {"lr": 3.0},
    "plane": {"input_dim": 2},
    "scaled": {"optimizer": "adam", "lr": 0.01, "pde": "poisson", "bc": "dirichlet"},
}
BLUE = (0, 114, 178)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs, each in a folder of its own."""
    here = tmp_path_factory.mktemp("pages")
    before = Path.cwd()
    os.chdir(here)
    try:
        for name, keys in RUNS.items():
            run(Config(project_name=name, **SMALL | keys))  # type: ignore[arg-type]
    finally:
        os.chdir(before)
    return here / "runs"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture
def tab(browser: Browser, folder: Path) -> Iterator[Tab]:
    """The plain run, fresh."""
    opened = browser.open(folder / "plain_001" / "dashboard.html")
    yield opened
    assert opened.complaints() == []
    opened.close()


def near(pixel: np.ndarray, color: tuple[int, int, int], tolerance: int = 60) -> bool:
    return int(np.abs(pixel.astype(int) - color).max()) < tolerance


def spot(tab: Tab, panel: str, x: float, y: float) -> tuple[float, float]:
    """Where a point (x, y) of a panel's axes is on the screen."""
    at = tab.state()["panels"][panel]
    where, height = at["where"], np.log10(y) if at["log"] else y
    share = (x - at["x0"]) / (at["x1"] - at["x0"])
    rise = (height - at["y0"]) / (at["y1"] - at["y0"])
    return where["x"] + share * where["w"], where["y"] + (1 - rise) * where["h"]


def shown(tab: Tab, at: tuple[float, float], color: tuple[int, int, int], reach: int = 3) -> bool:
    """Whether a colour is seen within a few pixels of a place."""
    picture, (x, y) = tab.picture(), map(round, at)
    area = picture[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].reshape(-1, 3)
    return any(near(pixel, color) for pixel in area)


def test_it_opens_without_a_network_and_says_what_it_shows(tab: Tab, folder: Path) -> None:
    assert tab.evaluate("document.title") == "plain_001 · NeuroScope"
    assert tab.text("#title") == "sin: 1-8-8-1 tanh, mse, gd, lr 0.025"
    assert tab.text("#status") == "completed 60 steps"
    assert not tab.evaluate("getComputedStyle(document.getElementById('end')).display !== 'none'")
    panels = set(tab.state()["panels"])
    assert panels == {
        "fit",
        "loss",
        "sharpness",
        "projection",
        "ntk",
        "spectral",
        "norms",
        "sum",
        "slope",
        "curvature",
    }
    said = tab.evaluate("document.body.innerText")
    assert "object" not in str(said)
    assert "2 / lr = 80" in str(said)
    text = (folder / "plain_001" / "dashboard.html").read_text("utf-8")
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def test_the_curve_is_where_the_network_is(tab: Tab, folder: Path) -> None:
    history = replay(folder / "plain_001")
    x = history.plot.axes[0]
    for frame in (0, len(history.frames) - 1):
        tab.evaluate(f"window.neuroscope.seek({history.frames[frame]})")
        tab.settle()
        assert tab.state()["frame"] == frame
        for i in (120, 200, 280):
            assert shown(tab, spot(tab, "fit", x[i], history.output[frame][i]), BLUE)
    away = spot(tab, "fit", x[200], 1.15)
    assert not shown(tab, away, BLUE)
    inside, outside = spot(tab, "fit", x[120], 1.2), spot(tab, "fit", x[20], 1.2)
    picture = tab.picture()
    shade, paper = (picture[round(y), round(x)] for x, y in (inside, outside))
    assert not np.array_equal(shade, paper)  # the range that was seen is shaded


def test_hovering_tells_the_value(tab: Tab, folder: Path) -> None:
    with (folder / "plain_001" / "metrics.csv").open(encoding="ascii", newline="") as file:
        row = list(csv.DictReader(file))[40]
    for panel, column in (("loss", "loss"), ("sharpness", "sharpness")):
        where = tab.state()["panels"][panel]["where"]
        tab.mouse((spot(tab, panel, 40, 1.0)[0], where["y"] + where["h"] / 2))
        said = tab.text("#tip")
        assert "step 40" in said
        assert f"{float(row[column]):.4g}" in said
    assert tab.state()["hover"] == 40  # the crosshair of all time panels
    tab.mouse((5, 5))
    assert tab.state()["hover"] is None


def test_the_sign_shows_the_oscillation(tab: Tab) -> None:
    tab.evaluate("document.querySelector('#panel-projection .top button[title^=\"the side\"]').click()")
    tab.settle()
    at = tab.state()["panels"]["projection"]
    assert at["y0"] == -at["y1"]
    where, picture = at["where"], tab.picture()
    x, y, w, h = (round(where[k]) for k in "xywh")
    area = picture[y : y + h, x : x + w].reshape(-1, 3)
    assert any(near(pixel, BLUE) for pixel in area[::3])


def test_a_second_run_lies_beside_it(tab: Tab, folder: Path) -> None:
    tab.choose("#file", folder / "other_001" / "dashboard.html")
    tab.until("window.neuroscope.state().runs === 2")
    table = tab.text("#compare")
    assert "lr" in table
    assert "0.025" in table
    assert "0.01" in table
    assert "hidden" not in table  # the same in both
    assert "regions" in tab.state()["panels"]  # only the second has them
    tab.choose("#file", folder / "plain_001" / "metrics.csv")
    tab.until("!document.getElementById('message').hidden")
    assert "metrics.csv holds no recorded run" in tab.text("#message")
    both = folder / "both.html"
    page.write(both, replay(folder / "plain_001").page(), replay(folder / "plane_001").page())
    mixed = tab.browser.open(both)
    assert mixed.state()["runs"] == 2
    assert "input_dim" in mixed.text("#compare")
    assert mixed.complaints() == []
    mixed.close()


def test_a_run_that_blew_up_says_why(browser: Browser, folder: Path) -> None:
    tab = browser.open(folder / "lost_001" / "dashboard.html")
    end = json.loads((folder / "lost_001" / "end.json").read_text("utf-8"))
    assert tab.text("#status") == f"diverged at step {end['step']}"
    assert tab.text("#end").split("\n")[0] == "Why did it explode?"
    assert end["why"] in tab.text("#end")
    assert end["advice"] in tab.text("#end")
    assert tab.complaints() == []
    tab.close()


def test_panels_of_equations_and_adaptive_optimizers(browser: Browser, folder: Path) -> None:
    tab = browser.open(folder / "scaled_001" / "dashboard.html")
    assert "parts" in tab.state()["panels"]
    for word in ("residual", "boundary"):
        assert word in tab.text("#panel-parts .legend")
    assert "λ₁ preconditioned" in tab.text("#panel-sharpness .legend")
    assert tab.complaints() == []
    tab.close()


def test_points_of_a_file_and_the_edge_of_a_short_run_are_seen(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "\n".join(f"{x},{np.sin(x)}" for x in np.linspace(-3, 3, 31))
    Path("sine.csv").write_text(rows, "utf-8")
    run(Config(csv="sine.csv", x_min=-2.0, x_max=2.0, **SMALL | {"lr": 3.0}))  # type: ignore[arg-type]
    tab = browser.open(tmp_path / "runs" / "run_001" / "dashboard.html", height=1400)
    assert "kept to judge by" in tab.text("#panel-fit .legend")
    for x in (-2.6, 2.8):
        assert shown(tab, spot(tab, "fit", x, float(np.sin(x))), (213, 94, 0))
    at = tab.state()["panels"]["sharpness"]
    x, y = at["where"]["x"] + 0.6 * at["where"]["w"], spot(tab, "sharpness", 0, 2 / 3.0)[1]
    line = tab.picture()[round(y) - 2 : round(y) + 3, round(x) - 20 : round(x) + 20]
    assert (line.max(axis=2) < 180).any()  # the edge crosses the whole panel, though it was read once
    assert tab.complaints() == []
    tab.close()


def test_it_is_crisp_on_a_fine_screen(browser: Browser, folder: Path) -> None:
    tab = browser.open(folder / "plain_001" / "dashboard.html", density=2.0)
    ratio = "document.querySelector('#panel-loss canvas')"
    assert float(tab.evaluate(f"{ratio}.width / {ratio}.clientWidth")) == pytest.approx(2, rel=0.02)  # type: ignore[arg-type]
    tab.close()


def test_holes_and_infinities_leave_the_rest_readable(browser: Browser, folder: Path, tmp_path: Path) -> None:
    history = replay(folder / "plain_001")
    history.columns["loss"][7], history.columns["loss"][9] = np.inf, 1e300
    history.columns["sharpness"][:] = np.nan
    history.output[3] = np.nan
    page.write(tmp_path / "holes.html", history.page())
    tab = browser.open(tmp_path / "holes.html")
    for step in (0, 7, 9, 15, 60):
        tab.evaluate(f"window.neuroscope.seek({step})")
        tab.settle()
    assert tab.complaints() == []
    tab.close()
    empty = replay(folder / "plain_001")
    empty.columns = {name: values[:0] for name, values in empty.columns.items()}
    empty.frames, empty.output, empty.slope, empty.curvature = empty.frames[:0], empty.output[:0], None, None
    empty.end = End("interrupted", 0)
    page.write(tmp_path / "empty.html", empty.page())
    tab = browser.open(tmp_path / "empty.html")
    assert tab.text("#status") == "interrupted at step 0"
    assert tab.complaints() == []
    tab.close()
