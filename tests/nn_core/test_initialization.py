"""nn_core.initialization: exact where it is exact, and by statistics where it is random.

Each of the hundred statistical checks refuses a right implementation with probability 1e-6, in whatever order
it draws its numbers: all together, one in ten thousand.
"""

from math import sqrt

import numpy as np
import pytest

from curriculum.testing import expect, statistics
from nn_core.initialization import (
    fans,
    gain,
    kaiming_normal,
    kaiming_uniform,
    orthogonal,
    xavier_normal,
    xavier_uniform,
)

SHAPE = (150, 400)  # 400 inputs, 150 outputs
CONV = (32, 16, 5, 5)  # 16 channels in, 32 out, a kernel of 25
BEYOND = 0.04550026389635842  # the part of a normal distribution beyond two standard deviations


def draw(function, *args, shape=SHAPE, seed=0, dtype=np.float64, **kwargs):
    """Weights as float64, after a check of their shape and dtype."""
    w = function(shape, *args, rng=np.random.default_rng(seed), dtype=dtype, **kwargs)
    expect.equal(np.shape(w), shape, f"the shape of {function.__name__}({shape})")
    expect.true(
        type(w) is np.ndarray and w.dtype == dtype,
        f"{function.__name__} with dtype={np.dtype(dtype)} should return an array of that dtype, got "
        f"{type(w).__name__} of {getattr(w, 'dtype', None)}",
    )
    return w.astype(np.float64)


def is_uniform(w, variance, what):
    """Check that w comes from the uniform distribution on [-b, b] with this variance."""
    bound = sqrt(3 * variance)
    peak = float(np.max(np.abs(w)))
    expect.true(
        0.99 * bound < peak <= bound * (1 + 1e-6),
        f"{what} should fill [-b, b], b = {bound:.5g}: its peak is {peak:.5g}",
    )
    statistics.mean_is(w, 0.0, sqrt(variance), what)
    statistics.variance_is(w, variance, what, kurtosis=1.8)
    statistics.uniform_counts(np.histogram(w, 20, (-bound, bound))[0], what)


def is_normal(w, variance, what):
    """Check that w comes from the normal distribution with this variance."""
    statistics.mean_is(w, 0.0, sqrt(variance), what)
    statistics.variance_is(w, variance, what)
    beyond = np.abs(w) > 2 * sqrt(variance)
    sd = sqrt(BEYOND * (1 - BEYOND))
    statistics.mean_is(beyond, BEYOND, sd, f"the part of {what} beyond two standard deviations")


# Exact.


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((3, 7), (7, 3)), ((5, 1), (1, 5)), ((16, 3, 5, 5), (75, 400)), ((8, 2, 4), (8, 32))],
)
def test_fans_count_inputs_and_outputs(shape, expected):
    expect.equal(fans(shape), expected, f"(fan_in, fan_out) of {shape}")


def test_what_is_no_weight_has_no_fans():
    with expect.raises(ValueError, "(5,)"):
        fans((5,))
    with expect.raises(ValueError, "(4, 0)"):
        fans((4, 0))


def test_the_gain_of_each_nonlinearity():
    for name, expected in {
        "linear": 1,
        "sigmoid": 1,
        "tanh": 5 / 3,
        "relu": sqrt(2),
        "leaky_relu": sqrt(2),
    }.items():
        expect.close(gain(name), float(expected), f"gain('{name}')")


def test_the_gain_of_a_leaky_relu_falls_with_its_slope_and_of_the_others_does_not():
    expect.close(gain("leaky_relu", 0.5), sqrt(2 / 1.25), "gain('leaky_relu', 0.5)")
    expect.close(gain("leaky_relu", sqrt(5)), sqrt(1 / 3), "gain('leaky_relu', sqrt(5))")
    expect.close(gain("relu", 0.5), sqrt(2), "gain('relu', 0.5)")


def test_an_unknown_nonlinearity_is_refused():
    with expect.raises(ValueError, "swish", "leaky_relu", "tanh"):
        gain("swish")


def test_an_unknown_mode_is_refused():
    for function in (kaiming_uniform, kaiming_normal):
        with expect.raises(ValueError, "fan_avg", "fan_in", "fan_out"):
            function((2, 3), mode="fan_avg", rng=np.random.default_rng(0))


# Random.


@pytest.mark.parametrize("shape", [SHAPE, CONV])
def test_xavier_uses_both_fans(shape):
    variance = 2 / sum(fans(shape))
    is_uniform(draw(xavier_uniform, shape=shape), variance, f"xavier_uniform({shape})")
    is_normal(draw(xavier_normal, shape=shape), variance, f"xavier_normal({shape})")


def test_the_gain_multiplies_the_standard_deviation_of_xavier():
    variance = 9 * 2 / sum(fans(SHAPE))
    is_uniform(draw(xavier_uniform, 3.0), variance, "xavier_uniform with gain 3")
    is_normal(draw(xavier_normal, gain=3.0), variance, "xavier_normal with gain 3")


@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize("shape", [SHAPE, CONV])
def test_kaiming_uses_the_fan_of_its_mode(shape, mode):
    variance = 2 / dict(zip(("fan_in", "fan_out"), fans(shape), strict=True))[mode]
    is_uniform(
        draw(kaiming_uniform, shape=shape, mode=mode), variance, f"kaiming_uniform({shape}, mode='{mode}')"
    )
    is_normal(
        draw(kaiming_normal, shape=shape, mode=mode), variance, f"kaiming_normal({shape}, mode='{mode}')"
    )


def test_kaiming_takes_the_gain_of_what_follows():
    is_uniform(draw(kaiming_uniform, sqrt(5.0)), 1 / (3 * 400), "kaiming_uniform with a = sqrt(5)")
    is_normal(draw(kaiming_normal, nonlinearity="linear"), 1 / 400, "kaiming_normal before a linear layer")


def test_kaiming_keeps_a_signal_alive_through_ten_relu_layers():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((512, 64))
    start = np.mean(x**2)
    for _ in range(10):
        x = np.maximum(kaiming_normal((512, 512), rng=rng) @ x, 0)
    ratio = float(np.mean(x**2) / start)
    # over 40 seeds log2(ratio) has mean -0.1 and sd 0.37; without the gain it is -10
    expect.true(0.25 < ratio < 4, f"ten layers of 512 should keep E[x^2]: yours multiply it by {ratio:.3g}")


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (1, 6), (6, 2, 2, 2), (4, 3, 2, 2)])
def test_orthogonal_rows_or_columns_are_orthonormal(shape):
    w = draw(orthogonal, shape=shape).reshape(shape[0], -1)
    rows, columns = w.shape
    gram, side = (w @ w.T, "rows") if rows <= columns else (w.T @ w, "columns")
    expect.close(
        gram,
        np.eye(min(rows, columns)),
        f"the inner products of the {side} of orthogonal({shape})",
        atol=1e-12,
    )


def test_the_gain_is_the_length_of_orthogonal_rows():
    w = draw(orthogonal, 3.0, shape=(4, 9))
    expect.close(
        w @ w.T, 9 * np.eye(4), "the inner products of the rows of orthogonal with gain 3", atol=1e-12
    )


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 4), (4, 2)])
def test_orthogonal_matrices_are_all_equally_likely(shape):
    rng = np.random.default_rng(1)
    draws = np.array([orthogonal(shape, rng=rng, dtype=np.float64) for _ in range(300)])
    for at in ((0, 0), (-1, -1)):
        entries = draws[:, *at]
        # by symmetry every entry has mean 0, and its square a mean of 1 / (length of the orthonormal vectors)
        statistics.mean_is(entries, 0.0, sqrt(1 / max(shape)), f"entry {list(at)} of orthogonal({shape})")
    lengths = (draws**2).sum(axis=(1, 2))
    expect.close(lengths, np.full(300, float(min(shape))), f"the sum of squares of orthogonal({shape})")


def test_no_direction_is_preferred_by_orthogonal():
    rng = np.random.default_rng(2)
    rows = np.concatenate([orthogonal((1, 64), rng=rng, dtype=np.float64) for _ in range(200)])
    # uniform on the sphere in n dimensions: E[(n w^2)^2] = 3n / (n + 2), with about the sd of z^4, sqrt(96)
    statistics.mean_is(
        (64 * rows**2) ** 2, 3 * 64 / 66, sqrt(96), "(64 w^2)^2 over the rows of orthogonal((1, 64))"
    )


# What all share.


ALL = [xavier_uniform, xavier_normal, kaiming_uniform, kaiming_normal, orthogonal]


@pytest.mark.parametrize("function", ALL)
def test_weights_are_float32_unless_told_otherwise(function):
    w = function((30, 20), rng=np.random.default_rng(0))
    expect.true(
        type(w) is np.ndarray and w.dtype == np.float32,
        f"expected float32, got {getattr(w, 'dtype', type(w))}",
    )
    expect.true(
        float(np.std(w)) > 0.01, f"the weights should differ from each other, yours are {w.flat[:3]} ..."
    )


@pytest.mark.parametrize("function", ALL)
def test_the_generator_decides(function):
    rng = np.random.default_rng(5)
    first, second = function((4, 6), rng=rng), function((4, 6), rng=rng)
    again = function((4, 6), rng=np.random.default_rng(5))
    expect.close(again, first, "weights from an equal generator")
    expect.true(
        bool(np.max(np.abs(first - second)) > 1e-3), "the next weights from the same generator should differ"
    )


@pytest.mark.parametrize("function", ALL)
def test_a_vector_is_no_weight(function):
    with expect.raises(ValueError, "(7,)"):
        function((7,), rng=np.random.default_rng(0))
