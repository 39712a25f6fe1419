"""The proof that a module is right: its suite refuses everything that is wrong and accepts what is right.

every single test fails on the stub, with NotImplementedError       a test that cannot fail is an error
every test passes on the solution, twice
every mutant is killed, by an assertion that says something         the mistakes that people make
no test is content with a lazy answer                               zeros, ones, NaN, the input itself
no blank can be left out unnoticed
every code block of the lesson runs
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from dataclasses import replace as changed
from pathlib import Path

from curriculum import labs, manifest, runner
from curriculum.manifest import Course, CourseError, Module
from curriculum.results import Result
from curriculum.runner import Job
from curriculum.stubs import functions, stub_of

MUTANTS = 5  # at least
LESSON_LINES = 40  # at least
SECONDS = 2.0  # a suite on its solution, unless it says SECONDS = 5 because something must be trained
FORBIDDEN = ("solutions", "scipy", "torch", "sklearn", "tensorflow", "jax")
SKIPPING = ("skip", "skipif", "xfail", "importorskip")
KEYS = {"name", "find", "replace", "says"}


@dataclass
class Proof:
    """What verifying one module found. It holds if there are no ``findings``."""

    module: str
    findings: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tests: int = 0
    variants: int = 0  # wrong files that the suite was shown
    seconds: float = 0.0  # of the suite on the solution

    @property
    def holds(self) -> bool:
        return not self.findings


def verify(
    course: Course,
    modules: Iterable[Module],
    *,
    jobs: int = 2,
    on_proof: Callable[[Proof], object] | None = None,
    on_run: Callable[[int, int], object] | None = None,
) -> list[Proof]:
    """Verify ``modules``, ``jobs`` child processes at a time.

    Args:
        on_proof: called with each proof as soon as it is complete.
        on_run: called after each run of a suite with how many are done, and of how many.
    """
    proofs = {m.path: Proof(m.path, list(static(course, m))) for m in modules}
    with tempfile.TemporaryDirectory(prefix="curriculum-") as folder:
        plans = {p: _plan(course, course.module(p), Path(folder), proof) for p, proof in proofs.items()}
        missing = {path: len(plan) for path, plan in plans.items()}
        results: dict[str, dict[str, Result]] = {path: {} for path in plans}
        for path in [path for path, plan in plans.items() if not plan]:
            if on_proof:
                on_proof(proofs[path])
        everything = [job for plan in plans.values() for job in plan]
        if everything:
            runner.warm(course, [course.module(path) for path, plan in plans.items() if plan])
        for done, (job, result) in enumerate(runner.run(everything, jobs), 1):
            assert job is not None
            results[job.path][job.label] = result
            missing[job.path] -= 1
            if on_run:
                on_run(done, len(everything))
            if missing[job.path] == 0:
                _judge(course, course.module(job.path), results[job.path], proofs[job.path])
                if on_proof:
                    on_proof(proofs[job.path])
    return list(proofs.values())


# Without running anything.


def static(course: Course, module: Module) -> Iterator[str]:
    """What can be seen wrong in the files of ``module`` without running them."""
    if not course.solution_file(module).is_file():
        yield f"there is no solution at solutions/{module.path}.py"
        return
    try:
        ast.parse(course.solution_file(module).read_text("utf-8"))
    except SyntaxError as error:
        yield f"the solution is not valid Python: {error}"
        return
    if not all(h.strip() for h in module.hints):  # that they are 4, the manifest has made sure
        yield "has a hint that says nothing"
    if not module.sources:
        yield "names no sources"
    built = {m.path for m in course.modules}
    yield from (f"needs {need}, which is only planned" for need in module.needs if need not in built)
    yield from _check_stub(course, module)
    yield from _check_lesson(course, module)
    yield from _check_mutants(course, module)
    yield from _check_suite(course, module)


def _check_stub(course: Course, module: Module) -> Iterator[str]:
    try:
        stub = stub_of(course, module)
    except CourseError as error:
        yield str(error)
        return
    try:
        committed = course.workspace_file(module).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        yield f"the stub {module.path}.py cannot be read ({error}): python -m curriculum stubs"
        return
    if committed != stub and _in_git(course.root, f"{module.path}.py") != stub:
        yield f"{module.path}.py is not the stub of its solution: python -m curriculum stubs"


def _in_git(root: Path, path: str) -> str:
    """The committed text of ``path``: a learner's edited file is no fault of the course."""
    try:
        shown = subprocess.run(["git", "show", f"HEAD:./{path}"], cwd=root, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return shown.stdout.decode("utf-8", "replace")


def _check_lesson(course: Course, module: Module) -> Iterator[str]:
    file = course.lesson_file(module)
    if not file.is_file():
        yield f"there is no lesson at curriculum/lessons/{module.path}.md"
        return
    text = file.read_text("utf-8")
    if text.count("\n") < LESSON_LINES:
        yield f"the lesson has {text.count(chr(10))} lines, expected at least {LESSON_LINES}"
    for blank in module.blanks:
        owner, _, leaf = blank.rpartition(".")
        word = owner if leaf.startswith("__") else leaf
        if not re.search(rf"\b{re.escape(word)}\b", text):
            yield f"the lesson does not mention {blank}"


def _check_mutants(course: Course, module: Module) -> Iterator[str]:
    source = course.solution_file(module).read_text("utf-8")
    if not course.mutants_file(module).is_file():
        yield f"there are no mutants at {course.mutants_file(module).relative_to(course.root).as_posix()}"
        return
    try:
        mutants = read_mutants(course, module)
    except (tomllib.TOMLDecodeError, CourseError) as error:
        yield f"mutants: {error}"
        return
    if len(mutants) < MUTANTS:
        yield f"has {len(mutants)} mutants, expected at least {MUTANTS}"
    if len({m["name"] for m in mutants}) < len(mutants):
        yield "two mutants have the same name"
    for mutant in mutants:
        times = source.count(mutant["find"])
        if times != 1:
            yield f"mutant '{mutant['name']}': its 'find' occurs {times} times in the solution, expected once"
        elif mutant["find"] == mutant["replace"]:
            yield f"mutant '{mutant['name']}' changes nothing"
        if not mutant["says"].strip():
            yield f"mutant '{mutant['name']}' says nothing"


def read_mutants(course: Course, module: Module) -> list[dict[str, str]]:
    """The mutants of ``module``: name, find, replace, says.

    Raises:
        CourseError: an entry lacks a key or has one too many.
    """
    mutants = tomllib.loads(course.mutants_file(module).read_text("utf-8")).get("mutant", [])
    for mutant in mutants:
        if set(mutant) != KEYS:
            raise CourseError(
                f"'{mutant.get('name')}' has the keys {sorted(mutant)}, expected {sorted(KEYS)}"
            )
    return mutants


def _check_suite(course: Course, module: Module) -> Iterator[str]:
    if not course.suite_file(module).is_file():
        yield f"there is no suite at {module.suite}"
        return
    try:
        tree = ast.parse(course.suite_file(module).read_text("utf-8"))
    except SyntaxError as error:
        yield f"{module.suite} is not valid Python: {error}"
        return
    for node in ast.walk(tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name in SKIPPING:
            yield f"{module.suite}:{node.lineno} uses {name}: a test that is not run proves nothing"  # type: ignore[attr-defined]
        imported = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        imported += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for module_name in imported:
            if module_name.partition(".")[0] in FORBIDDEN:
                yield f"{module.suite} imports {module_name}: a suite is its own oracle"
    asserting = _asserting(tree)
    for function, dotted in functions(tree):
        if function.name.startswith("test") and dotted not in asserting:
            yield f"{module.suite}:{function.lineno} {function.name} asserts nothing"


def _asserting(tree: ast.Module) -> set[str]:
    """Functions that assert something, themselves or through another function of the same file."""
    calls: dict[str, set[str]] = {}
    found: set[str] = set()
    for function, dotted in functions(tree):
        called = {ast.unparse(n.func) for n in ast.walk(function) if isinstance(n, ast.Call)}
        calls[dotted] = called
        if any(isinstance(n, ast.Assert) for n in ast.walk(function)) or any(
            c.startswith(("expect.", "statistics.", "pytest.raises", "np.testing."))
            or c.endswith("gradcheck")
            for c in called
        ):
            found.add(dotted)
    while more := {f for f, called in calls.items() if f not in found and called & found}:
        found |= more
    return found


def strays(course: Course) -> Iterator[str]:
    """Files in the course's trees that belong to no module, and packages that say something on import."""
    everything = course.modules
    known = {course.solution_file(m) for m in everything} | {course.workspace_file(m) for m in everything}
    known |= {course.suite_file(m) for m in everything} | {course.mutants_file(m) for m in everything}
    known |= {course.lesson_file(m) for m in everything} | {labs.page(course, n) for n in labs.names(course)}
    trees = [course.root / p for p in course.packages]
    trees += [course.root / "solutions", course.root / "tests", course.root / "curriculum" / "lessons"]
    for file in sorted(f for tree in trees for f in tree.rglob("*") if f.is_file()):
        path = file.relative_to(course.root)
        if "__pycache__" in path.parts or path.parts[:2] in (("tests", "engine"), ("tests", "applications")):
            continue
        if file.name == "__init__.py" and path.parts[0] not in ("tests", "curriculum"):
            if file.stat().st_size:
                yield f"{path.as_posix()} is not empty: an import says where the code lives"
        elif file not in known:
            yield f"{path.as_posix()} belongs to no module of the course"


# By running the suite.


def _plan(course: Course, module: Module, folder: Path, proof: Proof) -> list[Job]:
    """Everything that the suite of ``module`` is to be shown. Nothing if the files are not there."""
    if not course.suite_file(module).is_file() or not course.solution_file(module).is_file():
        return []
    try:
        stub = stub_of(course, module)
    except (CourseError, SyntaxError):
        return []
    from curriculum import lazy  # needs NumPy

    solution = runner.job(course, module, course.solution_file(module), "reference", "solutions")
    plan = [changed(solution, label="solution"), changed(solution, label="solution again")]
    source = course.solution_file(module).read_text("utf-8")

    def show(label: str, text: str, until_killed: bool = False) -> None:
        file = folder / module.path / str(len(plan)) / f"{module.path.rpartition('/')[2]}.py"
        file.parent.mkdir(parents=True)
        file.write_text(text, "utf-8")
        job = runner.job(course, module, file, "variant", "reference", replace={module.name: file})
        shown = f"{module.path}.py"
        plan.append(changed(job, shown=shown, label=label, until_killed=until_killed, shrink=False))

    show("stub", stub)
    try:
        for mutant in read_mutants(course, module):
            if source.count(mutant["find"]) == 1:
                show(f"mutant {mutant['name']}", source.replace(mutant["find"], mutant["replace"]), True)
    except (OSError, tomllib.TOMLDecodeError, CourseError):
        pass  # `static` has said so
    for kind, text in lazy.variants(source, module.name, module.blanks):
        show(f"lazy {kind}", text)
    for label, text in lazy.constructors(source, module.name, module.blanks):
        show(label, text)
    for blank in module.blanks:
        show(f"without {blank}", lazy.single(source, module.name, blank), True)
    proof.variants = len(plan) - 2
    if course.lesson_file(module).is_file():
        plan.append(changed(solution, label="lesson", lesson=str(course.lesson_file(module))))
    return plan


def _judge(course: Course, module: Module, results: dict[str, Result], proof: Proof) -> None:
    """Add to ``proof`` what the ``results`` show."""
    first, second = results["solution"], results["solution again"]
    proof.tests = first.total
    proof.seconds = min(sum(t.seconds for t in r.tests) for r in (first, second))
    proof.findings += [*_judge_solution(first), *_judge_stub(results["stub"])]
    if [(t.name, t.outcome) for t in first.tests] != [(t.name, t.outcome) for t in second.tests]:
        proof.findings.append("two runs on the solution give different results")
    built = _passed(results.get("only constructors"))  # tests that call nothing else: not for lazy answers
    idle = built & _passed(results.get("idle constructors"))
    if idle:
        proof.findings.append(f"content with constructors that do nothing: {_some(sorted(idle))}")
    limit = _seconds(course, module)
    if proof.seconds > limit:
        sentence = f"takes {proof.seconds:.1f} s on the solution, expected under {limit:g} s"
        (proof.findings if proof.seconds > 2 * limit else proof.warnings).append(sentence)
    for label, result in results.items():
        kind, _, name = label.partition(" ")
        if kind == "mutant":
            proof.findings += _judge_mutant(name, result)
        elif kind == "lazy":
            passed = sorted(_passed(result) - built)
            if passed:
                proof.findings.append(f"content with {LAZY_WORDS[name]}: {_some(passed)}")
            elif result.status == "broken" and result.total:
                proof.findings.append(f"does not survive {LAZY_WORDS[name]}: {result.problem}")
        elif kind == "without" and result.status == "passed":
            proof.findings.append(f"no test notices when {name} does nothing")
        elif kind == "lesson" and result.problem:
            proof.findings.append(f"lesson, line {result.line}: {result.problem}")


def _passed(result: Result | None) -> set[str]:
    return {t.name for t in result.tests if t.outcome == "passed"} if result else set()


LAZY_WORDS = {
    "zeros": "zeros",
    "ones": "ones",
    "nan": "NaN",
    "half": "0.5 everywhere",
    "empty": "empty results",
    "itself": "its own input as the result",
}


def _judge_solution(result: Result) -> Iterator[str]:
    if result.status == "broken":
        yield f"the solution cannot be graded: {result.problem}"
    for test in result.tests:
        if test.outcome != "passed":
            yield f"the solution fails {test.name}: {test.message}"
    for note in result.notes:
        yield f"the solution warns: {note}"


def _judge_stub(result: Result) -> Iterator[str]:
    if result.status == "broken":
        yield f"the stub cannot be graded: {result.problem}"
    passed = [t.name for t in result.tests if t.outcome == "passed"]
    if passed:
        yield f"passes on the stub, so it cannot fail: {_some(passed)}"
    for test in result.tests:
        if test.outcome == "failed":
            yield f"{test.name} fails on the stub without NotImplementedError: {test.error}: {test.message}"


def _judge_mutant(name: str, result: Result) -> Iterator[str]:
    failed = [t for t in result.tests if t.outcome == "failed"]
    if any(t.error == "AssertionError" and t.message and not t.message.startswith("assert ") for t in failed):
        return
    if failed:
        silent = any(t.error == "AssertionError" for t in failed)
        why = "by an assertion that says nothing" if silent else f"by {failed[0].error}, not by an assertion"
        yield f"mutant '{name}' is killed only {why}: {failed[0].name}: {failed[0].message}"
    elif result.status == "broken":
        yield f"mutant '{name}' is not killed by an assertion: {result.problem}"
    else:
        yield f"mutant '{name}' survives"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _seconds(course: Course, module: Module) -> float:
    found = re.search(r"^SECONDS = ([\d.]+)", course.suite_file(module).read_text("utf-8"), re.MULTILINE)
    return float(found[1]) if found else SECONDS


# For a person.


def main(names: list[str] | None = None, *, jobs: int = 2) -> int:
    """Verify the modules named (default: the whole course), print a line a module; 0 if everything holds."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    course = manifest.load()
    modules = [course.module(name) for name in names or ()] or list(course.modules)
    began, width = time.monotonic(), max((len(m.path) for m in modules), default=0)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        shown = bar.add_task("runs", total=None)

        def show(proof: Proof) -> None:
            verdict = f"{proof.tests} tests, {proof.variants} wrong variants refused, {proof.seconds:.1f} s"
            console.print(f"{proof.module:{width}}  {'✓ ' + verdict if proof.holds else '✗'}")
            for sentence in (*proof.findings, *(f"(warning) {w}" for w in proof.warnings)):
                console.print("    " + sentence.replace("\n", "\n    "))

        def count(done: int, total: int) -> None:
            bar.update(shown, completed=done, total=total)

        proofs = verify(course, modules, jobs=jobs, on_proof=show, on_run=count)
    lost = [] if names else list(strays(course))
    for sentence in lost:
        console.print(sentence)
    bad = sum(not p.holds for p in proofs)
    console.print(f"{len(proofs) - bad} of {len(proofs)} modules hold, {time.monotonic() - began:.0f} s")
    return 1 if bad or lost else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (CourseError, manifest.UnknownName) as error:
        sys.exit(str(error))
