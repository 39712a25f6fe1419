"""nn_core.normalization.rmsnorm: against its definition, against calculus, and as a layer."""

from math import fsum, prod, sqrt

import numpy as np
import pytest

from curriculum.testing import duck, expect, gradcheck
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor
from nn_core.normalization.rmsnorm import RMSNorm, rms_norm

CASES = [  # x, normalized_shape
    pytest.param((3, 4), (4,), id="batch"),
    pytest.param((4, 4), (4,), id="square"),
    pytest.param((2, 3, 5), (5,), id="sequence"),
    pytest.param((2, 3, 2), (3, 2), id="two axes"),
    pytest.param((5,), (5,), id="one example"),
]


def arrays(shape, own, seed=3):
    """x and weight in float64; no weight near 0 or 1."""
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 2.0, shape), rng.uniform(1.5, 3.0, own)


def definition(x, own, weight=None, eps=1e-5):
    """Each example by itself, one number at a time."""
    size = prod(own)
    rows, y = x.reshape(-1, size), np.zeros((x.size // size, size))
    w = np.ones(size) if weight is None else weight.reshape(-1)
    for n, row in enumerate(rows):
        rms = sqrt(fsum(v * v for v in row) / size + eps)
        for d in range(size):
            y[n, d] = row[d] / rms * w[d]
    return y.reshape(x.shape)


@pytest.mark.parametrize(("shape", "own"), CASES)
def test_matches_the_definition(shape, own):
    x, weight = arrays(shape, own)
    what = f"rms_norm of x {shape} over {own}"
    with expect.unchanged(x, weight):
        y = rms_norm(Tensor(x), own, Tensor(weight), 1e-5)
        plain = rms_norm(Tensor(x), own, eps=0.5)
    expect.tensor(plain, definition(x, own, None, 0.5), f"{what}, without weight, eps 0.5")
    expect.tensor(y, definition(x, own, weight), what)


def test_without_eps_it_is_the_precision_of_the_numbers():
    for dtype in (np.float64, np.float32):
        e = float(np.finfo(dtype).eps)
        x = np.array([[sqrt(e), -sqrt(e)]], dtype)  # a mean square of e: half of what stands under the root
        y = rms_norm(Tensor(x), (2,))
        expected = np.array([[1.0, -1.0]]) / sqrt(2)
        what = f"rms_norm of root eps and minus root eps, eps {e:.3g} of {dtype.__name__}"
        expect.tensor(y, expected, what, dtype=dtype, rtol=1e-5)


def test_the_default_eps_is_that_of_x_whatever_the_weight():
    for dtype, other in ((np.float64, np.float32), (np.float32, np.float64)):
        e = float(np.finfo(dtype).eps)
        x = np.array([[sqrt(e), -sqrt(e)]], dtype)
        y = rms_norm(Tensor(x), (2,), np.ones(2, other))
        what = f"rms_norm of {dtype.__name__} around the root of its eps, weight {other.__name__},"
        expect.tensor(y, np.array([[1.0, -1.0]]) / sqrt(2), what, rtol=1e-5)


def test_an_eps_of_0_is_0():
    x = Tensor([[3e-9, 4e-9]])  # a mean square of 1.25e-17, below the eps of float64
    expected = np.array([[3.0, 4.0]]) / sqrt(12.5)
    expect.tensor(rms_norm(x, (2,), eps=0.0), expected, "rms_norm of tiny numbers with eps 0.0")
    layer = RMSNorm(2, eps=0.0, dtype=np.float64)
    expect.tensor(layer(x), expected, "RMSNorm(2, eps=0.0) of tiny numbers")


def test_a_stretch_changes_nothing_and_a_shift_does():
    x, weight = arrays((4, 6), (6,))
    factors = np.array([[0.5], [3.0], [7.0], [1.0]])
    expected = definition(x, (6,), weight, 0.0)
    y = rms_norm(Tensor(x * factors), (6,), weight, 1e-14)
    expect.tensor(y, expected, "rms_norm of stretched examples", rtol=1e-8)
    t = Tensor(x, requires_grad=True)
    rms_norm(t, (6,), weight, 1e-14).backward(np.random.default_rng(1).standard_normal((4, 6)))
    shifts = np.abs(t.grad.sum(1))
    expect.true(bool(np.min(shifts) > 1e-3), f"the gradient should not sum to 0, its sums are {shifts}")
    expect.close(
        (t.grad * x).sum(1),
        np.zeros(4),
        "<gradient, x> of each example, 0 because the root mean square follows x,",
        atol=1e-10,
    )


@pytest.mark.parametrize(("shape", "own"), CASES)
def test_the_gradients_are_right_to_second_order(shape, own):
    x, weight = arrays(shape, own)
    y = rms_norm(Tensor(x), own, weight, 0.1)
    expect.tensor(y, definition(x, own, weight, 0.1), f"rms_norm of x {shape}")
    gradcheck(lambda x, weight: rms_norm(x, own, weight, 0.1), x, weight, names=("x", "weight"))


def test_the_gradient_is_the_same_while_a_graph_of_it_is_built():
    x, weight = arrays((3, 4), (4,))
    inputs = [Tensor(x, requires_grad=True), Tensor(weight, requires_grad=True)]
    g = np.random.default_rng(2).standard_normal((3, 4))
    y = rms_norm(inputs[0], (4,), inputs[1], 0.1)
    expect.tensor(y, definition(x, (4,), weight, 0.1), "rms_norm of x (3, 4)")
    plain, graph = grad(y, inputs, g), grad(y, inputs, g, create_graph=True)
    for name, first, again in zip(("x", "weight"), plain, graph, strict=True):
        what = f"gradient with respect to {name} while a graph of it is built"
        expect.tensor(again, first.data, what, rtol=1e-9, atol=1e-12)


def test_a_second_pass_gives_the_same_gradients_and_leaves_the_incoming_one_alone():
    inputs = [Tensor(a, requires_grad=True) for a in arrays((3, 4), (4,))]
    g = np.random.default_rng(2).standard_normal((3, 4))
    given = g.copy()
    y = rms_norm(inputs[0], (4,), inputs[1], 0.1)
    expect.tensor(
        y, definition(inputs[0].data, (4,), inputs[1].data, 0.1), "rms_norm of x (3, 4)", rtol=1e-10
    )
    first = grad(y, inputs, g)
    for name, before, after in zip(("x", "weight"), first, grad(y, inputs, g), strict=True):
        message = f"gradient with respect to {name} in a second pass through the same graph"
        expect.tensor(after, before.data, message)
    grad(rms_norm(inputs[0], (4,), eps=0.1), inputs[:1], g)
    expect.equal(g, given, "the gradient that came in, after backward used it,")


def test_only_what_requires_a_gradient_gets_one():
    data = arrays((3, 4), (4,))
    g = np.random.default_rng(3).standard_normal((3, 4))
    x, weight = (Tensor(a, requires_grad=True) for a in data)
    by_x = grad(rms_norm(x, (4,), weight, 1e-5), [x], g)[0].data
    x, weight = Tensor(data[0]), Tensor(data[1], requires_grad=True)
    rms_norm(x, (4,), weight, 1e-5).backward(g)
    expected = (g * definition(data[0], (4,))).sum(0)
    expect.close(weight.grad, expected, "gradient with respect to weight alone", rtol=1e-10)
    expect.true(x.grad is None, "x requires no gradient and should get none")
    x, weight = Tensor(data[0], requires_grad=True), Tensor(data[1])
    rms_norm(x, (4,), weight, 1e-5).backward(g)
    expect.close(x.grad, by_x, "gradient with respect to x where the weight is frozen", rtol=1e-10)
    expect.true(weight.grad is None, "weight requires no gradient and should get none")


def test_the_gradient_of_a_small_example():
    x = Tensor([[1.0, -1.0]], requires_grad=True)
    rms_norm(x, (2,), eps=3.0).backward(np.array([[4.0, 0.0]]))
    # r = 1/2 and xhat = x / 2: r (g - xhat mean(g xhat)) = (4 - 1/2, 1/2) / 2
    expect.close(x.grad, np.array([[1.75, 0.25]]), "gradient with respect to x of 4 times the first result")


def test_with_the_mean_removed_it_is_a_layer_norm():
    x, _ = arrays((3, 5), (5,))
    centred = x - x.mean(1, keepdims=True)
    expected = centred / np.sqrt(x.var(1, keepdims=True) + 0.1)
    y = rms_norm(Tensor(centred), (5,), eps=0.1)
    expect.tensor(y, expected, "rms_norm of examples of mean 0: their layer norm", rtol=1e-10)


def test_float32_stays_float32():
    exact = [Tensor(a, requires_grad=True) for a in arrays((4, 6), (6,))]
    single = [Tensor(t.data.astype(np.float32), requires_grad=True) for t in exact]
    want = definition(exact[0].data, (6,), exact[1].data)
    g = np.random.default_rng(2).standard_normal((4, 6))
    expected = grad(rms_norm(exact[0], (6,), exact[1], 1e-5), exact, g)
    for eps in (1e-5, np.float64(1e-5)):
        y = rms_norm(single[0], (6,), single[1], eps)
        what = f"rms_norm in float32, eps {eps!r},"
        expect.tensor(y, want, what, dtype=np.float32, rtol=1e-5, atol=1e-5)
        for graph in (False, True):
            grads = grad(y, single, g.astype(np.float32), create_graph=graph)
            for name, got, e in zip(("x", "weight"), grads, expected, strict=True):
                what = f"gradient with respect to {name} in float32, eps {eps!r}, create_graph={graph},"
                expect.tensor(got, e.data, what, dtype=np.float32, rtol=1e-4, atol=1e-5)


def test_zeros_stay_zeros():
    x, g = Tensor(np.zeros((2, 3)), requires_grad=True), np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]])
    y = rms_norm(x, (3,), eps=0.25)
    expect.tensor(y, np.zeros((2, 3)), "rms_norm of zeros")
    y.backward(g)
    expect.close(x.grad, 2.0 * g, "gradient at zeros, where r = 2")


def test_an_empty_batch():
    weight = Tensor([2.0, 3.0], requires_grad=True)
    y = rms_norm(Tensor(np.zeros((0, 2))), (2,), weight)
    expect.tensor(y, np.zeros((0, 2)), "rms_norm of x (0, 2)")
    y.backward(np.zeros((0, 2)))
    expect.close(weight.grad, np.zeros(2), "gradient with respect to weight of an empty batch")
    one = rms_norm(Tensor([[1.0, -1.0]]), (2,), weight, 3.0)
    expect.tensor(one, np.array([[1.0, -1.5]]), "rms_norm of [[1, -1]], eps 3, weight [2, 3]")


def test_arrays_of_another_library_flow_through():
    x, weight = arrays((3, 4), (4,))
    y = duck.flows(lambda x, w: rms_norm(x, (4,), w, 1e-5), x, weight, engine=grad, what="rms_norm")
    expect.close(y, definition(x, (4,), weight), "rms_norm of x (3, 4)")


def test_shapes_that_do_not_fit_are_refused():
    x = Tensor(np.ones((2, 3)))
    with expect.raises(ValueError, "(2, 3)", "(4,)"):
        rms_norm(x, (4,))
    for shape, own in (((2, 3, 4), (4, 3)), ((2, 2, 6, 4), (3, 4, 4)), ((2, 3, 4), (2, 4))):
        with expect.raises(ValueError, str(shape), str(own)):
            rms_norm(Tensor(np.ones(shape)), own)
    with expect.raises(ValueError, "(2, 3)", "()"):
        rms_norm(x, ())
    with expect.raises(ValueError, "(2, 0)", "(0,)"):
        rms_norm(Tensor(np.ones((2, 0))), (0,))
    with expect.raises(ValueError, "(3,)", "(1,)"):
        rms_norm(x, (3,), np.ones(1))
    with expect.raises(ValueError, "(2, 3)", "(3, 2)"):
        rms_norm(x, (2, 3), np.ones((3, 2)))


def test_normalized_shape_may_be_a_list():
    x, weight = arrays((2, 3, 2), (3, 2))
    y = rms_norm(Tensor(x), [3, 2], weight, 1e-5)
    expect.tensor(y, definition(x, (3, 2), weight), "rms_norm over the list [3, 2]")
    layer = RMSNorm([3, 2], eps=1e-5, dtype=np.float64)
    expect.equal(layer.normalized_shape, (3, 2), "normalized_shape of RMSNorm([3, 2])")
    expect.tensor(layer(Tensor(x)), definition(x, (3, 2)), "RMSNorm([3, 2])")


# The layer.


def test_a_layer_has_one_parameter_that_begins_at_1():
    layer = RMSNorm((3, 2))
    expect.equal([name for name, _ in layer.named_parameters()], ["weight"], "the list of parameters")
    expect.close(layer.weight.data, np.ones((3, 2), np.float32), "the first weight", dtype=np.float32)
    wide = RMSNorm(1, dtype=np.float64)
    expect.close(wide.weight.data, np.ones(1), "the first weight of RMSNorm(1)", dtype=np.float64)
    expect.equal(wide.normalized_shape, (1,), "normalized_shape of RMSNorm(1)")


def test_a_layer_applies_its_weight_in_training_and_in_evaluation():
    layer = RMSNorm((3, 2), eps=0.5, dtype=np.float64)
    x, weight = arrays((4, 3, 2), (3, 2))
    layer.weight.data[...] = weight
    expected = definition(x, (3, 2), weight, 0.5)
    expect.tensor(layer(Tensor(x)), expected, "RMSNorm((3, 2), eps=0.5) of x (4, 3, 2)")
    expect.tensor(layer.eval()(Tensor(x)), expected, "the same after eval()")
    tiny = np.full((1, 2), sqrt(np.finfo(np.float64).eps))
    expect.tensor(
        RMSNorm(2, dtype=np.float64)(Tensor(tiny)), np.full((1, 2), sqrt(0.5)), "RMSNorm(2), eps None"
    )


def test_the_weight_can_be_left_out():
    layer = RMSNorm(4, eps=1e-5, elementwise_affine=False)
    x, _ = arrays((3, 4), (4,))
    expect.tensor(layer(Tensor(x)), definition(x, (4,)), "RMSNorm(4, elementwise_affine=False)")
    expect.equal(list(layer.parameters()), [], "the list of parameters with elementwise_affine=False")
    expect.equal(layer.weight, None, "the weight with elementwise_affine=False")


def test_shapes_that_are_none_are_refused():
    with expect.raises(ValueError, "()"):
        RMSNorm(())
    with expect.raises(ValueError, "(3, 0)"):
        RMSNorm((3, 0))
    with expect.raises(ValueError, "-2"):
        RMSNorm(-2)
