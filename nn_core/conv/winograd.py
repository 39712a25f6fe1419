r"""Fewer multiplications for 3 x 3 kernels: Winograd's minimal filtering.

m neighbouring outputs of a filter with r weights are m r products, and m + r - 1 are enough. Take d, the
m + r - 1 inputs that they see, and g, the weights, to where filtering is one product a number; come back:

    y = A^T [(G g) * (B^T d)]                   F(m, r)
    Y = A^T [(G g G^T) * (B^T d B)] A           F(m x m, r x r), the same along both axes

F(4 x 4, 3 x 3) multiplies 36 times a tile instead of 144. The sum over the channels fits between the
brackets: the transforms are paid once a channel, not once a pair of channels, and what is left are E = 36
matrix products, of the e-th numbers of all tiles with the e-th numbers of all kernels: P_e = V_e U_e.

The gradient in the weights is the same trilinear form, open on another side: dL/dU_e = V_e^T (A dL/dY A^T)_e.

The price: the transforms themselves, which only many channels pay back (`pays`), and about a digit of
accuracy, for B^T subtracts numbers that are larger than its result.

Shapes   As inside conv2d: image (N, H, W, C), padded, weight (3, 3, C, K), y (N, I, J, K) with I = H - 2.
         Tiles of m x m outputs, U x V of them an image, T = N U V in all; E = (m + 2)^2.
Source   Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", arXiv:1509.09308, eq. 7-12;
         Winograd 1980, "Arithmetic complexity of computations", ch. V.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.polynomial.polynomial import polyfromroots

from foundations.computational_graph import Array
from nn_core.conv import conv2d
from nn_core.conv.conv2d import Geometry, Method

TILE = 4  # m: outputs of a tile along each axis. 6 saves products, but spends them on its transforms
PIECE = 1 << 20  # bytes of transformed tiles made at once


def transforms(m: int, r: int) -> tuple[Array, Array, Array]:
    """The matrices (A^T, G, B^T) of F(m, r): ``A^T @ ((G @ g) * (B^T @ d))`` filters d with g.

    Filtering is the transpose of multiplying polynomials, and those are multiplied by evaluating both at
    m + r - 2 points a_i, multiplying the values, and interpolating; the product of the leading coefficients
    stands for the point infinity. With N_i the product of a_i - a_j over j != i:

        A^T[:, i] = (1, a_i, ..., a_i^(m-1)),            at infinity (0, ..., 0, 1)
        G[i] = (1, a_i, ..., a_i^(r-1)) / N_i,           at infinity (0, ..., 0, 1)
        B^T[i] = coefficients of the product of x - a_j over j != i, constant first; at infinity, over all j

    Any points will do, but for rounding: 0, 1, -1, 2, -1/2, -2, 1/2, 4, -1/4, ... leave 5 to 6 digits of
    float32, and 0, 1, 2, 3, 4 one. Column i of A^T and row i of G and of B^T may be scaled, if the product of
    the three factors is 1.

    Args:
        m: outputs, >= 1.
        r: weights, >= 1.

    Returns:
        float64 arrays (m, n), (n, r) and (n, n), n = m + r - 1.
    """
    raise NotImplementedError("nn_core.conv.winograd: TODO 1 of 6, transforms")


@cache
def squared(m: int, dtype: np.dtype) -> tuple[Array, Array, Array]:
    """`transforms` of F(m, 3) for both axes at once, as matrices on flattened tiles.

    ``np.kron(B^T, B^T) @ d.reshape(-1)`` is ``(B^T @ d @ B).reshape(-1)``: one product transforms all tiles.

    Returns:
        (m^2, E), (E, 9) and (E, E), of this dtype.
    """
    raise NotImplementedError("nn_core.conv.winograd: TODO 2 of 6, squared")


def tiles(image: Array, m: int) -> Array:
    """Cut the image into what tiles of m x m outputs see: (N, H, W, C) -> (m + 2, m + 2, N, U, V, C), a view.

    Neighbours overlap by 2, in memory, too. Zeros below and on the right fill the last ones where m does not
    divide H - 2.
    """
    raise NotImplementedError("nn_core.conv.winograd: TODO 3 of 6, tiles")


def parts(seen: Array, channels: int) -> Iterator[slice]:
    """Cut the images so that E times ``channels``, max(C, K), numbers a tile fill about `PIECE` bytes a part.

    At least 64 tiles a part: each part reads all kernels again.
    """
    rows, columns, n, u, v, _ = seen.shape
    images = PIECE // (rows * columns * u * v * channels * seen.dtype.itemsize)
    images = max(images, -(-64 // (u * v)))
    for first in range(0, n, images):
        yield slice(first, min(n, first + images))


def winograd_correlate(image: Array, weight: Array, m: int = TILE) -> Array:
    """`correlate` at stride 1: image (N, H, W, C), padded, weight (3, 3, C, K) -> (N, H - 2, W - 2, K).

    m is the side of a tile; it need not divide H - 2 and W - 2. In float32 with m = 4, errors stay below 3e-5
    of the largest number of the result. Of the wider dtype of the two; integers become floats. The tiles of
    all images are never transformed at once: a part of them at a time, as `parts` cuts them.
    """
    raise NotImplementedError("nn_core.conv.winograd: TODO 4 of 6, winograd_correlate")


def winograd_gather(image: Array, grad: Array, m: int = TILE) -> Array:
    """`gather` at stride 1: image (N, H, W, C), padded, grad (N, H - 2, W - 2, K) -> (3, 3, C, K).

    m, the errors in float32, the dtype and the parts are as in `winograd_correlate`.
    """
    raise NotImplementedError("nn_core.conv.winograd: TODO 5 of 6, winograd_gather")


def pays(image: Sequence[int], weight: Sequence[int], geometry: Geometry) -> bool:
    """Whether Winograd's way is the faster one, by the number of its multiplications.

    With T tiles of `TILE` it takes ``E T C K + E^2 T C + m^2 E T K + 9 E C K`` (products, three transforms),
    the plain way ``9 N I J C K``. What is saved must also pay for moving the tiles: the answer is yes below
    0.6 of the plain number.

    Args:
        image: shape of the padded image, (N, H, W, C).
        weight: shape of the kernels, (R, S, C, K); False unless R = S = 3.
        geometry: False unless stride and dilation are 1.
    """
    raise NotImplementedError("nn_core.conv.winograd: TODO 6 of 6, pays")


METHOD = Method(
    pays,
    lambda image, weight, geometry: winograd_correlate(image, weight),
    lambda image, grad, kernel, geometry: winograd_gather(image, grad),
)


def enable(on: bool = True) -> None:
    """Let conv2d use Winograd's way wherever it `pays`, or never again. In the whole process."""
    conv2d.use(METHOD, on)
