"""Lazy answers: what a function gives that computes nothing. No test of any module may be content with one.

`variants` makes such files from a solution; `answer` is what their functions call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from curriculum.stubs import replace_bodies

KINDS = ("zeros", "ones", "nan", "half", "empty", "itself")
FILLS = {"zeros": 0.0, "ones": 1.0, "nan": np.nan, "half": 0.5}


def variants(source: str, name: str, blanks: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each kind with a file in which every blank, constructors aside, answers so."""
    wanted = [b for b in blanks if not b.endswith("__init__")]
    for kind in KINDS if wanted else ():
        yield kind, replace_bodies(source, name, dict.fromkeys(wanted, _body(kind)))


def constructors(source: str, name: str, blanks: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Two files that tell which tests are about constructors alone: all else open, and constructors idle."""
    made = [b for b in blanks if b.endswith("__init__")]
    if made:
        others = [b for b in blanks if b not in made]
        blank = f'raise NotImplementedError("{name}: TODO")'
        yield "only constructors", replace_bodies(source, name, dict.fromkeys(others, blank))
        yield "idle constructors", replace_bodies(source, name, dict.fromkeys(made, "pass"))


def single(source: str, name: str, blank: str) -> str:
    """The file in which only ``blank`` does nothing: a constructor stores nothing, a function gives zeros."""
    return replace_bodies(source, name, {blank: "pass" if blank.endswith("__init__") else _body("zeros")})


def _body(kind: str) -> str:
    return f'from curriculum import lazy; return lazy.answer("{kind}", locals())'


def answer(kind: str, arguments: Mapping[str, object]) -> object:
    """A lazy result that fits the first array among ``arguments``; a number if there is none.

    Args:
        kind: one of `KINDS`.
        arguments: the arguments of the function by name, in order; ``self`` is not looked at.
    """
    given = [value for name, value in arguments.items() if name not in ("self", "cls", "lazy")]
    array = next((found for found in map(_array, given) if found is not None), None)
    if kind == "itself":
        return array if array is not None else given[0] if given else None
    if array is None:
        return [] if kind == "empty" else FILLS[kind]
    data = array if isinstance(array, np.ndarray) else array.data  # type: ignore[attr-defined]
    dtype = data.dtype if kind in ("zeros", "ones", "empty") or data.dtype.kind == "f" else np.float64
    lazy = np.empty(0, dtype) if kind == "empty" else np.full(data.shape, FILLS[kind], dtype)
    tensor = _tensor_class(array)
    return tensor(lazy) if tensor else lazy


def _array(value: object) -> object:
    """``value`` if it is an array or a Tensor, the first one in it if it is a list of them; else None."""
    if isinstance(value, np.ndarray) or _tensor_class(value):
        return value
    if isinstance(value, list | tuple):
        return next((found for found in map(_array, value) if found is not None), None)
    return None


def _tensor_class(value: object) -> type | None:
    """`foundations.computational_graph.Tensor`, whichever tree it comes from, if ``value`` is one."""
    return next((c for c in type(value).__mro__ if c.__name__ == "Tensor"), None)
