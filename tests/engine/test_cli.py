"""The command line: what it understands, what it answers, and with which exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from curriculum import cli, manifest
from curriculum.cli import FAILED, OUR_FAULT, PASSED, STOPPED, USAGE, UsageError, main, parse
from curriculum.manifest import UnknownName
from tests.engine.minicourse import MiniCourse

ENGINE = Path(cli.__file__).parent


TWO = """[phase]
number = 2
title = "Two"
weeks = "2"
hours = "1"
summary = "s"
critical = true
again = ["{again}"]
milestones = []
reading = []

[[module]]
path = "utils/later"
title = "Later"
summary = "s"
difficulty = "easy"
week = 2
minutes = 5
planned = true
"""


@pytest.fixture
def here(mini: MiniCourse, monkeypatch: pytest.MonkeyPatch) -> Iterator[MiniCourse]:
    """The miniature course, as the one that `main` loads."""
    monkeypatch.setenv("CURRICULUM_ROOT", str(mini.root))
    monkeypatch.setenv("MAKELEVEL", "1")
    assert mini.course.modules
    yield mini
    manifest.load.cache_clear()


@pytest.fixture
def clone(mini: MiniCourse) -> Path:
    """The miniature course with the engine beside it, as a clone has it."""
    assert mini.course.modules
    skip = shutil.ignore_patterns("phases", "lessons", "datasets", "__pycache__")
    shutil.copytree(ENGINE, mini.root / "curriculum", ignore=skip, dirs_exist_ok=True)
    return mini.root


def run(root: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "curriculum", *words]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("CURRICULUM")}
    return subprocess.run(
        command, cwd=root, env=inherited | environment, capture_output=True, encoding="utf-8", timeout=60
    )


# --- what it understands ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "check PHASE=2 MODULE=linear STACK=mine V=1 JSON=out.json",
        "check phase=2 module=linear stack=mine v=yes json=out.json",
        "check --phase 2 --module linear --stack mine -v --json out.json",
        "check --phase=2 --module=linear --stack=mine --v --json=out.json",
        "check 2 linear STACK=mine -v JSON=out.json",
    ],
)
def test_words_and_options_say_the_same(line: str):
    request = parse(line.split())
    assert request.verb == "check"
    assert request.modules == ("linear",)
    assert request.settings == {"PHASE": "2", "STACK": "mine", "V": "1", "JSON": "out.json"}


def test_an_empty_setting_says_nothing():
    assert parse(["check", "PHASE=", "MODULE=", "V=0"]) == parse(["check"])


def test_several_modules_can_be_named_in_several_ways():
    assert parse(["verify", "a,b", "MODULE=c"]).modules == ("a", "b", "c")
    assert parse(["verify", "--module", "a b", "c"]).modules == ("a", "b", "c")


def test_the_short_ways_of_saying_it():
    assert parse(["solution", "x", "--give-up"]).on("GIVE_UP")
    assert parse(["stubs", "--force"]).on("FORCE")
    assert parse(["reference_branch"]).verb == "reference-branch"
    assert parse(["check", "--json", "-"]).get("JSON") == "-"
    assert parse(["milestone", "1", "--args", "--seed 3"]).get("ARGS") == "--seed 3"
    assert parse(["milestone", "1", "--fresh"]).on("FRESH")
    assert not parse(["milestone", "1", "FRESH=0"]).on("FRESH")
    assert parse([]).verb == parse(["--help"]).verb == "help"
    assert parse(["help", "check"]) == parse(["check", "--help"])


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("chekc", "there is no verb 'chekc': did you mean check?"),
        ("frobnicate", "possible are check, watch, next"),
        ("check PHSE=2", "check does not take 'PHSE=2': did you mean PHASE?"),
        ("check --phse 2", "check does not take '--phse': did you mean --phase?"),
        ("hint STACK=mine", "hint does not take 'STACK=mine': possible are MODULE"),
        ("doctor now", "doctor does not take 'now': it takes nothing"),
        ("check STACK=yours", "STACK must be reference or mine, got 'yours'"),
        ("check WIDTH=wide", "WIDTH must be a positive number, got 'wide'"),
        ("check --phase", "--phase needs a value: a phase of the course"),
    ],
)
def test_a_mistake_is_answered_with_what_arrived_and_what_is_possible(line: str, answer: str):
    with pytest.raises(UsageError) as caught:
        parse(line.split())
    assert answer in str(caught.value)


def test_the_modules_named_are_found_and_each_only_once(mini: MiniCourse):
    course = mini.course
    assert [m.path for m in parse(["check", "scale,utils/scale.py"]).chosen(course)] == ["utils/scale"]
    assert [m.path for m in parse(["check", "1"]).chosen(course)] == ["utils/scale", "utils/area"]
    with pytest.raises(UsageError, match="hint needs one module and got none"):
        parse(["hint"]).one(course)
    with pytest.raises(UsageError, match="hint needs one module and got scale, area"):
        parse(["hint", "scale", "area"]).one(course)
    with pytest.raises(UnknownName, match="did you mean utils/scale"):
        parse(["hint", "scal"]).one(course)
    with pytest.raises(UnknownName, match="there is no phase 9: the course has phases 1 to 1"):
        parse(["check", "9"]).chosen(course)


def test_a_short_name_means_the_module_that_is_built(mini: MiniCourse):
    mini.entries.append(mini.entries[0] | {"path": "later/scale", "planned": True})
    assert parse(["hint", "scale"]).one(mini.course).path == "utils/scale"
    with pytest.raises(UnknownName, match="later/scale is planned"):
        parse(["hint", "later/scale"]).one(mini.course)
    with pytest.raises(UnknownName, match=r"there is no module 'are': did you mean utils/area\?"):
        parse(["hint", "are"]).one(mini.course)


def test_every_verb_can_be_imported_and_takes_only_known_settings():
    for verb in cli.VERBS.values():
        assert callable(verb.load())
        assert set(verb.takes) <= set(cli.SETTINGS)
        assert verb.name in cli.usage()
        assert verb.does in cli.usage(verb.name)
        assert all(f"{name}=" in cli.usage(verb.name) for name in verb.takes)
    assert max(map(len, cli.usage().splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["energy"], []),
        (["neuroscope", "NAME=demo", "ARGS=--lr 0.1 --expression 'sin(3 * x)'"],
         ["--preset", "demo", "--lr", "0.1", "--expression", "sin(3 * x)"]),
    ],
)  # fmt: skip
def test_an_application_gets_its_words(
    words: list[str], arguments: list[str], here: MiniCourse, monkeypatch: pytest.MonkeyPatch
):
    from curriculum import milestone

    asked: list[tuple] = []
    monkeypatch.setattr(milestone, "run_script", lambda *what: asked.append(what[1:]) or 7)
    for stack in ("reference", "mine"):
        assert main([*words, f"STACK={stack}"]) == 7
        assert asked[-1] == (f"experiments.{words[0]}.app", stack, arguments)


# --- what it answers --------------------------------------------------------------------------------------


def test_a_fresh_course_says_where_to_begin(here: MiniCourse, capsys: pytest.CaptureFixture[str]):
    for words in (["check"], ["check", "PHASE=1"], ["next"]):
        code = main(words)
        said = capsys.readouterr()
        assert code == (PASSED if words == ["next"] else FAILED)
        assert "Begin with utils/scale" in said.out
        assert "utils/scale.py:8" in said.out
        assert "make check MODULE=utils/scale" in said.out
        assert "curriculum/lessons/utils/scale.md" in said.out
        assert said.err == ""
        assert len(said.out.splitlines()) < 12


def test_check_grades_what_was_started_and_remembers(here: MiniCourse, capsys: pytest.CaptureFixture[str]):
    here.solve("utils/scale")
    assert main(["check"]) == PASSED
    said = capsys.readouterr().out
    assert "utils/scale" in said
    assert "2 of 2" in said
    assert "make check MODULE=utils/area" in said
    assert main(["check", "1"]) == FAILED  # the other one is open
    assert "1 of 2 modules passed, 1 not started" in capsys.readouterr().out
    assert main(["next"]) == PASSED
    assert "Begin with utils/area" in capsys.readouterr().out


def test_a_failure_shows_the_values_and_the_next_hint(here: MiniCourse, capsys: pytest.CaptureFixture[str]):
    here.write("utils/scale.py", "def double(x):\n    return 3.0 * x\n\n\ndef halve(x):\n    return x / 2\n")
    assert main(["check", "scale"]) == FAILED
    said = capsys.readouterr().out
    assert "double of [1, 2, 4] is wrong" in said
    assert "yours [ 3., 6., 12.]   expected [2., 4., 8.]" in said
    assert "utils/scale.py:1    make hint MODULE=utils/scale" in said


def test_the_solutions_are_graded_for_instructors(here: MiniCourse, capsys: pytest.CaptureFixture[str]):
    assert main(["check", "1", "IMPL=solutions"]) == PASSED
    assert "2 of 2 modules passed" in capsys.readouterr().out
    assert main(["next"]) == PASSED
    assert "Begin with utils/scale" in capsys.readouterr().out, "the solutions are nobody's progress"


def test_a_phase_can_grade_a_module_of_an_earlier_one_again(
    here: MiniCourse, capsys: pytest.CaptureFixture[str]
):
    here.write("curriculum/phases/02_two.toml", TWO.format(again="utils/scale"))
    manifest.load.cache_clear()
    assert main(["check", "2", "IMPL=solutions"]) == PASSED
    said = capsys.readouterr().out
    assert "utils/scale" in said
    assert "2 of 2" in said
    here.write("utils/scale.py", "def double(x):\n    return 3.0 * x\n\n\ndef halve(x):\n    return x / 2\n")
    assert main(["check", "2"]) == FAILED
    assert "double of [1, 2, 4] is wrong" in capsys.readouterr().out
    here.solve("utils/scale")
    assert main(["check", "2"]) == PASSED
    assert "every module of phase 2" not in capsys.readouterr().out, "phase 1 is what was graded"
    here.solve("utils/area")
    assert main(["check", "utils/area", "PHASE=2"]) == PASSED
    assert "utils/scale" not in capsys.readouterr().out, "a module was named, and nothing else"


def test_a_phase_grades_again_only_what_an_earlier_one_has_built(here: MiniCourse):
    for wrong in ("utils/gone", "utils/later"):
        here.write("curriculum/phases/02_two.toml", TWO.format(again=wrong))
        manifest.load.cache_clear()
        with pytest.raises(manifest.CourseError, match=f"phase 2 grades '{wrong}' again"):
            manifest.load(here.root)


def test_blame_names_the_prerequisite_at_fault(here: MiniCourse, capsys: pytest.CaptureFixture[str]):
    here.write("utils/scale.py", "def double(x):\n    return 2.0 * x\n\n\ndef halve(x):\n    return x / 3\n")
    here.solve("utils/area")
    assert main(["check", "area"]) == PASSED
    capsys.readouterr()
    assert main(["check", "area", "STACK=mine"]) == FAILED
    assert "the fault is in your utils/scale" in capsys.readouterr().out


def test_json_goes_to_a_file_or_alone_to_standard_output(
    here: MiniCourse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    here.solve("utils/scale")
    assert main(["check", "1", "JSON=-"]) == FAILED
    alone = json.loads(capsys.readouterr().out)
    assert main(["check", "1", f"JSON={tmp_path / 'deep' / 'r.json'}"]) == FAILED
    assert "utils/scale" in capsys.readouterr().out
    saved = json.loads((tmp_path / "deep" / "r.json").read_text("utf-8"))
    for data in (alone, saved):
        assert data["schema"] == 1
        assert [(r["module"], r["status"]) for r in data["results"]] == [
            ("utils/scale", "passed"), ("utils/area", "untouched"),
        ]  # fmt: skip
        assert all(r["provenance"]["sha256"] for r in data["results"])
        assert [r["provenance"]["kind"] for r in data["results"]] == ["learner", "stub"]


def test_hints_come_one_at_a_time_and_are_remembered(here: MiniCourse, capsys: pytest.CaptureFixture[str]):
    said = []
    for _ in range(5):
        assert main(["hint", "scale"]) == PASSED
        said.append(capsys.readouterr().out)
    assert ["hint 1 of 4" in said[0], "hint 4 of 4" in said[3]] == [True, True]
    assert "hint 2" not in said[0]
    assert all(f"hint {i} of 4" in said[4] for i in (1, 2, 3, 4)), "afterwards: all of them again"


def test_the_solution_waits_until_yours_passes(here: MiniCourse, capsys: pytest.CaptureFixture[str]):
    assert main(["solution", "scale"]) == FAILED
    said = capsys.readouterr().out
    assert "return 2.0 * x" not in said
    assert "make solution MODULE=utils/scale GIVE_UP=1" in said
    here.write("utils/scale.py", "def double(x):\n    return x + x\n\n\ndef halve(x):\n    return x / 2\n")
    assert main(["solution", "scale"]) == PASSED, "it passes, and is graded now"
    said = capsys.readouterr().out
    assert "return x + x" in said
    assert "return 2.0 * x" in said


def test_giving_up_shows_the_solution_and_is_written_down(
    here: MiniCourse, capsys: pytest.CaptureFixture[str]
):
    assert main(["solution", "scale", "--give-up"]) == PASSED
    assert "return 2.0 * x" in capsys.readouterr().out
    assert json.loads((here.root / ".curriculum/progress.json").read_text("utf-8"))["modules"]["utils/scale"][
        "gave_up"
    ]
    assert main(["solution", "scale"]) == PASSED


def test_stubs_reset_swap_and_unswap_say_what_they_did(here: MiniCourse, capsys: pytest.CaptureFixture[str]):
    stub = (here.root / "utils/scale.py").read_bytes()
    here.write("utils/scale.py", "mine = 1\n")
    assert main(["stubs"]) == FAILED
    assert "utils/scale has edits of its own" in capsys.readouterr().out
    assert main(["swap", "scale"]) == PASSED
    assert "make unswap" in capsys.readouterr().out
    assert main(["unswap"]) == PASSED
    assert (here.root / "utils/scale.py").read_text("utf-8") == "mine = 1\n"
    assert main(["reset", "scale"]) == PASSED
    assert "yours is kept as" in capsys.readouterr().out
    assert (here.root / "utils/scale.py").read_bytes() == stub


def test_what_is_only_planned_says_so(here: MiniCourse, capsys: pytest.CaptureFixture[str]):
    for words, answer in (
        (["milestone"], "milestone needs a phase"),
        (["milestone", "1"], "planned but not built"),
    ):
        assert main(words) == USAGE
        assert answer in capsys.readouterr().err


def test_fresh_is_handed_on_to_the_milestone(here: MiniCourse, monkeypatch: pytest.MonkeyPatch):
    from curriculum import milestone

    handed: list[list[str]] = []

    def run(course, phase, *, stack, name, arguments):
        handed.append(arguments)
        return PASSED

    monkeypatch.setattr(milestone, "run", run)
    for words in (["FRESH=1", "ARGS=--seed 3"], ["ARGS=--seed 3"]):
        assert main(["milestone", "PHASE=1", *words]) == PASSED
    assert handed == [["--seed", "3", "--fresh"], ["--seed", "3"]]


# --- a new module -----------------------------------------------------------------------------------------


def test_new_writes_a_skeleton_that_verify_can_judge(here: MiniCourse, capsys: pytest.CaptureFixture[str]):
    assert main(["new", "utils/deep/angles", "PHASE=1"]) == PASSED
    said = capsys.readouterr().out
    assert "python -m curriculum verify utils/deep/angles" in said
    phase = here.root / "curriculum/phases/01_one.toml"
    text = phase.read_text("utf-8")
    assert 'path = "utils/deep/angles"' in text
    phase.write_text(text.replace("planned = true\n", ""), "utf-8")
    manifest.load.cache_clear()
    assert main(["stubs", "angles"]) == PASSED
    assert main(["check", "angles", "IMPL=solutions"]) == PASSED
    assert main(["verify", "angles"]) == FAILED
    said = capsys.readouterr().out
    findings = [row.strip() for row in said.splitlines() if row.startswith("    ")]
    assert len(findings) == 2, said  # a skeleton has a short lesson and few mutants, and is otherwise right
    assert "the lesson has" in findings[0]
    assert "mutants, expected at least 5" in findings[1]


def test_new_overwrites_nothing(here: MiniCourse, capsys: pytest.CaptureFixture[str]):
    before = (here.root / "solutions/utils/scale.py").read_bytes()
    assert main(["new", "utils/scale"]) == USAGE
    assert "solutions/utils/scale.py" in capsys.readouterr().err
    assert (here.root / "solutions/utils/scale.py").read_bytes() == before


@pytest.mark.parametrize("words", [["new"], ["new", "Angles", "PHASE=1"], ["new", "a/b-c", "PHASE=1"],
                                   ["new", "utils/angles"], ["new", "../x", "PHASE=1"]])  # fmt: skip
def test_new_refuses_what_python_cannot_import(words: list[str], here: MiniCourse):
    assert main(words) == USAGE
    assert not list(here.root.rglob("*angles*"))


def test_the_skeleton_is_at_home_in_the_style_of_the_project(here: MiniCourse):
    assert main(["new", "utils/angles", "PHASE=1"]) == PASSED
    files = ["solutions/utils/angles.py", "tests/utils/test_angles.py"]
    config = ["--config", str(ENGINE.parent / "pyproject.toml"), "--no-cache"]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, *config, *files], cwd=here.root)
        assert done.returncode == 0


# --- what goes wrong --------------------------------------------------------------------------------------


def test_a_mistake_of_ours_is_a_sentence_and_a_file(
    here: MiniCourse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def broken(*_: object) -> int:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr("curriculum.guide.show_next", broken)
    assert main(["next"]) == OUR_FAULT
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "ZeroDivisionError: surprise" in said
    file = here.root / ".curriculum" / "traceback.txt"
    assert str(file) in said
    assert "Traceback" in file.read_text("utf-8")


def test_a_wrong_manifest_is_the_courses_fault(here: MiniCourse, capsys: pytest.CaptureFixture[str]):
    here.write("curriculum/phases/01_one.toml", "[phase]\nnumber = \n")
    manifest.load.cache_clear()
    assert main(["list"]) == OUR_FAULT
    assert "01_one.toml" in capsys.readouterr().err


def test_results_are_shown_even_if_they_cannot_be_remembered(
    here: MiniCourse, capsys: pytest.CaptureFixture[str]
):
    here.solve("utils/scale")
    here.write(".curriculum", "a file where the folder should be")
    assert main(["check", "scale"]) == PASSED
    said = capsys.readouterr().out
    assert "2 of 2" in said
    assert "this result is not remembered" in said


def test_the_parent_of_check_stays_light(clone: Path):
    code = (
        "import sys; from curriculum.cli import main; code = main(['check', 'scale', 'IMPL=solutions'])\n"
        "heavy = {'numpy', 'pytest', 'hypothesis', 'matplotlib', 'watchfiles', 'pooch', 'pygments'}\n"
        "print(sorted(heavy & set(sys.modules)), code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=clone, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[] 0", done.stdout + done.stderr


def test_a_file_of_the_learners_in_the_root_stands_in_for_nothing(clone: Path):
    for name in ("numpy", "rich", "typing", "random", "pytest", "tomllib", "json", "multiprocessing"):
        (clone / f"{name}.py").write_text("raise SystemExit('imported the file in the root')\n", "utf-8")
    done = run(clone, "check", "scale", "IMPL=solutions")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_without_our_letters_is_no_reason_to_fail(clone: Path):
    done = run(clone, "check", "scale", "IMPL=solutions", PYTHONIOENCODING="cp1252")
    assert done.returncode == 0
    assert "+ 2 of 2" in done.stdout


def test_a_closed_pipe_is_no_error(clone: Path):
    for verb in ("list", "help"):
        command = [sys.executable, "-m", "curriculum", verb]
        process = subprocess.Popen(command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout
        process.stdout.close()
        assert process.communicate()[1] == b""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_everything_with_one_line(clone: Path):
    begun = clone / "begun"
    loop = f"open({str(begun)!r}, 'w').close()\nwhile True:\n    pass\n"
    (clone / "utils/scale.py").write_text(loop, "utf-8")
    command = [sys.executable, "-m", "curriculum", "check", "scale"]
    process = subprocess.Popen(
        command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not begun.exists():
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (STOPPED, "", "stopped\n")


# --- make test --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["", "types", "verify"])
def test_make_test_says_what_failed_and_counts_at_the_end(
    broken: str, here: MiniCourse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from curriculum import upkeep, verify

    asked = []

    def tool(words: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(" ".join(words[2:]))
        return subprocess.CompletedProcess(
            words, int("mypy" in words and broken == "types"), b"what it said\n", b""
        )

    def proofs(*_: object) -> list[verify.Proof]:
        findings = ["the mutant 'a sign' survives"] if broken == "verify" else []
        return [verify.Proof("utils/scale", tests=3, variants=9), verify.Proof("utils/area", findings)]

    monkeypatch.setattr(upkeep.subprocess, "run", tool)
    monkeypatch.setattr(verify, "verify", proofs)
    monkeypatch.setattr(verify, "strays", lambda course: [])
    assert main(["test"]) == (FAILED if broken else PASSED)
    rows = capsys.readouterr().out.splitlines()
    suites = [f"pytest tests/{name} -q -n 2" for name in ("engine", "applications")]
    assert asked == ["ruff check .", "ruff format --check .", "mypy", *suites]
    assert rows[-1] == f"12 passed, {int(broken == 'verify')} failed"
    assert rows[-2] == (f"failed: {broken}" if broken else "everything that must hold holds")
    assert ("  utils/area: the mutant 'a sign' survives" in rows) == (broken == "verify")
