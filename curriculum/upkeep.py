"""The verbs that change files or prove the course right: each a few lines around the module that does it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time

from curriculum.cli import FAILED, PASSED, Request, UsageError
from curriculum.manifest import Course

# --- files ------------------------------------------------------------------------------------------------


def stubs(course: Course, request: Request) -> int:
    """``make stubs``: what the solutions make of the workspace files. Work of a learner's is refused."""
    from curriculum import swap

    modules = request.chosen(course)
    done = swap.write_stubs(course, modules, force=request.on("FORCE"))
    _tell([*done.written, *done.refused])
    refused = f", {len(done.refused)} left alone" if done.refused else ""
    print(f"{len(modules)} stubs: {len(done.written)} written{refused}")
    return FAILED if done.refused else PASSED


def swap(course: Course, request: Request) -> int:
    """``make swap``: solutions into the workspace."""
    from curriculum import swap

    return _tell(swap.swap(course, request.chosen(course)))


def unswap(course: Course, request: Request) -> int:
    """``make unswap``: everybody's own files back."""
    from curriculum import swap

    return _tell(swap.unswap(course))


def reset(course: Course, request: Request) -> int:
    """``make reset``: one file back to the stub, the work in it kept as a backup."""
    from curriculum import swap

    return _tell(swap.reset(course, request.one(course)))


def reference_branch(course: Course, request: Request) -> int:
    """``make reference-branch``: the branch whose workspace holds the solutions."""
    from curriculum import reference

    return _tell(reference.build(course, request.get("NAME", "reference")))


def _tell(sentences: list[str]) -> int:
    for sentence in sentences:
        print(sentence)
    return PASSED


# --- runs -------------------------------------------------------------------------------------------------


def milestone(course: Course, request: Request) -> int:
    """``make milestone``: the training run that ends a phase, by default on the learner's own stack."""
    from curriculum import milestone

    if not request.on("PHASE"):
        phases = ", ".join(str(p.number) for p in course.phases if any(m.script for m in p.milestones))
        raise UsageError(f"milestone needs a phase, one of {phases or 'none yet'}: make milestone PHASE=1")
    stack = "solutions" if request.get("IMPL") == "solutions" else request.get("STACK", "mine")
    arguments = shlex.split(request.get("ARGS"))
    arguments += ["--width", request.get("WIDTH")] if request.on("WIDTH") else []
    arguments += ["--fresh"] if request.on("FRESH") else []
    return milestone.run(
        course, request.get("PHASE"), stack=stack, name=request.get("NAME"), arguments=arguments
    )


def lab(course: Course, request: Request) -> int:
    """``make lab``: the list of experiments, or one of them, by default on the reference stack."""
    from curriculum import labs, report

    if request.on("NAME"):
        arguments = shlex.split(request.get("ARGS"))
        return labs.run(
            course, request.get("NAME"), stack=request.get("STACK", "reference"), arguments=arguments
        )
    screen = report.console()
    report.say(screen, "Each asks one question: ", ("make lab NAME=...", report.COMMAND))
    for name in labs.names(course):
        report.say(screen, (name, "bold"), indent=2)
        report.say(screen, labs.question(course, name), indent=6)
    return PASSED


def energy(course: Course, request: Request) -> int:
    """``make energy``: the energy simulator, by default on the reference stack."""
    return _application(course, request, "experiments.energy.app", [])


def neuroscope(course: Course, request: Request) -> int:
    """``make neuroscope``: NeuroScope, by default on the reference stack; NAME is a ready-made run."""
    preset = ["--preset", request.get("NAME")] if request.on("NAME") else []
    return _application(course, request, "experiments.neuroscope.app", preset)


def _application(course: Course, request: Request, script: str, arguments: list[str]) -> int:
    from curriculum import milestone

    arguments = [*arguments, *shlex.split(request.get("ARGS"))]
    return milestone.run_script(course, script, request.get("STACK", "reference"), arguments)


# --- proofs -----------------------------------------------------------------------------------------------


def verify(course: Course, request: Request) -> int:
    """``make verify``: the proof that modules are right."""
    from curriculum import verify

    return verify.main([] if request.everything else [m.path for m in request.chosen(course)])


def test(course: Course, request: Request) -> int:
    """``make test``: lint, types, the tests of engine and applications, and the proof of every module.

    The last line is ``N passed, N failed``: suites' tests and wrong variants refused, against findings.
    """
    python, workers = [sys.executable, "-m"], ["-n", "2"]
    steps = {
        "lint": [*python, "ruff", "check", "."],
        "format": [*python, "ruff", "format", "--check", "."],
        "types": [*python, "mypy"],
        "engine": [*python, "pytest", "tests/engine", "-q", *workers, *shlex.split(request.get("ARGS"))],
        "programs": [*python, "pytest", "tests/applications", "-q", *workers],
    }
    failed = [name for name, words in steps.items() if not _step(course, name, words)]
    began, passed, findings = time.monotonic(), 0, 0

    from curriculum import verify

    for proof in verify.verify(course, course.modules):
        passed += proof.tests + proof.variants if proof.holds else 0
        findings += len(proof.findings)
        for sentence in proof.findings:
            print(f"  {proof.module}: {sentence}", flush=True)
    for sentence in (lost := list(verify.strays(course))):
        print(f"  {sentence}")
    findings += len(lost)
    if findings:
        failed.append("verify")
    print(f"{len(course.modules)} modules verified, {time.monotonic() - began:.0f} s")
    print(f"failed: {', '.join(failed)}" if failed else "everything that must hold holds")
    print(f"{passed} passed, {findings} failed")
    return FAILED if failed else PASSED


def _step(course: Course, name: str, words: list[str]) -> bool:
    """Run one tool; its output is shown where it fails, and what pytest counted always."""
    unwanted = ("MAKE", "PYTEST_", "CURRICULUM_", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    began = time.monotonic()
    print(f"{name:<9}", end="", flush=True)
    done = subprocess.run(words, cwd=course.root, env=environment, capture_output=True)
    output = (done.stderr + done.stdout).decode("utf-8", "replace").strip()
    verdict = "FAILED" if done.returncode else "passed"
    print(f"{verdict} {time.monotonic() - began:5.0f} s   {output.rpartition(chr(10))[2]}", flush=True)
    if done.returncode:
        print(output, flush=True)
    return done.returncode == 0


def bench(course: Course, request: Request) -> int:
    """``make bench``: the figures of benchmarks/README.md."""
    chosen = [request.get("NAME")] if request.on("NAME") else []
    words = [sys.executable, "-m", "benchmarks", *chosen, *shlex.split(request.get("ARGS"))]
    return subprocess.run(words, cwd=course.root).returncode


def curriculum_md(course: Course, request: Request) -> int:
    """``make curriculum-md``: CURRICULUM.md from the manifest."""
    from curriculum import reading

    reading.write(course)
    return _tell(["wrote CURRICULUM.md"])
