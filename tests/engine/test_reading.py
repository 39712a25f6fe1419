"""CURRICULUM.md is what the manifest makes, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

from curriculum import manifest, reading
from tests.engine.minicourse import MiniCourse

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def course():
    return manifest.load(ROOT)


@pytest.fixture(scope="module")
def text(course):
    return reading.curriculum_md(course)


def test_curriculum_md_is_up_to_date(text):
    there = (ROOT / "CURRICULUM.md").read_text("utf-8")
    assert there == text, "CURRICULUM.md is not what the manifest makes: `make curriculum-md` writes it"


def test_every_module_has_its_row(course, text):
    for phase in course.phases:
        for module in phase.modules:
            assert text.count(f"`{module.path}.py`") == 1
            assert module.title in text
            assert module.summary in text


def test_links_to_files_lead_to_files(text):
    targets = re.findall(r"\]\((?!http|#)([^)]+)\)", text)
    assert [target for target in targets if not (ROOT / target).is_file()] == []


def test_links_to_phases_lead_to_their_headings(text):
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    links = re.findall(r"\]\(#([^)]+)\)", text)
    assert len(links) == 12
    assert set(links) <= set(anchors)


def test_the_weeks_of_a_phase_hold_its_modules(course):
    for phase in course.phases:
        first, _, last = phase.weeks.rstrip("+").partition("-")
        weeks = [module.week for module in phase.modules]
        assert weeks == sorted(weeks), f"phase {phase.number} is not in the order of its weeks"
        assert int(first) == weeks[0]
        assert phase.weeks.endswith("+") or int(last or first) == weeks[-1]


def test_a_module_needs_what_comes_before_its_phase_ends(course):
    phase_of = {module.path: phase.number for phase in course.phases for module in phase.modules}
    for path, number in phase_of.items():
        module = next(m for m in course.phase(number).modules if m.path == path)
        assert all(phase_of[need] <= number for need in module.needs), f"{path} needs a later phase"


def test_the_sum_of_the_hours_is_written_under_the_table(course, text):
    low = sum(int(phase.hours.rstrip("+").split("-")[0]) for phase in course.phases)
    high = sum(int(phase.hours.rstrip("+").split("-")[-1]) for phase in course.phases)
    [total] = [line for line in text.splitlines() if "**Total**" in line]
    assert total.endswith(f"| {low}-{high} |")


def test_the_graph_leaves_out_what_other_arrows_imply(tmp_path):
    mini = MiniCourse(tmp_path)
    source, suite = "def f():\n    return 1\n", "def test_f(): ...\n"
    mini.add("a/one", source, suite, ("f",))
    mini.add("a/two", source, suite, ("f",), needs=("a/one",))
    mini.add("b/two", source, suite, ("f",), needs=("a/two", "a/one"))
    course = mini.course
    graph = list(reading._graph(course, course.phases[0]))
    assert graph == [
        "graph LR",
        '    m0["one"]',
        '    m1["a/two"]',
        '    m2["b/two"]',
        "    m0 --> m1",
        "    m1 --> m2",
    ]


def test_write_makes_the_page(tmp_path):
    mini = MiniCourse(tmp_path)
    mini.add("a/one", "def f():\n    return 1\n", "def test_f(): ...\n", ("f",))
    reading.write(mini.course)
    page = (tmp_path / "CURRICULUM.md").read_bytes().decode()
    assert page == reading.curriculum_md(mini.course)
    assert "[a/one](curriculum/lessons/a/one.md) | [`a/one.py`](a/one.py)" in page
    assert page.count("\n# ") == 1
