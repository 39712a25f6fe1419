r"""A large batch in small pieces: the same gradient, with the memory of one piece.

    L = 1/N sum_n l_n = sum_i n_i/N L_i,      L_i the mean over the n_i examples of piece i
    dL/dw = sum_i n_i/N dL_i/dw

Differentiation is linear, and a backward pass *adds* to ``grad``: run each piece forward, run it backward
with dL/dL_i = n_i/N in place of 1, and forget it. No graph outlives its piece. The weights n_i/N matter when
the pieces are unequal: the mean of means counts an example of a small piece for more.

It is the gradient of the large batch wherever the loss is a mean of losses that do not know of each other.
BatchNorm breaks that: its statistics are those of the piece.

Shapes   arrays (N, *), pieces (n, *).
Source   Huang et al. 2019, GPipe, arXiv:1811.06965, sec. 2.2 (micro-batches, and what becomes of BatchNorm);
         Goyal et al. 2017, arXiv:1706.02677, sec. 3, remark 3 (normalise by the size of the whole batch).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from foundations.computational_graph import Array, Tensor


def micro_batches(*arrays: Array, size: int) -> Iterator[tuple[Array, ...]]:
    """Cut arrays alike along axis 0 into pieces of ``size`` examples; the last one may be smaller.

    Args:
        arrays: at least one, each (N, *) with the same N.
        size: examples a piece, >= 1.

    Yields:
        A tuple with the piece of each array, (n, *): views, not copies. Nothing for N = 0.

    Raises:
        ValueError: size is below 1 (the message names it), there are no arrays, or they differ in length (it
            names the length of each).
    """
    lengths = [len(a) for a in arrays]
    if size < 1 or len(set(lengths)) != 1:
        raise ValueError(f"expected a size of at least 1 and arrays of one length, got {size} and {lengths}")
    for start in range(0, lengths[0], size):
        yield tuple([a[start : start + size] for a in arrays])


def examples(*piece: Sequence) -> int:
    """How many examples a piece holds: the length of its first array."""
    return len(piece[0])


def accumulate(
    pieces: Iterable[tuple],
    loss_fn: Callable[..., Tensor],
    total: int,
    *,
    count: Callable[..., int] = examples,
) -> float:
    """Add to ``grad`` of every parameter the gradient of the mean loss over all pieces together.

    One piece at a time: ``loss_fn`` is called, its loss differentiated, and its graph is gone before the next
    piece is asked for. As with ``backward``, gradients that are there already are added to: call `zero_grad`
    before, and clip and step after.

    Args:
        pieces: an iterable of tuples, as `micro_batches` makes them; a generator is run through once.
        loss_fn: called with the items of a piece; returns its mean loss, one number.
        total: N, what all pieces count together, >= 1.
        count: called with the items of a piece: n, over how many losses its mean was taken. The number of
            examples, unless some are masked out or each has many losses (the tokens of a sequence). A piece
            that counts 0 is passed over, and ``loss_fn`` not called.

    Returns:
        The mean loss over all pieces together, a Python float.

    Raises:
        ValueError: total is below 1 (the message names it), before any piece is looked at; a loss has several
            numbers (it names its shape); or the pieces do not count ``total`` together (it names both
            numbers). In the last case the gradients have been added to: clear them.
    """
    if total < 1:
        raise ValueError(f"total, the number of examples in all pieces, must be at least 1, got {total}")
    mean, counted = 0.0, 0
    for piece in pieces:
        n = count(*piece)
        if n == 0:  # the mean of nothing
            continue
        loss = loss_fn(*piece)
        if loss.size != 1:
            raise ValueError(f"loss_fn must return the mean over a piece, one number, got {loss.shape}")
        loss.backward(np.full_like(loss.data, n / total))
        mean, counted = mean + loss.item() * (n / total), counted + n
    if counted != total:
        raise ValueError(f"the pieces count {counted} together, total says {total}: the gradient is wrong")
    return mean
