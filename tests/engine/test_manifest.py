"""The course as data: read once, validated once, and asked by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from curriculum import manifest
from curriculum.manifest import CourseError, UnknownName
from tests.engine.minicourse import MiniCourse

ENTRY = {
    "path": "utils/scale",
    "title": "Scale",
    "summary": "s",
    "week": 1,
    "difficulty": "easy",
    "minutes": 5,
    "needs": [],
    "blanks": ["double"],
    "hints": ["a", "b", "c", "d"],
    "sources": ["x"],
}


def course_of(root: Path, *entries: dict) -> manifest.Course:
    return MiniCourse(root, [ENTRY | entry for entry in entries]).course


def test_paths_follow_from_the_path_of_the_module(mini):
    course = mini.course
    module = course.modules[0]
    assert (module.name, module.suite) == ("utils.scale", "tests/utils/test_scale.py")
    files = (
        course.workspace_file(module),
        course.solution_file(module),
        course.suite_file(module),
        course.mutants_file(module),
        course.lesson_file(module),
    )
    assert [f.relative_to(course.root).as_posix() for f in files] == [
        "utils/scale.py",
        "solutions/utils/scale.py",
        "tests/utils/test_scale.py",
        "tests/utils/scale.mutants.toml",
        "curriculum/lessons/utils/scale.md",
    ]
    assert course.packages == {"utils"}


@pytest.mark.parametrize(
    "text",
    [
        "utils/scale",
        "utils/scale.py",
        "utils.scale",
        "utils\\scale.py",
        "scale",
        " scale ",
        "/utils/scale/",
    ],
)
def test_a_module_is_found_by_any_reasonable_name(mini, text):
    assert mini.course.module(text).path == "utils/scale"


def test_an_unknown_name_suggests_the_nearest(mini):
    with pytest.raises(UnknownName, match=r"there is no module 'scael': did you mean utils/scale\?"):
        mini.course.module("scael")
    with pytest.raises(UnknownName, match=r"there is no module 'zzz': `make list` shows them all"):
        mini.course.module("zzz")


def test_the_name_of_a_function_leads_to_its_module(mini):
    with pytest.raises(UnknownName, match=r"there is no module 'halve': halve is in utils/scale$"):
        mini.course.module("halve")


def test_the_name_of_a_class_or_method_leads_to_its_module(tmp_path):
    blanks = ["Module.train", "Module.forward"]
    course = course_of(tmp_path, {"path": "a/one", "blanks": blanks}, {"path": "a/two", "blanks": blanks[:1]})
    for name in ("Module", "Module.train"):
        with pytest.raises(UnknownName, match=rf"'{name}': {name} is in a/one and in a/two$"):
            course.module(name)
    with pytest.raises(UnknownName, match=r"'train': `make list` shows them all"):
        course.module("train")


def test_an_ambiguous_end_names_all_that_fit(tmp_path):
    course = course_of(tmp_path, {"path": "a/one"}, {"path": "b/one"}, {"path": "b/none"})
    with pytest.raises(UnknownName, match=r"'one' could be a/one, b/one: give more of the path"):
        course.module("one")
    assert course.module("b/one").path == "b/one"


def test_a_planned_module_is_listed_but_never_graded(tmp_path):
    course = course_of(tmp_path, {}, {"path": "utils/later", "planned": True, "blanks": [], "hints": []})
    assert [m.path for m in course.modules] == ["utils/scale"]
    assert [m.path for m in course.phases[0].modules] == ["utils/scale", "utils/later"]
    with pytest.raises(UnknownName, match="utils/later is planned for phase 1 but not built yet"):
        course.module("later")


def test_a_phase_is_found_by_number(mini):
    course = mini.course
    assert course.phase(1) is course.phase(" 1 ") is course.phases[0]
    with pytest.raises(UnknownName, match="there is no phase 7: the course has phases 1 to 1"):
        course.phase("7")


def test_prerequisites_come_nearest_first_and_once(tmp_path):
    course = course_of(
        tmp_path,
        {"path": "u/a"},
        {"path": "u/b", "needs": ["u/a"]},
        {"path": "u/c", "needs": ["u/a"]},
        {"path": "u/d", "needs": ["u/c", "u/b"]},
    )
    assert [m.path for m in course.prerequisites(course.module("d"))] == ["u/c", "u/b", "u/a"]
    assert course.prerequisites(course.module("a")) == []


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{}, {}], "utils/scale: listed twice"),
        ([{"difficulty": "brutal"}], r"utils/scale: difficulty must be one of .*, got 'brutal'"),
        ([{"needs": ["utils/gone"]}], "utils/scale: needs 'utils/gone', which is not in the course"),
        ([{"hints": ["one"]}], r"utils/scale: has 1 hints, expected 4 \(nudge, idea, formula, pseudocode\)"),
        ([{"blanks": []}], "utils/scale: has no blanks"),
        (
            [{"path": "u/a", "needs": ["u/b"]}, {"path": "u/b", "needs": ["u/a"]}],
            r"needs form a cycle among \['u/a', 'u/b'\]",
        ),
        ([{"needs": ["utils/scale"]}], r"needs form a cycle among \['utils/scale'\]"),
        ([{"colour": "red"}], r"01_one.toml: utils/scale: unknown keys \['colour'\]"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_reason(tmp_path, entries, message):
    with pytest.raises(CourseError, match=message):
        course_of(tmp_path, *entries)


@pytest.mark.parametrize("text", ["[phase", "[phase]\nnumber = 1\n", "x = 1\n", '[[module]]\npath = "a/b"\n'])
def test_a_broken_file_is_named(tmp_path, text):
    file = tmp_path / "curriculum" / "phases" / "01_one.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(CourseError, match=r"01_one\.toml: "):
        manifest.load(tmp_path)


def test_no_course_is_named_too(tmp_path):
    with pytest.raises(CourseError, match=r"no phases/\*\.toml below"):
        manifest.load(tmp_path)


def test_the_root_can_be_chosen_from_outside(mini, monkeypatch):
    root = mini.course.root
    monkeypatch.setenv("CURRICULUM_ROOT", str(root))
    manifest.load.cache_clear()
    try:
        assert manifest.load().root == root
    finally:
        manifest.load.cache_clear()


def test_the_real_course_is_sound():
    course = manifest.load(Path(manifest.__file__).parents[1])
    assert course.modules
    assert len({m.path for m in course.modules}) == len(course.modules)
    for module in course.modules:
        assert all(need.planned is False for need in course.prerequisites(module))
