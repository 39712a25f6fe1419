r"""The chain rule, once: reverse-mode differentiation of any order over the recorded graph.

For a result L made through intermediate values v_1, v_2, ..., each one's adjoint is a sum over its consumers:

    dL/dv_i = sum over consumers j of i:  (dv_j/dv_i)^T dL/dv_j

so a node may run only when all its consumers have: consumers first. Each node then runs once, whatever the
number of paths through it (60 diamonds in a row have 2^60), and nothing recurses, so depth has no limit.

A first-order pass works on arrays. With ``create_graph=True`` the same rules are read as Tensor operations,
and the gradient is itself a graph that can be differentiated.

Source   Griewank & Walther 2008, Evaluating Derivatives, 2nd ed., sec. 3.2, table 3.4 (the reverse sweep);
         Kahn 1962, "Topological sorting of large networks", CACM 5(11);
         Pearlmutter 1994, "Fast exact multiplication by the Hessian", Neural Computation 6(1), eq. 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import cast

import numpy as np

from foundations.computational_graph import Array, Function, SumTo, Tensor, as_array, as_tensor, recording
from foundations.shaping import stack

Key = Function | Tensor  # what a gradient is filed under: the node that made the value, or the leaf
Gradient = Array | Tensor


def no_grad() -> AbstractContextManager[None]:
    """Record nothing within the block: ``with no_grad(): ...``, or ``@no_grad()`` above a function."""
    return recording(False)


def consumers_first(roots: Iterable[Function]) -> Iterator[Function]:
    """The nodes behind ``roots``, roots included, each once, after all nodes that consume its result.

    Count each node's uses, then release a node when the last use has gone by (Kahn). Iterative, and linear in
    the size of the graph. The caller may free a node (``node.inputs = None``) as soon as it was yielded.

    Args:
        roots: nodes; one may lie behind another or occur twice.

    Raises:
        RuntimeError: a node was freed by an earlier backward pass; the message names ``retain_graph``.
    """
    uses = dict.fromkeys(roots, 0)
    open_ = list(uses)
    while open_:
        node = open_.pop()
        if node.inputs is None:
            raise RuntimeError(
                f"the graph behind {type(node).__name__} was freed by an earlier backward pass: "
                "pass retain_graph=True to that one to go through it again"
            )
        for t in node.inputs:
            maker = t.node
            if maker is not None:
                if maker not in uses:
                    uses[maker] = 0
                    open_.append(maker)
                uses[maker] += 1
    ready = [node for node, count in uses.items() if count == 0]
    while ready:
        node = ready.pop()
        inputs = node.inputs  # kept: the caller may free the node
        yield node
        for t in inputs:
            maker = t.node
            if maker is not None:
                uses[maker] -= 1
                if uses[maker] == 0:
                    ready.append(maker)


def tape(y: Tensor) -> list[Function]:
    """The operations recorded behind y, in an order in which they could have run: inputs before consumers.

    Empty for a leaf.
    """
    return list(consumers_first([y.node] if y.node else []))[::-1]


def accumulate(table: dict[Key, Gradient], owned: set[Key], key: Key, g: Gradient) -> None:
    """Add g to the gradient filed under ``key``: borrow the first, allocate at the second, then add in place.

    Args:
        table: the gradients so far; changed.
        owned: keys whose array is nobody else's, so that it may be written to; changed. A borrowed array may
            be a view of someone's data. A Tensor is never written to: adding is a graph operation.
        key: the node that made the value, or the leaf.
        g: what one more consumer contributes; kept or only read, never written to.
    """
    if key not in table:
        table[key] = g
    elif key in owned:
        table[key] += g
    elif isinstance(g, Tensor):
        table[key] = table[key] + g
    else:
        total = table[key]
        table[key] = np.add(total, g, out=np.empty_like(total))  # out= keeps a 0-d result an array
        owned.add(key)


def fit(node: Function, i: int, g: Gradient) -> Gradient:
    """The gradient that a rule returned for input ``i``, in the shape of that input.

    An operation that broadcasts may return the shape of its result: `SumTo` undoes the stretching, and keeps
    the graph where g is a Tensor.

    Raises:
        ValueError: the shapes differ and the operation does not broadcast, so its rule is wrong; the message
            names the operation, i and both shapes.
    """
    shape = node.inputs[i].data.shape
    if g.shape == shape:
        return g
    if not node.broadcasts:
        raise ValueError(
            f"{type(node).__name__}.backward: gradient {i} has shape {g.shape}, its input {shape}"
        )
    return SumTo.apply(g, shape=shape)


def sweep(
    roots: Sequence[Tensor],
    seeds: Sequence[Gradient],
    *,
    create_graph: bool,
    retain_graph: bool,
    wanted: Sequence[Tensor] = (),
) -> tuple[dict[Key, Gradient], set[Key]]:
    """The reverse sweep from all roots at once.

    File each root's seed, then visit the nodes consumers first; each node's rule turns the gradient filed
    under it into one for each input, which is fitted and accumulated under that input's key, ``t.node or t``.
    Inputs that require no gradient and gradients that are None are passed over, and so is a node to which no
    gradient came. What a ``fresh`` rule gives is owned from the start.

    Args:
        roots: Tensors that require gradients.
        seeds: dL/d(root), one of each root's shape.
        create_graph: read seeds and rules as Tensors, recorded; otherwise as arrays, with recording off.
        retain_graph: otherwise each node is freed after its visit: ``inputs`` and ``_out`` become None.
        wanted: also return the gradients of these intermediate results.

    Returns:
        The gradient of each leaf and of each node behind ``wanted``, and the set of keys that are owned.

    Raises:
        ValueError: a rule returned another number of gradients than there are inputs (the message names the
            operation and both numbers), or `fit` refused one.
    """
    table: dict[Key, Gradient] = {}
    owned: set[Key] = set()
    for root, seed in zip(roots, seeds, strict=True):
        accumulate(table, owned, root.node or root, as_tensor(seed) if create_graph else as_array(seed))
    keep = {t.node for t in wanted if t.node}
    with recording(create_graph):  # the same rules, read as Tensors or as arrays
        for node in consumers_first([root.node for root in roots if root.node]):
            g = table.get(node) if node in keep else table.pop(node, None)
            if g is not None:
                grads = node.backward(g)
                grads = grads if isinstance(grads, tuple) else (grads,)
                inputs = node.inputs
                if len(grads) != len(inputs):
                    name, given, due = type(node).__name__, len(grads), len(inputs)
                    raise ValueError(f"{name}.backward returned {given} gradients for {due} inputs")
                for i, t in enumerate(inputs):
                    gt = grads[i]
                    if gt is None or not t.requires_grad:
                        continue
                    if gt.shape != t.data.shape:
                        gt = fit(node, i, gt)
                    key = t.node or t
                    if key in table:
                        accumulate(table, owned, key, gt)
                    else:
                        table[key] = gt  # the common case, without a call
                        if node.fresh:
                            owned.add(key)
            if not retain_graph:
                node.inputs = node._out = None  # type: ignore[assignment]
    return table, owned


def backward(y: Tensor, grad_output: Gradient | None = None, *, retain_graph: bool = False) -> None:
    """Add dL/d(leaf) to ``leaf.grad`` for every leaf behind y that requires it. First order; frees the graph.

    Args:
        y: the root; without ``grad_output`` it must have one element.
        grad_output: dL/dy, of y's shape; default 1.
        retain_graph: keep the graph for another pass.

    ``leaf.grad`` is an array of the leaf's shape and dtype that shares memory with nothing else.

    Raises:
        ValueError: y has several elements and no ``grad_output`` (the message names y's shape), or the shapes
            differ (it names both).
        RuntimeError: y does not depend on anything that requires a gradient, or the graph was freed.
    """
    found, owned = sweep([y], [_seed(y, grad_output)], create_graph=False, retain_graph=retain_graph)
    for leaf, g in cast(dict[Tensor, Array], found).items():  # nothing else was wanted
        if leaf.grad is None:
            mine = leaf in owned and g.shape  # a rule may give a number in place of an array of shape ()
            leaf.grad = (g if mine else np.copy(g)).astype(leaf.dtype, copy=False)
        else:
            leaf.grad += g


def grad(
    y: Tensor | Sequence[Tensor],
    xs: Sequence[Tensor],
    grad_output: Gradient | Sequence[Gradient] | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of <grad_output, y> with respect to each of ``xs``; touches no ``.grad``.

    Args:
        y: the root, or several, whose contributions are added.
        xs: leaves or intermediate results.
        grad_output: dL/dy of y's shape, or a sequence with one for each of several roots; default 1, for
            roots of one element.
        create_graph: record the pass, so that the gradients can be differentiated; keeps the graph.
        retain_graph: keep the graph for another pass.

    Returns:
        A Tensor for each x, of its shape and dtype; zeros where y does not depend on it. Without
        ``create_graph`` it shares memory with nothing else.

    Raises:
        ValueError: as `backward`; or an x does not require a gradient (the message names its shape).
        RuntimeError: as `backward`.
    """
    roots = [y] if isinstance(y, Tensor) else list(y)
    outputs = [grad_output] * len(roots) if grad_output is None or isinstance(y, Tensor) else grad_output
    for i, x in enumerate(xs):
        if not x.requires_grad:
            raise ValueError(f"xs[{i}] of shape {x.shape} does not require a gradient: nothing was recorded")
    seeds = [_seed(root, g) for root, g in zip(roots, outputs, strict=True)]
    retain_graph = retain_graph or create_graph
    found, _ = sweep(roots, seeds, create_graph=create_graph, retain_graph=retain_graph, wanted=xs)
    grads = []
    for x in xs:
        key = x.node or x
        if key not in found:
            grads.append(Tensor(np.zeros_like(x.data)))
        elif create_graph:
            grads.append(found[key])  # type: ignore[arg-type]
        else:
            grads.append(Tensor(np.copy(found[key]).astype(x.dtype, copy=False)))
    return tuple(grads)


def hvp(y: Tensor, xs: Sequence[Tensor], vs: Sequence[Gradient]) -> tuple[Tensor, ...]:
    """The Hessian of y times a vector, without the Hessian: the gradient of <dy/dx, v>. Keeps the graph of y.

    Args:
        y: one element.
        xs: what to differentiate by.
        vs: the vector, one part of each x's shape.

    Returns:
        H v, one part of each x's shape.

    Raises:
        ValueError: a part of v has another shape than its x; the message names both.
    """
    first = grad(y, xs, create_graph=True)
    curved = [(g, v) for g, v in zip(first, vs, strict=True) if g.requires_grad]
    return grad([g for g, _ in curved], xs, [v for _, v in curved], retain_graph=True)


def jacobian(y: Tensor, x: Tensor, *, create_graph: bool = False) -> Tensor:
    """Every dy_i/dx_j, a row at a time: one backward pass for each element of y. The graph of y is kept.

    Returns:
        (*y.shape, *x.shape). The Jacobian of a gradient is the Hessian.
    """
    rows: list[Tensor] = []
    for i in np.ndindex(*y.shape):
        one = np.zeros_like(y.data)
        one[i] = 1
        rows.extend(grad(y, [x], one, create_graph=create_graph, retain_graph=True))
    if not rows:
        return Tensor(np.zeros_like(x.data, shape=(*y.shape, *x.shape)))
    return stack(rows).reshape((*y.shape, *x.shape))


def _seed(y: Tensor, grad_output: Gradient | None) -> Gradient:
    """dL/dy: what was given, checked, or 1."""
    if not y.requires_grad:
        raise RuntimeError(
            f"this Tensor of shape {y.shape} does not depend on anything that requires a gradient"
        )
    if grad_output is None:
        if y.size != 1:
            raise ValueError(f"the root has shape {y.shape}, not one element: pass grad_output of that shape")
        return np.ones_like(y.data)
    seed = grad_output if hasattr(grad_output, "shape") else np.asarray(grad_output)
    if seed.shape != y.shape:
        raise ValueError(f"grad_output has shape {seed.shape}, the root has {y.shape}")
    return seed if isinstance(seed, Tensor) else seed.astype(y.dtype, copy=False)
