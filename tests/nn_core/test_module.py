"""nn_core.module: what a model finds among its attributes, in which order, and what it saves and loads."""

import numpy as np

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from nn_core.module import Module, ModuleList, Parameter, Sequential


class Scale(Module):
    """x -> factor * x + shift, with a buffer that counts nothing in particular."""

    def __init__(self, factor=2.0, shift=None):
        super().__init__()
        self.factor = Parameter(np.full(3, factor))
        if shift is not None:
            self.shift = Parameter(np.full(3, shift))

    def forward(self, x):
        y = x * self.factor
        return y + self.shift if hasattr(self, "shift") else y

    def extra_repr(self):
        return f"size={self.factor.size}"


class Net(Module):
    """Submodule, parameter, buffer, submodule: in this order."""

    def __init__(self):
        super().__init__()
        self.first = Scale(2.0, 1.0)
        self.offset = Parameter(np.zeros(3))
        self.register_buffer("mean", np.array([1.0, 2.0, 3.0]))
        self.second = Scale(3.0)
        self.note = "not part of the model"

    def forward(self, x):
        return self.second(self.first(x) + self.offset)


NAMES = ["first.factor", "first.shift", "offset", "second.factor"]


def names(model):
    return [name for name, _ in model.named_parameters()]


def values(model):
    return {name: p.data.copy() for name, p in model.named_parameters()}


# Parameters.


def holder(p):
    """A module whose only parameter is p."""
    module = Module()
    module.p = p
    return module


def test_a_parameter_is_a_tensor_that_requires_a_gradient_and_keeps_its_array():
    array = np.array([1.0, -2.0], np.float32)
    p = Parameter(array)
    expect.tensor(p, np.array([1.0, -2.0], np.float32), "Parameter([1, -2])", dtype=np.float32)
    expect.true(p.requires_grad is True, f"a Parameter requires a gradient, yours says {p.requires_grad}")
    expect.true(p.data is array, "a Parameter keeps the array it is given: yours holds another one")
    expect.equal(names(holder(p)), ["p"], "the list of names in a module with one parameter")


def test_a_parameter_takes_lists_a_dtype_and_tensors():
    expect.tensor(Parameter([0.5, 1.5]), np.array([0.5, 1.5]), "Parameter of a list")
    expect.tensor(Parameter([1, 2], dtype=np.float32), np.float32([1, 2]), "with a dtype", dtype=np.float32)
    source = Tensor(np.array([4.0]))
    expect.true(Parameter(source).data is source.data, "Parameter(tensor) should hold the Tensor's own array")
    expect.equal(names(holder(Parameter(source))), ["p"], "the list of names in a module with one parameter")


def test_a_parameter_of_integers_is_refused_and_a_tensor_is_none():
    with expect.raises(TypeError, "int64"):
        Parameter(np.array([1, 2], np.int64))
    expect.equal(names(holder(Tensor(np.ones(2)))), [], "the list of names in a module with a Tensor")
    expect.equal(
        names(holder(Parameter(np.ones(2)))), ["p"], "the list of names in a module with one parameter"
    )


# Finding.


def test_parameters_are_named_by_their_path_in_order_of_assignment():
    net = Net()
    expect.equal(names(net), NAMES, "the list of names")
    found = list(net.parameters())
    expect.true(
        len(found) == 4 and found[2] is net.offset, "the third of parameters() should be net.offset itself"
    )


def test_names_go_as_deep_as_the_tree():
    outer = Module()
    outer.block = Module()
    outer.block.layer = Scale()
    expect.equal(names(outer), ["block.layer.factor"], "the name of a parameter two modules down")


def test_a_shared_parameter_counts_once_by_its_first_path():
    net = Net()
    net.second.factor = net.first.factor
    net.again = net.offset
    expect.equal(
        names(net),
        NAMES[:3],
        "the list of names, with second.factor tied to first.factor and again to offset,",
    )


def test_a_shared_module_counts_once_by_its_first_path():
    net = Net()
    net.second = net.first
    expect.equal(names(net), NAMES[:3], "the list of names, with second the same module as first,")
    expect.equal(
        [n for n, _ in net.named_modules()],
        ["", "first"],
        "the list of modules, with second the same as first,",
    )


def test_a_module_that_contains_itself_is_walked_once():
    net = Net()
    net.first.parent = net
    expect.equal(names(net), NAMES, "the list of names, with a submodule that refers back to the model,")


def test_modules_are_named_by_their_path_beginning_with_the_model_itself():
    outer = Module()
    outer.net = net = Net()
    found = list(outer.named_modules())
    expect.equal([n for n, _ in found], ["", "net", "net.first", "net.second"], "the list of modules")
    expect.true(
        found[0][1] is outer and found[2][1] is net.first, "named_modules() gives the modules themselves"
    )


def test_walk_skips_what_was_seen_and_adds_to_it():
    net, seen = Net(), set()
    expect.equal(
        [name for name, _ in net.walk("net.", seen)],
        ["net.first", "net.first.factor", "net.first.shift", "net.offset", "net.mean", "net.second",
         "net.second.factor"],
        "the list of paths of walk('net.', seen)",
    )  # fmt: skip
    met = {net.first, net.first.factor, net.first.shift, net.offset, net.second, net.second.factor}
    expect.true(seen >= met, f"walk adds every parameter and module to the set that it is given: yours has "
                f"{len(seen & met)} of {len(met)}")  # fmt: skip
    rest = [name for name, _ in net.walk("", {net.first})]
    expect.equal(rest, ["offset", "mean", "second", "second.factor"], "the list of paths, first being seen,")


def test_deleting_and_replacing_attributes_changes_the_model():
    net = Net()
    del net.first
    net.offset = None
    net.second = Scale(5.0, 6.0)
    expect.equal(
        sorted(names(net)),
        ["second.factor", "second.shift"],
        "the list of names after deleting and replacing",
    )


def test_a_parameter_assigned_too_early_is_refused():
    class Hasty(Module):
        def __init__(self):
            self.weight = Parameter(np.ones(2))

    class Hasty2(Module):
        def __init__(self):
            self.layer = Net()

    with expect.raises(AttributeError, "Hasty", "weight", "super().__init__()"):
        Hasty()
    with expect.raises(AttributeError, "Hasty2", "layer", "super().__init__()"):
        Hasty2()
    expect.equal(names(Net()), NAMES, "the list of names of a model made in the right order")


# Buffers.


def test_a_buffer_is_state_but_not_a_parameter():
    outer = Module()
    outer.net = net = Net()
    array = np.array([4.0])
    net.register_buffer("kept", array)
    expect.true(net.kept is array, "register_buffer keeps the array it is given: yours holds another one")
    del net.kept
    (name, array), *rest = outer.named_buffers()
    expect.equal(
        (name, len(rest)), ("net.mean", 0), "the path of the only buffer, and how many more there are"
    )
    expect.true(array is net.mean, "named_buffers() gives the array itself, not a copy")
    expect.equal(names(net), NAMES, "the list of parameters beside a buffer")


def test_a_plain_array_is_neither_buffer_nor_parameter():
    net = Net()
    net.table = np.ones(4)
    expect.equal([n for n, _ in net.named_buffers()], ["mean"], "the list of buffers beside a plain array")


def test_a_reassigned_buffer_stays_one_and_a_deleted_one_is_gone():
    net = Net()
    net.mean = np.array([7.0])
    expect.close(
        dict(net.named_buffers())["mean"], np.array([7.0]), "the buffer after assigning another array"
    )
    net.register_buffer("count", np.zeros(()))
    net.count = net.count + 1  # NumPy makes a scalar of it
    expect.close(net.state_dict()["count"], np.array(1.0), "the saved buffer of one number")
    del net.count
    del net.mean
    net.mean = np.array([8.0])
    expect.equal(
        [n for n, _ in net.named_buffers()],
        [],
        "the list of buffers after one was deleted and its name reused",
    )


def test_bad_buffers_are_refused():
    net = Net()
    with expect.raises(ValueError, "offset"):
        net.register_buffer("offset", np.ones(3))
    with expect.raises(ValueError, "forward"):
        net.register_buffer("forward", np.ones(3))
    with expect.raises(ValueError, "running.mean"):
        net.register_buffer("running.mean", np.ones(3))
    with expect.raises(TypeError, "count", "int"):
        net.register_buffer("count", 3)
    with expect.raises(TypeError, "mean", "float"):
        net.mean = 0.5
    with expect.raises(AttributeError, "super().__init__()"):
        Module.__new__(Net).register_buffer("mean", np.ones(3))


# Modes and gradients.


def test_train_and_eval_reach_every_module_and_return_the_model():
    net = Sequential(Net())
    everything = (net, net[0], net[0].first, net[0].second)

    def modes():
        return [m.training for m in everything]

    expect.equal(modes(), [True] * 4, "training in a new model, from the top down,")
    expect.true(net.eval() is net, "eval() returns the model itself")
    expect.equal(modes(), [False] * 4, "training after eval(), from the top down,")
    expect.true(net.train() is net, "train() returns the model itself")
    expect.equal(modes(), [True] * 4, "training after train(), from the top down,")
    expect.true(net.train(False) is net, "train(False) returns the model itself")
    expect.equal(modes(), [False] * 4, "training after train(False), from the top down,")


def test_gradients_reach_every_parameter_and_zero_grad_forgets_them():
    net = Net()
    y = net(Tensor(np.ones(3)))
    expect.tensor(y, np.full(3, 9.0), "(2 * 1 + 1 + 0) * 3")
    y.backward(np.ones(3))
    grads = {name: None if p.grad is None else float(p.grad[0]) for name, p in net.named_parameters()}
    expect.equal(grads, dict(zip(NAMES, (3.0, 3.0, 3.0, 3.0), strict=True)), "the dict of gradients")
    net.zero_grad()
    expect.equal([p.grad for p in net.parameters()], [None] * 4, "the list of gradients after zero_grad()")


# Saving and loading.


def test_state_dict_holds_copies_of_parameters_and_buffers_by_path():
    net = Net()
    state = net.state_dict()
    expect.equal(
        list(state),
        ["first.factor", "first.shift", "offset", "mean", "second.factor"],
        "the list of paths in the state",
    )
    expect.close(state["first.factor"], np.full(3, 2.0), "the saved first.factor")
    expect.close(state["mean"], np.array([1.0, 2.0, 3.0]), "the saved buffer")
    state["offset"][:] = 9
    state["mean"][:] = 9
    expect.close(net.offset.data, np.zeros(3), "offset of the model after changing the saved one")
    expect.close(net.mean, np.array([1.0, 2.0, 3.0]), "the buffer of the model after changing the saved one")


def test_loading_restores_what_was_saved():
    net, other = Net(), Net()
    for p in net.parameters():
        p.data += 0.25
    net.mean[:] = -1
    state = net.state_dict()
    expect.equal(other.load_state_dict(state), ((), ()), "what load_state_dict returns when all fits")
    for name, array in other.state_dict().items():
        expect.close(array, state[name], f"{name} after loading")


def test_loading_writes_into_the_arrays_that_are_there():
    net = Net()
    array, mean = net.offset.data, net.mean
    state = net.state_dict() | {"offset": np.ones(3), "mean": np.zeros(3)}
    net.load_state_dict(state)
    expect.close(array, np.ones(3), "the array that the parameter had before loading")
    expect.true(
        net.offset.data is array and net.mean is mean,
        "loading should keep the arrays and replace their values",
    )
    state["offset"][:] = 5
    expect.close(net.offset.data, np.ones(3), "offset after the loaded state was changed")


def test_saving_and_loading_keep_dtypes_and_numbers_without_axes():
    net = Module()
    net.weight = Parameter(np.zeros(2, np.float32))
    net.register_buffer("count", np.array(3))
    expect.close(net.state_dict()["weight"], np.zeros(2), "the saved float32 weight", dtype=np.float32)
    net.load_state_dict({"weight": np.array([0.5, 0.25]), "count": np.array(8)})
    expect.tensor(
        net.weight, np.float32([0.5, 0.25]), "a float32 parameter loaded from float64", dtype=np.float32
    )
    expect.equal(net.state_dict()["count"], np.array(8), "a buffer of one number after loading")


def test_one_error_names_everything_that_does_not_fit_and_nothing_is_loaded():
    net = Net()
    state = {
        "first.factor": np.ones(3),
        "offset": np.ones((3, 1)),
        "second.factor": np.ones(4),
        "extra.w": np.ones(1),
    }
    with expect.raises(
        ValueError, "first.shift", "mean", "extra.w", "offset", "(3, 1)", "second.factor", "(4,)", "(3,)"
    ):
        net.load_state_dict(state)
    expect.close(values(net)["first.factor"], np.full(3, 2.0), "first.factor after a refused load")


def test_not_strict_loads_what_fits_and_tells_the_rest():
    net = Net()
    told = net.load_state_dict(
        {"spare": np.ones(1), "offset": np.full(3, 4.0), "more": np.ones(1)}, strict=False
    )
    expect.equal(
        told,
        (("first.factor", "first.shift", "mean", "second.factor"), ("spare", "more")),
        "(missing, unexpected)",
    )
    expect.close(net.offset.data, np.full(3, 4.0), "offset after loading")
    expect.close(net.first.factor.data, np.full(3, 2.0), "first.factor, which was missing")
    with expect.raises(ValueError, "offset", "(2,)", "(3,)"):
        net.load_state_dict({"offset": np.ones(2)}, strict=False)


# Containers, and what is shown.


def test_sequential_runs_its_modules_in_order():
    model = Sequential(Scale(2.0, 1.0), Scale(3.0))
    expect.tensor(model(Tensor(np.ones(3))), np.full(3, 9.0), "(2 * 1 + 1) * 3")
    expect.equal(names(model), ["0.factor", "0.shift", "1.factor"], "the list of names in a Sequential")


def test_an_empty_sequential_returns_its_input():
    x = Tensor(np.ones(3))
    expect.true(Sequential()(x) is x, "Sequential()(x) should be x itself")
    expect.tensor(
        Sequential(Sequential(), Scale(2.0))(x), np.full(3, 2.0), "one that holds an empty one, of 1 * 2"
    )


def test_containers_are_indexed_like_lists():
    modules = [Scale(1.0), Scale(2.0), Scale(3.0)]
    for model in (Sequential(*modules), ModuleList(modules)):
        kind = type(model).__name__
        expect.equal(len(model), 3, f"the length of a {kind} of three")
        expect.true(
            model[0] is modules[0] and model[-1] is modules[2], f"{kind}[0] and [-1] are its first and last"
        )
        expect.true(list(model) == modules, f"iterating over a {kind} gives its modules in order")
        part = model[1:]
        expect.true(
            type(part) is type(model), f"expected {kind}[1:] to be a {kind}, got a {type(part).__name__}"
        )
        expect.true(
            list(part) == modules[1:], f"{kind}[1:] should hold the last two of three, the same modules"
        )
        with expect.raises(IndexError, "3"):
            model[3]
        with expect.raises(IndexError, "-4"):
            model[-4]


def test_append_adds_at_the_end_and_returns_the_container():
    model = Sequential(Scale(2.0))
    last = Scale(5.0)
    expect.true(model.append(last) is model, "append returns the container itself")
    expect.true(len(model) == 2 and model[1] is last, "append adds the module at the end")
    expect.equal(
        names(ModuleList([Scale()]).append(Scale())),
        ["0.factor", "1.factor"],
        "the list of names after append",
    )


def test_containers_refuse_what_is_not_a_module():
    with expect.raises(TypeError, "list"):
        Sequential([Scale(), Scale()])
    with expect.raises(TypeError, "function"):
        ModuleList([Scale()]).append(lambda x: x)


def test_a_module_without_forward_says_so():
    with expect.raises(TypeError, "ModuleList"):
        ModuleList([Scale()])(Tensor(np.ones(3)))
    expect.equal(names(ModuleList([Scale()])), ["0.factor"], "the list of names in a ModuleList")


def test_repr_shows_the_tree():
    expect.equal(repr(Scale()), "Scale(size=3)", "the repr of a module without submodules")
    model = Sequential(Scale(), Net())
    lines = [
        "Sequential(",
        "  (0): Scale(size=3)",
        "  (1): Net(",
        "    (first): Scale(size=3)",
        "    (second): Scale(size=3)",
        "  )",
        ")",
    ]
    expect.equal(repr(model).splitlines(), lines, "the repr of a tree, as a list of lines,")
