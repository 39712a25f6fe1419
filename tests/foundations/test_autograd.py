"""autograd: the order of the sweep, what it adds up, what it frees, and derivatives of derivatives.

The graphs are built from the reference's operations; what is expected comes from closed forms.
"""

import gc
import tracemalloc

import numpy as np
import pytest

from curriculum.testing import expect, gradcheck
from foundations.autograd import (
    accumulate,
    backward,
    consumers_first,
    fit,
    grad,
    hvp,
    jacobian,
    no_grad,
    sweep,
    tape,
)
from foundations.computational_graph import Add, Function, Mul, Tensor, recording
from foundations.elementwise import Exp, exp, log, tanh, where
from foundations.reductions import sum as total
from foundations.reductions import var


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def leaf(values, dtype=np.float64):
    return Tensor(np.array(values, dtype), requires_grad=True)


# The order


def test_no_grad_records_nothing_and_ends():
    x = leaf([1.0, 2.0])
    with no_grad():
        hidden = x * x
    seen = x * x
    expect.tensor(hidden, [1.0, 4.0], "x * x under no_grad")
    expect.equal(
        (hidden.requires_grad, seen.requires_grad), (False, True), "requires_grad inside, then outside"
    )


def test_no_grad_ends_after_an_error_and_decorates_functions():
    x = leaf([1.0, 2.0])

    @no_grad()
    def square():
        return x * x

    with pytest.raises(KeyError), no_grad():
        raise KeyError
    expect.equal(
        (square().requires_grad, (x * x).requires_grad), (False, True), "requires_grad inside, then outside"
    )


def test_consumers_come_first():
    x = leaf(1.0)
    a = x * x
    b = exp(a)
    c = a + b  # uses a directly and through b
    order = list(consumers_first([c.node]))
    expect.equal([type(n) for n in order], [Add, Exp, Mul], "order of (x*x) + exp(x*x), consumers first")


def test_a_root_behind_another_root_waits_for_it():
    x = leaf(1.0)
    a = x * x
    b = exp(a)
    for roots in ([a.node, b.node], [b.node, a.node], [a.node, b.node, a.node]):
        order = list(consumers_first(roots))
        expect.equal(
            [type(n) for n in order], [Exp, Mul], "order of exp(a) and a = x * x, both of them roots"
        )


def test_a_node_may_be_freed_as_soon_as_it_was_yielded():
    x = leaf(1.0)
    y = exp(exp(x * x))
    names = []
    for node in consumers_first([y.node]):
        names.append(type(node).__name__)
        node.inputs = None
    expect.equal(names, ["Exp", "Exp", "Mul"], "nodes seen while each is freed")


def test_the_tape_lists_operations_as_they_could_have_run():
    x = leaf([1.0, 2.0])
    y = total(exp(x) * x)
    expect.equal([type(n).__name__ for n in tape(y)], ["Exp", "Mul", "Sum"], "tape of sum(exp(x) * x)")
    expect.equal(tape(x), [], "tape of a leaf")


# Adding up


def test_the_first_gradient_is_borrowed_the_second_allocates_the_third_adds_in_place():
    table, owned, key = {}, set(), leaf([0.0, 0.0])
    given = [np.array([1.0, 2.0]), np.array([10.0, 20.0]), np.array([100.0, 200.0])]
    accumulate(table, owned, key, given[0])
    expect.true(table[key] is given[0], "the first gradient is filed as it is, not copied")
    with expect.unchanged(*given):
        accumulate(table, owned, key, given[1])
        expect.close(table[key], np.array([11.0, 22.0]), "sum of two gradients")
        mine = table[key]
        accumulate(table, owned, key, given[2])
    expect.close(table[key], np.array([111.0, 222.0]), "sum of three gradients")
    expect.true(
        table[key] is mine and key in owned,
        "the third gradient is added in place to the array made at the second",
    )


def test_gradients_that_are_tensors_add_up_in_the_graph():
    table, owned, key, a = {}, set(), leaf([0.0, 0.0]), leaf([1.0, 2.0])
    for _ in range(3):
        accumulate(table, owned, key, a)
    expect.tensor(table[key], [3.0, 6.0], "sum of three Tensors")
    expect.true(
        table[key].requires_grad,
        "the sum of Tensors must stay in the graph, so that it can be differentiated",
    )
    expect.tensor(a, [1.0, 2.0], "the Tensor that was added")


def test_a_broadcast_input_gets_its_gradient_summed():
    a, b = leaf(np.ones((2, 3))), leaf(np.ones(3))
    node = (a * b).node
    g = np.arange(6.0).reshape(2, 3)
    expect.close(fit(node, 1, g), np.array([3.0, 5.0, 7.0]), "gradient of b (3,) from one of (2, 3)")
    expect.close(fit(node, 0, g), g, "gradient of a (2, 3) from one of (2, 3)")
    kept = fit(node, 1, leaf(g))
    expect.tensor(kept, [3.0, 5.0, 7.0], "the same gradient, a Tensor")
    expect.true(kept.requires_grad, "a Tensor must be summed by an operation of the graph")


class WrongShape(Function):
    """An operation whose rule forgets the shape of its input."""

    def forward(self, x):
        return x.sum(axis=0)

    def backward(self, g):
        return g


class TooMany(Function):
    def forward(self, x):
        return x * 1.0

    def backward(self, g):
        return g, g


def test_a_rule_with_the_wrong_shape_is_named():
    y = WrongShape.apply(leaf(np.ones((2, 3))))
    with expect.raises(ValueError, "WrongShape", "(3,)", "(2, 3)"):
        grad(y, [y.node.inputs[0]], np.ones(3))


def test_a_rule_with_too_many_gradients_is_named():
    x = leaf([1.0])
    with expect.raises(ValueError, "TooMany", "2", "1"):
        backward(TooMany.apply(x))


class FirstOnly(Function):
    """a * b, taken as constant in b: its rule gives b no gradient."""

    def forward(self, a, b):
        return a * b

    def backward(self, g):
        return g * self.operands[1], None


def test_where_a_rule_gives_nothing_nothing_flows():
    x, w = leaf([2.0]), leaf([3.0])
    inner = w * w
    backward(FirstOnly.apply(x, inner))
    expect.close(x.grad, np.array([9.0]), "x.grad of a rule that gives only x a gradient")
    expect.equal(w.grad, None, "w.grad behind an input that the rule gives None")


def test_constants_get_no_gradient_even_where_a_rule_offers_one():
    x, constant = leaf([2.0]), Tensor(np.array([1.0]))
    backward(x + constant)  # Add offers the same gradient to both
    expect.close(x.grad, np.array([1.0]), "x.grad of x + constant")
    expect.equal(constant.grad, None, "grad of the constant")


def test_the_sweep_returns_leaves_and_what_was_wanted():
    x = leaf([1.0, 2.0])
    a = x * x
    y = total(a * 3.0)
    found, _ = sweep([y], [np.array(1.0)], create_graph=False, retain_graph=True, wanted=[a])
    expect.close(found[x], np.array([6.0, 12.0]), "gradient filed under the leaf")
    expect.close(found[a.node], np.array([3.0, 3.0]), "gradient filed under the wanted node")
    expect.equal(len(found), 2, "number of gradients returned: the leaf and the wanted node")


# Values: closed forms


def test_backward_fills_the_leaves():
    x, w = leaf([1.0, 2.0, 3.0]), leaf([4.0, 5.0, 6.0])
    constant = Tensor(np.ones(3))
    backward(total(x * w * constant))
    expect.close(x.grad, np.array([4.0, 5.0, 6.0]), "x.grad of sum(x * w)")
    expect.close(w.grad, np.array([1.0, 2.0, 3.0]), "w.grad of sum(x * w)")
    expect.equal(constant.grad, None, "grad of a constant")


def test_gradients_of_all_uses_add_up():
    x = leaf([2.0])
    total(x * x + x * 3.0 + exp(x) * 0.0).backward()
    expect.close(x.grad, np.array([7.0]), "x.grad of x*x + 3x")


def test_backward_twice_adds_to_grad():
    x = leaf([1.0, 2.0])
    for _ in range(3):
        total(x * x).backward()
    expect.close(x.grad, np.array([6.0, 12.0]), "x.grad after three passes of sum(x * x)")


def test_a_weighted_root(rng):
    x, u = leaf(rng.standard_normal((2, 3))), rng.standard_normal((2, 3))
    backward(tanh(x), u)
    want = u * (1 - np.tanh(x.data) ** 2)
    expect.close(x.grad, want, "x.grad of tanh(x) with grad_output u")
    expect.tensor(grad(tanh(x), [x], u)[0], want, "grad of tanh(x) with grad_output u")
    expect.tensor(grad(tanh(x), [x], Tensor(u))[0], want, "grad of tanh(x) with grad_output Tensor(u)")
    expect.tensor(grad(tanh(x), [x], u.tolist())[0], want, "grad of tanh(x) with grad_output a list")


def test_grad_touches_no_grad_and_gives_zeros_where_nothing_depends():
    x, other = leaf([1.0, 2.0]), leaf(np.ones((2, 2)))
    by_x, by_other = grad(total(x * x), [x, other])
    expect.tensor(by_x, [2.0, 4.0], "gradient with respect to x")
    expect.tensor(by_other, np.zeros((2, 2)), "gradient with respect to what y does not depend on")
    expect.equal((x.grad, other.grad), (None, None), "the .grad of both, which grad leaves alone")


def test_gradients_of_intermediate_results():
    x = leaf([1.0, 2.0])
    a = x * x
    b = exp(a)
    y = total(b * a)
    by_b, by_a, by_x, by_y = grad(y, [b, a, x, y])
    e = np.exp(a.data)
    expect.tensor(by_b, a.data, "gradient with respect to b = exp(a) of sum(b * a)")
    expect.tensor(by_a, e + a.data * e, "gradient with respect to a of sum(exp(a) * a)")
    expect.tensor(by_x, (e + a.data * e) * 2 * x.data, "gradient with respect to x")
    expect.tensor(by_y, 1.0, "gradient with respect to the root itself")


def test_several_roots_add_their_contributions(rng):
    x, u, v = leaf(rng.standard_normal(3)), rng.standard_normal(3), rng.standard_normal(())
    a = x * x
    (got,) = grad([a, total(exp(a))], [x], [u, v])
    expect.tensor(got, 2 * x.data * (u + v * np.exp(x.data**2)), "gradient of <u, x*x> + v * sum(exp(x*x))")


def test_a_leaf_can_be_the_root():
    x = leaf([3.0])
    backward(x)
    backward(x * 1.0)
    expect.close(x.grad, np.array([2.0]), "x.grad after the passes of x and of x * 1")
    expect.tensor(grad(x, [x])[0], [1.0], "gradient of x with respect to x")


def test_first_and_second_order_of_a_composite(rng):
    def f(x, w, b):
        return log(exp(tanh(x @ w + b)) + 2.0) * x[:, :1]

    gradcheck(f, *(rng.standard_normal(s) for s in ((4, 3), (3, 2), (2,))), names=("x", "w", "b"))


def test_third_derivative_of_tanh(rng):
    x = leaf(rng.standard_normal(5))
    y = tanh(x)
    for _ in range(3):
        (y,) = grad(total(y), [x], create_graph=True)
    t = np.tanh(x.data)
    expect.tensor(y, (1 - t * t) * (6 * t * t - 2), "third derivative of tanh", rtol=1e-10)


def test_third_derivative_of_a_variance_with_shared_parts(rng):
    """f = sum(x * x) ** 3 in one variable t along a line: f = (a t^2)^3, f''' = 120 a^3 t^3."""
    direction = rng.standard_normal(4)
    t = leaf(0.7)
    x = t * direction
    y = total(x * x) ** 3
    for _ in range(3):
        (y,) = grad(y, [t], create_graph=True)
    expect.tensor(
        y, 120 * (direction @ direction) ** 3 * 0.7**3, "third derivative of sum((t d)^2)^3", rtol=1e-10
    )


def test_derivative_with_respect_to_grad_output(rng):
    """The gradient is linear in dL/dy, so <v, gradient> has the derivative v * f'(x) by it."""
    x, u, v = leaf(rng.standard_normal(3)), leaf(rng.standard_normal(3)), rng.standard_normal(3)
    (g,) = grad(tanh(x), [x], u, create_graph=True)
    expect.tensor(
        grad(g, [u], v)[0], v * (1 - np.tanh(x.data) ** 2), "derivative of the gradient by grad_output"
    )


def test_hvp_is_the_hessian_times_a_vector(rng):
    """f = x^T A x / 2 + sum(x)^3 / 6 has the Hessian (A + A^T) / 2 + sum(x) 11^T."""
    a, v = rng.standard_normal((4, 4)), rng.standard_normal(4)
    x = leaf(rng.standard_normal(4))
    y = (x @ a @ x) * 0.5 + total(x) ** 3 * (1 / 6)
    want = (a + a.T) @ v / 2 + x.data.sum() * v.sum()
    expect.tensor(hvp(y, [x], [v])[0], want, "Hessian times v", rtol=1e-10)
    expect.tensor(hvp(y, [x], [2 * v])[0], 2 * want, "Hessian times 2v, on the same graph", rtol=1e-10)


def test_hvp_couples_several_inputs_and_is_zero_for_a_line(rng):
    x, w = leaf(rng.standard_normal(3)), leaf(rng.standard_normal(3))
    v, u = rng.standard_normal(3), rng.standard_normal(3)
    by_x, by_w = hvp(total(x * w), [x, w], [v, u])  # the Hessian is [[0, I], [I, 0]]
    expect.tensor(by_x, u, "x part of the Hessian of sum(x * w) times (v, u)")
    expect.tensor(by_w, v, "w part of the Hessian of sum(x * w) times (v, u)")
    expect.tensor(hvp(total(x * 3.0), [x], [v])[0], np.zeros(3), "Hessian of a linear function times v")


def test_jacobian_and_hessian(rng):
    a, x = rng.standard_normal((2, 3)), leaf(rng.standard_normal(3))
    expect.tensor(
        jacobian(tanh(a @ x), x), (1 - np.tanh(a @ x.data) ** 2)[:, None] * a, "Jacobian of tanh(A x)"
    )
    (g,) = grad(total(x * x * x), [x], create_graph=True)
    expect.tensor(jacobian(g, x), np.diag(6 * x.data), "Hessian of sum(x^3)")


def test_jacobian_shapes_and_graphs(rng):
    x = leaf(rng.standard_normal((2, 3)))
    j = jacobian(x * x, x, create_graph=True)  # (2, 3, 2, 3)
    want = np.zeros((2, 3, 2, 3))
    for i in np.ndindex(2, 3):
        want[(*i, *i)] = 2 * x.data[i]
    expect.tensor(j, want, "Jacobian of x * x, (2, 3, 2, 3)")
    expect.tensor(grad(total(j), [x])[0], np.full((2, 3), 2.0), "gradient of the sum of that Jacobian")
    plain = jacobian(x * x, x)
    expect.tensor(plain, want, "the same Jacobian without create_graph")
    expect.true(not plain.requires_grad, "without create_graph the Jacobian is outside the graph")
    expect.equal(jacobian(x[:0] * 2.0, x).shape, (0, 3, 2, 3), "shape of the Jacobian of nothing, (0, 3)")


# What the engine keeps, frees and shares


def test_grad_never_aliases(rng):
    x, w = leaf(rng.standard_normal(3)), leaf(rng.standard_normal(3))
    u = rng.standard_normal(3)
    want = u.copy()
    backward(x + w, u)  # Add hands one array to both inputs
    x.grad += 100.0
    expect.close(w.grad, want, "w.grad after x.grad was changed in place")
    expect.close(u, want, "grad_output after x.grad was changed in place")
    first, second, again = grad(x + w, [x, w, x], u)
    first.data += 100.0
    expect.tensor(second, want, "gradient of w after the gradient of x was changed in place")
    expect.tensor(again, want, "gradient of x, asked for twice, after the first was changed in place")


class Triple(Function):
    """3 x, whose rule returns new arrays."""

    fresh = True

    def forward(self, x):
        return np.multiply(x, 3.0, out=np.empty_like(x))

    def backward(self, grad):
        return (grad * 3.0,)  # NumPy makes a number of an array of shape ()


def test_the_gradient_of_a_single_number_is_an_array():
    x = leaf(np.array(2.0))
    backward(Triple.apply(x))
    expect.close(x.grad, np.array(3.0), "x.grad, of shape (), for y = 3 x")
    held = x.grad
    backward(Triple.apply(x))
    expect.close(held, np.array(6.0), "the same array after a second pass, which adds to it")


def test_a_second_pass_needs_retain_graph():
    x = leaf([1.0, 2.0])
    y = total(exp(x * x))
    want = 2 * x.data * np.exp(x.data**2)
    backward(y, retain_graph=True)
    backward(y)
    expect.close(x.grad, 2 * want, "x.grad after two passes through one graph")
    with expect.raises(RuntimeError, "retain_graph"):
        backward(y)
    z = exp(x)
    grad(total(z), [x])
    with expect.raises(RuntimeError, "retain_graph"):
        grad(total(z * 2.0), [x])


def test_create_graph_keeps_the_graph():
    x = leaf([2.0])
    y = x * x * x
    (first,) = grad(y, [x], create_graph=True)
    try:
        (again,) = grad(y, [x], retain_graph=True)
        (second,) = grad(first, [x])
    except RuntimeError as error:
        raise AssertionError(
            f"create_graph must keep the graph that the gradient is made of\n  {error}"
        ) from None
    expect.tensor(first, [12.0], "gradient of x^3 at 2")
    expect.tensor(again, [12.0], "gradient of x^3 at 2, a second time")
    expect.tensor(second, [12.0], "second derivative of x^3 at 2")


def test_the_engine_leaves_recording_as_it_was():
    x = leaf([1.0])
    backward(x * x)
    expect.true((x * x).requires_grad, "after backward, operations are recorded again")
    with recording(False):
        pass
    y = x * x
    with no_grad():
        (g,) = grad(y, [x], create_graph=True)
        expect.true(g.requires_grad, "create_graph records the backward pass even under no_grad")
        expect.true(not (x * x).requires_grad, "after grad, no_grad is in force again")
    expect.tensor(g, [2.0], "gradient of x * x under no_grad")


def test_float32_stays_float32():
    x = leaf([1.0, 2.0], np.float32)
    y = total(where(x.data > 1.5, x * 2.0, x) ** 2 / var(x))
    (g,) = grad(y, [x], create_graph=True)
    backward(y)
    expect.tensor(g, [144.0, -72.0], "gradient in float32", dtype=np.float32)
    expect.close(x.grad, np.array([144.0, -72.0], np.float32), "x.grad in float32", dtype=np.float32)
    expect.tensor(
        grad(exp(x), [x], np.ones(2))[0], np.exp(x.data), "gradient from a float64 seed", dtype=np.float32
    )
    wide = np.array([3.0, 4.0])  # float64: the product is, the gradient of x is not
    expect.tensor(grad(total(x * wide), [x])[0], wide, "gradient of x * float64", dtype=np.float32)
    x.grad = None
    backward(total(x * wide))
    expect.close(x.grad, wide, "x.grad of x * float64", dtype=np.float32)


def test_a_chain_of_50000_operations():
    x = leaf([1.0, -1.0])
    y = x
    for _ in range(25_000):
        y = y * 1.0 + x
    backward(total(y))
    expect.close(x.grad, np.full(2, 25_001.0), "x.grad through a chain of 50,000 operations")


def test_sixty_diamonds_in_a_row():
    """2^60 paths: an engine that follows paths instead of nodes never ends."""
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    backward(y)
    expect.close(x.grad, 2.0**60, "x.grad through 60 doublings")


def test_a_thousand_steps_leave_nothing_behind():
    """Without reference cycles, memory is returned at once: the garbage collector is off here."""
    x, w = leaf(np.ones((8, 8))), leaf(np.full((8, 8), 0.1))

    def step():
        x.grad = w.grad = None
        (g,) = grad(total(tanh(x @ w) * x), [x], create_graph=True)
        backward(total(g * g))

    gc.collect()
    gc.disable()
    try:
        for _ in range(900):  # until the interpreter's free lists are full
            step()
        expect.true(
            bool(np.all(np.isfinite(w.grad))) and bool(np.any(w.grad)), "a step must give w a gradient"
        )
        tracemalloc.start()
        step()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(99):
            step()
        grown = tracemalloc.get_traced_memory()[0] - before
        left = sum(isinstance(o, Function) for o in gc.get_objects())
    finally:
        tracemalloc.stop()
        gc.enable()
    expect.true(
        grown < 5_000 and left < 50,
        f"the last 99 of 1,000 steps kept {grown:,} bytes, and {left} operations are still alive",
    )


# Mistakes


def test_a_root_with_several_elements_needs_grad_output():
    x = leaf(np.ones((2, 3)))
    with expect.raises(ValueError, "(2, 3)"):
        backward(x * x)
    with expect.raises(ValueError, "(2, 3)"):
        grad(x * x, [x])


def test_grad_output_must_have_the_shape_of_the_root():
    x = leaf(np.ones((2, 3)))
    with expect.raises(ValueError, "(3,)", "(2, 3)"):
        backward(x * x, np.ones(3))
    with expect.raises(ValueError, "(3,)", "(2, 3)"):
        grad(x * x, [x], np.ones(3))
    with expect.raises(ValueError, "(3,)", "(2, 3)"):
        hvp(total(x * x), [x], [np.ones(3)])


def test_nothing_to_differentiate_is_an_error():
    constant = Tensor(np.ones(2))
    with expect.raises(RuntimeError):
        backward(total(constant * 2.0))
    with expect.raises(RuntimeError):
        grad(total(constant * 2.0), [leaf([1.0])])
    with expect.raises(ValueError, "(2,)"):
        grad(total(constant * leaf([1.0])), [constant])


def test_integers_pass_through_but_get_no_gradient():
    x, counts = leaf([1.0, 2.0]), Tensor(np.array([3, 4]))
    backward(total(x * counts))
    expect.close(x.grad, np.array([3.0, 4.0]), "x.grad of sum(x * integers)")
    expect.equal(counts.grad, None, "grad of integers")
