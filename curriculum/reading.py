"""CURRICULUM.md, made from the manifest: the course as a page to read.

`make curriculum-md` writes it; a test fails when it is not what the manifest makes. Only the advice below is
written here, everything about phases and modules stands in ``phases/*.toml``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from curriculum.manifest import Course, Module, Phase
from curriculum.store import write_file

INTRODUCTION = """\
<!-- Made by `make curriculum-md` from curriculum/phases/. Edit those. -->

# Curriculum

Machine learning from the first derivative to networks that write, draw and act, each piece built by you in
NumPy and checked within a second.

## How to use it

1. Go through the phases in order: each stands on the ones before it. `make next` knows what is open to you.
2. Do the modules with a star (★) first. The others can wait until you want them.
3. Read a module's lesson, fill in the blanks of its file, and save: `make watch` grades it at once.
4. End each phase with its milestone, a training run on real data.
5. Plan 10 to 15 hours a week. The starred path takes half a year and some patience; nobody is counting.

A phase or module marked *planned* is not built yet: it shows where the course is going.
"""

ADVICE = """\
## Habits that pay

- Write the smallest version first, and prove it on an input that you can compute by hand.
- Check every derivative you write by finite differences, before anything is trained with it.
- Draw what you can: losses, gradients by layer, activations, samples.
- Read the paper once you have your own version. It will be a different paper.

## What goes wrong most often

- **The loss is `nan` or `inf`.** An exponential or logarithm of something large: subtract the maximum, stay
  with logarithms.
- **A shape is wrong, or the loss falls too slowly for no reason.** Two arrays broadcast that should have been
  equal: print both shapes.
- **Gradients grow from step to step.** They add up: call `zero_grad()` before each `backward()`.
- **A deep network does not learn at all.** Its first weights: signals die or explode when their variance is
  wrong.
- **Training succeeds, the test score does not.** Test data leaked into scaling or selection, or dropout and
  batch statistics are in the wrong mode.

## When you are stuck

1. Make the failing case smaller until it fits on a sheet of paper: one example, two features.
2. Go through it line by line and write the shape beside each.
3. Take a hint: `make hint MODULE=...`, four rungs from a question to pseudocode.
4. Compare with a library you trust on the same numbers.
5. Read the lesson's source again, at the section it names. Then sleep on it.
"""


def curriculum_md(course: Course) -> str:
    """The text of CURRICULUM.md."""
    parts = [INTRODUCTION, _time(course), *(_phase(course, phase) for phase in course.phases), ADVICE]
    return "\n".join(parts)


def write(course: Course) -> None:
    """Write CURRICULUM.md.

    Raises:
        StoreError: it cannot be written.
    """
    write_file(course.root / "CURRICULUM.md", curriculum_md(course).encode(), course.root)


def _time(course: Course) -> str:
    """What to plan for: a row a phase, and their sum."""
    rows: list[tuple[object, ...]] = []
    for phase in course.phases:
        stars = sum(m.core for m in phase.modules)
        title = f"[{phase.title}](#{_anchor(phase)})" + ("" if _built(phase) else " *(planned)*")
        coding = sum(m.minutes for m in phase.modules) / 60
        rows.append(
            (phase.number, title, phase.weeks, len(phase.modules), stars or "", f"{coding:.0f}", phase.hours)
        )
    modules = [m for phase in course.phases for m in phase.modules]
    low, high = (sum(_hours(phase)[end] for phase in course.phases) for end in (0, 1))
    coding, stars = sum(m.minutes for m in modules) / 60, sum(m.core for m in modules)
    rows.append(("", "**Total**", "", len(modules), stars, f"{coding:.0f}", f"{low}-{high}"))
    head = ("", "Phase", "Weeks", "Modules", "★", "Hours of coding", "Hours with reading")
    return "## Time to plan for\n\n" + _table(head, rows, right="Modules ★ Hours")


def _phase(course: Course, phase: Phase) -> str:
    """One phase: what it is for, its modules, how they depend on each other, reading and milestones."""
    lines = [f"## {_heading(phase)}", ""]
    marks = [f"Week{'' if phase.weeks.isdigit() else 's'} {phase.weeks}", f"{phase.hours} hours"]
    marks += ["critical"] if phase.critical else []
    marks += [] if _built(phase) else ["*planned*"]
    lines += [f"**{' · '.join(marks)}.** {phase.summary}", ""]
    rows = [_row(course, module, phase) for module in phase.modules]
    lines += [
        _table(("", "Module", "File", "Week", "Difficulty", "Minutes", "What it is"), rows, right="Minutes")
    ]
    if _built(phase):
        lines += ["What builds on what:", "", "```mermaid", *_graph(course, phase), "```", ""]
    again = [course.module(path) for path in phase.again]
    lines += _list("Graded here again", (f"[{m.title}]({m.path}.py), of phase {m.phase}" for m in again))
    lines += _list("Reading", (f"[{r.title}]({r.url})" if r.url else r.title for r in phase.reading))
    lines += _list(
        "Milestone" if len(phase.milestones) == 1 else "Milestones",
        (f"**{m.title}**: {m.goal}." for m in phase.milestones),
    )
    return "\n".join(lines)


def _row(course: Course, module: Module, phase: Phase) -> tuple[object, ...]:
    file = f"{module.path}.py"
    star = "★" if module.core else ""
    if module.planned:
        title = module.title + (" *(planned)*" if _built(phase) else "")
        link = f"`{file}`"
    else:
        lesson = course.lesson_file(module).relative_to(course.root).as_posix()
        title, link = f"[{module.title}]({lesson})", f"[`{file}`]({file})"
    return star, title, link, module.week, module.difficulty, module.minutes, module.summary


def _graph(course: Course, phase: Phase) -> Iterator[str]:
    """The phase's modules and what they need, as Mermaid; an arrow that others imply is left out."""
    everything = {m.path: m for p in course.phases for m in p.modules}
    needs = {m.path: _direct(m, everything) for m in phase.modules}
    inside = list(needs)
    outside = sorted({n for direct in needs.values() for n in direct if n not in needs})
    ids = {path: f"m{i}" for i, path in enumerate([*inside, *outside])}
    yield "graph LR"
    for path in inside:
        yield f'    {ids[path]}["{_leaf(path, ids)}"]'
    for path in outside:
        yield f'    {ids[path]}(["{_leaf(path, ids)}"]):::before'
    for path, direct in needs.items():
        for need in direct:
            yield f"    {ids[need]} --> {ids[path]}"
    if outside:
        yield "    classDef before stroke-dasharray: 4 3"


def _direct(module: Module, everything: dict[str, Module]) -> list[str]:
    """The needs of ``module`` that none of its other needs already needs."""
    implied = {path for need in module.needs for path in _all_needs(everything[need], everything)}
    return [need for need in module.needs if need not in implied]


def _all_needs(module: Module, everything: dict[str, Module]) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        new = [need for need in waiting.pop().needs if need not in found]
        found.update(new)
        waiting += [everything[need] for need in new]
    return found


def _leaf(path: str, among: Iterable[str]) -> str:
    """The last part of ``path``; more of it where that names two modules."""
    leaf = path.rpartition("/")[2]
    return leaf if sum(other.rpartition("/")[2] == leaf for other in among) == 1 else path


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]], right: str = "") -> str:
    """A Markdown table; columns whose title begins with a word of ``right`` are aligned to the right."""
    rules = ["---:" if title and title.split()[0] in right.split() else "---" for title in head]
    lines = [_cells(head), _cells(rules), *(_cells(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _cells(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _list(title: str, items: Iterable[str]) -> list[str]:
    lines = [f"- {item}" for item in items]
    return [f"**{title}**", "", *lines, ""] if lines else []


def _built(phase: Phase) -> bool:
    return any(not m.planned for m in phase.modules)


def _heading(phase: Phase) -> str:
    return f"Phase {phase.number}: {phase.title}"


def _anchor(phase: Phase) -> str:
    """The fragment that GitHub makes of the phase's heading."""
    kept = (c for c in _heading(phase).lower() if c.isalnum() or c in " -_")
    return "".join(kept).replace(" ", "-")


def _hours(phase: Phase) -> tuple[int, int]:
    """The least and the most of "20-30"; of "40+" the same number twice."""
    low, _, high = phase.hours.rstrip("+").partition("-")
    return int(low), int(high or low)
