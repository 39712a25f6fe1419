r"""Fewer copies for layers of few channels: cut lines, not patches.

Patches in rows hold each number of the image R S times. With many kernels that copying is nothing, for every
row is multiplied K times; with 16 kernels it takes longer than the products. But patches one below the other
share R - 1 of their R lines. So cut each *line* of the image once, S numbers a channel at each place across,

    lines[h, j, v, c] = image[h, t j + e v, c]             S copies of the image instead of R S

and let the R lines of the kernel look at it one after the other. What line u sees at all places is
lines[i + d u] for every i: one block of memory, shifted.

    y[i, j]  = sum over u of  lines[i + d u, j] w[u]             R products of (I J, S C) and (S C, K)
    dL/dw[u] = sum over i, j of  lines[i + d u, j]^T G[i, j]

Shapes   As inside conv2d: image (N, H, W, C), padded, weight (R, S, C, K), y and grad (N, I, J, K).
Source   Cho & Brand 2017, "MEC: memory-efficient convolution for deep neural network", arXiv:1706.06873,
         sec. 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from foundations.computational_graph import Array
from nn_core.conv import conv2d
from nn_core.conv.conv2d import Geometry, Method, Pair


def lines_of(image: Array, kernel: Pair, geometry: Geometry) -> Iterator[tuple[int, list[Array]]]:
    """For each image: its number and, for each line u of the kernel, what it sees at all places, (I J, S C).

    With a stride (1, t) and a dilation (d, e), array u holds image[n, i + d u, t j + e v, c] in row i J + j
    at v C + c. The R arrays share memory: blocks of one array, (H J, S C), of the image's dtype. The lines of
    all images never exist at once: the next image may overwrite what has been yielded.

    Args:
        image: (N, H, W, C), padded.
        kernel: (R, S).
        geometry: of ``stride[0] == 1``.
    """
    (r, s), (_, across), (d, e) = kernel, geometry.stride, geometry.dilation
    seen = sliding_window_view(image, e * (s - 1) + 1, axis=2)[:, :, ::across, :, ::e]  # (N, H, J, C, S)
    seen = seen.transpose((0, 1, 2, 4, 3))  # (N, H, J, S, C)
    n, h, j, _, c = seen.shape
    i, lines = h - d * (r - 1), np.empty_like(image, shape=(h * j, s * c), order="C")
    views = [lines[d * u * j : (d * u + i) * j] for u in range(r)]
    for number in range(n):
        lines.reshape(seen.shape[1:])[...] = seen[number]
        yield number, views


def narrow_correlate(image: Array, weight: Array, geometry: Geometry) -> Array:
    """`correlate` of ``geometry.stride[0] == 1``: (N, H, W, C), (R, S, C, K) -> (N, I, J, K).

    Of the wider dtype of the two. N may be 0.
    """
    r, s, c, k = weight.shape
    n, h, w, _ = image.shape
    (_, across), (d, e) = geometry.stride, geometry.dilation
    i, j = h - d * (r - 1), (w - e * (s - 1) - 1) // across + 1
    dtype = np.result_type(image.dtype, weight.dtype)
    y = np.empty_like(image, shape=(n, i * j, k), dtype=dtype, order="C")
    rows, more = weight.reshape((r, s * c, k)), np.empty_like(y, shape=(i * j, k))
    for number, (first, *others) in lines_of(image, (r, s), geometry):
        np.matmul(first, rows[0], out=y[number])
        for u, lines in enumerate(others, start=1):
            np.matmul(lines, rows[u], out=more)
            y[number] += more
    return y.reshape((n, i, j, k))


def narrow_gather(image: Array, grad: Array, kernel: Pair, geometry: Geometry) -> Array:
    """`gather` of ``geometry.stride[0] == 1``: (N, H, W, C), (N, I, J, K) -> (R, S, C, K).

    Of the wider dtype of the two. N may be 0: then it is zeros.
    """
    (r, s), c, (n, i, j, k) = kernel, image.shape[3], grad.shape
    dtype = np.result_type(image.dtype, grad.dtype)
    total = np.zeros_like(grad, shape=(r, s * c, k), dtype=dtype, order="C")
    given = grad.reshape((n, i * j, k))
    for number, views in lines_of(image, kernel, geometry):
        for u, lines in enumerate(views):
            total[u] += lines.T @ given[number]
    return total.reshape((r, s, c, k))


def pays(image: Sequence[int], weight: Sequence[int], geometry: Geometry) -> bool:
    """Whether cutting lines is the faster way: more than one line, few kernels, products that are not tiny.

    Measured: yes if R > 1, at most 32 kernels share the copies, C >= 8 and H W >= 64, at a stride down of 1.

    Args:
        image: shape of the padded image, (N, H, W, C).
        weight: shape of the kernels, (R, S, C, K).
        geometry: all but the stride down may be anything. Padding is in the image already, and the shapes are
            those of one group.
    """
    (_, h, w, _), (r, _, c, k) = image, weight
    return r > 1 and geometry.stride[0] == 1 and 8 <= c and k <= 32 and h * w >= 64


METHOD = Method(pays, narrow_correlate, narrow_gather)


def enable(on: bool = True) -> None:
    """Let conv2d cut lines wherever that `pays`, or never again. In the whole process."""
    conv2d.use(METHOD, on)
