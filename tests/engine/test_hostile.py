"""Whatever a learner's file does: one sentence about it, and the module beside it is graded as ever."""

from __future__ import annotations

import dataclasses
import os
import sys
import textwrap
import time

import pytest

from curriculum import runner
from curriculum.results import Result
from tests.engine.minicourse import SCALE, MiniCourse

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="a limit that only Linux keeps")
LIMIT = 3  # s for a test where one never ends: the healthy module beside it needs less on a busy machine too
STILL = f"was still running after {LIMIT} s: an endless loop?"
HALVE = "def halve(x):\n    return x / 2.0\n"


def hurt(mini: MiniCourse, content: str | bytes | None, timeout: float | None = None) -> Result:
    """The result of utils/scale with ``content``, when the healthy utils/area beside it passed as usual."""
    mini.solve("utils/area")
    if content is not None:
        mini.write("utils/scale.py", textwrap.dedent(content) if isinstance(content, str) else content)
    scale, area = runner.grade(mini.course, mini.course.modules, timeout=timeout)
    assert (area.status, area.passed) == ("passed", 1), area
    assert scale.provenance.file == "utils/scale.py"
    return scale


def in_double(statement: str) -> str:
    """utils/scale with ``statement`` as line 8, in `double`."""
    return f"import ctypes, os, sys\nimport numpy as np\n\n\n{HALVE}\ndef double(x): {statement}\n    \n"


AT_IMPORT = {
    "sys.exit": ("import sys\nsys.exit(0)\n", "utils/scale.py calls sys.exit(0) when it is imported", 2),
    "os._exit": (
        "import os\nos._exit(0)\n",
        "the import of utils/scale.py ended the process with exit code 0 (os._exit?)",
        0,
    ),
    "syntax": (
        "x = 1\ndef double(x:\n    return x\n",
        "utils/scale.py is not valid Python: '(' was never closed: `def double(x:`",
        2,
    ),
    "indentation": (
        "def double(x):\nreturn x\n",
        "utils/scale.py is not valid Python: "
        "expected an indented block after function definition on line 1: `return x`",
        2,
    ),
    "nesting": (
        "x = " + "(" * 5000,
        "utils/scale.py is not valid Python: too many nested parentheses: `x = ...`",
        1,
    ),
    "not UTF-8": (b"x = 1\n# caf\xe9\n", "utils/scale.py is not UTF-8 text: byte 0xe9", 2),
    "odd encoding": (
        b"# coding: klingon\n",
        "utils/scale.py is not UTF-8 text: unknown encoding: klingon",
        1,
    ),
    "NUL": (b"x = 1\ny = '\0'\n", "utils/scale.py contains a NUL byte: it is not a text file", 2),
    "import of nothing": (
        "import numpy\nimport tensorflou\n",
        "utils/scale.py imports 'tensorflou', and there is no such module",
        2,
    ),
    "import of a name": (
        "from utils import nothing\n",
        "utils/scale.py imports 'nothing' from 'utils', which has no such name",
        1,
    ),
    "import of itself": (
        "from utils.scale import double\n",
        "a circular import: utils/scale.py imports 'double' from utils.scale before that is complete; "
        "in utils/scale.py, `from utils import scale` will do",
        1,
    ),
    "exception": (
        "x = 1\ny = x / 0\n",
        "utils/scale.py raises ZeroDivisionError when it is imported: division by zero",
        2,
    ),
    "KeyboardInterrupt": (
        "raise KeyboardInterrupt\n",
        "utils/scale.py raises KeyboardInterrupt when it is imported: ",
        1,
    ),
    "recursion": (
        "def f(): f()\nf()\n",
        "utils/scale.py calls itself without end when it is imported",
        1,
    ),
    "deleted function": (
        HALVE,
        "utils/scale.py has no 'double': the suite needs it (was it renamed?)",
        0,
    ),
    "renamed function": (
        HALVE + "def doubled(x): ...\n",
        "utils/scale.py has no 'double': the suite needs it (was it renamed to 'doubled'?)",
        0,
    ),
    "empty": ("", "utils/scale.py has no 'double': the suite needs it (was it renamed?)", 0),
    "modules cleared": (
        "import sys\nsys.modules.clear()\n",
        "utils/scale.py raises KeyError when it is imported: 'utils.scale'",
        0,
    ),
}


@pytest.mark.parametrize("case", AT_IMPORT)
def test_a_file_that_cannot_be_imported(mini, case):
    content, sentence, line = AT_IMPORT[case]
    result = hurt(mini, content)
    assert result.status == "broken"
    assert (result.problem.strip(), result.line) == (sentence.strip(), line)
    assert not result.passed


def test_an_endless_loop_at_import(mini):
    result = hurt(mini, "x = 1\nwhile x:\n    x = 2\n", timeout=LIMIT)
    assert result.status == "broken"
    assert result.problem == f"the import of utils/scale.py {STILL}"
    assert result.line in (2, 3)


def test_a_missing_file(mini):
    (mini.root / "utils/scale.py").unlink()
    result = hurt(mini, None)
    sentence = "utils/scale.py is missing: `make reset MODULE=utils/scale` brings the stub back"
    assert (result.status, result.problem, result.provenance.kind) == ("broken", sentence, "missing")


def test_a_directory_in_its_place(mini):
    (mini.root / "utils/scale.py").unlink()
    (mini.root / "utils/scale.py").mkdir()
    result = hurt(mini, None)
    assert (result.status, result.problem) == ("broken", "utils/scale.py is a directory, expected a file")


def test_a_package_of_the_same_name_is_not_graded_in_its_place(mini):
    mini.write("utils/scale/__init__.py", SCALE)
    mini.write("utils/scale.py", "def double(x): return x\n" + HALVE)
    assert hurt(mini, None).status == "failed"


DEADLY = {
    "os._exit": ("os._exit(0)", "the test 'double' ended the process with exit code 0 (os._exit?)", 0),
    "segfault": ("ctypes.string_at(0)", "the test 'double' crashed Python (a segmentation fault)", 8),
    "abort": ("os.abort()", "the test 'double' crashed Python (an abort)", 8),
    "kill": ("os.kill(0, 9)", "the test 'double' crashed Python (a kill, out of memory?)", 0),
    "KeyboardInterrupt": (
        "raise KeyboardInterrupt",
        "the test 'double' ended the run with KeyboardInterrupt",
        0,
    ),
    "files closed": (
        "os.closerange(3, 1000)",
        "the test 'double' ended the process with exit code 1 (os._exit?)",
        0,
    ),
}


@pytest.mark.parametrize("case", DEADLY)
def test_a_call_that_ends_the_process(mini, case):
    statement, sentence, line = DEADLY[case]
    result = hurt(mini, in_double(statement))
    assert result.status == "broken"
    assert (result.problem, result.line) == (sentence, line)
    assert result.passed < result.total


ENDLESS = {
    "Python": "\n    while True: pass",
    "swallowing all": "\n    while True:\n        try: raise ValueError\n        except BaseException: pass",
    "one NumPy call": "\n    a = np.ones(9000)\n    return np.einsum('i,j,k,l->', a, a, a, a)",
    "asleep": "\n    import time; time.sleep(1000)",
    "reading from a terminal that is not there": "\n    while not sys.stdin.read(): pass",
}


@pytest.mark.parametrize("case", ENDLESS)
def test_an_endless_loop_in_a_call(mini, case):
    result = hurt(mini, in_double(ENDLESS[case]), timeout=LIMIT)
    assert result.status == "broken"
    assert result.problem == f"the test 'double' {STILL}"
    assert result.line >= 8


def test_an_endless_loop_that_silences_the_watchdog_is_ended_from_outside(mini, monkeypatch):
    monkeypatch.setattr(runner, "MODULE_TESTS", 1)
    monkeypatch.setattr(runner, "GRACE", 0.3)
    silent = "import faulthandler; faulthandler.cancel_dump_traceback_later()"
    result = hurt(mini, in_double(f"\n    {silent}\n    while True: pass"), timeout=LIMIT)
    assert result.status == "broken"
    assert result.problem == f"the test 'double' {STILL}"


FAILING = {
    "recursion": (
        "return double(x)",
        "calls itself without end (RecursionError: maximum recursion depth exceeded)",
        8,
    ),
    "sys.exit": (
        "sys.exit(0)",
        "called sys.exit(0): a function returns or raises, it never ends the program",
        8,
    ),
    "an exception": ("raise ValueError('no')", "raised ValueError: no\n  called as double(X)", 8),
    "an exception of two lines": (
        r"raise ValueError('no\nnever')",
        "raised ValueError: no\n  never\n  called as double(X)",
        8,
    ),
    "an unprintable exception": (
        "\n    class E(Exception):\n        def __str__(self): raise OSError\n    raise E",
        "raised E: (its message cannot be read: OSError)\n  called as double(X)",
        11,
    ),
    "an exception in NumPy": (
        "return np.ones(2) @ x",
        "raised ValueError: matmul: Input operand 1 has a mismatch in its core dimension 0, "
        "with gufunc signature (n?,k),(k,m?)->(n?,m?) (size 3 is different from 2)\n  called as double(X)",
        8,
    ),
    "a wrong signature": (
        None,
        "raised TypeError: double() missing 1 required positional argument: 'y' "
        '(at `expect.close(double(X), np.array([2.0, 4.0, 8.0]), "double of [1, 2, 4]")` '
        "of tests/utils/test_scale.py:10)",
        1,
    ),
    "np.seterr": (
        "np.seterr(all='ignore'); return 2 * x",
        "left NumPy's error settings changed (np.seterr): use `with np.errstate(...):`",
        0,
    ),
    "np.random.seed": (
        "np.random.seed(1); return 2 * x",
        "used NumPy's global random generator (np.random.seed, np.random.rand): use the `rng` given",
        0,
    ),
    "np.random.rand": (
        "np.random.rand(); return 2 * x",
        "used NumPy's global random generator (np.random.seed, np.random.rand): use the `rng` given",
        0,
    ),
    "np.set_printoptions": (
        "np.set_printoptions(precision=1); return 2 * x",
        "left NumPy's print options changed (np.set_printoptions)",
        0,
    ),
    "skipping": (
        "import pytest; pytest.skip('later')",
        "the suite skipped a test, which it must never do: later",
        8,
    ),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_call_that_misbehaves_fails_its_test_and_no_other(mini, case):
    statement, sentence, line = FAILING[case]
    content = in_double(statement) if statement else "def double(x, y): return 2 * x\n" + HALVE
    result = hurt(mini, content)
    assert result.status == "failed"
    double, halve = result.tests
    assert (double.outcome, double.message, double.line) == ("failed", sentence, line)
    assert double.file == ("utils/scale.py" if line else "")
    assert halve.outcome == "passed"


VALUES = {
    "nan": "np.full(3, np.nan)",
    "scalar": "14.0",
    "list": "[2.0, 4.0, 8.0]",
    "None": "None",
    "zeros": "np.zeros(3)",
    "input": "x",
    "string": "'2 4 8'",
    "matrix": "np.matrix(2 * x)",
    "masked": "np.ma.masked_array(2 * x, mask=True)",
    "column": "2 * x[:, None]",
    "object": "(2 * x).astype(object)",
    "complex": "2 * x + 0j",
}


@pytest.mark.parametrize("case", VALUES)
def test_a_wrong_value_fails_by_an_assertion_that_says_what_it_is(mini, case):
    result = hurt(mini, in_double(f"return {VALUES[case]}"))
    double, halve = result.tests
    assert (result.status, halve.outcome) == ("failed", "passed")
    assert (double.outcome, double.error) == ("failed", "AssertionError")
    assert double.message.startswith("double of [1, 2, 4] ")
    assert (double.file, double.line) == ("utils/scale.py", 8)


@pytest.mark.parametrize("base", ["np.ndarray", "float", "object"])
def test_a_result_that_compares_equal_to_everything_does_not_pass(mini, base):
    make = "np.zeros(3).view(Same)" if base == "np.ndarray" else "Same()"
    methods = "\n".join(
        f"    def __{n}__(self, *a, **k): return True" for n in ("eq", "le", "ge", "bool", "array_ufunc")
    )
    content = f"import numpy as np\nclass Same({base}):\n{methods}\ndef double(x): return {make}\n{HALVE}"
    result = hurt(mini, content)
    assert [t.outcome for t in result.tests] == ["failed", "passed"]


@linux_only
@pytest.mark.parametrize("amount", ["np.ones(100 << 27)", "[0] * (100 << 27)", "'x' * (100 << 30)"])
def test_a_hundred_gigabytes_are_refused(mini, amount):
    result = hurt(mini, in_double(f"return {amount}"))
    assert result.status == "failed"
    assert result.tests[0].error in ("MemoryError", "_ArrayMemoryError")
    assert result.tests[0].message.startswith("ran out of memory: ")
    assert result.tests[0].line == 8


@linux_only
def test_memory_taken_bit_by_bit_is_refused_too(mini):
    grow = "\n    kept = []\n    while True: kept.append(np.empty(1 << 26))"
    result = hurt(mini, in_double(grow))
    assert result.tests[0].message.startswith("ran out of memory: ")


def test_a_gigabyte_of_printing_is_counted_and_cut(mini):
    printing = "\n    line = 'x' * 999_999\n    for _ in range(1000): print(line)\n    return 2 * x"
    result = hurt(mini, in_double(printing))
    assert result.status == "passed"
    assert result.printed == "x" * runner.PRINTED_LIMIT
    assert result.printed_bytes == 10**9


def test_printing_by_every_road_reaches_no_terminal(mini, capfd):
    roads = (
        "print('one'); sys.stderr.write('two'); sys.__stdout__.buffer.write(b'three'); os.write(1, b'four'); "
        "os.system('echo five'); print('café', flush=True); return 2 * x"
    )
    result = hurt(mini, in_double(roads))
    assert result.status == "passed"
    assert result.printed == "one\ntwothreecafé\n"
    assert capfd.readouterr() == ("", "")


def test_what_was_printed_before_the_end_is_kept(mini):
    result = hurt(mini, in_double("print('here'); os._exit(3)"))
    assert (result.printed, result.printed_bytes) == ("here\n", 5)


def test_global_state_changed_at_import_is_a_failure_of_its_own(mini):
    mini.write(
        "utils/scale.py",
        SCALE.replace('"""Multiplication."""\n', "") + "\nnp.random.seed(0)\nnp.seterr(all='raise')\n",
    )
    result = hurt(mini, None)
    assert (result.status, result.total, result.passed) == ("failed", 4, 2)
    assert [t.name for t in result.tests] == ["import", "import", "test_double", "test_halve"]
    assert "np.seterr" in result.tests[0].message
    assert "np.random.seed" in result.tests[1].message


def test_files_dropped_in_the_workspace_change_nothing(mini):
    poison = b"raise SystemExit('poisoned')\n"
    names = ("numpy", "pytest", "json", "random", "curriculum", "hypothesis", "conftest", "sitecustomize")
    for folder in ("", "utils/", "tests/", "tests/utils/"):
        for name in names:
            mini.write(f"{folder}{name}.py", poison)
        mini.write(f"{folder}pytest.ini", "[pytest]\naddopts = --collect-only\n")
        mini.write(f"{folder}pyproject.toml", "[tool.pytest.ini_options]\naddopts = '--collect-only'\n")
    mini.solve("utils/scale")
    assert hurt(mini, None).status == "passed"


def test_the_solutions_cannot_be_imported_by_name(mini):
    result = hurt(mini, "from solutions.utils.scale import double, halve\n")
    sentence = "utils/scale.py imports 'solutions', and there is no such module"
    assert (result.status, result.problem) == ("broken", sentence)


def test_files_that_a_call_writes_stay_out_of_the_workspace(mini):
    before = set(mini.root.rglob("*"))
    assert hurt(mini, in_double("open('litter', 'w').write('x'); return 2 * x")).status == "passed"
    assert {f for f in set(mini.root.rglob("*")) - before if "__pycache__" not in f.parts} == set()


FORGERY = r"""
    events = [{"event": "test", "name": name, "outcome": "passed"} for name in ("test_double", "test_halve")]
    lines = [json.dumps(event) for event in [*events, {"event": "done", "printed_bytes": 0}]]
    for number in range(3, 256):
        try: os.write(number, "\n".join([*lines, ""]).encode())
        except OSError: pass
    os._exit(0)
"""


def test_a_forged_journal_is_no_pass(mini):
    result = hurt(mini, "import json\n" + in_double(FORGERY))
    assert result.problem == "the test 'double' ended the process with exit code 0 (os._exit?)"
    assert result.passed == 0


@linux_only
def test_a_full_disk_is_a_clear_message(mini, monkeypatch):
    start = runner._start
    monkeypatch.setattr(runner, "_start", lambda job: start(dataclasses.replace(job, scratch="/dev/full/x")))
    mini.solve("utils/scale")
    result = runner.grade(mini.course, [mini.course.module("scale")])[0]
    assert result.status == "broken"
    assert (
        result.problem == "the grading process did not start (exit code 1): is the disk or the memory full?"
    )


def test_a_fork_in_a_call_is_graded_once(mini):
    result = hurt(mini, in_double("os.fork(); return 2 * x"))
    assert (result.status, result.passed, result.total) == ("passed", 2, 2)


def test_processes_left_behind_are_ended(mini):
    content = in_double(
        "\n    import subprocess\n    print(subprocess.Popen(['sleep', '1000']).pid)\n    return 2 * x"
    )
    result = hurt(mini, content)
    assert result.status == "passed"
    until = time.monotonic() + 5
    while _alive(int(result.printed)):
        assert time.monotonic() < until


def _alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_threads_left_behind_do_not_hold_up_the_verdict(mini):
    start = "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start()"
    assert hurt(mini, in_double(f"{start}; return 2 * x")).status == "passed"


def test_inputs_changed_in_place_fail(mini):
    mini.write(
        "tests/utils/test_scale.py",
        "import numpy as np\nfrom curriculum.testing import expect\nfrom utils.scale import double\n"
        "def test_double():\n    x = np.ones(2)\n    with expect.unchanged(x):\n        double(x)\n",
    )
    result = hurt(mini, in_double("x *= 2; return x"))
    assert result.status == "failed"
    assert "in place" in result.tests[0].message
