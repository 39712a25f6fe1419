"""A frozen reverse sweep, so that operations can be graded before the learner has an engine of their own.

It knows only the protocol of `foundations.computational_graph`: a Tensor's ``node``, a node's ``inputs``,
``broadcasts`` and ``backward``, and the recording switch.
"""

from __future__ import annotations

import numpy as np


def grad(y, xs, grad_output=None, *, create_graph: bool = False) -> tuple:
    """The gradients of <grad_output, y> by ``xs``: the contract of `foundations.autograd.grad`."""
    from foundations.computational_graph import Tensor, recording

    def lift(g):
        if isinstance(g, Tensor):
            return g
        return Tensor(g if hasattr(g, "__array_function__") else np.asarray(g), dtype=y.data.dtype)

    seed = lift(np.ones_like(y.data) if grad_output is None else grad_output)
    table = {id(y.node or y): seed if create_graph else seed.data}
    with recording(create_graph):
        for node in _consumers_first(y.node):
            g = table.get(id(node))
            if g is None:
                continue
            grads = node.backward(g)
            grads = grads if isinstance(grads, tuple) else (grads,)
            if len(grads) != len(node.inputs):
                raise AssertionError(
                    f"{type(node).__name__}.backward returned the wrong number of gradients\n"
                    f"  {len(grads)} for {len(node.inputs)} inputs: one for each, None where not needed"
                )
            for t, gt in zip(node.inputs, grads, strict=True):
                if gt is None or not t.requires_grad:
                    continue
                if not create_graph and isinstance(gt, Tensor):
                    raise AssertionError(
                        f"{type(node).__name__}.backward returned a Tensor for an array\n"
                        "  read self.operands and self.output, which are arrays in a first-order pass"
                    )
                gt = _fit(gt, t.data.shape, node, create_graph)
                key = id(t.node or t)
                table[key] = table[key] + gt if key in table else gt
    zeros = [np.zeros_like(x.data) for x in xs]
    found = [table.get(id(x.node or x), zero) for x, zero in zip(xs, zeros, strict=True)]
    return tuple(g if isinstance(g, Tensor) else Tensor(np.copy(g)) for g in found)


def _fit(g, shape: tuple[int, ...], node, create_graph: bool):
    """``g`` summed to ``shape`` where the operation broadcasts; else a wrong shape is the rule's mistake."""
    if g.shape == shape:
        return g
    if not node.broadcasts:
        raise AssertionError(
            f"{type(node).__name__}.backward returned the wrong shape\n  {g.shape}, but its input has {shape}"
        )
    if create_graph:
        from foundations.computational_graph import SumTo

        return SumTo.apply(g, shape=shape)
    lead = tuple(range(g.ndim - len(shape)))
    g = g.sum(axis=lead)
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


def _consumers_first(root) -> list:
    order, seen, path = [], set(), [(root, False)] if root is not None else []
    while path:
        node, leave = path.pop()
        if leave:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            path.append((node, True))
            path.extend((t.node, False) for t in node.inputs if t.node is not None)
    return order[::-1]
