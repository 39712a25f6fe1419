"""Solution -> stub: keep imports, signatures and docstrings, blank the bodies that the manifest names.

A solution carries no markers and reads like a library; the stub is a function of it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from curriculum.manifest import Course, CourseError, Module

Function = ast.FunctionDef | ast.AsyncFunctionDef


def stub_of(course: Course, module: Module) -> str:
    """The stub of ``module``, generated from its solution.

    Raises:
        CourseError: the solution is missing or lacks a function that the manifest names.
    """
    try:
        source = course.solution_file(module).read_text("utf-8")
    except FileNotFoundError:
        raise CourseError(f"{module.path}: no solution at {course.solution_file(module)}") from None
    return make_stub(source, module.name, module.blanks)


def make_stub(source: str, name: str, blanks: tuple[str, ...]) -> str:
    """``source`` with each function in ``blanks`` reduced to signature, docstring and a TODO.

    Args:
        source: Python text.
        name: dotted module name, for the message of the TODO.
        blanks: "function" or "Class.method", in the order in which a learner does them.

    Raises:
        CourseError: ``source`` has no such function, or defines it twice.
    """
    return replace_bodies(
        source,
        name,
        {
            b: f'raise NotImplementedError("{name}: TODO {i} of {len(blanks)}, {b}")'
            for i, b in enumerate(blanks, 1)
        },
    )


def replace_bodies(source: str, name: str, bodies: dict[str, str]) -> str:
    """``source`` with the body of each named function, docstring aside, replaced by one statement."""
    lines, todo = source.splitlines(), dict(bodies)
    for node, dotted in sorted(functions(ast.parse(source)), key=lambda pair: -pair[0].lineno):
        if dotted not in todo:  # bottom up, so that line numbers above stay valid
            continue
        documented = ast.get_docstring(node) is not None
        start = (node.body[0].end_lineno or 0) if documented else node.body[0].lineno - 1
        statement = " " * node.body[0].col_offset + todo.pop(dotted)
        if start < node.lineno:  # the body stands on the line of the `def`
            raise CourseError(f"{name}: give {dotted} a body on lines of its own")
        lines[start : node.end_lineno] = [statement]
    if todo:
        raise CourseError(f"{name} has no function named {', '.join(todo)}")
    return "\n".join(lines) + "\n"


def functions(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[Function, str]]:
    """Every function and method below ``tree`` with its dotted name."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node, prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
