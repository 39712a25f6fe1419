"""Credit in a population: slopes and products as loops, information by closed forms and simulation."""

import math

import numpy as np
import pytest

from curriculum.testing import duck, engine, expect
from curriculum.testing.calculus import gradcheck
from dynamics.credit.population_node import (
    MatVec,
    credit,
    experiments,
    information,
    matvec,
    nested,
    population,
    reduce,
)
from foundations.computational_graph import Tensor, recording

SLOPE = 0.7864477329659274  # 1 - tanh(0.5)^2


def circuit(units=4, sides=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=sides), rng.normal(size=(units, sides)), rng.normal(size=units)


# Definition


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (1, 3), (3, 1), (1, 1)])
def test_matvec_is_a_sum_over_columns(shape):
    rng = np.random.default_rng(0)
    A, x = rng.normal(size=shape), rng.normal(size=shape[1])
    want = np.array([sum(A[k, d] * x[d] for d in range(shape[1])) for k in range(shape[0])])
    expect.tensor(matvec(Tensor(A), Tensor(x)), want, f"A x with A {shape}")
    expect.tensor(matvec(A, Tensor(x)), want, f"A x with an array A {shape}")
    expect.tensor(matvec(Tensor(A), x), want, f"A x with an array x, A {shape}")
    expect.close(matvec(A, x), want, f"A x of two arrays, A {shape}")


def test_every_unit_answers_by_its_own_tanh():
    s, W, b = circuit()
    want = np.array([math.tanh(sum(w * d for w, d in zip(row, s)) + c) for row, c in zip(W, b)])  # noqa: B905
    expect.tensor(population(Tensor(s), W, b), want, "responses of 4 units to a signal of 3 numbers")
    expect.close(population(s, W, b), want, "responses, arrays alone")
    bare = np.array([math.tanh(sum(w * d for w, d in zip(row, s))) for row in W])  # noqa: B905
    expect.tensor(population(s, Tensor(W)), bare, "responses without bias")
    lifted = np.tanh(np.arctanh(bare) + 0.7)
    expect.tensor(population(s, Tensor(W), 0.7), lifted, "responses with the bias 0.7 for all", rtol=1e-9)


def test_readouts_of_a_population():
    r = Tensor([1.0, 2.0, 6.0])
    expect.tensor(reduce(r), 9.0, "sum of 1, 2 and 6, the default readout")
    expect.tensor(reduce(r, "sum"), 9.0, "sum of 1, 2 and 6")
    expect.tensor(reduce(r, "mean"), 3.0, "mean of 1, 2 and 6")
    several = Tensor([[1.0, 2.0, 4.0], [3.0, 6.0, 2.0]])
    expect.tensor(reduce(several, "sum"), 18.0, "sum of six numbers, (2, 3)")
    expect.tensor(reduce(several, "mean"), 3.0, "mean of six numbers, (2, 3)")


def test_nested_tanh():
    x = np.array([-2.0, 0.1, 4.5])
    want = np.array([math.tanh(math.tanh(math.tanh(v))) for v in x])
    expect.tensor(nested(Tensor(x), 3), want, "tanh three times")
    expect.tensor(nested(Tensor(x), 1), np.tanh(x), "tanh once")
    expect.tensor(nested(Tensor(x), 0), x, "tanh zero times")


# Derivatives


def test_matvec_gives_credit_to_the_matrix_and_to_the_vector():
    A, x, g = Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], True), Tensor([10.0, 20.0], True), [1.0, -1.0, 2.0]
    by_A, by_x = engine.grad(matvec(A, x), [A, x], np.array(g))
    want = np.array([[10.0, 20.0], [-10.0, -20.0], [20.0, 40.0]])
    expect.tensor(by_A, want, "dL/dA = g x^T for g [1, -1, 2], x [10, 20]")
    expect.tensor(by_x, np.array([8.0, 10.0]), "dL/dx = A^T g for g [1, -1, 2], A [[1, 2], [3, 4], [5, 6]]")


def test_derivatives_of_the_population_to_second_order():
    s, W, b = circuit()
    expect.tensor(population(Tensor(s), W, b), np.tanh((W * s).sum(1) + b), "responses")
    gradcheck(matvec, W, s, names=["A", "x"], engine=engine.grad, of="matvec")
    gradcheck(
        lambda s, W, b: population(s, W, b), s, W, b, names=["signal", "weights", "bias"], of="population"
    )
    for how in ("sum", "mean"):
        gradcheck(lambda r, how=how: reduce(r * r * r, how), b, names=["r"], of=f"the {how} of cubes")


def test_what_nobody_needs_is_not_computed():
    for needed in (0, 1):
        A, x = Tensor(np.ones((2, 3)), needed == 0), Tensor(np.ones(3), needed == 1)
        node = matvec(A, x).node
        expect.true(
            isinstance(node, MatVec), f"matvec must record a MatVec, its node is {type(node).__name__}"
        )
        with recording(False):  # a first-order pass
            grads = node.backward(np.ones(2))
        expect.equal(
            [g is not None for g in grads], [needed == 0, needed == 1], "which gradients are computed"
        )
        want = np.ones((2, 3)) if needed == 0 else np.full(3, 2.0)
        expect.close(grads[needed], want, "the gradient that is needed")


def test_credit_in_closed_form():
    s, W, b = circuit()
    r = np.array([math.tanh(v) for v in W @ s + b])
    for how, each in (("sum", 1.0), ("mean", 0.25)):
        found = credit(s, W, b, how)
        d = each * (1 - r**2)
        expect.close(found.responses, np.full(4, each), f"credit of each response, {how}", rtol=1e-10)
        expect.close(found.bias, d, f"credit of each bias, {how}", rtol=1e-10)
        outer = np.array([[v * c for c in s] for v in d])
        expect.close(found.weights, outer, f"credit of each weight, {how}", rtol=1e-10)
        back = np.array([sum(d[k] * W[k, i] for k in range(4)) for i in range(3)])
        expect.close(found.signal, back, f"credit of the signal, {how}", rtol=1e-10)
    expect.close(credit(s, W, b).bias, 1 - r**2, "credit of each bias, default readout", rtol=1e-10)
    expect.close(
        credit([0.5], [[1]], [0]).signal, np.array([SLOPE]), "credit in lists of integers", rtol=1e-10
    )


# Properties


@pytest.mark.parametrize("units", [1, 2, 5, 64])
def test_equal_units_multiply_the_gradient_of_a_sum_and_not_that_of_a_mean(units):
    W, b = np.ones((units, 1)), np.zeros(units)
    total = credit([0.5], W, b, "sum").signal
    expect.close(total, np.array([units * SLOPE]), f"gradient of the sum of {units} equal units", rtol=1e-10)
    mean = credit([0.5], W, b, "mean").signal
    expect.close(mean, np.array([SLOPE]), f"gradient of the mean of {units} equal units", rtol=1e-10)


def test_the_eight_experiments():
    found = experiments()
    h, chain, high, saturated = 0.5, 1.0, 4.5, 1.0
    for _ in range(8):
        h, high = math.tanh(h), math.tanh(high)
        chain, saturated = chain * (1 - h * h), saturated * (1 - high * high)

    def d(x):
        return 1 / math.cosh(x) ** 2

    want = {
        "tanh": SLOPE,
        "chain": chain,
        "saturated chain": saturated,
        "sum": 4 * SLOPE,
        "mean": SLOPE,
        "even": 3 * d(1),
        "outlier": 2 * d(1) + d(3),
    }
    keys = ["tanh", "chain", "saturated chain", "shared", "sum", "mean", "even", "outlier"]
    expect.equal(sorted(found), sorted(keys), "names of the experiments")
    for name, value in want.items():
        expect.close(found[name], value, f"experiment '{name}'", rtol=1e-10)
        expect.true(
            isinstance(found[name], float), f"'{name}' must be a float, got {type(found[name]).__name__}"
        )
    expect.close(found["shared"], np.array([3.0, 5.0, 7.0]), "gradient of the sum of x * x + x at [1, 2, 3]")


# Information


def test_information_in_closed_form():
    expect.close(information([3.0], [2.0], 0.5), 36.0, "information of one unit, slope 3, noise 0.5")
    expect.close(
        information([1.0, 2.0, -1.0], [2.0, 1.0, 1.0], 2.0), 0.375, "information of (2+2-1)^2 / (4 * 6)"
    )


def test_information_does_not_depend_on_the_scale_of_the_readout():
    for units in (1, 4, 25):
        slopes = np.full(units, SLOPE)
        want = units * SLOPE**2 / 0.09
        for name, w in (("sum", 1.0), ("mean", 1 / units), ("negative sum", -1.0), ("tiny sum", 1e-200)):
            got = information(slopes, np.full(units, w), 0.3)
            expect.close(got, want, f"information in the {name} of {units} equal units", rtol=1e-10)


def test_the_best_readout_weighs_units_by_their_slopes():
    slopes = np.array([2.0, 1.0, -0.5])
    best = float(slopes @ slopes) / 0.25
    expect.close(information(slopes, slopes, 0.5), best, "information with the slopes as readout")
    rng = np.random.default_rng(0)
    for _ in range(20):
        w = rng.normal(size=3)
        got = information(slopes, w, 0.5)
        want = float(slopes @ w) ** 2 / (0.25 * float(w @ w))
        expect.close(got, want, f"information with readout {w.round(2)}", rtol=1e-10)
        expect.true(got <= best * (1 + 1e-9), f"no readout may exceed {best}, {w.round(2)} gives {got}")


def test_information_is_the_precision_of_an_estimate():
    """20 000 readings: the variance has a relative standard deviation of 1%."""
    slopes, w = np.array([1.0, 0.4, 0.2]), np.array([1.0, 1.0, 3.0])
    readings = np.random.default_rng(0).normal(0.0, 0.7, (20_000, 3)) @ w
    estimates = readings / float(w @ slopes)
    got = information(slopes, w, 0.7)
    expect.close(got, 1 / float(estimates.var()), "information against the variance of estimates", rtol=0.06)


# Dtype and foreign arrays


def test_float32_stays_float32():
    A, x = (
        Tensor([[1.0, 2.0], [0.5, 1.0]], True, dtype=np.float32),
        Tensor([1.0, 3.0], True, dtype=np.float32),
    )
    y = matvec(A, x)
    expect.tensor(y, np.array([7.0, 3.5]), "A x in float32", rtol=1e-6, dtype=np.float32)
    by_A, by_x = engine.grad(y, [A, x], np.ones(2, np.float32))
    ones = np.array([[1.0, 3.0], [1.0, 3.0]])
    expect.tensor(by_A, ones, "dL/dA in float32", rtol=1e-6, dtype=np.float32)
    expect.tensor(by_x, np.array([1.5, 3.0]), "dL/dx in float32", rtol=1e-6, dtype=np.float32)


def test_arrays_of_another_library_flow_through_matvec():
    A, x = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, -1.0])
    out = duck.flows(lambda a, v: matvec(a, v), A, x, engine=engine.grad, what="matvec")
    expect.close(out, np.array([-1.0, -1.0]), "A x of foreign arrays")


# Errors


@pytest.mark.parametrize(("p", "q"), [((2, 3), (2,)), ((3,), (3,)), ((2, 3), (3, 1)), ((1, 2, 3), (3,))])
def test_a_product_that_does_not_fit_is_refused(p, q):
    with expect.raises(ValueError, str(p), str(q)):
        matvec(Tensor(np.ones(p)), np.ones(q))


def test_an_unknown_readout_is_refused():
    with expect.raises(ValueError, "max"):
        reduce(Tensor([1.0]), "max")


@pytest.mark.parametrize("noise", [0.0, -1.0, math.nan])
def test_noise_that_is_not_positive_is_refused(noise):
    with expect.raises(ValueError, str(noise)):
        information([1.0], [1.0], noise)


def test_a_readout_of_nothing_or_of_other_units_is_refused():
    with expect.raises(ValueError, "readout"):
        information([1.0, 2.0], [0.0, 0.0], 1.0)
    with expect.raises(ValueError, "(2,)", "(3,)"):
        information([1.0, 2.0], [1.0, 1.0, 1.0], 1.0)
    with expect.raises(ValueError, "(2, 2)"):
        information(np.ones((2, 2)), np.ones((2, 2)), 1.0)
