"""What a person sees, to the letter: ``UPDATE_GOLDEN=1 pytest tests/engine/test_report.py`` rewrites it."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from curriculum import check, guide, report
from curriculum.cli import parse
from curriculum.manifest import Course, Milestone, Module, Phase
from curriculum.progress import Progress, State
from curriculum.results import Provenance, Result, Status
from curriculum.results import Test as Outcome  # pytest would collect the name

GOLDEN = Path(__file__).with_name("golden")
HINTS = (
    "How many rows does `y` have, and how many has the gradient that arrives?",
    "Each row of the batch contributes one outer product; the weight sees their sum.",
    "dL/dW = gᵀ x, with g (N, K) and x (N, D)",
    "for each row n:\n    dW += outer(g[n], x[n])",
)
PSEUDOCODE = """\
Linear.forward:   check that x has columns, and as many of them as weight has, else raise with both shapes
                  for each row of x, from the first to the last, whatever the number of axes before them:
                      y[n] = weight @ x[n] + bias, where bias counts as 0 in a layer that was made without one
with no rows at all: an empty array of shape (0, K) in the dtype of x, and no gradient but zeros for weight"""


def module(path: str, phase: int, title: str, needs: tuple[str, ...] = (), **more: object) -> Module:
    fields = {"summary": "", "week": 1, "difficulty": "easy", "minutes": 60, "hints": HINTS} | more
    return Module(path, title, phase=phase, needs=needs, **fields)  # type: ignore[arg-type]


AUTOGRAD = module("foundations/autograd", 1, "The engine", blanks=("backward", "grad"), difficulty="hard")
MODULE = module(
    "nn_core/module", 2, "A layer knows its parameters", (AUTOGRAD.path,), blanks=("Module.train",)
)
LINEAR = module("nn_core/layers/linear", 2, "Linear: every output sees every input", (MODULE.path,),
                blanks=("linear", "Linear.__init__", "Linear.forward"))  # fmt: skip
RELU = module("nn_core/activations/relu", 2, "ReLU and its kin", (MODULE.path,), core=False, blanks=("relu",))
LAYERED = replace(LINEAR, hints=(*HINTS[:3], PSEUDOCODE))
CONV = module("nn_core/conv/conv2d", 3, "Convolution", (LINEAR.path,), planned=True)


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """Three phases, the last one only planned; one stub is on the disk."""

    def phase(number: int, title: str, weeks: str, *modules: Module) -> Phase:
        goal = Milestone("A run", "98 %", "experiments.milestones.run")
        return Phase(number, title, weeks, "20-30", "", True, (goal,), (), modules)

    phases = (
        phase(1, "Foundations", "1-2", AUTOGRAD),
        phase(2, "Core layers and training", "3-4", MODULE, LINEAR, RELU),
        phase(3, "Convolutional networks", "5-7", CONV),
    )
    stub = tmp_path / "nn_core" / "module.py"
    stub.parent.mkdir()
    stub.write_text(
        '\n\n    raise NotImplementedError("nn_core.module: TODO 1 of 1, Module.train")\n', "utf-8"
    )
    return Course(tmp_path, phases)


class Known(Progress):
    """Progress that needs no files."""

    def __init__(self, course: Course, states: dict[str, State] | None = None, hints: int = 0):
        super().__init__(course, {})
        self.states, self.hints = states or {}, hints

    def state(self, module: Module) -> State:
        return self.states.get(module.path, "untouched")

    def hints_taken(self, module: Module) -> int:
        return self.hints


def graded(status: Status, *failed: Outcome, passed: int = 2, of: Module = LINEAR, **more: object) -> Result:
    source = Provenance(f"{of.path}.py", "learner", "3f2a8c01" * 8, "reference")
    tests = tuple(Outcome(f"test_number_{i}", "passed", 0.01) for i in range(1, passed + 1)) + failed
    fields = {"tests": tests, "total": len(tests), "seconds": 0.4} | more
    return Result(of.path, status, source, **fields)  # type: ignore[arg-type]


def failure(name: str, message: str, error: str = "AssertionError", line: int = 38) -> Outcome:
    return Outcome(name, "failed", 0.02, error, message, f"{LINEAR.path}.py", line)


def todo(number: int, blank: str, line: int) -> Outcome:
    message = f"nn_core.layers.linear: TODO {number} of 3, {blank}"
    return Outcome(f"test_{number}", "todo", 0.01, "NotImplementedError", message, f"{LINEAR.path}.py", line)


GRADIENT = graded(
    "failed",
    failure(
        "test_gradients_of_linear",
        "gradient with respect to weight is wrong\n"
        "  x (2, 3), weight (4, 3): yours and expected differ by exactly a factor of 2 (= the batch size)\n"
        "  yours [[0.42, -1.3, 0.08], [0.9, 0.11, -0.62]]   "
        "expected [[0.21, -0.65, 0.04], [0.45, 0.055, -0.31]]",
    ),
    failure(
        "test_float32_stays_float32", "linear of float32 has the wrong dtype\n  float64, expected float32"
    ),
    passed=7,
)
NAN = graded(
    "failed",
    failure(
        "test_linear_of_large_numbers",
        "linear of large numbers is wrong\n  2 of 2 values are NaN where [0.5] is expected\n"
        "  yours [nan, nan]   expected [0.5, 0.5]",
    ),
    notes=("RuntimeWarning: overflow encountered in exp (nn_core/layers/linear.py:40)",),
)
TYPE = graded(
    "failed",
    failure("test_linear", "linear of x (2, 3) is wrong\n  expected an array, got a list of length 2"),
    printed="x has shape (2, 3)\n\x1b[2Jboo\n",
    printed_bytes=3_200_000,
)
RAISED = graded(
    "failed",
    failure(
        "test_a_batch_of_one[no bias]",
        "raised ValueError: operands could not be broadcast together with shapes (1,4) (3,)",
        "ValueError",
    ),
)
RAISED_AT_LENGTH = graded(
    "failed",
    failure(
        "test_a_batch_of_one[no bias]",
        "raised ValueError: the shapes do not fit:\n  x (1, 4)\n  weight (3, 5)\n  bias (3,)\n"
        "  called as linear(x, weight, bias)",
        "ValueError",
    ),
)
MISSING = graded(
    "broken",
    passed=0,
    seconds=0.1,
    problem="nn_core/layers/linear.py has no 'linear': the suite needs it (was it renamed to 'linera'?)",
)
SYNTAX = graded(
    "broken",
    passed=0,
    line=41,
    seconds=0.0,
    problem="nn_core/layers/linear.py is not valid Python: '(' was never closed: `return (x @ w`",
)
TIMEOUT = graded(
    "broken",
    line=44,
    total=9,
    seconds=10.0,
    problem="the test 'linear of an empty batch' was still running after 10 s: an endless loop?",
)
CRASH = graded("broken", line=39, total=9, problem="the test 'linear' crashed Python (a segmentation fault)")
STARTED = graded("started", todo(3, "Linear.forward", 61), todo(2, "Linear.__init__", 52), passed=4)
BLAME = replace(GRADIENT, blame=AUTOGRAD.path, provenance=replace(GRADIENT.provenance, stack="mine"))
OPEN = failure(
    "test_linear",
    "needs a blank that is still open: foundations.autograd: TODO 2 of 2, grad",
    "NotImplementedError",
)
BLAME_OPEN = replace(BLAME, tests=(OPEN,), total=1)
UNTOUCHED = graded("untouched", passed=0, total=0)
RELU_PASSES = graded("passed", of=RELU, passed=12, seconds=0.2)
MODULE_PASSES = graded("passed", of=MODULE, passed=11, seconds=0.3)

DOCUMENTED = '''"""Linear."""

import numpy as np


def linear(x, w):
    """Return x times w transposed.

    Args:
        x: (N, D).
        w: (K, D).

    Returns:
        (N, K).
    """
'''
Screen = Callable[[Console, Course], None]


def checked(command: str, *results: Result, progress: dict[str, State] | None = None) -> Screen:
    """The screen of ``make check`` when the modules are graded as ``results``."""

    def draw(screen: Console, course: Course) -> None:
        request = parse(command.split())
        modules = [course.module(r.module) for r in results]
        shown = report.Report(screen, modules, request.stack, request.on("V"))
        for result in reversed(results):  # whatever the order in which they end
            shown.add(result)
        shown.end()
        states: dict[str, State] = {r.module: "failed" if r.status == "broken" else r.status for r in results}
        learner = Known(course, states | (progress or {}))
        check.show_end(screen, course, request, results, learner, 1.25)

    return draw


def fresh(of: Module) -> Result:
    return replace(UNTOUCHED, module=of.path)


SCREENS: dict[str, Screen] = {
    "pass": checked("check linear", graded("passed", passed=9), progress={MODULE.path: "passed"}),
    "pass-phase": checked("check 2", MODULE_PASSES, graded("passed", passed=9), RELU_PASSES),
    "fail": checked("check linear", GRADIENT),
    "fail-verbose": checked("check linear V=1", GRADIENT),
    "not-started": checked("check 2", fresh(MODULE), fresh(LINEAR), fresh(RELU)),
    "not-started-module": checked("check linear", UNTOUCHED, progress={MODULE.path: "passed"}),
    "started": checked("check linear", STARTED),
    "timeout": checked("check linear", TIMEOUT),
    "crash": checked("check linear", CRASH),
    "syntax-error": checked("check linear", SYNTAX),
    "missing-function": checked("check linear", MISSING),
    "wrong-type": checked("check linear", TYPE),
    "wrong-type-verbose": checked("check linear V=1", TYPE),
    "nan": checked("check linear", NAN),
    "exception": checked("check linear", RAISED),
    "exception-lines": checked("check linear", RAISED_AT_LENGTH),
    "blame": checked("check linear STACK=mine", BLAME),
    "blame-open": checked("check linear STACK=mine", BLAME_OPEN),
    "several": checked("check 2", MODULE_PASSES, TIMEOUT, fresh(RELU)),
    "several-good": checked("check 2", MODULE_PASSES, fresh(LINEAR), fresh(RELU)),
    "solutions": checked("check 2 IMPL=solutions", MODULE_PASSES, graded("passed", passed=9)),
    "next": lambda screen, course: guide.show_step(screen, course, Known(course)),
    "next-begun": lambda screen, course: guide.show_step(
        screen, course, Known(course, {AUTOGRAD.path: "passed", MODULE.path: "passed", RELU.path: "failed"})
    ),
    "next-milestone": lambda screen, course: guide.show_step(
        screen, course, Known(course, {AUTOGRAD.path: "passed"}), course.phase(1)
    ),
    "list": lambda screen, course: guide.draw_list(
        screen,
        course,
        Known(course, {AUTOGRAD.path: "passed", MODULE.path: "started", RELU.path: "failed"}, 1),
    ),
    "list-planned": lambda screen, course: guide.draw_list(screen, course, Known(course), course.phase(3)),
    "progress": lambda screen, course: guide.draw_progress(
        screen, course, Known(course, {AUTOGRAD.path: "passed", MODULE.path: "passed"}, 1)
    ),
    "hint": lambda screen, course: guide.tell_hint(screen, course, LINEAR, 0, 1),
    "hint-last": lambda screen, course: guide.tell_hint(screen, course, LINEAR, 3, 4),
    "hint-long": lambda screen, course: guide.tell_hint(screen, course, LAYERED, 3, 4),
    "hint-all": lambda screen, course: guide.tell_hint(screen, course, LINEAR, 4, 4),
    "solution": lambda screen, course: guide.draw_solution(
        screen, LINEAR, DOCUMENTED + "    return x @ w\n", DOCUMENTED + "    y = x @ w.T\n    return y\n"
    ),
}


@pytest.fixture(autouse=True)
def _with_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKELEVEL", "1")


def draw(name: str, course: Course, width: int, colour: bool = False, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding, newline="\n", write_through=True) as file:
        SCREENS[name](report.console(width, file, colour), course)
        return raw.getvalue().decode(encoding)


WIDTHS = [(name, width) for name in SCREENS for width in (80, 120)] + [("solution", 160)]


@pytest.mark.parametrize("colour", [False, True], ids=["plain", "colour"])
@pytest.mark.parametrize(("name", "width"), WIDTHS)
def test_every_screen_is_as_the_golden_file_has_it(name: str, width: int, colour: bool, course: Course):
    text = draw(name, course, width, colour)
    file = GOLDEN / f"{name}-{width}{'-colour' if colour else ''}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(text.encode())
    assert text == file.read_bytes().decode(), f"{file.name} differs: UPDATE_GOLDEN=1 rewrites it"


def test_what_builds_on_the_module_just_passed_comes_next(course: Course):
    known = Known(course, {AUTOGRAD.path: "passed", MODULE.path: "passed"})
    phase = course.phase(2)
    assert guide.next_module(course, known, phase) == LINEAR
    assert guide.next_module(course, known, phase, after=[MODULE.path]) == LINEAR
    deep = replace(LINEAR, path="nn_core/deep", needs=(RELU.path,))
    phase = replace(phase, modules=(*phase.modules, deep))
    course = replace(course, phases=(course.phases[0], phase))
    known.states[RELU.path] = "passed"
    assert guide.next_module(course, known, phase, after=[RELU.path]) == deep
    results = [graded("passed", of=RELU)]
    assert guide.module_after(course, known, results) == deep
    known.states[deep.path] = "passed"
    assert guide.module_after(course, known, results) == LINEAR, "no other builds on it"


def test_no_golden_file_is_left_over():
    wanted = {f"{name}-{width}{c}.txt" for name, width in WIDTHS for c in ("", "-colour")}
    assert {f.name for f in GOLDEN.iterdir()} == wanted


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", SCREENS)
def test_no_row_is_wider_than_the_screen_but_for_what_is_typed_or_opened(
    name: str, width: int, course: Course
):
    for row in draw(name, course, width).splitlines():
        assert len(row) <= width or "make " in row or ".py" in row or ".md" in row, row


@pytest.mark.parametrize("name", SCREENS)
def test_colour_changes_no_letter(name: str, course: Course):
    import re

    assert re.sub(r"\x1b\[[\d;]*m", "", draw(name, course, 80, colour=True)) == draw(name, course, 80)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("name", SCREENS)
def test_an_encoding_without_signs_gets_plain_ones(name: str, encoding: str, course: Course):
    plain = {sign: letter for sign, letter, _ in report.MARKS.values()} | {"│": "|"}
    missing = {sign: letter for sign, letter in plain.items() if not _in(sign, encoding)}
    text = draw(name, course, 80).translate(str.maketrans(missing))
    assert draw(name, course, 80, encoding=encoding) == text.encode(encoding, "replace").decode(encoding)


def _in(sign: str, encoding: str) -> bool:
    return sign.encode(encoding, "ignore").decode(encoding) == sign


def test_an_escape_sequence_of_the_learners_does_not_reach_the_terminal(course: Course):
    assert "\\x1b[2Jboo" in draw("wrong-type-verbose", course, 80, colour=True)


def test_json_holds_every_result_with_its_provenance(tmp_path: Path, course: Course):
    report.write_json([GRADIENT, SYNTAX], course, str(tmp_path / "results.json"))
    data = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert data["schema"] == report.SCHEMA
    assert [r["status"] for r in data["results"]] == ["failed", "broken"]
    assert data["results"][0]["provenance"] == {
        "file": "nn_core/layers/linear.py", "kind": "learner", "sha256": "3f2a8c01" * 8, "stack": "reference",
    }  # fmt: skip
    assert data["results"][0]["tests"][7]["message"].startswith("gradient with respect to weight")


def test_a_result_without_provenance_is_not_exported(tmp_path: Path, course: Course):
    orphan = replace(GRADIENT, provenance=replace(GRADIENT.provenance, file=""))
    with pytest.raises(ValueError, match="nn_core/layers/linear has no provenance"):
        report.write_json([orphan], course, str(tmp_path / "results.json"))
    assert not list(tmp_path.glob("*.json"))


def test_without_make_the_commands_are_those_of_python(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MAKELEVEL")
    monkeypatch.setenv("PATH", "")
    assert report.command("hint", "utils/scale").plain == "python -m curriculum hint MODULE=utils/scale"
