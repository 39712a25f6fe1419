"""Check derivatives against finite differences, to second order, with random cotangents.

    d/dx_j <u, f(x)>  ~  (4 D(h/2) - D(h)) / 3,      D(h) = (<u, f(x + h e_j)> - <u, f(x - h e_j)>) / 2h

Richardson's step removes the h**2 term, so h can be large enough (1e-3) that rounding leaves ten digits. The
cotangent u is random: with u = 1, softmax and LayerNorm have gradient 0 and any rule would pass. The second
order is the same check applied to the function (x, u) -> gradient.

Source   Press et al. 2007, Numerical Recipes, 3rd ed., sec. 5.7 (Ridders, Richardson).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from curriculum.testing import expect

STEP = 1e-3


def gradcheck(
    fn: Callable,
    *arrays: np.ndarray,
    names: Sequence[str] | None = None,
    order: int = 2,
    engine: Callable | None = None,
    of: str = "",
    seed: int = 0,
    rtol: float = 1e-6,
    atol: float = 1e-8,
) -> None:
    """Check that the gradient of ``fn`` by every input is right, and the gradient of that gradient.

    Args:
        fn: Tensors in, one Tensor out; called many times, so it must be deterministic.
        arrays: where to check, float64, away from kinks by at least 0.002.
        names: what to call each input in a message; default "x" or "input 1", ...
        order: 1 or 2.
        engine: the `grad` to use; default `foundations.autograd.grad`. `curriculum.testing.engine.grad` where
            the learner's engine cannot be relied on yet.
        of: what ``fn`` is, for the messages: "gradient of `of` with respect to x".
        seed: of the random cotangents.
        rtol, atol: allowed error; atol is relative to the largest derivative.
    """
    __tracebackhide__ = True
    if engine is None:
        from foundations.autograd import grad as engine
    arrays = [np.array(a, np.float64) for a in arrays]  # type: ignore[assignment]
    names = list(names or (["x"] if len(arrays) == 1 else [f"input {i + 1}" for i in range(len(arrays))]))
    rng = np.random.default_rng((seed, 0x9E3779B9))  # never the stream from which a suite draws its inputs
    shapes = ", ".join(f"{n} {a.shape}" for n, a in zip(names, arrays, strict=True))
    sizes = {
        f"the length of axis {i} of {n}": k
        for n, a in zip(names, arrays, strict=True)
        for i, k in enumerate(a.shape)
    }

    y = _call(fn, arrays)
    expect.tensor(
        y, np.zeros(y.shape) if not np.all(np.isfinite(y.data)) else y.data, f"the result for {shapes}"
    )
    cotangent = rng.standard_normal(y.shape)
    of = f" of {of}" if of else ""
    _first_order(fn, arrays, cotangent, names, engine, of, shapes, sizes, rtol, atol)
    if order == 2:
        _second_order(fn, arrays, cotangent, names, engine, of, shapes, sizes, rng, rtol, atol)


def numerical(f: Callable[[list[np.ndarray]], float], arrays: list[np.ndarray], i: int) -> np.ndarray:
    """The gradient of the number ``f(arrays)`` by ``arrays[i]``, from extrapolated central differences."""
    out = np.zeros_like(arrays[i])
    for j in np.ndindex(*out.shape):
        slopes = []
        for h in (STEP, STEP / 2):
            ends = []
            for sign in (1, -1):
                moved = [a.copy() if k == i else a for k, a in enumerate(arrays)]
                moved[i][j] += sign * h
                ends.append(f(moved))
            slopes.append((ends[0] - ends[1]) / (2 * h))
        out[j] = (4 * slopes[1] - slopes[0]) / 3
    return out


def _first_order(fn, arrays, cotangent, names, engine, of, shapes, sizes, rtol, atol) -> None:
    __tracebackhide__ = True
    tensors = _tensors(arrays)
    y = fn(*tensors)
    _recorded(y, tensors, shapes)
    grads = engine(y, tensors, cotangent)
    for i, (g, name) in enumerate(zip(grads, names, strict=True)):
        want = numerical(lambda moved: float(np.vdot(cotangent, _call(fn, moved).data)), arrays, i)
        _same(g, want, f"gradient{of} with respect to {name}", shapes, sizes, rtol, atol)


def _second_order(fn, arrays, cotangent, names, engine, of, shapes, sizes, rng, rtol, atol) -> None:
    """Differentiate <v, gradient(x, u)> by x and u, and compare.

    The derivatives are those of the gradient in the graph, the differences those of the plain gradient: a
    rule with one branch for arrays and another for Tensors must mean the same in both.
    """
    __tracebackhide__ = True
    points = [*arrays, cotangent]
    tensors = _tensors(points)
    *xs, u = tensors
    firsts = engine(fn(*xs), xs, u, create_graph=True)
    vs = [rng.standard_normal(a.shape) for a in arrays]
    total = [np.zeros_like(p) for p in points]
    for g, v in zip(firsts, vs, strict=True):
        if not g.requires_grad:  # constant: numerically zero below, or the rule left the graph
            continue
        for part, seconds in zip(total, engine(g, tensors, v, create_graph=True), strict=True):
            part += seconds.data

    def value(moved):
        tensors = _tensors(moved[:-1])
        grads = engine(fn(*tensors), tensors, moved[-1])
        return sum(float(np.vdot(v, g.data)) for g, v in zip(grads, vs, strict=True))

    labels = [f"second derivative{of} with respect to {n}" for n in names]
    labels.append(f"derivative of the gradient{of} by dL/d(out)")
    for i, label in enumerate(labels):
        _same(total[i], numerical(value, points, i), label, shapes, sizes, rtol, atol)


def _same(actual, want, what, shapes, sizes, rtol, atol) -> None:
    __tracebackhide__ = True
    atol = atol * max(1.0, float(np.max(np.abs(want), initial=0.0)))
    check = expect.close if isinstance(actual, np.ndarray) else expect.tensor
    try:
        check(actual, np.where(np.abs(want) < atol, 0.0, want), what, rtol=rtol, atol=atol, sizes=sizes)
    except AssertionError as error:
        head, *rest = str(error).split("\n  ")
        raise AssertionError(
            "\n  ".join([head, *[f"{shapes}: {line}" if i == 0 else line for i, line in enumerate(rest)]])
        ) from None


def _recorded(y, tensors, shapes) -> None:
    __tracebackhide__ = True
    if not y.requires_grad:
        raise AssertionError(
            "the result does not require a gradient\n"
            f"  {shapes}: was it computed on .data, outside the graph?"
        )


def _call(fn, arrays):
    from foundations.computational_graph import Tensor

    return fn(*[Tensor(a.copy()) for a in arrays])


def _tensors(arrays):
    from foundations.computational_graph import Tensor

    return [Tensor(a.copy(), requires_grad=True) for a in arrays]
