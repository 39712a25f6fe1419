r"""Pictures that show the same thing: moved, mirrored, with a hole, in another size.

    crop      pad by p, cut out the old size: moves the picture by up to p pixels each way
    flip      mirror left and right
    cutout    erase one square, so that no single part of the picture is needed
    resize    y = A x B^T,   A[i, j] = max(0, 1 - |j + 1/2 - s (i + 1/2)| / max(s, 1)), each row over its sum

with s = H / H', the old height by the new. Where a picture shrinks, the triangle is as wide as two of the new
pixels: detail that is too fine for them is averaged, and does not show as another pattern.

Every function takes uint8 or floating-point images, returns new ones of the same dtype, and draws from the
generator that it is given: as many numbers for one set of pictures as for another.

Shapes   N images, C channels, H rows, W columns: (N, C, H, W) or, without channels, (N, H, W).
Source   He et al. 2016, arXiv:1512.03385, sec. 4.2 (images padded by 4, then crops and flips); DeVries &
         Taylor 2017, arXiv:1708.04552, sec. 3 (cutout); Jordan 2024, arXiv:2404.00498, sec. 3.6 (flips that
         alternate); Turkowski 1990, "Filters for common resampling tasks", Graphics Gems (the triangle).
"""

from __future__ import annotations

import numpy as np

MODES = ("reflect", "constant")
PIECE = 1000  # images worked on at a time: padded copies and float32 copies of all would not fit the cache


def random_crop(
    images: np.ndarray, padding: int, rng: np.random.Generator, mode: str = "reflect"
) -> np.ndarray:
    """Move each picture by up to ``padding`` pixels up or down, left or right: each move is as likely.

    Args:
        images: (N, C, H, W) or (N, H, W).
        padding: pixels, in [0, min(H, W)) for "reflect", else at least 0.
        rng: draws two numbers an image.
        mode: what comes in from outside: "reflect", the picture mirrored at its outermost pixels, or
            "constant", zeros.

    Returns:
        Images of the same shape and dtype.

    Raises:
        TypeError: images are neither uint8 nor floating point, or ``rng`` is no generator.
        ValueError: a shape, padding or mode that cannot be; the message names it and what can.
    """
    height, width = _checked(images)[-2:]
    _check_rng(rng)
    limit = min(height, width) if mode == "reflect" else np.inf
    if mode not in MODES:
        raise ValueError(f"mode must be {' or '.join(map(repr, MODES))}, got {mode!r}")
    if not isinstance(padding, int | np.integer) or not 0 <= padding < limit:
        most = f" below {limit}, the image's smaller side, for mode 'reflect'" if mode == "reflect" else ""
        raise ValueError(f"padding must be an integer, at least 0{most}, got {padding!r}")
    tops, lefts = rng.integers(2 * padding + 1, size=(2, len(images)))
    frame = ((0, 0),) * (images.ndim - 2) + ((padding, padding),) * 2
    moved = np.empty(images.shape, images.dtype)
    for start in range(0, len(images), PIECE):
        piece = slice(start, start + PIECE)
        padded = np.pad(images[piece], frame, mode=mode)  # type: ignore[call-overload]
        views = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(-2, -1))
        # (n, [C,] 2p + 1, 2p + 1, H, W): every crop of every image, of which one each is copied
        moved[piece] = np.moveaxis(views, (-4, -3), (1, 2))[np.arange(len(padded)), tops[piece], lefts[piece]]
    return moved


def random_flip(images: np.ndarray, rng: np.random.Generator, p: float = 0.5) -> np.ndarray:
    """Mirror each picture, left and right, with probability ``p``.

    Args:
        images: (N, C, H, W) or (N, H, W).
        rng: draws one number an image.
        p: in [0, 1].

    Returns:
        Images of the same shape and dtype.

    Raises:
        TypeError: as `random_crop`.
        ValueError: a shape or a probability that cannot be; the message names it.
    """
    _checked(images)
    _check_rng(rng)
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"p must be a probability in [0, 1], got {p}")
    return flip(images, rng.random(len(images)) < p)


def flip(images: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Mirror the pictures that ``which`` says, left and right.

    With ``first = rng.random(N) < 0.5`` drawn once, ``first`` in one epoch and ``~first`` in the next, every
    picture is seen both ways in any two epochs; with `random_flip`, half of them are seen twice alike.

    Args:
        images: (N, C, H, W) or (N, H, W).
        which: (N,) bool.

    Returns:
        Images of the same shape and dtype.

    Raises:
        TypeError: images are neither uint8 nor floating point, or ``which`` is not bool.
        ValueError: a shape that cannot be; the message names it.
    """
    _checked(images)
    which = np.asarray(which)
    if which.dtype != bool:
        raise TypeError(f"which must be bool, one for each image, got {which.dtype}")
    if which.shape != images.shape[:1]:
        raise ValueError(
            f"which must have shape {images.shape[:1]} for {images.shape} images, got {which.shape}"
        )
    flipped = images.copy()
    flipped[which] = images[which][..., ::-1]
    return flipped


def cutout(images: np.ndarray, size: int, rng: np.random.Generator, fill: float = 0.0) -> np.ndarray:
    """Erase one square of each picture.

    Its middle is any pixel of the picture, each as likely, so part of the square may lie outside, and some
    pictures stay almost whole. The pixel is the one below and right of the centre if the size is even.

    Args:
        images: (N, C, H, W) or (N, H, W).
        size: of a side, pixels, at least 0.
        rng: draws two numbers an image.
        fill: what the erased pixels become in every channel: 0 is the mean of standardized images, and black
            in raw ones.

    Returns:
        Images of the same shape and dtype.

    Raises:
        TypeError: as `random_crop`.
        ValueError: a shape, a size or, for uint8, a fill that cannot be; the message names it.
    """
    height, width = _checked(images)[-2:]
    _check_rng(rng)
    if not isinstance(size, int | np.integer) or size < 0:
        raise ValueError(f"size must be an integer, at least 0, got {size!r}")
    if images.dtype == np.uint8 and fill not in range(256):
        raise ValueError(f"fill must be an integer in [0, 255] for uint8 images, got {fill}")
    rows = _covered(height, size, rng, len(images))
    columns = _covered(width, size, rng, len(images))
    hole = rows[:, :, None] & columns[:, None, :]  # (N, H, W)
    holed = images.copy()
    np.copyto(holed, images.dtype.type(fill), where=hole if images.ndim == 3 else hole[:, None])
    return holed


def resize(images: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Change the size by linear interpolation, averaging where the picture shrinks.

    As PIL's BILINEAR and PyTorch's ``interpolate(mode="bilinear", antialias=True, align_corners=False)``.

    Args:
        images: (N, C, H, W) or (N, H, W).
        size: (H', W'), or one number for both, pixels.

    Returns:
        (N, C, H', W') or (N, H', W') of the same dtype; uint8 rounded to the nearest.

    Raises:
        TypeError: images are neither uint8 nor floating point.
        ValueError: a shape or size that cannot be; the message names it.
    """
    *outer, height, width = _checked(images)
    pair = size if isinstance(size, tuple) else (size, size)
    if len(pair) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in pair):
        raise ValueError(f"size must be a positive integer or two of them, got {size!r}")
    dtype = np.dtype(np.float32) if images.dtype == np.uint8 else images.dtype
    down = resampling(height, int(pair[0])).astype(dtype)  # (H', H)
    across = resampling(width, int(pair[1])).astype(dtype)  # (W', W)
    resized = np.empty((*outer, *pair), images.dtype)
    for start in range(0, len(images), PIECE):
        piece = slice(start, start + PIECE)
        values = down @ (images[piece].astype(dtype) @ across.T)  # (n, [C,] H', W')
        resized[piece] = np.rint(values) if images.dtype == np.uint8 else values
    return resized


def resampling(old: int, new: int) -> np.ndarray:
    """The matrix (new, old), float64, that resizes one axis: its rows are averages, each sums to 1."""
    scale = old / new
    middles = scale * (np.arange(new)[:, None] + 0.5)  # (new, 1), of the new pixels, in old pixels
    distances = np.abs(np.arange(old) + 0.5 - middles)  # (new, old)
    weights = np.maximum(0.0, 1.0 - distances / max(scale, 1.0))
    return weights / weights.sum(axis=1, keepdims=True)


def _covered(length: int, size: int, rng: np.random.Generator, n: int) -> np.ndarray:
    """Which places of an axis a stretch of ``size`` around a random place covers, (n, length) bool."""
    start = rng.integers(length, size=(n, 1)) - size // 2
    places = np.arange(length)
    return (start <= places) & (places < start + size)


def _checked(images: np.ndarray) -> tuple[int, ...]:
    """The shape of ``images``, once it is sure that they are images."""
    if not isinstance(images, np.ndarray) or not (images.dtype == np.uint8 or images.dtype.kind == "f"):
        kind = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
        raise TypeError(f"images must be an array of uint8 or floating point, got {kind}")
    if images.ndim not in (3, 4) or 0 in images.shape[1:]:
        raise ValueError(f"images must be (N, C, H, W) or (N, H, W), got shape {images.shape}")
    return images.shape


def _check_rng(rng: np.random.Generator) -> None:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {type(rng).__name__}: {rng!r}")
