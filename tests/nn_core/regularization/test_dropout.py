"""nn_core.regularization.dropout: what is dropped, how often, and which way the gradient goes.

Each statistical check refuses an ideal generator with probability 1e-6 at most.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import duck, expect, gradcheck, statistics, strategies
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor
from nn_core.module import Sequential
from nn_core.regularization.dropout import (
    Dropout,
    Dropout1d,
    Dropout2d,
    DropoutFunction,
    channel_dropout,
    drop,
    dropout,
    keep_mask,
)

KEEP = np.array([[True, False, True], [False, False, True]])


def generator(seed=0):
    return np.random.default_rng(seed)


def numbers(*shape, seed=1):
    """Numbers none of which is 0: a zero in the result was dropped."""
    return np.random.default_rng(seed).uniform(0.5, 2.0, shape)


def independent(kept, p, what):
    """Check that each entry of ``kept`` is True with probability 1 - p, whatever the others are.

    Neighbours along every axis must agree as often as independent coins do, and the number of True along
    axis 0 must vary as a sum of such coins does.
    """
    both = p * p + (1 - p) * (1 - p)  # two independent coins agree
    statistics.mean_is(kept, 1 - p, np.sqrt(p * (1 - p)), f"what {what} keeps, with p = {p}")
    for axis, side in enumerate(kept.shape):
        even, odd = (kept.take(np.arange(start, side - 1 + start, 2), axis) for start in (0, 1))
        agreement = f"how often neighbours along axis {axis} share their fate in {what} with p = {p}"
        statistics.mean_is(even == odd, both, np.sqrt(both * (1 - both)), agreement)
    coins = kept[0].size
    excess = (1 - 6 * p * (1 - p)) / (coins * p * (1 - p))
    statistics.variance_is(
        kept.reshape(len(kept), -1).sum(1).astype(float),
        coins * p * (1 - p),
        f"how many of {coins} numbers {what} keeps in a call",
        kurtosis=3 + excess,
    )


def kept_by(y, x, p, what):
    """Where y is not 0; everywhere else it must be x / (1 - p)."""
    expect.tensor(
        y, np.where(y.data != 0, x / (1 - p), 0.0), f"{what}: x / (1 - {p}) where kept, 0 elsewhere"
    )
    return y.data != 0


def test_what_is_kept_is_scaled_and_the_rest_is_zero():
    x = numbers(2, 3)
    with expect.unchanged(x):
        y = drop(Tensor(x), KEEP, 0.75)
    expect.tensor(y, np.where(KEEP, 4 * x, 0.0), "drop of x with p = 0.75")
    with expect.unchanged(x):
        y = DropoutFunction.apply(Tensor(x), keep=KEEP[:, :1], scale=3.0)
    expect.tensor(y, np.where(KEEP[:, :1], 3 * x, 0.0), "DropoutFunction with a mask (2, 1) and scale 3")


def test_what_is_kept_is_scaled_for_a_p_near_1_too():
    x = numbers(2, 3)
    for p in (0.99, 0.999, 1 - 2.0**-20):
        y = drop(Tensor(x), KEEP, p)
        expect.tensor(y, np.where(KEEP, x / (1 - p), 0.0), f"drop of x with p = {p}")


def test_small_probabilities_are_kept_too():
    """Coins of 8 or 16 bits would make 0.0039 or 0.0012 of 0.001."""
    for p in (0.001, 0.999):
        kept = keep_mask((1000, 1000), p, rng=generator(6))
        statistics.mean_is(kept, 1 - p, np.sqrt(p * (1 - p)), f"what keep_mask keeps, with p = {p},")


class Zeros(np.random.Generator):
    """A generator whose `random` returns 0.0 only, the lowest number of [0, 1)."""

    def random(self, size=None, dtype=np.float64, out=None):
        out = np.empty(() if size is None else size, dtype) if out is None else out
        out[...] = 0.0
        return out


def test_a_coin_of_0_drops_nothing_for_p_0_and_keeps_nothing_for_p_1():
    rng = Zeros(np.random.PCG64(0))
    for p in (0.0, 1.0):
        mask = keep_mask((4,), p, rng=rng)
        expect.equal(mask, np.full(4, p == 0), f"the mask for p = {p} where every number drawn is 0.0")
    expect.tensor(
        dropout(Tensor(np.ones(4)), 0.0, rng=rng), np.ones(4), "dropout with p = 0 where all are 0.0"
    )


def test_a_mask_is_false_with_probability_p():
    for p in (0.2, 0.9):
        rng = generator(5)
        masks = [keep_mask((6, 8), p, rng=rng) for _ in range(500)]
        expect.equal(masks[0].dtype.name, "bool", "dtype of a mask")
        independent(np.stack(masks), p, "keep_mask")


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_every_number_has_a_coin_of_its_own_in_every_call(p):
    x, rng = numbers(6, 8), generator(2)
    kept = [kept_by(dropout(Tensor(x), p, rng=rng), x, p, "dropout") for _ in range(500)]
    independent(np.stack(kept), p, "dropout")


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_every_channel_of_every_example_has_a_coin_of_its_own(p):
    x, rng = numbers(4, 6, 2, 3), generator(2)
    channels = []
    for _ in range(500):
        kept = kept_by(channel_dropout(Tensor(x), p, rng=rng), x, p, "channel_dropout")
        whole = (kept == kept[:, :, :1, :1]).all()
        expect.true(bool(whole), "a channel should be dropped or kept as a whole: one of yours is in part")
        channels.append(kept[:, :, 0, 0])
    independent(np.stack(channels), p, "channel_dropout")


@pytest.mark.parametrize("p", [0.2, 0.75])
def test_the_expectation_is_x_and_the_variance_is_that_of_the_formula(p):
    """y / x is 1 / (1 - p) or 0: a Bernoulli variable, of kurtosis (1 - 3pq) / pq."""
    q = 1 - p
    for what, y in (
        ("dropout", dropout(Tensor(np.full((200, 500), -3.0)), p, rng=generator(3))),
        ("channel_dropout", channel_dropout(Tensor(np.full((200, 500, 1), -3.0)), p, rng=generator(3))),
    ):
        sd = 3 * np.sqrt(p / q)
        statistics.mean_is(y.data, -3.0, sd, f"{what} of -3 with p = {p}")
        kurtosis = (1 - 3 * p * q) / (p * q)
        statistics.variance_is(y.data, 9 * p / q, f"{what} of -3 with p = {p}", kurtosis=kurtosis)


def test_the_gradient_goes_through_the_mask_of_the_forward_pass():
    layer, x = Dropout(0.5, rng=generator()), Tensor(numbers(4, 50), requires_grad=True)
    y, g = layer(x), numbers(4, 50, seed=2)
    later = layer(x)  # another mask, between the pass and its gradient
    y.backward(g)
    expect.close(x.grad, np.where(y.data != 0, 2 * g, 0.0), "gradient: 2 g where y is not 0, with p = 0.5")
    expect.true(bool((later.data != y.data).any()), "two calls of a layer should draw two masks")


def test_a_kept_zero_has_a_gradient():
    x, g = (
        Tensor(np.array([0.0, 0.0, 3.0, 0.0, 5.0, 0.0]).reshape(2, 3), requires_grad=True),
        numbers(2, 3, seed=2),
    )
    y = DropoutFunction.apply(x, keep=KEEP, scale=4.0)
    expect.tensor(y, 4 * x.data * KEEP, "DropoutFunction of x with zeros, scale 4")
    y.backward(g)
    expect.close(x.grad, 4 * g * KEEP, "gradient where x is kept and some kept x are 0: 4 g by the mask,")


def test_a_second_pass_gives_the_same_gradient_and_leaves_the_incoming_one_alone():
    x, g = Tensor(numbers(2, 3), requires_grad=True), numbers(2, 3, seed=2)
    given = g.copy()
    y = DropoutFunction.apply(x, keep=KEEP, scale=4.0)
    expect.tensor(y, 4 * x.data * KEEP, "DropoutFunction, scale 4")
    for number in ("first", "second"):
        (got,) = grad(y, [x], g)
        expect.tensor(got, 4 * given * KEEP, f"gradient in the {number} pass through the same graph")
        expect.equal(g, given, f"the gradient that came in, after the {number} pass,")


def test_the_gradients_are_right_to_second_order():
    y = DropoutFunction.apply(Tensor(numbers(2, 3)), keep=KEEP, scale=4.0)
    expect.tensor(y, 4 * numbers(2, 3) * KEEP, "DropoutFunction with a mask and scale 4")
    gradcheck(lambda x: DropoutFunction.apply(x, keep=KEEP, scale=4.0), numbers(2, 3))
    gradcheck(lambda x: DropoutFunction.apply(x * x, keep=KEEP[:, :1], scale=4.0), numbers(2, 3))
    gradcheck(lambda x: dropout(x * x, 0.4, rng=generator(1)), numbers(3, 4))
    gradcheck(lambda x: channel_dropout(x * x, 0.4, rng=generator(1)), numbers(2, 4, 3))


def test_it_runs_on_another_library_s_arrays():
    x = numbers(3, 20)
    y = duck.flows(lambda t: dropout(t * t, 0.5, rng=generator()), x, engine=grad, what="dropout")
    expect.close(y, np.where(y != 0, 2 * x * x, 0.0), "dropout of x * x with p = 0.5")
    count = int((y != 0).sum())
    expect.true(5 < count < 55, f"about half of 60 numbers should be kept, yours keeps {count}")


@given(strategies.shapes(0, 4), st.sampled_from([0.25, 0.5]), strategies.seeds())
def test_any_shape_and_the_same_mask_from_an_equal_generator(shape, p, seed):
    x = numbers(*shape, 7, seed=seed)
    first = dropout(Tensor(x), p, rng=generator(seed))
    kept_by(first, x, p, f"dropout of x {x.shape}")
    expect.tensor(dropout(Tensor(x), p, rng=generator(seed)), first.data, "dropout from an equal generator")
    many = dropout(Tensor(np.ones(60)), p, rng=generator(seed)).data  # all 0 or all kept: below 4e-8
    expect.true(0 < np.count_nonzero(many) < 60, f"dropout of 60 ones should drop some and keep some: {many}")


def test_another_generator_gives_another_mask():
    for function in (dropout, channel_dropout):
        a, b, again = (function(Tensor(np.ones((10, 10))), rng=generator(s)).data for s in (1, 2, 1))
        expect.equal(again, a, f"the result of {function.__name__} from an equal generator")
        share = float((a != b).mean())
        expect.true(0.2 < share < 0.8, f"masks of two generators should differ in half of 100: {share:.0%}")


def test_evaluation_is_the_identity_and_draws_nothing():
    x = numbers(20, 10, 3)
    for layer in (Dropout(0.5, rng=generator()), Dropout1d(0.5, rng=generator())):
        name, t = type(layer).__name__, Tensor(x, requires_grad=True)
        before = layer.rng.bit_generator.state
        layer.eval()
        y = layer(t)
        expect.tensor(y, x, f"{name} of x after eval()")
        y.backward(2 * x)
        expect.close(t.grad, 2 * x, f"gradient through {name} after eval()")
        same = layer.rng.bit_generator.state == before
        expect.true(bool(same), f"{name} after eval() should draw no random numbers: the generator moved on")
        dropped = kept_by(layer.train()(Tensor(x)), x, 0.5, f"{name} after train()")
        expect.true(not dropped.all(), f"{name} after train() should drop about half, yours drops nothing")


def test_the_functions_take_training_as_an_argument():
    x = numbers(20, 10, 3)
    for function in (dropout, channel_dropout):
        rng, before = generator(), generator().bit_generator.state
        name = function.__name__
        expect.tensor(function(Tensor(x), 0.5, False, rng=rng), x, f"{name} with training=False")
        expect.tensor(function(x, 0.5, False, rng=rng), x, f"{name} of an array with training=False")
        expect.true(
            bool(rng.bit_generator.state == before), f"{name} with training=False should draw nothing"
        )
        kept = kept_by(function(Tensor(x), 0.5, True, rng=rng), x, 0.5, f"{name} with training=True")
        expect.true(0.1 < kept.mean() < 0.9, f"{name} with p = 0.5 should keep about half: {kept.mean():.0%}")


def test_eval_of_a_model_reaches_its_dropout():
    model = Sequential(Dropout(0.5, rng=generator(1)), Dropout2d(0.5, rng=generator(2)))
    x = numbers(20, 10, 2, 2)
    kept = kept_by(model(Tensor(x)), x, 0.75, "two layers of p = 0.5 in training")
    share = float(kept.mean())
    expect.true(
        0.05 < share < 0.5, f"two layers of p = 0.5 should keep about a quarter, yours keep {share:.0%}"
    )
    expect.tensor(model.eval()(Tensor(x)), x, "two layers of p = 0.5 after eval()")


def test_layers_that_share_a_generator_draw_different_masks():
    rng, ones = generator(4), Tensor(np.ones(2000))
    layers = [Dropout(0.5, rng=rng) for _ in range(2)]
    a, b = (kept_by(layer(ones), np.ones(2000), 0.5, "Dropout of ones") for layer in layers)
    statistics.mean_is(a == b, 0.5, 0.5, "how often two layers with one generator agree")


@pytest.mark.parametrize(("kind", "shape"), [(Dropout1d, (30, 20, 3)), (Dropout2d, (30, 20, 2, 3))])
def test_the_channel_layers_drop_whole_channels(kind, shape):
    x = numbers(*shape)
    kept = kept_by(kind(0.25, rng=generator())(Tensor(x)), x, 0.25, kind.__name__)
    first = kept.reshape(30, 20, -1)[:, :, :1]
    whole = (kept.reshape(30, 20, -1) == first).all()
    expect.true(bool(whole), f"{kind.__name__} should drop channels as a whole: one of yours is in part")
    statistics.mean_is(first, 0.75, np.sqrt(0.25 * 0.75), f"the channels that {kind.__name__} keeps")


def test_a_layer_keeps_the_generator_it_was_given():
    for kind, shape in ((Dropout, (100,)), (Dropout1d, (10, 10, 1)), (Dropout2d, (10, 10, 1, 1))):
        rng = generator()
        layer = kind(0.5, rng=rng)
        what = f"{kind.__name__}.rng should be the generator that was given, not a copy or a new one"
        expect.true(layer.rng is rng, what)
        first = kept_by(layer(Tensor(np.ones(shape))), np.ones(shape), 0.5, kind.__name__)
        expect.true(0.1 < first.mean() < 0.9, f"{kind.__name__} should keep about half: {first.mean():.0%}")


def test_half_is_the_default():
    x = numbers(4, 50, 1)
    for what, y in (
        ("dropout", dropout(Tensor(x), rng=generator())),
        ("channel_dropout", channel_dropout(Tensor(x), rng=generator())),
        ("Dropout", Dropout(rng=generator())(Tensor(x))),
        ("Dropout1d", Dropout1d(rng=generator())(Tensor(x))),
    ):
        kept = kept_by(y, x, 0.5, f"{what} by default")
        expect.true(0.3 < kept.mean() < 0.7, f"{what} should keep about half of 200: {kept.mean():.0%}")


def test_float32_stays_float32():
    data = numbers(3, 40).astype(np.float32)
    for function in (dropout, channel_dropout):
        for p in (0.5, np.float64(0.5)):
            x = Tensor(data, requires_grad=True)
            y = function(x, p, rng=generator())
            want = np.where(y.data != 0, 2 * data, np.float32(0))
            expect.tensor(y, want, f"{function.__name__} of float32 with p {p!r}", dtype=np.float32)
            kept = float((y.data != 0).mean())
            expect.true(0.2 < kept < 0.8, f"{function.__name__} should keep about half of 120: {kept:.0%}")
            (g,) = grad(y, [x], data)
            expect.tensor(g, want, f"gradient of {function.__name__} in float32", dtype=np.float32)
    y = Dropout(np.float64(0.5), rng=generator())(Tensor(data))
    expect.tensor(y, np.where(y.data != 0, 2 * data, 0), "Dropout(np.float64(0.5))", dtype=np.float32)
    expect.true(bool((y.data != 0).any()), "Dropout with p = 0.5 should keep some of 120 numbers")


def test_nothing_is_dropped_for_p_0_and_everything_for_p_1():
    x = numbers(50, 4, 3)
    for function in (dropout, channel_dropout):
        name = function.__name__
        t = Tensor(x, requires_grad=True)
        expect.tensor(function(t, 0.0, rng=generator()), x, f"{name} with p = 0")
        with expect.quiet(f"{name} with p = 1"):
            y = function(t, 1.0, rng=generator())
        expect.tensor(y, np.zeros_like(x), f"{name} with p = 1")
        y.backward(np.ones_like(x))
        expect.close(t.grad, np.zeros_like(x), f"gradient of {name} with p = 1")
        expect.tensor(function(t, 0, rng=generator()), x, f"{name} with p = 0, an int")
    expect.true(bool(keep_mask((5000,), 0.0, rng=generator()).all()), "the mask for p = 0 should keep all")
    expect.true(not keep_mask((5000,), 1.0, rng=generator()).any(), "the mask for p = 1 should drop all")


def test_an_empty_batch_and_a_single_number():
    expect.tensor(dropout(Tensor(np.zeros((0, 3))), rng=generator()), np.zeros((0, 3)), "dropout of x (0, 3)")
    y = channel_dropout(Tensor(np.zeros((0, 3, 2))), rng=generator())
    expect.tensor(y, np.zeros((0, 3, 2)), "channel_dropout of x (0, 3, 2)")
    rng = generator()
    single = {float(dropout(Tensor(np.array(3.0)), 0.5, rng=rng).data) for _ in range(60)}
    expect.equal(sorted(single), [0.0, 6.0], "the list of results of dropout of the number 3")


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_probabilities_outside_0_and_1_are_refused(p):
    for kind in (Dropout, Dropout1d, Dropout2d):
        with expect.raises(ValueError, str(p)):
            kind(p, rng=generator())
    for function in (dropout, channel_dropout):
        for training in (True, False):
            with expect.raises(ValueError, str(p)):
                function(Tensor(np.ones((2, 2))), p, training, rng=generator())


@pytest.mark.parametrize("training", [True, False])
def test_shapes_without_channels_are_refused(training):
    with expect.raises(ValueError, "(3,)"):
        channel_dropout(Tensor(np.ones(3)), 0.5, training, rng=generator())
    with expect.raises(ValueError, "(3, 2, 4, 4)"):
        Dropout1d(rng=generator()).train(training)(Tensor(np.ones((3, 2, 4, 4))))
    with expect.raises(ValueError, "(3, 2, 4)"):
        Dropout2d(rng=generator()).train(training)(Tensor(np.ones((3, 2, 4))))
