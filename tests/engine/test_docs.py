"""The documents are true: commands exist, links lead somewhere, versions agree, the picture is of today."""

from __future__ import annotations

import html
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from curriculum import cli, manifest, picture
from curriculum.manifest import Course

ROOT = Path(__file__).parents[2]
README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ONLY_MAKE = {"lint", "format"}  # targets that are no verbs


@pytest.fixture
def course() -> Course:
    return manifest.load(ROOT)


def published() -> list[Path]:
    """Every file that is part of the project: what git tracks, or would."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, encoding="utf-8").stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def pages() -> list[Path]:
    return [file for file in published() if file.suffix == ".md"]


def blocks(file: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", file.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def prose(file: Path) -> str:
    return re.sub(r"^```.*?^```", "", file.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def commands() -> Iterator[list[str]]:
    """The words of every command in the two documents, in blocks and in the text."""
    for file in (README, CONTRIBUTING):
        lines = [line for block in blocks(file, "sh") for line in block.splitlines()]
        lines += re.findall(r"`((?:make|python -m curriculum) [^`]+)`", prose(file))
        for line in lines:
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words:
                yield words


# commands


def test_every_command_is_one_that_the_course_understands(course: Course):
    new = next(
        word for words in commands() if words[:2] == ["make", "new"] for word in words if "MODULE" in word
    )
    understood = 0
    for words in commands():
        if words[0] == "make" and words[1] not in ONLY_MAKE:
            wanted = words[1:]
        elif words[1:3] == ["-m", "curriculum"] and words[3] != "VERB":
            wanted = words[3:]
        else:
            continue
        request = cli.parse(wanted)
        if new not in words:
            assert request.chosen(course), wanted
        understood += 1
    assert understood > 20


def test_every_verb_of_the_groups_is_told_to_its_people():
    told = {words[1] for words in commands() if words[0] == "make"}
    assert {v.name for v in cli.VERBS.values() if v.group == "teach"} <= told
    assert {"check", "watch", "next", "hint", "solution", "reset", "milestone", "progress", "list"} <= told


def test_files_named_in_commands_exist():
    for words in commands():
        for word in words:
            if "/" in word and word.endswith((".py", ".md", ".txt")) and "=" not in word:
                assert (ROOT / word).exists(), words


@pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="no bash")
def test_blocks_of_commands_are_shell():
    scripts = [block for file in pages() for block in blocks(file, "sh")]
    scripts.append((ROOT / ".ci" / "run").read_text("utf-8"))
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="no permission bits")
def test_continuous_integration_can_be_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


# links


def anchors(file: Path) -> set[str]:
    """What GitHub calls the headings of ``file``."""
    titles = re.findall(r"^#+ (.+)$", prose(file), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_links_lead_to_files_and_headings():
    for file in pages():
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(file)):
            path, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            there = (file.parent / path) if path else file
            assert there.exists(), f"{file.name} links to {target}"
            if anchor and there.suffix == ".md":
                assert anchor in anchors(there), f"{file.name} links to {target}"


# versions


def requirements(name: str) -> dict[str, str]:
    """Package -> the version it is pinned to."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return dict(pairs)


def test_the_pinned_versions_are_among_those_supported():
    project = PYPROJECT["project"]
    needed = [Requirement(r) for r in project["dependencies"] + project["optional-dependencies"]["dev"]]
    pinned = requirements("requirements.txt")
    assert set(pinned) == {r.name for r in needed}
    for r in needed:
        assert r.specifier.contains(pinned[r.name]), f"{r.name} {pinned[r.name]} is not {r.specifier}"


def test_the_oldest_versions_are_the_lower_bounds():
    project = PYPROJECT["project"]
    needed = map(Requirement, project["dependencies"] + project["optional-dependencies"]["dev"])
    oldest = requirements("requirements-oldest.txt")
    for r in needed:
        assert Version(oldest[r.name]) == Version(str(r.specifier).removeprefix(">=")), r.name


def test_continuous_integration_begins_with_the_oldest_python():
    oldest = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text("utf-8")
    matrix = re.search(r"python: \[(.*)\]", text)[1].replace('"', "").split(", ")
    assert matrix[0] == oldest
    assert f"Python {oldest} or newer" in README.read_text("utf-8")
    assert f"Python {oldest} to {matrix[-1]}" in CONTRIBUTING.read_text("utf-8")


def test_actions_are_pinned_to_a_major_version():
    for file in (ROOT / ".github" / "workflows").glob("*.yml"):
        used = re.findall(r"uses: (\S+)", file.read_text("utf-8"))
        assert used
        assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", action) for action in used), used


# what is said about the course


def test_the_readme_says_which_phases_are_built(course: Course):
    text, states = README.read_text("utf-8"), {"built": [], "begun": []}
    for phase in course.phases:
        done = sum(not m.planned for m in phase.modules)
        if done:
            states["built" if done == len(phase.modules) else "begun"].append(f"{phase.number} {phase.title}")
    for state, phases in states.items():
        rows = re.findall(rf"^\| (.+) \| {state}", text, re.MULTILINE)
        assert rows == ([", ".join(phases)] if phases else [])


def test_the_architecture_names_every_file_of_the_engine():
    text = CONTRIBUTING.read_text("utf-8")
    engine = {f.name for f in (ROOT / "curriculum").glob("[a-z]*.py")}
    assert {name for name in engine if f"`{name}`" not in text} == set()
    assert {name for name in re.findall(r"`(\w+\.py)`", text) if name not in engine} <= {"gradient_check.py"}


def test_the_picture_shows_what_the_course_says_today(course: Course):
    screen = picture.session(course, course.module(picture.SUBJECT))
    expected = "".join(screen.export_text().split())
    svg = (ROOT / picture.FILE).read_text("utf-8")
    shown = "".join(re.findall(r"<text[^>]*clip-path[^>]*>(.*?)</text>", svg))
    assert "".join(html.unescape(shown).split()) == expected, "make picture draws it again"
    assert "gradient with respect to weight" in svg.replace("&#160;", " ")
    assert "http" not in re.sub(r'xmlns="\S+"|<!--.*?-->', "", svg), "nothing is fetched from elsewhere"


def test_the_licence_is_there():
    assert (ROOT / PYPROJECT["project"]["license"]["file"]).read_text("utf-8").startswith("MIT License")
    assert "[MIT licence](LICENSE)" in README.read_text("utf-8")


def test_no_file_knows_the_machine_it_was_written_on():
    private = re.compile(rb"(?<![\w.:/])/(?:home|root|work|Users|mnt|opt|private)/\w")
    for file in published():
        found = private.search(file.read_bytes()) if file.suffix != ".npz" else None
        assert not found, f"{file.relative_to(ROOT)}: {found[0] if found else b''!r}"
