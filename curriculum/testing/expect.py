"""Compare what arrived with what was expected, and say in a learner's words how they differ.

A failed comparison is an AssertionError whose first line says what is wrong and whose next lines say how: the
pattern that was recognised (a factor, a sign, a transpose, a missing sum, zeros, a shift by one), then both
values.
"""

from __future__ import annotations

import linecache
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from math import isfinite
from types import FrameType

import numpy as np

WIDTH = 60  # characters of a value in a message
DIGITS = 6  # of a number, and more where they are needed to tell two apart
NUMBER = re.compile(r"-?\d+(\.\d+)?")
SHAPE = re.compile(r"[(\[][\s\d,()\[\]-]*[)\]]")  # integers in brackets: a shape, an axis, pad widths
INNERMOST = re.compile(r"[(\[][\s\d,x-]*[)\]]")  # the same without brackets inside
AFTER_NOUN = re.compile(r" (?:of|with|for|from|in|at|on|by|over|between|through|when|after|and|that)\b")
SINGULAR = ("abs", "bias")  # nouns that only look like many


def close(
    actual, expected, what: str, *, rtol=None, atol=None, dtype=None, sizes: Mapping[str, int] | None = None
):
    """Check type (exactly ndarray, or a number where one is expected), shape, dtype, finiteness, closeness.

    Args:
        actual: what the learner's code returned.
        expected: an array, or a Python number; its dtype's kind is expected too.
        what: names the value in the message: "softmax of [1, 2, 3]".
        rtol: allowed relative error; default 1e-12, in float32 1e-5.
        atol: allowed absolute error; default rtol / 10 times the largest expected magnitude. 0 for values
            that span many magnitudes and must be right in each.
        dtype: the exact dtype that is expected.
        sizes: names and lengths that could explain a wrong factor: {"batch size": 2}.
    """
    __tracebackhide__ = True
    number = isinstance(expected, (int, float)) and not isinstance(expected, np.generic)
    expected = np.asarray(expected)
    if number or expected.ndim == 0:
        fits = type(actual) in (int, float, np.ndarray) or isinstance(actual, np.number)
        fits = fits and (type(actual) is not np.ndarray or actual.ndim == 0)
        _require(fits, what, f"expected a number, got {describe(actual)}")
        actual = np.asarray(actual)
    else:
        _require(type(actual) is np.ndarray, what, f"expected an array, got {describe(actual)}")
    _compare(actual, expected, what, rtol, atol, dtype, sizes)


def tensor(
    actual, expected, what: str, *, rtol=None, atol=None, dtype=None, sizes: Mapping[str, int] | None = None
):
    """Check that ``actual`` is a Tensor whose ``.data`` is `close` to the array ``expected``."""
    __tracebackhide__ = True
    graph = sys.modules.get("foundations.computational_graph")
    _require(
        graph is not None and isinstance(actual, graph.Tensor),
        what,
        f"expected a Tensor, got {describe(actual)}",
    )
    array = actual.data
    if isinstance(array, np.generic):
        array = np.asarray(array)
    _require(
        type(array) is np.ndarray, what, f"expected a Tensor over an array, its .data is {describe(array)}"
    )
    _compare(array, np.asarray(expected), what, rtol, atol, dtype, sizes)


def equal(actual, expected, what: str):
    """Check exact equality, type included: ints, strings, booleans, tuples, lists, dicts, arrays, None."""
    __tracebackhide__ = True
    if isinstance(expected, np.ndarray):
        _require(type(actual) is np.ndarray, what, f"expected an array, got {describe(actual)}")
        _require(actual.shape == expected.shape, what, f"shape {actual.shape}, expected {expected.shape}")
        same_kind = actual.dtype.kind == expected.dtype.kind
        _require(same_kind, what, f"dtype {actual.dtype}, expected {expected.dtype}")
        same = np.array_equal(actual, expected, equal_nan=expected.dtype.kind in "fc")
        if not same:
            _require(False, what, *_differences(actual, expected))
        return
    if isinstance(expected, bool) and isinstance(actual, np.bool_):
        actual = bool(actual)
    if isinstance(expected, int) and not isinstance(expected, bool) and isinstance(actual, np.integer):
        actual = int(actual)
    if (
        isinstance(expected, (list, tuple))
        and type(actual) is type(expected)
        and len(actual) == len(expected)
    ):
        for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
            equal(a, e, f"{what.rstrip(',')}, item {i}")
        return
    if isinstance(expected, dict) and type(actual) is dict and list(actual) == list(expected):
        for key in expected:
            equal(actual[key], expected[key], f"{what.rstrip(',')}, {key!r}")
        return
    same = type(actual) is type(expected) and bool(actual == expected)
    _require(same, what, f"yours {describe(actual, value=True)}   expected {describe(expected, value=True)}")


def true(condition, message: str):
    """Check a condition that only a sentence can explain. It must be a true boolean, not merely truthy."""
    __tracebackhide__ = True
    if not (condition is True or (type(condition) is np.bool_ and bool(condition))):
        raise AssertionError(message)


@contextmanager
def raises(kind: type[Exception], *naming: str) -> Iterator[None]:
    """Check that the block raises ``kind`` with a message that names all of ``naming`` (values, no words).

    A number must stand alone ("2" is not in "12"), a shape may be written (2, 3), [2, 3] or 2x3, (5,) also 5.
    """
    __tracebackhide__ = True
    try:
        yield
    except NotImplementedError:
        raise
    except kind as error:
        if type(error) is not kind and not isinstance(error, kind):  # pragma: no cover
            raise
        missing = [wanted for wanted in naming if not _names(str(error), wanted)]
        if missing:
            raise AssertionError(
                f"the {kind.__name__} should name {' and '.join(missing)}\n"
                f"  yours says: {str(error) or '(nothing)'}"
            ) from None
    except Exception as error:
        raise AssertionError(
            f"expected {kind.__name__}" + (f" naming {', '.join(naming)}" if naming else "") + "\n"
            f"  yours raised {type(error).__name__}: {error}"
        ) from error
    else:
        block = _block(sys._getframe(2))  # the frame between is the context manager's
        raise AssertionError(
            f"expected {kind.__name__}"
            + (f" naming {', '.join(naming)}" if naming else "")
            + ", but nothing was raised"
            + (f"\n  by {block}" if block else "")
        )


@contextmanager
def quiet(what: str) -> Iterator[None]:
    """Check that NumPy has nothing to warn of in the block: no overflow, no division by 0, no NaN."""
    __tracebackhide__ = True
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="warn", under="ignore"):
        warnings.simplefilter("always")
        yield
    if caught:
        raise AssertionError(
            f"{what} should compute nothing that NumPy warns of\n  it says: {caught[0].message}"
        )


@contextmanager
def unchanged(*inputs) -> Iterator[None]:
    """Check that the block leaves these arrays (or Tensors) as they were, bit for bit."""
    __tracebackhide__ = True
    arrays = [x if isinstance(x, np.ndarray) else x.data for x in inputs]
    before = [a.copy() for a in arrays]
    yield
    for i, (a, b) in enumerate(zip(arrays, before, strict=True)):
        if a.shape != b.shape or a.dtype != b.dtype or a.tobytes() != b.tobytes():
            raise AssertionError(
                f"input {i + 1} was changed in place\n  work on a copy: it belongs to the caller\n"
                f"  before {show(b)}   after {show(a)}"
            )


def show(x, width: int = WIDTH, digits: int = DIGITS) -> str:
    """A value on one line, cut to ``width`` characters, its numbers to ``digits`` decimal places."""
    if isinstance(x, np.ndarray):
        flat = x if x.size <= 12 else x.reshape(-1)[:6]
        text = np.array2string(flat, precision=digits, separator=", ", max_line_width=10_000)
        text = " ".join(text.split())
        text = text if x.size <= 12 else text[:-1] + ", ...]"
    else:
        try:
            x = x.item() if isinstance(x, np.bool_) else x
            text = f"{x:.{digits + 1}g}" if isinstance(x, np.floating) else re.sub(r"\s*\n\s*", " ", repr(x))
        except Exception as error:  # a learner's __repr__ may itself be broken
            text = f"<{type(x).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= width else text[: width - 4] + " ..."


def describe(x, *, value: bool = False) -> str:
    """A thing in words: its value where it is small, else its type and shape."""
    if x is None:
        return "None (is a return missing?)" if not value else "None"
    if type(x) in (int, float, bool, str, np.bool_) or isinstance(x, np.generic):
        return f"{type(x).__name__} {show(x)}"
    if type(x) is np.ndarray:
        return f"an array {x.shape} {show(x)}" if value else f"an array of shape {x.shape}"
    if isinstance(x, np.ndarray):
        return f"a subclass of ndarray, {type(x).__name__}"
    if type(x) in (list, tuple, dict, set):
        return f"{type(x).__name__} {show(x)}" if value else f"a {type(x).__name__} of length {len(x)}"
    return f"a {type(x).__name__}" + (f" {show(x)}" if value else "")


def _names(text: str, wanted: str) -> bool:
    """Whether ``text`` names the value ``wanted``; see `raises`."""
    if NUMBER.fullmatch(wanted):
        trailing = "0*" if "." in wanted else r"(?:\.0*)?"
        return bool(re.search(rf"(?<![\d.-]){re.escape(wanted)}{trailing}(?!\d|\.\d)", text))
    sides = re.findall(r"-?\d+", wanted)
    if wanted in text or not SHAPE.fullmatch(wanted):
        return wanted in text
    if not sides:
        return "[]" in text
    if not INNERMOST.search(wanted[1:-1]):  # one shape: what stands in brackets is it, or another
        text = INNERMOST.sub(lambda m: m[0] if re.findall(r"-?\d+", m[0]) == sides else "", text)
    between = r"(?:[^\w.-]|[_x])+"
    return bool(re.search(rf"(?<![\d.-]){between.join(sides)}(?!\d|\.\d)", text))


def _block(frame: FrameType) -> str:
    """The source below the ``with`` that ``frame`` stands at, on one line; "" where it cannot be read."""
    lines = linecache.getlines(frame.f_code.co_filename)[frame.f_lineno - 1 :]
    if not lines or not lines[0].rstrip().endswith(":"):
        return ""
    indent = len(lines[0]) - len(lines[0].lstrip())
    inside = takewhile(lambda line: len(line) - len(line.lstrip()) > indent, lines[1:])
    return re.sub(r"(?<=[(\[]) |,? (?=[)\]])", "", " ".join(line.strip() for line in inside))


def _verb(what: str, one: str, many: str) -> str:
    """The verb that goes with ``what``: "the slopes of f" are many, "bias" and "what f returns" are one."""
    noun = AFTER_NOUN.split(what)[0].split(" ")[-1]
    plural = re.fullmatch(r"[A-Za-z]+[^\Wsui]s", noun) and noun not in SINGULAR
    return many if plural and not what.startswith(("what ", "how ")) else one


def _require(condition: bool, what: str, *details: str) -> None:
    __tracebackhide__ = True
    if not condition:
        raise AssertionError("\n  ".join([f"{what} {_verb(what, 'is', 'are')} wrong", *details]))


def _compare(actual, expected, what, rtol, atol, dtype, sizes) -> None:
    __tracebackhide__ = True
    wrong = f"{what} {_verb(what, 'has', 'have')} the wrong"
    if actual.shape != expected.shape:
        detail = f"shape {actual.shape}, expected {expected.shape}"
        pattern = _shape_pattern(actual, expected)
        raise AssertionError("\n  ".join([f"{wrong} shape", detail + (f": {pattern}" if pattern else "")]))
    if dtype is not None and actual.dtype != np.dtype(dtype):
        raise AssertionError(f"{wrong} dtype\n  {actual.dtype}, expected {np.dtype(dtype)}")
    if (
        dtype is None
        and actual.dtype.kind != expected.dtype.kind
        and not {actual.dtype.kind, expected.dtype.kind} <= {*"iu"}
    ):
        if not (expected.ndim == 0 and {actual.dtype.kind, expected.dtype.kind} <= {*"iuf"}):
            raise AssertionError(f"{wrong} dtype\n  {actual.dtype}, expected {expected.dtype}")
    a, e = actual.astype(np.float64), expected.astype(np.float64)
    single = np.float32 in (actual.dtype.type, expected.dtype.type) or np.float16 in (actual.dtype.type,)
    rtol = (1e-5 if single else 1e-12) if rtol is None else rtol
    finite = np.isfinite(e)
    scale = float(np.max(np.abs(e[finite]), initial=0.0))
    atol = rtol / 10 * scale if atol is None else atol
    with np.errstate(all="ignore"):
        good = np.where(
            finite, np.abs(a - e) <= atol + rtol * np.abs(e), (a == e) | (np.isnan(a) & np.isnan(e))
        )
    if np.all(good):
        return
    _require(False, what, *_differences(a, e, good, sizes, scale))


def _differences(a, e, good=None, sizes=None, scale=0.0) -> list[str]:
    """How two arrays of one shape differ: the pattern, then the values."""
    if good is None:
        good = (a == e) | ((a != a) & (e != e))  # only NaN differs from itself
    lines = []
    if a.dtype.kind == "f":
        unexpected = ~np.isfinite(a) & ~good
        lost = ~np.isfinite(e) & ~good
        if np.any(unexpected):
            kind = "NaN" if np.any(np.isnan(a) & ~good) else "infinite"
            lines.append(
                f"{int(unexpected.sum())} of {a.size} values are {kind} "
                f"where {show(e[unexpected][:1])} is expected"
            )
        elif np.any(lost) and np.any(a):
            count, wanted = int(lost.sum()), show(e[lost][0]).replace("nan", "NaN")
            yours = f"is {show(a[lost][0])}" if count == 1 else "are finite"
            lines.append(f"{count} of {a.size} values {yours} where {wanted} is expected")
        elif _look_alike(a, e, scale):
            at = tuple(int(i) for i in np.argwhere(~good)[0])
            return [
                f"nearly right: {int((~good).sum())} of {a.size} values are off by more than rounding",
                f"yours {float(a[at])!r}   expected {float(e[at])!r}",
            ]
        else:
            pattern = _value_pattern(a, e, sizes or {}, scale)
            if pattern:
                lines.append(pattern)
    if not lines and a.size > 1:
        at = tuple(int(i) for i in np.argwhere(~good)[0])
        yours, wanted = _apart(a[at], e[at])
        lines.append(
            f"{int((~good).sum())} of {a.size} values differ, first at {list(at)}: {yours}, expected {wanted}"
        )
    yours, wanted = _apart(a, e)
    return [*lines, f"yours {yours}   expected {wanted}"]


def _apart(a, e) -> tuple[str, str]:
    """``a`` and ``e`` as `show` has them, with as many digits as it takes to see that they differ."""
    for digits in (DIGITS, 9, 12, 17):
        yours, wanted = show(a, digits=digits), show(e, digits=digits)
        if yours != wanted:
            return yours, wanted
    return show(a), show(e)


def _look_alike(a, e, scale: float) -> bool:
    """Whether six digits agree everywhere: a pattern would be noise, and all digits must be shown."""
    finite = np.isfinite(e)
    return bool(np.any(a) and np.allclose(a[finite], e[finite], rtol=1e-6, atol=1e-9 * scale))


def _value_pattern(a, e, sizes: Mapping[str, int], scale: float) -> str:
    """Name how ``a`` follows from ``e``, if it does in one of the ways that people get wrong."""
    close_to = _near(scale or 1.0)
    if not np.any(a):
        return "yours is all zeros"
    if np.any(e) and np.all((e != 0) == (a != 0)) and np.count_nonzero(e) > (a.size > 1):
        ratio = a[e != 0] / e[e != 0]
        factor = float(ratio.flat[0])
        told = len(np.unique(np.abs(e[e != 0]))) > 1 or _whole(factor, [*a.shape, *sizes.values()])
        if told and np.allclose(ratio, factor, rtol=1e-6, atol=0):
            return _factor(factor, a.shape, sizes)
    if close_to(np.abs(a), np.abs(e)) and np.any(np.sign(a) * np.sign(e) < 0):
        return "the magnitudes are right, some signs are flipped"
    if a.size > 2 and close_to(a - e, np.full_like(a, (a - e).flat[0])):
        return f"yours is expected plus a constant, {float((a - e).flat[0]):.6g}"
    if a.ndim == 2 and a.shape[0] == a.shape[1] and close_to(a.T, e):
        return "yours is the transpose of what is expected"
    for axis in range(a.ndim):
        if a.shape[axis] > 2:
            if close_to(np.flip(a, axis), e):
                return f"yours is reversed along axis {axis}"
            inner = [slice(None)] * a.ndim
            for shift in (1, -1):
                keep, moved = list(inner), list(inner)
                keep[axis] = slice(1, None) if shift == 1 else slice(None, -1)
                moved[axis] = slice(None, -1) if shift == 1 else slice(1, None)
                if np.any(e != e.flat[0]) and close_to(a[tuple(keep)], e[tuple(moved)]):
                    return f"yours is shifted by one along axis {axis}"
    return ""


def _whole(factor: float, lengths: list[int]) -> bool:
    """Whether ``factor`` or its inverse is an integer up to 10 or a length: any two numbers have a ratio."""
    n = round(max(abs(factor), 1 / abs(factor))) if isfinite(factor) and abs(factor) > 1e-9 else 0
    return (
        n > 0 and (n <= 10 or n in lengths) and min(abs(abs(factor) / n - 1), abs(abs(factor) * n - 1)) < 1e-6
    )


def _factor(factor: float, shape: tuple[int, ...], sizes: Mapping[str, int]) -> str:
    if abs(factor + 1) < 1e-6:
        return "the sign is flipped"
    names = {
        **{f"the length of axis {i}": n for i, n in enumerate(shape)},
        **{k: v for k, v in sizes.items()},
    }
    for name, n in reversed(names.items()):
        for sign, word in ((1, ""), (-1, ", with the sign flipped")):
            if n > 1 and abs(factor - sign * n) < 1e-6 * n:
                return f"yours is expected times {n} (= {name}){word}"
            if n > 1 and abs(factor * n - sign) < 1e-6:
                return f"yours is expected divided by {n} (= {name}){word}"
    if isfinite(factor) and factor and abs(1 / factor - round(1 / factor)) < 1e-6 and abs(factor) < 1:
        return f"yours is expected divided by {round(1 / factor)}"
    return f"yours and expected differ by exactly a factor of {factor:.6g}"


def _shape_pattern(a, e) -> str:
    if a.dtype.kind not in "fiu" or e.dtype.kind not in "fiu" or a.size == 0:
        return ""
    same = _near(float(np.max(np.abs(e), initial=0.0)) or 1.0)
    if a.ndim == 2 and a.T.shape == e.shape and same(a.T, e):
        return "yours is the transpose of what is expected"
    if a.size == e.size and same(a.reshape(e.shape), e):
        return "the values are right, reshape them"
    for axis in range(a.ndim):
        for keep in (False, True):
            for verb, reduced in (
                ("sum", a.sum(axis, keepdims=keep)),
                ("average", a.mean(axis, keepdims=keep)),
            ):
                if reduced.shape == e.shape and same(reduced, e):
                    return f"{verb} over axis {axis}" + (", keeping it" if keep else "")
    if a.ndim < e.ndim or a.size < e.size:
        try:
            if same(np.broadcast_to(a, e.shape), e):
                return "the values are right but not broadcast"
        except ValueError:
            pass
    return ""


def _near(scale: float):
    return lambda x, y: bool(np.allclose(x, y, rtol=1e-6, atol=1e-9 * scale))
