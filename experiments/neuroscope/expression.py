"""Formulas from a command line or a file, as functions of points: read, never executed.

    parse("sin(3*x) + 0.1*x**2", 1)        parse("exp(-t) * sin(x)", 2)

The text is taken apart by Python's own parser, and only numbers, the coordinates, pi and e, arithmetic,
comparisons and the functions listed here are let through. There are no attributes, no indices, no names of
Python: a formula from a stranger's config can compute, and do nothing else.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from math import e, pi

import numpy as np

Array = np.ndarray

LONGEST = 500  # characters of a formula
NAMES = {1: ("x",), 2: ("x", "y", "t")}  # of the inputs: t is the second one, where it is a time
FUNCTIONS: dict[str, Callable[..., Array]] = {
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "arctan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "sinc": lambda z: np.sinc(z / pi),  # sin z / z
    "minimum": np.minimum,
    "maximum": np.maximum,
    "where": lambda condition, a, b: np.where(condition != 0, a, b),
}
COUNTS = {"minimum": 2, "maximum": 2, "where": 3}  # of arguments; 1 for the others
OPERATORS: dict[type, Callable[..., Array]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.Mod: np.mod,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}


class FormulaError(ValueError):
    """The text is no formula; the message says where, and what is possible."""


def parse(text: str, inputs: int) -> Callable[[Array], Array]:
    """Make a function of a formula.

    Args:
        text: "sin(3*x)"; with two inputs they are x and y, or x and t.
        inputs: 1 or 2.

    Returns:
        From X (N, inputs) to (N,), float64; what cannot be computed is NaN or infinite there, in silence.

    Raises:
        FormulaError: it is too long, cannot be read, or has a part that no formula has.
    """
    if len(text) > LONGEST:
        raise FormulaError(f"a formula has at most {LONGEST} characters, this one {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormulaError(f"{text!r} cannot be read as a formula: {error.args[0]}") from None
    try:
        _check(tree, text, inputs)
    except RecursionError:
        raise FormulaError("the formula is nested too deeply") from None

    def function(X: Array) -> Array:
        known = {"pi": pi, "e": e, **dict(zip(("x", "y"), X.T, strict=False))}
        if X.shape[1] > 1:
            known["t"] = X[:, 1]
        with np.errstate(all="ignore"):
            return np.broadcast_to(_compute(tree, known), len(X)).astype(np.float64)

    return function


def _check(node: ast.expr, text: str, inputs: int) -> None:
    """Refuse whatever is not listed above."""
    known = (*NAMES[inputs], "pi", "e")
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value is not True:
        parts: list[ast.expr] = []
    elif isinstance(node, ast.Name):
        if node.id not in known:
            raise FormulaError(
                f"{text!r}: there is no {node.id!r} here, only {', '.join(known)}{_hint(node.id)}"
            )
        parts = []
    elif isinstance(node, ast.BinOp | ast.UnaryOp) and type(node.op) in OPERATORS:
        parts = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.operand]
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in OPERATORS:
        parts = [node.left, *node.comparators]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        name = node.func.id
        if name not in FUNCTIONS:
            raise FormulaError(f"{text!r}: there is no function {name!r}, only {', '.join(FUNCTIONS)}")
        count = COUNTS.get(name, 1)
        if len(node.args) != count:
            raise FormulaError(
                f"{text!r}: {name} takes {count} argument{'s'[: count - 1]}, got {len(node.args)}"
            )
        parts = node.args
    else:
        part = ast.unparse(node)
        raise FormulaError(
            f"{text!r}: {part!r} is no part of a formula, which has numbers, {', '.join(known)}, "
            f"+ - * / ** %, comparisons and {', '.join(FUNCTIONS)}"
        )
    for part in parts:
        _check(part, text, inputs)


def _hint(name: str) -> str:
    return f"; as a function: {name}(x)" if name in FUNCTIONS else ""


def _compute(node: ast.expr, known: dict[str, Array | float]) -> Array | float:
    """The value of a formula that `_check` has let through."""
    if isinstance(node, ast.Constant):
        return np.float64(node.value)  # type: ignore[arg-type]  # as an integer, 9**9**9 would never end
    if isinstance(node, ast.Name):
        return known[node.id]
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](_compute(node.left, known), _compute(node.right, known))
    if isinstance(node, ast.UnaryOp):
        return OPERATORS[type(node.op)](_compute(node.operand, known))
    if isinstance(node, ast.Compare):  # 1 or 0: as truth values, 1 + 1 would be 1
        return 1.0 * OPERATORS[type(node.ops[0])](
            _compute(node.left, known), _compute(node.comparators[0], known)
        )
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    return FUNCTIONS[node.func.id](*(_compute(part, known) for part in node.args))
