"""Optimizer: groups, memory and what a step touches, seen through a rule that is easy to predict.

`Decay` moves each weight by lr * grad and counts its steps, so every effect has a closed form.
"""

import numpy as np

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.optimizer import PIECE, Optimizer, pieces


class Decay(Optimizer):
    def __init__(self, params, lr=0.5, scale=1.0):
        super().__init__(params, {"lr": lr, "scale": scale})

    def update(self, weights, grad, state, group):
        state["steps"] = state.get("steps", 0) + 1
        state["total"] = state.get("total", 0.0) + grad
        weights -= group["lr"] * group["scale"] * grad


def weights(*values):
    return [Tensor(np.array(v, float), requires_grad=True) for v in values]


def give(params, *grads):
    for p, g in zip(params, grads, strict=True):
        p.grad = None if g is None else np.array(g, float)


def test_a_step_moves_every_parameter_in_place():
    a, b = weights([1.0, 2.0], [[3.0]])
    array = a.data
    give([a, b], [2.0, 4.0], [[-2.0]])
    Decay([a, b]).step()
    expect.close(a.data, np.array([0.0, 0.0]), "first parameter after w -= 0.5 * grad")
    expect.close(b.data, np.array([[4.0]]), "second parameter after w -= 0.5 * grad")
    expect.true(a.data is array, "the weights must be changed in place: others hold the same array")


def test_a_parameter_without_a_gradient_is_left_alone():
    a, b = weights([1.0], [1.0])
    optimizer = Decay([a, b])
    give([a, b], [2.0], None)
    optimizer.step()
    expect.close(a.data, np.array([0.0]), "the parameter with a gradient")
    expect.close(b.data, np.array([1.0]), "the parameter whose grad is None")
    expect.true(b not in optimizer.state, "a parameter that was never updated has no state")


def test_memory_is_kept_for_each_parameter():
    a, b = weights([1.0], [1.0])
    optimizer = Decay([a, b])
    for g in (1.0, 2.0):
        give([a, b], [g], [10 * g])
        optimizer.step()
    expect.close(
        optimizer.state[a]["total"], np.array([3.0]), "what the rule remembers about the first parameter"
    )
    expect.close(optimizer.state[b]["total"], np.array([30.0]), "what the rule remembers about the second")
    expect.equal(optimizer.state[a]["steps"], 2, "steps of the first parameter")


def test_zero_grad_forgets_all_gradients():
    a, b = weights([1.0], [2.0])
    optimizer = Decay([{"params": [a]}, {"params": [b]}])
    give([a, b], [1.0], [1.0])
    optimizer.zero_grad()
    expect.equal((a.grad, b.grad), (None, None), "gradients after zero_grad")
    optimizer.step()
    expect.close(a.data, np.array([1.0]), "a parameter after zero_grad and a step")


def test_groups_have_settings_of_their_own_and_share_the_rest():
    a, b = weights([1.0], [1.0])
    optimizer = Decay([{"params": [a], "lr": 0.1}, {"params": b, "scale": 2.0}], lr=1.0)
    groups = [(g["lr"], g["scale"], len(g["params"])) for g in optimizer.param_groups]
    expect.equal(groups, [(0.1, 1.0, 1), (1.0, 2.0, 1)], "lr, scale and number of parameters of each group")
    give([a, b], [1.0], [1.0])
    optimizer.step()
    expect.close(a.data, np.array([0.9]), "parameter of the group with lr 0.1")
    expect.close(b.data, np.array([-1.0]), "parameter of the group with scale 2")


def test_settings_can_be_changed_between_steps():
    (a,) = weights([1.0])
    optimizer = Decay([a])
    optimizer.param_groups[0]["lr"] = 0.25
    give([a], [1.0])
    optimizer.step()
    expect.close(a.data, np.array([0.75]), "parameter after lr was set to 0.25")


def test_groups_added_later_take_part():
    a, b = weights([1.0], [1.0])
    optimizer = Decay([a])
    optimizer.add_param_group({"params": [b], "lr": 1.0})
    give([a, b], [1.0], [1.0])
    optimizer.step()
    expect.close(b.data, np.array([0.0]), "parameter of the group that was added")
    expect.equal([len(g["params"]) for g in optimizer.param_groups], [1, 1], "parameters of each group")


def test_params_may_be_a_generator():
    params = weights([1.0], [2.0])
    optimizer = Decay([{"params": (p for p in params)}])
    for _ in range(2):
        give(params, [1.0], [1.0])
        optimizer.step()
    expect.close(params[1].data, np.array([1.0]), "second parameter of a group's generator after two steps")
    (a,) = weights([1.0])
    optimizer = Decay(p for p in [a])
    give([a], [1.0])
    optimizer.step()
    expect.close(a.data, np.array([0.5]), "parameter of a generator after one step")


def test_state_dict_numbers_the_parameters_through_all_groups():
    a, b, c = weights([1.0], [2.0], [3.0])
    optimizer = Decay([{"params": [a, b]}, {"params": [c], "lr": 2.0}])
    give([a, b, c], None, [1.0], [5.0])
    optimizer.step()
    saved = optimizer.state_dict()
    expect.equal(sorted(saved), ["param_groups", "state"], "keys of the state_dict")
    expect.equal(
        saved["param_groups"],
        [{"lr": 0.5, "scale": 1.0, "params": [0, 1]}, {"lr": 2.0, "scale": 1.0, "params": [2]}],
        "saved groups",
    )
    expect.equal(sorted(saved["state"]), [1, 2], "numbers of the parameters that have a state")
    expect.close(saved["state"][2]["total"], np.array([5.0]), "saved memory of parameter 2")


def test_state_dict_is_a_copy():
    (a,) = weights([1.0])
    optimizer = Decay([a])
    give([a], [1.0])
    optimizer.step()
    saved = optimizer.state_dict()
    saved["state"][0]["total"][:] = 99.0
    saved["param_groups"][0]["lr"] = 99.0
    expect.close(optimizer.state[a]["total"], np.array([1.0]), "memory after a saved copy was changed")
    expect.equal(optimizer.param_groups[0]["lr"], 0.5, "lr after a saved copy was changed")


def test_loading_resumes_with_settings_and_memory():
    first, second = weights([1.0], [2.0]), weights([1.0], [2.0])
    one, two = Decay(first, lr=0.1), Decay(second, lr=0.7)
    give(first, [1.0], [2.0])
    one.step()
    saved = one.state_dict()
    two.load_state_dict(saved)
    expect.equal(two.param_groups[0]["lr"], 0.1, "lr after loading")
    expect.true(two.param_groups[0]["params"] == second, "loading must keep this optimizer's own parameters")
    saved["state"][0]["total"][:] = 99.0
    expect.close(
        two.state[second[0]]["total"], np.array([1.0]), "memory after what was loaded changed: copy it"
    )
    expect.equal(two.state[second[1]]["steps"], 1, "steps of the second parameter after loading")


def test_pieces_cover_every_element_once_and_write_through():
    a, b = np.zeros((2, PIECE // 2 + 10)), np.arange(PIECE + 20.0).reshape(2, -1)
    lengths = []
    for x, y in pieces(a, b):
        x += y
        lengths.append(x.size)
    expect.close(a, b, "an array of PIECE + 20 elements after adding another piece by piece")
    expect.equal(lengths, [PIECE, 20], "lengths of the pieces")


def test_pieces_of_an_array_that_is_not_in_c_order_write_through():
    a, b = np.zeros((3, 2)).T, np.arange(6.0).reshape(2, 3)
    for x, y in pieces(a, b):
        x += y
    expect.close(a.copy(), b, "a transposed array after adding another piece by piece")


def test_no_parameters_is_an_error():
    with expect.raises(ValueError):
        Decay([])


def test_a_parameter_twice_is_an_error():
    a, b = weights([1.0, 2.0], [1.0])
    with expect.raises(ValueError, "(2,)"):
        Decay([b, a, a])
    optimizer = Decay([a])
    with expect.raises(ValueError, "(2,)"):
        optimizer.add_param_group({"params": [a]})


def test_an_unknown_setting_is_named():
    with expect.raises(ValueError, "momentum", "lr"):
        Decay([{"params": weights([1.0]), "momentum": 0.9}])


def test_what_is_no_parameter_is_named():
    with expect.raises(TypeError, "ndarray"):
        Decay([np.ones(2)])
    with expect.raises(TypeError, "Tensor"):
        Decay([Tensor(np.ones(2))])


def test_loading_other_groups_is_an_error():
    one, five = Decay(weights([1.0])), Decay(weights(*[[float(i)] for i in range(5)]))
    with expect.raises(ValueError, "5", "1"):
        one.load_state_dict(five.state_dict())
    three = Decay([{"params": weights([1.0])} for _ in range(3)])
    with expect.raises(ValueError, "3", "1"):
        one.load_state_dict(three.state_dict())
    with expect.raises(ValueError, "3", "1"):
        three.load_state_dict(one.state_dict())
