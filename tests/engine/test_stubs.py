"""A stub keeps everything but the bodies that the manifest names."""

from __future__ import annotations

import ast

import pytest

from curriculum.manifest import CourseError
from curriculum.stubs import functions, make_stub, replace_bodies, stub_of

SOURCE = '''"""A module.

With a formula.
"""

from math import (
    exp,
    pi,
)

LIMIT = 3  # kept


def plain(x: float, *, y: float = 0.0) -> float:
    """Return something.

    Args:
        x: a number.
    """
    # a remark that gives it away
    if x:
        return exp(x)
    return y


def without_docstring(x): \\
        # strange
    return x


@property
def decorated(x):
    """Doc."""

    return pi


def helper(x):
    return x + LIMIT


class Outer:
    """A class."""

    size = 2

    def method(self, x):
        """Doc."""
        def inner(y):
            return y
        return inner(x)

    class Inner:
        async def method(self):
            return 1


def last(): return helper(1)
'''


def bodies(source: str) -> dict[str, str]:
    return {dotted: ast.unparse(node) for node, dotted in functions(ast.parse(source))}


def todo(i: int, n: int, blank: str) -> str:
    return f"raise NotImplementedError('mod: TODO {i} of {n}, {blank}')"


def test_the_named_bodies_are_blanked_and_nothing_else():
    blanks = ("plain", "without_docstring", "decorated", "Outer.method", "Outer.Inner.method")
    before, after = bodies(SOURCE), bodies(make_stub(SOURCE, "mod", blanks))
    assert list(before) == list(after)
    for i, blank in enumerate(blanks, 1):
        assert after[blank].endswith(todo(i, 5, blank))
        assert "return" not in after[blank].replace("Return", "")
    assert {k: v for k, v in before.items() if k not in blanks} == {
        k: v for k, v in after.items() if k not in blanks
    }


def test_text_outside_the_blanks_is_kept_to_the_letter():
    stub = make_stub(SOURCE, "mod", ("plain",))
    head, _, tail = SOURCE.partition("    # a remark")
    assert stub.startswith(head + '    raise NotImplementedError("mod: TODO 1 of 1, plain")\n')
    assert stub.endswith(tail[tail.index("\n\n\ndef without_docstring") :])


def test_a_multiline_docstring_stays():
    stub = make_stub(SOURCE, "mod", ("plain",))
    assert ast.get_docstring(ast.parse(stub).body[3]) == "Return something.\n\nArgs:\n    x: a number."


def test_the_number_follows_the_manifest_not_the_file():
    stub = make_stub(SOURCE, "mod", ("decorated", "plain"))
    assert "TODO 2 of 2, plain" in stub.partition("def decorated")[0]


def test_calling_a_blank_says_which_one_it_is():
    namespace: dict = {}
    exec(make_stub(SOURCE, "nn_core.conv", ("helper",)), namespace)
    with pytest.raises(NotImplementedError, match=r"nn_core\.conv: TODO 1 of 1, helper"):
        namespace["helper"](1)


def test_a_function_that_is_not_there_is_an_error():
    with pytest.raises(CourseError, match=r"mod has no function named Outer\.gone, gone"):
        make_stub(SOURCE, "mod", ("plain", "Outer.gone", "gone"))


def test_a_body_on_the_line_of_its_def_is_an_error():
    with pytest.raises(CourseError, match="mod: give last a body on lines of its own"):
        make_stub(SOURCE, "mod", ("last",))


def test_a_nested_function_is_no_blank():
    with pytest.raises(CourseError, match="no function named inner"):
        make_stub(SOURCE, "mod", ("inner",))


def test_other_bodies_can_be_put_in():
    namespace: dict = {}
    exec(replace_bodies(SOURCE, "mod", {"helper": "return 7"}), namespace)
    assert namespace["last"]() == 7


def test_the_stub_of_a_module_comes_from_its_solution(mini):
    course = mini.course
    module = course.module("scale")
    assert stub_of(course, module) == course.workspace_file(module).read_text()
    assert "utils.scale: TODO 2 of 2, halve" in stub_of(course, module)
    course.solution_file(module).unlink()
    with pytest.raises(CourseError, match="utils/scale: no solution at"):
        stub_of(course, module)
