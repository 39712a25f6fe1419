"""The dashboard in a browser: what it draws and says, what keys and mouse do, and what it never asks for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from experiments.neuroscope import page

browser = pytest.importorskip(
    "tests.engine.browser", reason="pipes to a browser need POSIX", exc_type=ImportError
)
BLUE, VERMILION, SHADE = (0, 114, 178), (213, 94, 0), (238, 243, 247)
HOSTILE = """</script><script>alert(1)</script><!-- "x" 'y' \\ é λ {{other}} {{run}}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[browser.Browser]:
    if os.name == "nt" or not browser.find():
        pytest.skip("no Chromium on this machine: the dashboard was not driven")
    with browser.Browser() as running:
        yield running


def run(
    inputs: int = 1, last: int = 200, how: str = "completed", name: str = "run_001", **config: object
) -> dict:
    """A made-up run of ``last`` steps, with a frame every tenth: the fit grows linearly into its target."""
    step = np.arange(last + 1)
    steps = {"step": step, "loss": np.exp(-step / 40.0), "ood": 0.5 + 0.0 * step, "edge": 80.0 + 0.0 * step,
             "sharpness": np.where(step % 10 == 0, 0.4 * step, np.nan), "regions": step // 10,
             "projection": np.where(step % 2, -1.0, 1.0) * (1.0 + step)}  # fmt: skip
    shots = step[:: max(10, last // 100)]
    axis = np.linspace(-2.0, 2.0, 401 if inputs == 1 else 21)
    place = np.meshgrid(*[axis] * inputs)
    target = np.sin(sum(place)).ravel()
    output = np.outer(shots / last, target)
    return {
        "name": name, "title": f"sin: {inputs}-8-1", "input": inputs,
        "config": {"lr": 0.025, "seed": 0} | config,
        "end": {"how": how, "step": last, "why": "It overshoots.", "advice": "Take lr below 0.01."},
        "notes": {"edge": "2 / lr = 80"}, "box": [[-1.0, 1.0]] * inputs,
        "train": {"x": np.zeros((1, inputs)), "y": np.zeros(1)},
        "plot": {"axes": [axis] * inputs, "target": target},
        "frames": {"step": shots, "output": output, "slope": None, "curvature": None},
        "steps": steps,
    }  # fmt: skip


def near(picture: np.ndarray, x: float, y: float, color: tuple[int, int, int], reach: int = 2) -> bool:
    """Whether a pixel within ``reach`` of (x, y) has about this colour."""
    row, column = round(y), round(x)
    patch = picture[row - reach : row + reach + 1, column - reach : column + reach + 1].astype(int)
    return bool((np.abs(patch - color).max(axis=2) < 24).any())


def spot(panel: dict, x: float, y: float) -> tuple[float, float]:
    """The pixel of a point in the coordinates of a panel."""
    where = panel["where"]
    across = (x - panel["x0"]) / (panel["x1"] - panel["x0"])
    up = ((np.log10(y) if panel["log"] else y) - panel["y0"]) / (panel["y1"] - panel["y0"])
    return where["x"] + across * where["w"], where["y"] + (1.0 - up) * where["h"]


def shown(
    chromium: browser.Browser, path: Path, data: dict, address: str = "", **screen: object
) -> browser.Tab:
    page.write(path, data)
    return chromium.open(path, address, **screen)


def test_numbers_travel_exactly_and_the_file_appears_whole(tmp_path: Path) -> None:
    assert page.encode(np.array([1.0, np.nan])) == {"f4": "AACAPwAAwH8="}
    assert page.encode(np.array([1, -1])) == {"i4": "AQAAAP////8="}
    assert page.encode(np.array([1e200])) == page.encode(np.array([np.inf]))
    page.write(tmp_path / "dashboard.html", run(lr=np.float64("inf"), path=tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["dashboard.html"]
    with pytest.raises(ValueError, match="floats or ints can be shown, got one of type <U1"):
        page.encode(np.array(["a"]))
    with pytest.raises(ValueError, match="ints of 32 bits can be shown, got some from 0 to 4294967296"):
        page.encode(np.array([0, 2**32]))


def test_the_same_run_gives_the_same_bytes_without_an_address_in_them(tmp_path: Path) -> None:
    for name in "ab":
        page.write(tmp_path / name, run())
    content = (tmp_path / "a").read_bytes()
    assert content == (tmp_path / "b").read_bytes()
    assert b"http" not in content


def test_the_curve_the_range_and_the_values_are_where_they_belong(
    tmp_path: Path, chromium: browser.Browser
) -> None:
    tab = shown(chromium, tmp_path / "dashboard.html", run())
    fit, loss = (tab.state()["panels"][name] for name in ("fit", "loss"))
    picture = tab.picture()
    for x in (-1.5, -0.8, 0.7, 1.5):
        assert near(picture, *spot(fit, x, np.sin(x)), BLUE)
        assert not near(picture, *spot(fit, x, -np.sin(x)), BLUE)
    for x, color in ((0.9, SHADE), (1.1, (255, 255, 255))):  # in and out of the training range
        column, row = map(round, spot(fit, x, -1.2))
        assert tuple(picture[row, column]) == color
    for step in (20, 100, 180):
        assert near(picture, *spot(loss, step, np.exp(-step / 40.0)), BLUE)
    assert tab.text("#status") == "completed 200 steps"
    assert not tab.text("#end")
    assert "2 / lr = 80" in tab.text("#panel-sharpness")
    assert tab.complaints() == []
    tab.close()


def test_scrubbing_moves_the_marker_and_the_fit(tmp_path: Path, chromium: browser.Browser) -> None:
    tab = shown(chromium, tmp_path / "dashboard.html", run(), density=2)  # as on a fine screen
    fit, regions = (tab.state()["panels"][name] for name in ("fit", "sharpness"))
    for step in (50, 120):
        tab.evaluate(f"window.neuroscope.seek({step})")
        tab.settle()
        picture = tab.picture()
        assert picture.shape == (1800, 2800, 3)
        assert near(picture, *np.multiply(2, spot(fit, 1.5, step / 200 * np.sin(1.5))), BLUE, 3)
        for other in (50, 120):
            marked = near(picture, *np.multiply(2, spot(regions, other, 60.0)), (28, 32, 36), 3)
            assert marked == (other == step)
    tab.close()


def test_the_keys_step_play_and_enlarge(tmp_path: Path, chromium: browser.Browser) -> None:
    tab = shown(chromium, tmp_path / "dashboard.html", run(), "#step=100")
    for key, shift, step in (("ArrowRight", False, 110), ("ArrowRight", True, 111), ("ArrowLeft", False, 110),
                             ("ArrowLeft", True, 109), ("End", False, 200), ("Home", False, 0)):  # fmt: skip
        tab.press(key, shift)
        assert tab.state()["step"] == step, key
    tab.press(" ")
    tab.until("window.neuroscope.state().step > 20")
    assert tab.state()["playing"]
    tab.press(" ")
    assert not tab.state()["playing"]
    tab.click("#panel-regions h2 button")
    assert tab.state()["panel"] == "regions"
    assert list(tab.state()["panels"]) == ["regions"]
    tab.press("Escape")
    assert "fit" in tab.state()["panels"]
    tab.press("l")
    assert tab.state()["axis"] == "log"
    assert tab.complaints() == []
    tab.close()


def test_the_tooltip_tells_the_value_under_the_pointer_and_a_click_seeks(
    tmp_path: Path, chromium: browser.Browser
) -> None:
    tab = shown(chromium, tmp_path / "dashboard.html", run())
    panels = tab.state()["panels"]
    tab.mouse(spot(panels["loss"], 60, 0.1))
    assert tab.text("#tip").split() == ["step", "60", "training", "0.2231", "outside", "the", "range", "0.5"]
    tab.mouse(spot(panels["sharpness"], 57, 20))
    assert "λ₁\t20" in tab.text("#tip")  # last measured at step 50
    tab.mouse(spot(panels["fit"], 1.0, 0.0))
    assert tab.text("#tip").split() == ["x", "=", "1", "target", "0.8415", "learned", "0.8415"]
    tab.mouse(spot(panels["loss"], 60, 0.1), click=True)
    assert tab.state()["step"] == 60
    tab.close()


def test_the_address_keeps_the_view(tmp_path: Path, chromium: browser.Browser) -> None:
    tab = shown(
        chromium, tmp_path / "dashboard.html", run(), "#step=70&speed=4&panel=loss&sign=1&scale=loss:linear"
    )
    state = tab.state()
    assert (state["step"], state["speed"], state["panel"], state["sign"]) == (70, 4, "loss", True)
    assert state["panels"]["loss"]["log"] is False
    tab.evaluate("window.neuroscope.seek(33)")
    tab.until("location.hash.includes('step=33&speed=4&panel=loss')")
    for wrong in ("#step=x&speed=99&panel=nothing&turn=,&scale=,:", "#%E0%A4%A"):
        tab.go((tmp_path / "dashboard.html").as_uri() + wrong)
        assert (tab.state()["step"], tab.state()["speed"], tab.state()["panel"]) == (200, 1, "")
    assert tab.complaints() == []
    tab.close()


def test_a_run_that_diverged_says_why(tmp_path: Path, chromium: browser.Browser) -> None:
    data = run(how="diverged", last=30)
    data["steps"]["loss"] = 10.0 ** (2.0 * np.arange(31))  # beyond float32 in the end
    data["steps"]["ood"][:] = np.nan
    tab = shown(chromium, tmp_path / "dashboard.html", data)
    assert tab.text("#status") == "diverged at step 30"
    assert tab.text("#end").split("\n\n") == ["Why did it explode?", "It overshoots.", "Take lr below 0.01."]
    box = tab.evaluate("document.querySelector('#end').getBoundingClientRect().toJSON()")
    assert near(tab.picture(), box["x"] + 2, box["y"] + box["height"] / 2, VERMILION, 0)
    assert "training ∞" in tab.text("#panel-loss")
    assert "outside" not in tab.text("#panel-loss")
    assert tab.complaints() == []
    tab.close()


def test_the_surface_turns_and_has_maps(tmp_path: Path, chromium: browser.Browser) -> None:
    tab = shown(chromium, tmp_path / "dashboard.html", run(2), "#panel=fit", dark=True)
    plot = tab.state()["panels"]["fit"]["plot"]
    middle = (plot["x"] + plot["w"] / 2, plot["y"] + plot["h"] / 2)
    before, yaw = tab.picture(), tab.state()["yaw"]
    tab.mouse(middle, (middle[0] + 60, middle[1]), drag=True)
    assert tab.state()["yaw"] == pytest.approx(yaw + 0.6)
    assert (tab.picture() != before).any(axis=2).mean() > 0.05
    assert before[5, 5].max() < 40  # a dark page
    tab.click("#panel-fit .top > button")
    assert tab.state()["heat"]
    colors = np.unique(tab.picture().reshape(-1, 3), axis=0)
    assert [253, 231, 37] in colors.tolist()  # the two ends of viridis
    assert [68, 1, 84] in colors.tolist()
    assert tab.complaints() == []
    tab.close()


def test_another_run_is_drawn_beside_and_its_differences_are_listed(
    tmp_path: Path, chromium: browser.Browser
) -> None:
    page.write(tmp_path / "other.html", run(last=300, name="run_002", lr=0.05))
    (tmp_path / "wrong.html").write_text("<p>nothing", "utf-8")
    tab = shown(chromium, tmp_path / "dashboard.html", run())
    tab.choose("#file", tmp_path / "wrong.html")
    tab.until("!document.querySelector('#message').hidden")
    assert tab.text("#message").startswith("wrong.html holds no recorded run; choose")
    tab.choose("#file", tmp_path / "other.html")
    tab.until("window.neuroscope.state().runs === 2")
    rows = tab.text("#compare table").splitlines()
    assert rows[1:3] == ["lr\t0.025\t0.05", "end\tcompleted 200 steps\tcompleted 300 steps"]
    assert tab.state()["last"] == 300
    page.write(tmp_path / "both.html", run(), run(2, last=300, name="run_002"))
    tab.go((tmp_path / "both.html").as_uri())
    assert tab.state()["runs"] == 2
    tab.evaluate("window.neuroscope.seek(100)")
    tab.settle()
    assert "training 0.08208 | 0.08208" in tab.text("#panel-loss")
    assert tab.complaints() == []
    tab.close()


def test_a_live_page_follows_its_run_to_the_end(tmp_path: Path, chromium: browser.Browser) -> None:
    page.write_live(tmp_path, run(last=50, how="running"))
    tab = shown(chromium, tmp_path / "dashboard.html", run(last=50, how="running"))
    assert tab.text("#status") == "running: step 50"
    page.write_live(tmp_path, run(last=90, how="running"))
    tab.until("window.neuroscope.state().step === 90")
    page.write(tmp_path / "dashboard.html", run(last=120))
    page.write_live(tmp_path, run(last=120))
    tab.until("document.querySelector('#run').textContent.includes('\"completed\"')")  # the file, loaded anew
    tab.until("document.querySelector('#status').innerText === 'completed 120 steps'")
    assert tab.complaints() == []
    tab.close()


def test_an_empty_run_and_hostile_words_are_shown_as_text(tmp_path: Path, chromium: browser.Browser) -> None:
    data = run(name=HOSTILE, **{HOSTILE: HOSTILE})
    data["title"] = data["notes"]["edge"] = HOSTILE
    tab = shown(chromium, tmp_path / "dashboard.html", data)
    for selector in ("#name", "#title", "#panel-sharpness .note"):
        assert tab.evaluate(f"document.querySelector({json.dumps(selector)}).textContent") == HOSTILE
    assert tab.evaluate("document.querySelectorAll('script').length") == 3
    empty = run() | {"steps": {"step": np.zeros(0, int)}, "plot": None, "frames": None, "train": None}
    page.write(tmp_path / "dashboard.html", empty)
    tab.go((tmp_path / "dashboard.html").as_uri())
    for key in (" ", "ArrowRight", "End"):
        tab.press(key)
    assert tab.state()["step"] == 0
    assert tab.complaints() == []
    tab.close()


@pytest.mark.parametrize("width", [400, 1000, 2000])
def test_nothing_sticks_out_of_the_page(tmp_path: Path, chromium: browser.Browser, width: int) -> None:
    tab = shown(chromium, tmp_path / "dashboard.html", run(), width=width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.complaints() == []
    tab.close()


def test_a_frame_of_20_000_rows_costs_about_as_much_as_one_of_500(
    tmp_path: Path, chromium: browser.Browser
) -> None:
    scrub = """(async () => { const spent = [];
        for (let i = 0; i < 40; i++) {
            const began = performance.now();
            neuroscope.seek(i * neuroscope.state().last / 40);
            await new Promise(requestAnimationFrame);
            spent.push(performance.now() - began);
        }
        return spent.sort((a, b) => a - b)[20]; })()"""
    medians = []
    for last in (500, 20_000):
        tab = shown(chromium, tmp_path / "dashboard.html", run(last=last))
        medians.append(float(tab.evaluate(scrub)))
        tab.close()
    assert medians[1] < 4.0 * medians[0]  # both wait for the screen, 17 ms, on a machine that has time
