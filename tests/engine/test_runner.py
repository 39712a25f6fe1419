"""Grading tells the truth: about the file that is there now, from the stack that was asked for."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from curriculum import explain, runner
from curriculum.manifest import CourseError
from curriculum.results import Result
from curriculum.store import sha256
from curriculum.stubs import functions
from tests.engine.minicourse import AREA, SCALE, MiniCourse

WRONG = SCALE.replace("x / 2.0", "x / 4.0")
LOOP = """
    import os, pathlib
    pathlib.Path({sign!r}).write_text(str(os.getpid()))
    while True: pass"""
HEAD = "import numpy as np\nfrom curriculum.testing import expect\n"


def one(mini: MiniCourse, path: str = "utils/scale", **options) -> Result:
    return runner.grade(mini.course, [mini.course.module(path)], **options)[0]


def suite(mini: MiniCourse, text: str, path: str = "utils/scale") -> None:
    mini.write(mini.course.module(path).suite, HEAD + textwrap.dedent(text))


def gone(number: int) -> bool:
    """Whether the process ends within five seconds."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
    return False


def test_a_solved_module_passes_and_says_what_was_graded(mini):
    mini.solve("utils/scale")
    result = one(mini)
    assert (result.status, result.passed, result.total) == ("passed", 2, 2)
    assert [t.name for t in result.tests] == ["test_double", "test_halve"]
    there = result.provenance
    assert (there.file, there.kind, there.stack) == ("utils/scale.py", "learner", "reference")
    assert there.sha256 == sha256((mini.root / "utils/scale.py").read_bytes())


def test_a_wrong_value_fails_and_points_at_the_function(mini):
    mini.write("utils/scale.py", WRONG)
    result = one(mini)
    assert result.status == "failed"
    double, halve = result.tests
    assert double.outcome == "passed"
    assert (halve.outcome, halve.error) == ("failed", "AssertionError")
    assert halve.message.startswith("half of [1, 2, 4] is wrong")
    assert (halve.file, halve.line) == ("utils/scale.py", 11)


@pytest.mark.parametrize("change", ["", "# a remark\n", "\n\n\n"])
def test_the_stub_is_untouched_and_starts_no_process(mini, monkeypatch, change):
    def never(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr(runner, "_start", never)
    monkeypatch.setattr(runner, "warm", never)
    file = mini.root / "utils/scale.py"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n") + change.encode())
    result = one(mini)
    assert (result.status, result.provenance.kind, result.tests) == ("untouched", "stub", ())
    assert result.provenance.sha256 == sha256(file.read_bytes())


def test_a_file_with_open_blanks_and_nothing_wrong_is_started(mini):
    stub = (mini.root / "utils/scale.py").read_text()
    mini.write(
        "utils/scale.py",
        stub.replace('raise NotImplementedError("utils.scale: TODO 1 of 2, double")', "return 2 * x"),
    )
    result = one(mini)
    assert result.status == "started"
    assert [t.outcome for t in result.tests] == ["passed", "todo"]
    assert result.tests[1].message == "utils.scale: TODO 2 of 2, halve"
    assert result.tests[1].line == 13


def test_an_unfinished_branch_of_the_learners_own_is_a_failure(mini):
    mini.write("utils/scale.py", SCALE.replace("return x / 2.0", "raise NotImplementedError('not yet')"))
    assert [t.outcome for t in one(mini).tests] == ["passed", "failed"]


def test_the_same_size_within_the_same_second_is_graded_anew(mini):
    """Python's bytecode cache would return the old code: it compares size and whole seconds."""
    file = mini.write("utils/scale.py", SCALE)
    os.utime(file, (1e9, 1e9))
    assert one(mini).status == "passed"
    file.write_text(WRONG, "utf-8")
    os.utime(file, (1e9, 1e9))
    assert one(mini).status == "failed"
    assert one(mini, "utils/area", stack="solutions").status == "passed"


def test_a_learners_prerequisite_is_never_taken_from_a_cache_either(mini):
    mini.solve("utils/area")
    file = mini.write("utils/scale.py", SCALE)
    for text, status in ((SCALE, "passed"), (WRONG, "failed"), (SCALE, "passed")):
        file.write_text(text, "utf-8")
        os.utime(file, (1e9, 1e9))
        assert one(mini, "utils/area", stack="mine").status == status


def test_a_file_that_changes_while_it_is_graded_is_named_by_what_was_run(mini):
    mini.write("utils/scale.py", SCALE + "\nfrom pathlib import Path\nPath(__file__).write_text('# gone')\n")
    before = sha256((mini.root / "utils/scale.py").read_bytes())
    result = one(mini)
    assert result.status == "passed"
    assert result.provenance.sha256 == before


def test_each_stack_grades_the_file_it_promises(mini):
    mini.write("utils/scale.py", WRONG)
    mini.solve("utils/area")
    assert one(mini, "utils/area").status == "passed"
    assert one(mini, "utils/area", stack="mine").status == "failed"
    result = one(mini, stack="solutions")
    assert (result.status, result.provenance.kind) == ("passed", "reference")
    assert result.provenance.file == "solutions/utils/scale.py"


def test_a_replaced_file_is_a_variant(mini, tmp_path):
    other = tmp_path / "other.py"
    other.write_text(WRONG)
    result = one(mini, replace={"utils.scale": other})
    assert (result.status, result.provenance.kind, result.provenance.file) == (
        "failed",
        "variant",
        str(other),
    )
    assert one(mini, "utils/area", stack="solutions", replace={"utils.scale": other}).status == "failed"


def test_the_prerequisite_at_fault_is_named(mini):
    mini.write("utils/scale.py", WRONG)
    mini.solve("utils/area")
    result = one(mini, "utils/area", stack="mine")
    assert (result.status, result.blame) == ("failed", "utils/scale")
    assert one(mini, "utils/area").blame == ""


def test_an_open_prerequisite_is_to_blame_too(mini):
    mini.solve("utils/area")
    result = one(mini, "utils/area", stack="mine")
    assert (result.status, result.blame) == ("failed", "utils/scale")
    assert result.tests[0].message == "needs a blank that is still open: utils.scale: TODO 2 of 2, halve"
    assert (result.tests[0].file, result.tests[0].line) == ("utils/area.py", 8)


def test_of_several_open_prerequisites_the_one_that_was_met_is_named(mini):
    mini.add(
        "utils/roof",
        "from utils.area import triangle\nfrom utils.scale import double\n\n\n"
        "def roof(a, b):\n    return double(triangle(a, b))\n",
        HEAD
        + "from utils.roof import roof\n\ndef test_roof():\n    expect.equal(roof(2.0, 3.0), 6.0, 'roof')\n",
        ("roof",),
        needs=("utils/scale", "utils/area"),
    )
    mini.solve("utils/roof")
    result = one(mini, "utils/roof", stack="mine")
    assert result.blame == "utils/area"
    assert result.tests[0].message == "needs a blank that is still open: utils.area: TODO 1 of 1, triangle"


def test_a_module_that_is_wrong_itself_blames_nobody(mini):
    mini.write("utils/scale.py", WRONG)
    mini.write("utils/area.py", AREA.replace("base * height", "base"))
    assert one(mini, "utils/area", stack="mine").blame == ""


def test_no_prerequisite_is_blamed_for_a_fault_that_its_solution_does_not_cure(mini):
    mini.add(
        "utils/top",
        "from utils import area\nfrom utils.scale import double\n\n\ndef top(x):\n    return double(x)\n",
        HEAD + "from utils.top import top\n\ndef test_top():\n    expect.equal(top(2.0), 4.0, 'top')\n",
        ("top",),
        needs=("utils/scale",),  # which is still the stub
    )
    mini.solve("utils/top")
    mini.write("utils/area.py", "from utils.top import top\n" + AREA)
    result = one(mini, "utils/top", stack="mine")
    assert (result.status, result.line, result.blame) == ("broken", 1, "")
    assert result.problem == (
        "a circular import: utils/top.py imports utils/area.py, which imports 'top' from utils.top "
        "before that is complete; in utils/area.py, `from utils import top` will do"
    )
    assert one(mini, "utils/top").status == "passed"


NAMED = [  # headline, name of the test, the blank that they name
    ("Mul.backward returned the wrong shape", "test_gradient[mul]", "Mul.backward"),
    ("gradient of Mul with respect to a is wrong", "test_gradient[mul]", "Mul.backward"),
    ("second derivative of mul with respect to a is wrong", "test_second[mul]", "Mul.backward"),
    ("mul of an array is wrong", "test_value[mul]", "Mul.forward"),
    ("gradient with respect to a is wrong", "test_gradients_of_linear", ""),
    ("linear of x (2, 3) is wrong", "test_matches_the_definition", ""),  # it calls Mul
    ("mean of three numbers is wrong", "test_mean", "mean"),
    ("the mean of kaiming_normal(3) is wrong", "test_scale", "kaiming_normal"),
    ("draws are wrong", "test_mean_of_many", "mean"),
    ("draws are wrong", "test_the_mean", ""),
    ("draws are wrong", "test_mean_and_spread", ""),
    ("mean of kaiming_normal is wrong", "test_draws", ""),
    ("Layer(3) of x is wrong", "test_the_layer", ""),  # or its constructor
    ("the repr of a tree is wrong", "test_repr_shows_the_tree", ""),
]
LAYERS = """
class Mul:
    def forward(self, a): return a

    def backward(self, g): return g

class Layer:
    def __init__(self, n): self.n = n

    def forward(self, x): return x

    def __repr__(self): return "Layer"

def linear(x): return Mul().forward(x)

def mean(x): return x

def kaiming_normal(n): return n
"""


@pytest.mark.parametrize(("headline", "test", "blank"), NAMED)
def test_a_line_is_given_only_for_the_blank_that_is_named(mini, headline, test, blank):
    file = mini.write("utils/scale.py", LAYERS)
    lines = {name: node.lineno for node, name in functions(ast.parse(LAYERS))}
    course = mini.course
    module = replace(course.module("scale"), blanks=tuple(lines))
    job = runner.job(course, module, file, "learner", "reference")
    assert explain._named_blank(headline, test, job) == lines.get(blank, 0)


def test_the_nearest_prerequisite_is_named_first(mini):
    mini.add(
        "utils/roof",
        "from utils.area import triangle\n\n\ndef roof(a, b):\n    return 2 * triangle(a, b)\n",
        HEAD
        + "from utils.roof import roof\n\ndef test_roof():\n    expect.equal(roof(2.0, 3.0), 6.0, 'roof')\n",
        ("roof",),
        needs=("utils/area",),
    )
    mini.solve("utils/roof")
    mini.solve("utils/area")
    mini.write("utils/scale.py", WRONG)
    assert one(mini, "utils/roof", stack="mine").blame == "utils/scale"
    mini.write("utils/area.py", AREA.replace("base * height", "base"))
    assert one(mini, "utils/roof", stack="mine").blame == "utils/area"


def test_results_come_in_course_order_and_each_is_announced_once(mini):
    mini.write("utils/scale.py", SCALE.replace("return 2.0", "import time; time.sleep(0.3); return 2.0"))
    mini.solve("utils/area")
    heard: list[str] = []
    results = runner.grade(
        mini.course, mini.course.modules, jobs=2, on_result=lambda r: heard.append(r.module)
    )
    assert [r.module for r in results] == ["utils/scale", "utils/area"]
    assert heard == ["utils/area", "utils/scale"]


def test_stop_ends_the_children_at_once(mini):
    mini.write("utils/scale.py", SCALE.replace("return 2.0 * x", "\n    while True: pass"))
    began = time.monotonic()
    assert (
        runner.grade(mini.course, [mini.course.module("scale")], stop=lambda: time.monotonic() > began + 0.5)
        == []
    )
    assert time.monotonic() - began < 3


def test_closing_the_stream_ends_the_children(mini, tmp_path):
    sign = tmp_path / "sign"
    mini.write("utils/scale.py", SCALE.replace("return 2.0 * x", LOOP.format(sign=str(sign))))
    stream = runner.stream(mini.course, [mini.course.module("scale")], stop=sign.exists)
    assert list(stream) == []
    assert gone(int(sign.read_text()))


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_everything_and_travels_on(mini, tmp_path):
    sign = tmp_path / "sign"
    mini.write("utils/scale.py", SCALE.replace("return 2.0 * x", LOOP.format(sign=str(sign))))
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nfrom pathlib import Path\nfrom curriculum import manifest, runner\n"
        "if __name__ == '__main__':\n"
        f"    course = manifest.load(Path({str(mini.root)!r}))\n"
        "    try:\n        runner.grade(course, [course.module('scale')])\n"
        "    except KeyboardInterrupt:\n        sys.exit(130)\n"
    )
    root = Path(runner.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, program],
        env=os.environ | {"PYTHONPATH": str(root)},
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 10
    while not sign.exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=5)
    assert (process.returncode, errors) == (130, "")
    assert gone(int(sign.read_text()))


def test_no_suite_is_the_courses_fault(mini):
    (mini.root / "tests/utils/test_scale.py").unlink()
    with pytest.raises(CourseError, match=r"utils/scale: there is no suite at tests/utils/test_scale\.py"):
        one(mini)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the suite has no tests"),
        ("def test_a(:\n", "the suite could not be loaded: SyntaxError: "),
        ("x = 1 / 0\n", "the suite could not be loaded: ZeroDivisionError: division by zero"),
        ("from utils import scale\nscale.triple\n", "utils/scale.py has no 'triple': the suite needs it"),
        (
            "from utils.scale import halv\n",
            "utils/scale.py has no 'halv': the suite needs it (was it renamed to",
        ),
    ],
)
def test_a_suite_that_yields_no_tests_is_never_a_pass(mini, text, problem):
    mini.solve("utils/scale")
    suite(mini, text)
    result = one(mini)
    assert result.status == "broken"
    assert result.problem.startswith(problem)


def test_a_missing_attribute_inside_a_test_is_the_same_sentence(mini):
    mini.solve("utils/scale")
    suite(mini, "from utils import scale\ndef test_a():\n    expect.equal(scale.doubble(1.0), 2.0, 'a')\n")
    sentence = "utils/scale.py has no 'doubble': the suite needs it (was it renamed to 'double'?)"
    assert one(mini).tests[0].message == sentence


def test_names_of_parametrized_tests_and_classes(mini):
    mini.solve("utils/scale")
    suite(
        mini,
        """
        import pytest
        from utils.scale import double
        @pytest.mark.parametrize("x", [1.0, 2.0], ids=["small", "wide"])
        def test_double(x):
            expect.equal(double(x), 2 * x, "double")
        class TestMore:
            def test_zero(self):
                expect.equal(double(0.0), 0.0, "double of 0")
        """,
    )
    assert [t.name for t in one(mini).tests] == [
        "test_double[small]",
        "test_double[wide]",
        "TestMore::test_zero",
    ]


PROPERTY = """
from hypothesis import given, strategies as st
from utils.scale import double

@given(x=st.floats(-100, 100), y=st.integers(0, 9))
def test_double(x, y):
    expect.close(double(np.array([x])), np.array([2 * x]), "double")
"""


SEEN = """    Seen.append(x)

Seen = []

def test_seen():
    print({}, double(1.0))
    assert Seen
"""


def test_a_failing_property_names_its_smallest_example_in_one_line(mini):
    mini.write("utils/scale.py", SCALE.replace("2.0 * x", "2.0 * np.minimum(x, 50.0)"))
    suite(mini, PROPERTY)
    test = one(mini).tests[0]
    assert test.message.startswith("double ")
    assert test.message.splitlines()[-1] == "  for x=51.0, y=0"
    assert "Falsifying" not in test.message
    assert (test.file, test.line) == ("utils/scale.py", 6)


def test_a_property_is_the_same_every_time_and_leaves_nothing_behind(mini):
    suite(mini, PROPERTY + SEEN.format("Seen"))
    mini.solve("utils/scale")
    first, second = one(mini), one(mini)
    assert first.status == "passed"
    assert first.printed == second.printed != ""
    assert len(eval(first.printed.rpartition(" ")[0])) == 25
    assert not list(mini.root.rglob(".hypothesis"))


def test_the_thorough_profile_looks_at_more(mini, monkeypatch):
    monkeypatch.setenv("HYPOTHESIS_PROFILE", "thorough")
    suite(mini, PROPERTY + SEEN.format("len(Seen)"))
    mini.solve("utils/scale")
    assert int(one(mini).printed.split()[0]) == 500


def test_an_answer_that_changes_from_call_to_call_is_called_so(mini):
    changing = SCALE.replace("return 2.0 * x", "Calls.append(x)\n    return 2.0 * x + (len(Calls) % 4 == 3)")
    mini.write("utils/scale.py", changing + "\nCalls = []\n")
    suite(mini, PROPERTY)
    assert one(mini).tests[0].message == "gives different results when it is called twice with the same input"


def test_a_todo_inside_a_property_is_a_todo(mini):
    mini.write(
        "utils/scale.py", (mini.root / "utils/scale.py").read_text().replace("TODO 2 of 2, halve", "TODO")
    )
    suite(mini, PROPERTY)
    assert [t.outcome for t in one(mini).tests] == ["todo"]


def test_the_suites_own_assert_is_shown_without_pytests_rendering(mini):
    mini.solve("utils/scale")
    suite(
        mini,
        "from utils.scale import double\ndef test_a():\n    assert double(1.0) == 3.0, 'twice one is two'\n",
    )
    assert one(mini).tests[0].message == "twice one is two"


def test_a_warning_of_the_learners_code_is_a_note_and_no_failure(mini):
    mini.write(
        "utils/scale.py", SCALE.replace("return 2.0 * x", "np.exp(np.array([1000.0]))\n    return 2.0 * x")
    )
    result = one(mini)
    assert result.status == "passed"
    assert result.notes == ("RuntimeWarning: overflow encountered in exp (utils/scale.py:8)",)


CHILD = """
import os, sys
print(os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"], sys.dont_write_bytecode)
print([p for p in sys.path if not p or os.path.exists(p + "/curriculum")])
"""


def test_children_see_one_blas_thread_and_a_clean_import_path(mini):
    mini.write("utils/scale.py", SCALE + CHILD)
    result = one(mini)
    assert result.status == "passed"
    assert result.printed == "1 1 False\n[]\n"


def test_children_are_new_processes_where_there_is_no_server(mini, monkeypatch):
    import multiprocessing

    monkeypatch.setattr(runner, "_context", lambda: multiprocessing.get_context("spawn"))
    mini.solve("utils/scale")
    mini.write("utils/area.py", AREA.replace("return halve", "import os; os._exit(7); return halve"))
    scale, area = runner.grade(mini.course, mini.course.modules)
    assert (scale.status, scale.passed) == ("passed", 2)
    assert area.problem == "the test 'triangle' ended the process with exit code 7 (os._exit?)"


def test_the_parent_imports_nothing_heavy():
    heavy = {"numpy", "pytest", "rich", "hypothesis"}
    program = f"import sys, curriculum.runner; print({heavy} & set(sys.modules))"
    root = Path(runner.__file__).parents[1]
    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "set()"
