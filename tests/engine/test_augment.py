"""Augmentation: each function against its definition in slow loops, and the numbers that it draws."""

from __future__ import annotations

import numpy as np
import pytest

from curriculum.datasets import augment

DTYPES = (np.uint8, np.float32, np.float64)
SHAPES = ((5, 3, 8, 6), (5, 8, 6), (1, 1, 5, 5), (2300, 7, 5))  # the last is worked on in pieces


def pictures(shape: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    values = np.random.default_rng(sum(shape)).integers(1, 256, shape)
    return values.astype(dtype) if dtype == np.uint8 else (values / 7).astype(dtype)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


CHANGES = {
    "random_crop": lambda images, rng: augment.random_crop(images, 2, rng),
    "random_flip": lambda images, rng: augment.random_flip(images, rng),
    "cutout": lambda images, rng: augment.cutout(images, 3, rng),
    "resize": lambda images, rng: augment.resize(images, (4, 9)),
}
each_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


# definitions


def at(image: np.ndarray, row: int, column: int, mode: str) -> np.ndarray | int:
    """The pixel at a place that may lie outside: mirrored at the outermost pixels, or zero."""
    height, width = image.shape[-2:]
    inside = 0 <= row < height and 0 <= column < width
    if not inside and mode == "constant":
        return 0
    row, column = (
        -i if i < 0 else 2 * (n - 1) - i if i >= n else i for i, n in ((row, height), (column, width))
    )
    return image[..., row, column]


def shifted(image: np.ndarray, down: int, right: int, mode: str) -> np.ndarray:
    moved = np.zeros_like(image)
    for row, column in np.ndindex(image.shape[-2:]):
        moved[..., row, column] = at(image, row - down, column - right, mode)
    return moved


@pytest.mark.parametrize("mode", augment.MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES[:3])
def test_a_crop_is_a_shift_with_the_mirrored_picture_or_zeros_around_it(shape, dtype, mode) -> None:
    images = pictures(shape, dtype)
    for image, cropped in zip(images, augment.random_crop(images, 2, rng(), mode), strict=True):
        moves = [(d, r) for d in range(-2, 3) for r in range(-2, 3)]
        assert any(np.array_equal(cropped, shifted(image, d, r, mode)) for d, r in moves)


def moves_of(crops: np.ndarray, image: np.ndarray, padding: int) -> np.ndarray:
    """Which of the (2 padding + 1)^2 moves made each crop of one image, (N,)."""
    steps = range(-padding, padding + 1)
    made = np.stack([shifted(image, d, r, "constant") for d in steps for r in steps])
    same = (crops[:, None] == made).all(axis=tuple(range(2, crops.ndim + 1)))  # (N, moves)
    assert (same.sum(axis=1) == 1).all()
    return same.argmax(axis=1)


def test_every_move_is_as_likely() -> None:
    n = 20_000
    image = pictures((6, 6))
    crops = augment.random_crop(np.broadcast_to(image, (n, 6, 6)), 2, rng(1), "constant")
    counts = np.bincount(moves_of(crops, image, 2), minlength=25)
    chi2 = ((counts - n / 25) ** 2 / (n / 25)).sum()
    assert chi2 < 60.1, "24 degrees of freedom: a right function gets there in 6 of 100,000 runs"


def test_pictures_move_independently_of_their_neighbours() -> None:
    n = 20_000
    image = pictures((6, 6))
    crops = augment.random_crop(np.broadcast_to(image, (n, 6, 6)), 1, rng(2), "constant")
    moves = moves_of(crops, image, 1)
    pairs = np.bincount(9 * moves[:-1] + moves[1:], minlength=81)
    chi2 = ((pairs - n / 81) ** 2 / (n / 81)).sum()
    assert chi2 < 140.0, "80 degrees of freedom: a right function gets there in 4 of 100,000 runs"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_flip_mirrors_left_and_right(shape, dtype) -> None:
    images = pictures(shape, dtype)
    which = rng().random(shape[0]) < 0.5
    for image, mirror, flipped in zip(images, which, augment.flip(images, which), strict=True):
        for column in range(shape[-1]):
            from_column = shape[-1] - 1 - column if mirror else column
            assert np.array_equal(flipped[..., column], image[..., from_column])


def test_alternating_flips_show_both_sides_in_two_epochs() -> None:
    images = pictures((50, 4, 4))
    first = rng().random(50) < 0.5
    one, two = augment.flip(images, first), augment.flip(images, ~first)
    assert 10 < first.sum() < 40
    assert np.array_equal(one[..., ::-1], two)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_pictures_are_flipped_with_their_probability(p) -> None:
    n = 10_000
    images = np.broadcast_to(pictures((1, 2)), (n, 1, 2))
    share = (augment.random_flip(images, rng(3), p) != images)[:, 0, 0].mean()
    spread = np.sqrt(p * (1 - p) / n)
    assert abs(share - p) <= 4 * spread, "4 standard deviations: 6 of 100,000 runs"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0, 1, 3, 4, 20])
@pytest.mark.parametrize("shape", SHAPES[:3])
def test_a_hole_is_a_square_around_some_pixel(shape, size, dtype) -> None:
    images, (height, width) = pictures(shape, dtype), shape[-2:]
    for image, holed in zip(images, augment.cutout(images, size, rng()), strict=True):
        found = []
        for row, column in np.ndindex(height, width):
            expected = image.copy()
            top, left = row - size // 2, column - size // 2
            for i, j in np.ndindex(height, width):
                if top <= i < top + size and left <= j < left + size:
                    expected[..., i, j] = 0
            found.append(np.array_equal(holed, expected))
        assert any(found)


def test_every_pixel_is_as_likely_the_middle_of_the_hole() -> None:
    n = 20_000
    holed = augment.cutout(np.ones((n, 4, 5), np.float32), 1, rng(4))
    assert ((holed == 0).sum(axis=(1, 2)) == 1).all()
    counts = (holed == 0).sum(axis=0)
    chi2 = ((counts - n / 20) ** 2 / (n / 20)).sum()
    assert chi2 < 52.0, "19 degrees of freedom: a right function gets there in 7 of 100,000 runs"


def test_a_hole_is_filled_with_what_was_asked_for() -> None:
    assert (augment.cutout(pictures((3, 2, 4, 4)), 20, rng(), fill=127) == 127).all()
    assert (augment.cutout(pictures((3, 2, 4, 4), np.float32), 20, rng(), fill=0.5) == 0.5).all()


def slowly_resized(line: np.ndarray, new: int) -> np.ndarray:
    """One line of pixels, each new one the mean of the old under a triangle around its middle."""
    scale = len(line) / new
    reach = max(scale, 1.0)
    resized = np.zeros(new)
    for i in range(new):
        middle = (i + 0.5) * scale
        total = 0.0
        for j in range(len(line)):
            weight = max(0.0, 1.0 - abs(j + 0.5 - middle) / reach)
            resized[i] += weight * line[j]
            total += weight
        resized[i] /= total
    return resized


@pytest.mark.parametrize("size", [(4, 9), (8, 6), (3, 2), (1, 1), (16, 12), (5, 7)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES[:2])
def test_resizing_averages_under_triangles_along_both_axes(shape, dtype, size) -> None:
    images = pictures(shape, dtype)
    resized = augment.resize(images, size)
    assert resized.shape == (*shape[:-2], *size)
    rows = np.apply_along_axis(slowly_resized, -2, images.astype(np.float64), size[0])
    expected = np.apply_along_axis(slowly_resized, -1, rows, size[1])
    if dtype == np.uint8:
        assert np.abs(resized - expected).max() <= 0.5 + 1e-4
    else:
        np.testing.assert_allclose(resized, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)


def test_resizing_to_the_same_size_changes_nothing_and_one_number_is_a_square() -> None:
    images = pictures((4, 3, 7, 7))
    assert np.array_equal(augment.resize(images, 7), images)
    assert augment.resize(images, 5).shape == (4, 3, 5, 5)


@pytest.mark.parametrize(("old", "new"), [(32, 16), (32, 24), (24, 32), (5, 1), (1, 5)])
def test_resampling_keeps_a_flat_picture_flat_and_its_middle_in_the_middle(old, new) -> None:
    weights = augment.resampling(old, new)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-15)
    assert weights.min() >= 0.0


# what all share


@each_change
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_shape_dtype_and_input_stay(change, shape, dtype) -> None:
    images = pictures(shape, dtype)
    before = images.copy()
    images.flags.writeable = False
    changed = change(images, rng())
    assert changed.dtype == dtype
    assert changed.shape[:-2] == shape[:-2]
    assert changed.flags.writeable
    assert not np.shares_memory(changed, images)
    assert np.array_equal(images, before)


@each_change
def test_the_generator_decides(change) -> None:
    images = pictures((40, 3, 8, 6))
    assert np.array_equal(change(images, rng(5)), change(images, rng(5)))
    if change is not CHANGES["resize"]:
        assert not np.array_equal(change(images, rng(5)), change(images, rng(6)))


@each_change
def test_the_numbers_drawn_do_not_depend_on_the_pictures(change) -> None:
    grey, colour = rng(7), rng(7)
    change(pictures((9, 8, 6)), grey)
    change(pictures((9, 3, 8, 6), np.float32), colour)
    assert grey.random() == colour.random()


@each_change
def test_memory_in_another_order_gives_the_same_pictures(change) -> None:
    images = pictures((6, 3, 8, 6))
    channels_last = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert np.array_equal(change(channels_last, rng()), change(images, rng()))


@each_change
def test_no_pictures_are_no_pictures(change) -> None:
    assert len(change(pictures((0, 3, 8, 6)), rng())) == 0


def test_crops_and_holes_of_nothing_change_nothing() -> None:
    images = pictures((5, 3, 8, 6))
    assert np.array_equal(augment.random_crop(images, 0, rng()), images)
    assert np.array_equal(augment.cutout(images, 0, rng()), images)


# errors


@each_change
def test_what_is_no_picture_is_refused(change) -> None:
    with pytest.raises(TypeError, match="uint8 or floating point, got int64"):
        change(np.ones((2, 8, 6), int), rng())
    with pytest.raises(TypeError, match="uint8 or floating point, got list"):
        change([[1.0]], rng())
    for shape in ((8, 6), (1, 2, 3, 8, 6), (2, 0, 6)):
        with pytest.raises(ValueError, match=rf"\(N, C, H, W\) or \(N, H, W\), got shape \({shape[0]}, "):
            change(np.ones(shape), rng())
    if change is not CHANGES["resize"]:
        with pytest.raises(TypeError, match=r"rng must be a numpy.random.Generator, got int: 3"):
            change(pictures((2, 8, 6)), 3)


def test_settings_that_cannot_be_are_refused() -> None:
    images = pictures((2, 3, 8, 6))
    for padding in (-1, 6, 1.5):
        with pytest.raises(ValueError, match=rf"padding .* at least 0 below 6, .* 'reflect', got {padding}"):
            augment.random_crop(images, padding, rng())
    augment.random_crop(images, 6, rng(), "constant")
    with pytest.raises(ValueError, match="at least 0, got -1"):
        augment.random_crop(images, -1, rng(), "constant")
    with pytest.raises(ValueError, match="mode must be 'reflect' or 'constant', got 'wrap'"):
        augment.random_crop(images, 1, rng(), "wrap")
    for p in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=rf"p must be a probability in \[0, 1\], got {p}"):
            augment.random_flip(images, rng(), p)
    with pytest.raises(TypeError, match="which must be bool, one for each image, got int64"):
        augment.flip(images, np.ones(2, int))
    with pytest.raises(ValueError, match=r"shape \(2,\) for \(2, 3, 8, 6\) images, got \(3,\)"):
        augment.flip(images, np.ones(3, bool))
    for size in (-1, 2.0):
        with pytest.raises(ValueError, match=f"size must be an integer, at least 0, got {size}"):
            augment.cutout(images, size, rng())
    for fill in (-1, 256, 0.5):
        with pytest.raises(ValueError, match=rf"fill must be an integer in \[0, 255\] .* got {fill}"):
            augment.cutout(images, 2, rng(), fill)
    for size in (0, (3, -1), (3,), 2.5):
        with pytest.raises(ValueError, match="size must be a positive integer or two of them, got "):
            augment.resize(images, size)
