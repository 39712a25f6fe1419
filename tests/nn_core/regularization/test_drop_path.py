"""nn_core.regularization.drop_path: whole examples dropped, a branch skipped, and how often in which block.

Each statistical check refuses an ideal generator with a probability of about 1e-6 at most.
"""

import numpy as np
import pytest

from curriculum.testing import duck, expect, gradcheck, statistics
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor
from nn_core.module import Module, Parameter, Sequential
from nn_core.regularization.drop_path import DropPath, Residual, drop_path, linear_decay


def generator(seed=0):
    return np.random.default_rng(seed)


def numbers(*shape, seed=1):
    """Numbers none of which is 0: a zero in the result was dropped."""
    return np.random.default_rng(seed).uniform(0.5, 2.0, shape)


def kept_by(y, x, p, what):
    """(N,): which examples are kept; each must be x / (1 - p) or 0 as a whole."""
    kept = (y.data != 0).reshape(len(x), -1)
    expect.true(bool((kept == kept[:, :1]).all()), f"{what}: an example should be dropped as a whole")
    expect.tensor(y, np.where(y.data != 0, x / (1 - p), 0.0), f"{what}: x / (1 - {p}) or 0")
    return kept[:, 0]


class Scale(Module):
    """A branch: x * weight."""

    def __init__(self, weight=3.0):
        super().__init__()
        self.weight = Parameter(np.array([weight]))

    def forward(self, x):
        return x * self.weight


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_every_example_has_a_coin_of_its_own_in_every_call(p):
    x, rng = numbers(20, 3, 2), generator(2)
    kept = np.stack([kept_by(drop_path(Tensor(x), p, rng=rng), x, p, "drop_path") for _ in range(400)])
    q, both = 1 - p, p * p + (1 - p) * (1 - p)  # both: two independent coins agree
    statistics.mean_is(kept, q, np.sqrt(p * q), f"what drop_path keeps with p = {p}")
    for axis, name in enumerate(("two calls", "two examples")):
        even, odd = kept.take(np.arange(0, 20, 2), axis), kept.take(np.arange(1, 20, 2), axis)
        statistics.mean_is(even == odd, both, np.sqrt(both * (1 - both)), f"how often {name} agree")
    statistics.variance_is(
        kept.sum(1).astype(float),
        20 * p * q,
        f"how many of 20 examples are kept with p = {p}",
        kurtosis=3 + (1 - 6 * p * q) / (20 * p * q),
    )


@pytest.mark.parametrize("p", [0.2, 0.75])
def test_the_expectation_is_x_and_the_variance_that_of_dropout(p):
    y = drop_path(Tensor(np.full((50_000, 1), -3.0)), p, rng=generator(3))
    q, what = 1 - p, f"drop_path of -3 with p = {p}"
    statistics.mean_is(y.data, -3.0, 3 * np.sqrt(p / q), what)
    statistics.variance_is(y.data, 9 * p / q, what, kurtosis=(1 - 3 * p * q) / (p * q))


def test_the_gradient_goes_through_the_mask_of_the_forward_pass():
    layer, x = DropPath(0.5, rng=generator()), Tensor(numbers(40, 3), requires_grad=True)
    y, g = layer(x), numbers(40, 3, seed=2)
    later = layer(x)  # another mask, between the pass and its gradient
    y.backward(g)
    expect.close(x.grad, np.where(y.data != 0, 2 * g, 0.0), "gradient: 2 g where y is not 0, with p = 0.5")
    expect.true(bool((later.data != y.data).any()), "two calls of a layer should draw two masks")


def test_a_kept_zero_has_a_gradient_and_the_incoming_one_is_left_alone():
    data, g = numbers(40, 3), numbers(40, 3, seed=2)
    kept = kept_by(drop_path(Tensor(data), 0.5, rng=generator(1)), data, 0.5, "drop_path")
    expect.true(5 < kept.sum() < 35, f"about half of 40 examples should be kept, yours keeps {kept.sum()}")
    data[:, 0] = 0.0
    x, given = Tensor(data, requires_grad=True), g.copy()
    y = drop_path(x, 0.5, rng=generator(1))
    expect.tensor(
        y, np.where(kept[:, None], 2 * data, 0.0), "drop_path of examples with a 0, equal generator"
    )
    for number in ("first", "second"):
        (got,) = grad(y, [x], g)
        what = f"gradient of examples with a 0 in the {number} pass: 2 g where kept,"
        expect.tensor(got, np.where(kept[:, None], 2 * given, 0.0), what)
        expect.equal(g, given, f"the gradient that came in, after the {number} pass,")


def test_the_gradients_are_right_to_second_order():
    x = numbers(6, 2)
    kept_by(drop_path(Tensor(x), 0.4, rng=generator(1)), x, 0.4, "drop_path")
    kept = drop_path(Tensor(np.ones(6)), 0.4, rng=generator(1)).data
    expect.true(bool((kept != 1).all()), f"drop_path of ones with p = 0.4 should be 0 or 5/3: {kept}")
    gradcheck(lambda x: drop_path(x * x, 0.4, rng=generator(1)), x)
    gradcheck(lambda x: Residual(Scale(), 0.4, rng=generator(1))(x * x), x)


def test_it_runs_on_another_library_s_arrays():
    x = numbers(60)
    y = duck.flows(lambda t: drop_path(t * t, 0.5, rng=generator()), x, engine=grad, what="drop_path")
    expect.close(y, np.where(y != 0, 2 * x * x, 0.0), "drop_path of x * x with p = 0.5")
    count = int((y != 0).sum())
    expect.true(5 < count < 55, f"about half of 60 examples should be kept, yours keeps {count}")


@pytest.mark.parametrize("shape", [(40,), (40, 3), (40, 2, 3), (40, 2, 2, 2)])
def test_a_batch_of_any_shape_and_the_same_mask_from_an_equal_generator(shape):
    x = numbers(*shape)
    first = drop_path(Tensor(x), 0.5, rng=generator(1))
    kept = kept_by(first, x, 0.5, f"drop_path of x {shape}")
    expect.true(5 < kept.sum() < 35, f"about half of 40 examples should be kept, yours keeps {kept.sum()}")
    expect.tensor(drop_path(Tensor(x), 0.5, rng=generator(1)), first.data, "drop_path, equal generator")
    other = drop_path(Tensor(x), 0.5, rng=generator(2)).data
    expect.true(bool((other != first.data).any()), "another generator should give another mask")


def test_evaluation_is_the_identity_and_draws_nothing():
    layer, x = DropPath(0.5, rng=generator()), numbers(60, 3)
    before = generator().bit_generator.state
    expect.tensor(layer.eval()(Tensor(x)), x, "DropPath of x after eval()")
    expect.tensor(drop_path(Tensor(x), 0.5, False, rng=layer.rng), x, "drop_path with training=False")
    expect.tensor(drop_path(x, 0.5, False, rng=layer.rng), x, "drop_path of an array with training=False")
    expect.true(bool(layer.rng.bit_generator.state == before), "evaluation should draw no random numbers")
    kept = kept_by(layer.train()(Tensor(x)), x, 0.5, "DropPath after train()")
    expect.true(5 < kept.sum() < 55, f"about half of 60 examples should be kept, yours keeps {kept.sum()}")


def test_a_residual_block_adds_its_branch_or_skips_it():
    block, x = Residual(Scale(3.0), 0.25, rng=generator()), numbers(400, 2)
    y = block(Tensor(x))
    skipped = y.data[:, 0] == x[:, 0]
    want = np.where(skipped[:, None], x, x + 3 * x / 0.75)
    expect.tensor(y, want, "x where the branch is skipped, x + 3 x / 0.75 elsewhere")
    statistics.mean_is(skipped, 0.25, np.sqrt(0.25 * 0.75), "how many of 400 examples skip the branch")
    expect.tensor(block.eval()(Tensor(x)), 4 * x, "x + 3 x in evaluation")
    names = [name for name, _ in block.named_parameters()]
    expect.equal(names, ["branch.weight"], "the list of parameters of a Residual")


def test_a_skipped_branch_gets_no_gradient_and_x_gets_all_of_it():
    block = Residual(Scale(3.0), 1.0, rng=generator())
    x = Tensor(numbers(5, 2), requires_grad=True)
    y = block(x)
    expect.tensor(y, x.data, "x + 0, with p = 1")
    y.backward(np.ones((5, 2)))
    expect.close(x.grad, np.ones((5, 2)), "gradient with respect to x, with p = 1")
    expect.close(block.branch.weight.grad, np.zeros(1), "gradient of the branch's weight, with p = 1")


def test_blocks_that_share_a_generator_draw_different_masks():
    rng, x = generator(5), numbers(4000, 1)
    blocks = Sequential(*[Residual(Scale(1.0), 0.5, rng=rng) for _ in range(2)])
    factors = np.round(blocks(Tensor(x)).data / x, 6).ravel()  # each block multiplies by 1 or by 3
    for factor, share in ((1.0, 0.25), (3.0, 0.5), (9.0, 0.25)):
        what = f"how often two blocks, each a factor 1 or 3, make {factor:g}"
        statistics.mean_is(factors == factor, share, np.sqrt(share * (1 - share)), what)
    expect.tensor(blocks.eval()(Tensor(x)), 4 * x, "two blocks x + x in evaluation")


def test_the_probability_rises_linearly_to_that_of_the_last_block():
    for depth, p in ((4, 0.2), (1, 0.5), (54, 0.5), (3, 0.0), (2, 1.0)):
        got = linear_decay(depth, p)
        want = [p * block / depth for block in range(1, depth + 1)]
        expect.close(np.array(got, float), np.array(want), f"linear_decay({depth}, {p})")
        passed = depth - sum(got)
        expect.close(passed, depth - p * (depth + 1) / 2, f"branches passed in the mean of {depth}, p = {p}")


def test_float32_stays_float32():
    data = numbers(100, 2).astype(np.float32)
    for p in (0.5, np.float64(0.5)):
        x = Tensor(data, requires_grad=True)
        y = drop_path(x, p, rng=generator())
        want = np.where(y.data != 0, 2 * data, np.float32(0))
        expect.tensor(y, want, f"drop_path of float32 with p {p!r}", dtype=np.float32)
        kept = float((y.data != 0).mean())
        expect.true(0.2 < kept < 0.8, f"drop_path should keep about half of 100 examples: {kept:.0%}")
        (g,) = grad(y, [x], data)
        expect.tensor(g, want, "gradient of drop_path in float32", dtype=np.float32)


def test_nothing_is_dropped_for_p_0_and_everything_for_p_1():
    x = numbers(200, 3)
    expect.tensor(drop_path(Tensor(x), 0.0, rng=generator()), x, "drop_path with p = 0")
    with expect.quiet("drop_path with p = 1"):
        y = drop_path(Tensor(x), 1.0, rng=generator())
    expect.tensor(y, np.zeros((200, 3)), "drop_path with p = 1")
    expect.tensor(drop_path(Tensor(np.zeros((0, 3))), 0.5, rng=generator()), np.zeros((0, 3)), "of x (0, 3)")


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_probabilities_outside_0_and_1_are_refused(p):
    for wrong in (
        lambda: drop_path(Tensor(np.ones((2, 2))), p, rng=generator()),
        lambda: drop_path(Tensor(np.ones((2, 2))), p, False, rng=generator()),
        lambda: Residual(Scale(), p, rng=generator()),
        lambda: linear_decay(3, p),
    ):
        with expect.raises(ValueError, str(p)):
            wrong()


def test_depths_and_shapes_that_do_not_fit_are_refused():
    for depth in (0, -2):
        with expect.raises(ValueError, str(depth)):
            linear_decay(depth, 0.5)
    for training in (True, False):
        with expect.raises(ValueError, "()"):
            drop_path(Tensor(np.array(1.0)), 0.5, training, rng=generator())

    class First(Module):
        def forward(self, x):
            return x[:, :1]

    with expect.raises(ValueError, "(3, 1)", "(3, 2)"):
        Residual(First(), 0.5, rng=generator())(Tensor(np.ones((3, 2))))
