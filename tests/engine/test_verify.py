"""Verify refuses every kind of weak suite, and accepts a sound one."""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from curriculum import lazy, runner, verify
from curriculum.results import Provenance, Result
from curriculum.results import Test as Outcome  # pytest would collect the name
from curriculum.stubs import stub_of
from tests.engine.minicourse import SCALE, SCALE_MUTANTS, SCALE_SUITE, MiniCourse

SUITE = "tests/utils/test_scale.py"
MUTANTS = "tests/utils/scale.mutants.toml"
LESSON = "curriculum/lessons/utils/scale.md"


def proof(mini: MiniCourse) -> verify.Proof:
    course = mini.course
    return verify.verify(course, [course.module("utils/scale")])[0]


def static(mini: MiniCourse) -> list[str]:
    course = mini.course
    return list(verify.static(course, course.module("utils/scale")))


def add_test(mini: MiniCourse, text: str) -> None:
    mini.write(SUITE, SCALE_SUITE + textwrap.dedent(text))


def test_a_sound_module_holds(mini):
    found = proof(mini)
    assert (found.findings, found.warnings, found.holds) == ([], [], True)
    assert found.tests == 2
    assert found.variants == 1 + 5 + 6 + 2  # the stub, the mutants, the lazy answers, each blank alone


def test_proofs_are_announced_as_they_are_made(mini):
    heard: list[str] = []
    proofs = verify.verify(mini.course, mini.course.modules, on_proof=lambda p: heard.append(p.module))
    assert heard == [p.module for p in proofs] == ["utils/scale", "utils/area"]
    assert [p.holds for p in proofs] == [True, False]  # utils/area has neither lesson nor mutants


RUN = {
    "a test that cannot fail": (
        "def test_more():\n    expect.true(X.sum() == 7, 'seven')\n",
        ["passes on the stub, so it cannot fail: test_more", "content with zeros: test_more"],
    ),
    "a test that fails for another reason": (
        "import utils.scale\n\n\ndef test_more():\n"
        "    expect.equal(hasattr(utils.scale, 'np'), False, 'np')\n    halve(X)\n",
        [
            "test_more fails on the stub without NotImplementedError: AssertionError: ",
            "the solution fails test_more: ",
        ],
    ),
    "a wrong expectation": (
        "def test_more():\n    expect.equal(halve(3.0), 2.0, 'half of 3')\n",
        ["the solution fails test_more: half of 3"],
    ),
    "a test that looks at the type only": (
        "def test_more():\n    expect.true(isinstance(double(X), np.ndarray), 'an array')\n",
        ["content with zeros: test_more", "content with its own input as the result: test_more"],
    ),
    "a test that looks at the length only": (
        "def test_more():\n    expect.true(len(double(X)) == 3, 'three numbers')\n",
        ["content with ones: test_more", "content with NaN: test_more"],
    ),
    "a test for a constant": (
        "def test_more():\n    expect.equal(halve(1.0), 0.5, 'half of 1')\n",
        ["content with 0.5 everywhere: test_more"],
    ),
    "a different result each time": (
        "from pathlib import Path\nFile = Path(__file__).with_name('seen')\n"
        "def test_more():\n    seen = File.exists()\n    File.touch()\n"
        "    expect.equal(double(1.0), 2.0, 'x')\n    expect.true(seen, 'seen')\n",
        ["two runs on the solution give different results"],
    ),
    "an endless loop for a lazy answer": (
        "def test_more():\n    while halve(4.0) != 2.0: pass\n    expect.equal(double(1.0), 2.0, 'two')\n",
        ["does not survive zeros: the test 'more' was still running after"],
    ),
}


@pytest.mark.parametrize("case", RUN)
def test_a_weak_test_is_found_out(mini, case, monkeypatch):
    text, findings = RUN[case]
    if "endless" in case:
        monkeypatch.setattr(runner, "TEST_SECONDS", 1.0)
    add_test(mini, "\n\n" + text)
    found = proof(mini).findings
    for sentence in findings:
        assert any(f.startswith(sentence) for f in found), found


@pytest.mark.parametrize(
    ("seconds", "text", "warnings", "findings"),
    [
        (1.9, "", [], []),
        (2.5, "", ["takes 2.5 s on the solution, expected under 2 s"], []),
        (4.1, "", [], ["takes 4.1 s on the solution, expected under 2 s"]),
        (4.1, "SECONDS = 5\n", [], []),
        (11.0, "SECONDS = 5\n", [], ["takes 11.0 s on the solution, expected under 5 s"]),
    ],
)
def test_a_slow_suite_is_a_finding_and_a_little_too_slow_a_warning(mini, seconds, text, warnings, findings):
    add_test(mini, text)
    about = Provenance("utils/scale.py", "reference", "", "solutions")
    done = Result("utils/scale", "passed", about, (Outcome("test_double", "passed", seconds),), 1)
    slower = replace(done, tests=(replace(done.tests[0], seconds=60.0),))  # the faster of two runs counts
    stub = replace(done, tests=(Outcome("test_double", "todo", 0.1, "NotImplementedError"),))
    found = verify.Proof("utils/scale")
    results = {"solution": done, "solution again": slower, "stub": stub}
    verify._judge(mini.course, mini.course.module("scale"), results, found)
    assert (found.warnings, found.findings) == (warnings, findings)


@pytest.mark.parametrize(
    ("replacement", "finding"),
    [
        ("1.0 * 2.0 * x", "mutant 'adds two' survives"),
        ("2.0 @ x", "mutant 'adds two' is killed only by ValueError, not by an assertion: test_double: "),
        ("2.0 * ", "mutant 'adds two' is not killed by an assertion: utils/scale.py is not valid Python: "),
    ],
)
def test_a_mutant_must_die_of_an_assertion(mini, replacement, finding):
    mini.write(MUTANTS, SCALE_MUTANTS.replace("2.0 + x", replacement))
    assert [f[: len(finding)] for f in proof(mini).findings] == [finding]


def test_an_assertion_must_say_something(mini):
    bare = "def test_a():\n    assert double(1.0) == 2.0\n    assert halve(1.0) == 0.5\n"
    mini.write(SUITE, "from utils.scale import double, halve\n" + bare)
    sentence = "mutant 'adds two' is killed only by an assertion that says nothing: test_a: assert 3.0 == 2.0"
    assert any(f.startswith(sentence) for f in proof(mini).findings)


def test_mutants_of_one_name_are_no_reason_to_wait_for_ever(mini):
    mini.write(MUTANTS, SCALE_MUTANTS.replace("a third", "a rest"))
    heard: list[str] = []
    course, counts = mini.course, []
    verify.verify(
        course,
        course.modules[:1],
        on_proof=lambda p: heard.extend(p.findings),
        on_run=lambda done, total: counts.append((done, total)),
    )
    assert heard == ["two mutants have the same name"]
    assert counts == [(i, 17) for i in range(1, 18)]


POINT = """
class Point:
    def __init__(self, x):
        if x < 0:
            raise ValueError(f"x must not be negative, got {x}")
        self.x = x

    def twice(self):
        return 2 * self.x
"""
POINT_SUITE = """
from curriculum.testing import expect
from utils.scale import Point


def test_a_negative_point_is_refused():
    with expect.raises(ValueError, "-1"):
        Point(-1)


def test_a_point_keeps_x():
    expect.equal(Point(3).x, 3, "x")


def test_twice():
    expect.equal(Point(3).twice(), 6, "twice")
"""


def weaknesses(mini: MiniCourse) -> list[str]:
    return [f for f in proof(mini).findings if f.startswith(("content", "no test", "passes", "does not"))]


def test_a_test_of_a_constructor_is_held_against_an_idle_constructor_only(mini):
    mini.entries[0] |= {"blanks": ("Point.__init__", "Point.twice")}
    mini.write("solutions/utils/scale.py", POINT)
    mini.write(SUITE, POINT_SUITE)
    course = mini.course
    mini.write("utils/scale.py", stub_of(course, course.modules[0]))
    assert weaknesses(mini) == []
    made = 'expect.true(isinstance(Point(3), Point), "a point")'
    mini.write(SUITE, POINT_SUITE.replace('expect.equal(Point(3).x, 3, "x")', made))
    assert weaknesses(mini) == ["content with constructors that do nothing: test_a_point_keeps_x"]


def test_every_blank_must_be_missed_when_it_is_gone(mini):
    mini.write(SUITE, SCALE_SUITE.partition("def test_halve")[0])
    found = proof(mini).findings
    assert "no test notices when halve does nothing" in found
    assert "mutant 'a third' survives" in found


def test_the_solution_must_not_warn(mini):
    mini.write("solutions/utils/scale.py", SCALE.replace("return 2.0", "np.log(np.zeros(1))\n    return 2.0"))
    assert any(
        f.startswith("the solution warns: RuntimeWarning: divide by zero") for f in proof(mini).findings
    )


@pytest.mark.parametrize(
    ("block", "finding"),
    [
        ("x = 2\n```\n\nand\n\n```python\nassert x == 2\n", None),
        ("from utils.scale import double\nassert double(1) == 2\n", None),
        ("x = 1\n\nassert x == 2\n", "lesson, line 6: the code block fails with AssertionError: "),
        ("x = (\n", "lesson, line 4: the code block fails with SyntaxError: '(' was never closed"),
        (
            "import os\nos._exit(0)\n",
            "lesson, line 0: the lesson ended the process with exit code 0 (os._exit?)",
        ),
        (
            "from nowhere import x\n",
            "lesson, line 4: the code block fails with ModuleNotFoundError: No module named",
        ),
    ],
)
def test_the_code_of_a_lesson_runs(mini, block, finding):
    mini.write(LESSON, f"# Scale\n`double`, `halve`\n```python\n{block}```\n" + "A line.\n" * 40)
    found = proof(mini).findings
    assert len(found) == bool(finding)
    assert not finding or found[0].startswith(finding), found


STATIC = {
    "no solution": ("solutions/utils/scale.py", None, "there is no solution at solutions/utils/scale.py"),
    "another stub": ("utils/scale.py", "x = 1\n", "utils/scale.py is not the stub of its solution"),
    "no stub": ("utils/scale.py", None, "the stub utils/scale.py cannot be read"),
    "no lesson": (LESSON, None, "there is no lesson at curriculum/lessons/utils/scale.md"),
    "a short lesson": (LESSON, "`double` and `halve`\n", "the lesson has 1 lines, expected at least 40"),
    "a lesson about something else": (LESSON, "double\n" * 40, "the lesson does not mention halve"),
    "no mutants": (MUTANTS, None, "there are no mutants at tests/utils/scale.mutants.toml"),
    "few mutants": (MUTANTS, SCALE_MUTANTS.rpartition("[[mutant]]")[0], "has 4 mutants, expected at least 5"),
    "broken mutants": (MUTANTS, "x = ", "mutants: "),
    "a mutant without a word": (
        MUTANTS,
        SCALE_MUTANTS.replace('says = "half"', ""),
        "mutants: 'a third' has the keys",
    ),
    "an empty word": (MUTANTS, SCALE_MUTANTS.replace('"half"', '" "'), "mutant 'a third' says nothing"),
    "a mutant of nothing": (
        MUTANTS,
        SCALE_MUTANTS.replace('find = "2.0 * x"\nreplace = "2.0 + x"', 'find = "x"\nreplace = "y"'),
        "mutant 'adds two': its 'find' occurs",
    ),
    "a mutant that changes nothing": (
        MUTANTS,
        SCALE_MUTANTS.replace("2.0 + x", "2.0 * x"),
        "mutant 'adds two' changes nothing",
    ),
    "two of one name": (
        MUTANTS,
        SCALE_MUTANTS.replace("a third", "a rest"),
        "two mutants have the same name",
    ),
    "a broken solution": ("solutions/utils/scale.py", "def f(:\n", "the solution is not valid Python: "),
    "a broken suite": (SUITE, "def f(:\n", f"{SUITE} is not valid Python: "),
    "no suite": (SUITE, None, "there is no suite at tests/utils/test_scale.py"),
    "a skip": (SUITE, SCALE_SUITE + "    pytest.skip('later')\n", "tests/utils/test_scale.py:15 uses skip"),
    "an xfail": (
        SUITE,
        SCALE_SUITE.replace("def test_double", "@pytest.mark.xfail\ndef test_double"),
        "tests/utils/test_scale.py:9 uses xfail",
    ),
    "a test without assertion": (
        SUITE,
        SCALE_SUITE + "\ndef test_more():\n    double(X)\n",
        "tests/utils/test_scale.py:16 test_more asserts nothing",
    ),
    "the solutions": (SUITE, "import solutions\n" + SCALE_SUITE, f"{SUITE} imports solutions"),
    "another library": (SUITE, "from torch import nn\n" + SCALE_SUITE, f"{SUITE} imports torch"),
}


@pytest.mark.parametrize("case", STATIC)
def test_what_can_be_seen_without_running_anything(mini, case):
    path, content, finding = STATIC[case]
    if content is None:
        (mini.root / path).unlink()
    else:
        mini.write(path, content)
    found = static(mini)
    assert len(found) == 1
    assert found[0].startswith(finding)


def test_assertions_through_a_helper_count(mini):
    helper = "\ndef check(x):\n    expect.equal(double(x), 2 * x, 'x')\n\ndef test_more():\n    check(2.0)\n"
    mini.write(SUITE, SCALE_SUITE + helper)
    assert static(mini) == []


def test_a_module_does_not_need_what_is_only_planned(mini):
    mini.entries.append(mini.entries[1] | {"path": "utils/later", "planned": True, "needs": []})
    mini.entries[0] |= {"needs": ["utils/later"]}
    assert static(mini) == ["needs utils/later, which is only planned"]


def test_hints_and_sources_are_asked_for(mini):
    mini.entries[0] |= {"sources": [], "hints": ["a", "b", " ", "d"]}
    assert static(mini) == ["has a hint that says nothing", "names no sources"]


def test_an_edited_file_whose_stub_is_committed_is_no_fault_of_the_course(mini, monkeypatch):
    course = mini.course
    stub = stub_of(course, course.module("utils/scale"))
    mini.solve("utils/scale")
    assert len(static(mini)) == 1
    monkeypatch.setattr(verify, "_in_git", lambda root, path: stub)
    assert static(mini) == []


def test_files_that_belong_to_no_module_are_found(mini):
    assert list(verify.strays(mini.course)) == []
    mini.write("tests/utils/test_gone.py", "")
    mini.write("curriculum/lessons/utils/gone.md", "")
    mini.write("solutions/utils/__init__.py", "x = 1\n")
    mini.write("utils/deep/gone.py", "")
    mini.write("tests/engine/test_mine.py", "")
    assert list(verify.strays(mini.course)) == [
        "curriculum/lessons/utils/gone.md belongs to no module of the course",
        "solutions/utils/__init__.py is not empty: an import says where the code lives",
        "tests/utils/test_gone.py belongs to no module of the course",
        "utils/deep/gone.py belongs to no module of the course",
    ]


def test_the_command_prints_a_line_a_module_and_returns_the_exit_code(mini, monkeypatch, capsys):
    monkeypatch.setenv("CURRICULUM_ROOT", str(mini.root))
    course = mini.course
    monkeypatch.setattr(verify.manifest, "load", lambda: course)
    assert verify.main(["scale"]) == 0
    line = r"utils/scale  ✓ 2 tests, 14 wrong variants refused, \d\.\d s\n+1 of 1 modules"
    assert re.match(line, capsys.readouterr().out)
    assert verify.main([]) == 1
    assert "there is no lesson" in capsys.readouterr().out


class Tensor:
    def __init__(self, data):
        self.data = data


class Parameter(Tensor):
    pass


X = np.array([[1, 2]], np.float32)


@pytest.mark.parametrize(
    ("kind", "arguments", "expected"),
    [
        ("zeros", {"x": X}, np.zeros((1, 2), np.float32)),
        ("ones", {"n": 3, "x": X}, np.ones((1, 2), np.float32)),
        ("nan", {"x": X.astype(int)}, np.full((1, 2), np.nan)),
        ("half", {"x": [X, X]}, np.full((1, 2), 0.5, np.float32)),
        ("empty", {"x": X}, np.zeros(0, np.float32)),
        ("itself", {"self": 1, "n": 3, "x": X}, X),
    ],
)
def test_a_lazy_answer_fits_the_first_array(kind, arguments, expected):
    found = lazy.answer(kind, arguments)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


def test_a_lazy_answer_without_an_array_is_a_number_and_a_tensor_answers_a_tensor():
    assert lazy.answer("ones", {"self": X, "n": 3}) == 1.0
    assert lazy.answer("empty", {"n": 3}) == []
    assert lazy.answer("itself", {"n": 3}) == 3
    assert lazy.answer("itself", {}) is None
    answer = lazy.answer("zeros", {"x": Parameter(X)})
    assert type(answer) is Tensor
    np.testing.assert_array_equal(answer.data, np.zeros((1, 2)))


def test_lazy_variants_keep_constructors_and_blank_everything_else():
    source = (
        "class A:\n    def __init__(self, n):\n        self.n = n\n\n    def f(self, x):\n        return x\n"
    )
    variants = dict(lazy.variants(source, "a", ("A.__init__", "A.f")))
    assert list(variants) == list(lazy.KINDS)
    assert "self.n = n" in variants["zeros"]
    assert "return x\n" not in variants["zeros"]
    assert "        pass\n" in lazy.single(source, "a", "A.__init__")
