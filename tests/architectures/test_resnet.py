"""ResNet: its pieces and the whole against plain NumPy, what it is made of, how it starts, its gradients."""

import math

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from architectures.resnet import (
    BasicBlock,
    Bottleneck,
    ResNet,
    convolution,
    projection,
    resnet18,
    resnet34,
    resnet50,
    stage,
)
from curriculum.testing import expect, statistics
from foundations.autograd import grad
from foundations.computational_graph import Tensor
from nn_core.module import Module

KINDS = {  # factory: (block, its expansion, blocks a stage)
    resnet18: (BasicBlock, 1, (2, 2, 2, 2)),
    resnet34: (BasicBlock, 1, (3, 4, 6, 3)),
    resnet50: (Bottleneck, 4, (3, 4, 6, 3)),
}
PUBLISHED = [  # parameters at width 64
    (resnet18, 1000, "imagenet", 11_689_512),
    (resnet34, 1000, "imagenet", 21_797_672),
    (resnet50, 1000, "imagenet", 25_557_032),
    (resnet18, 10, "cifar", 11_173_962),
]
every_factory = pytest.mark.parametrize("factory", KINDS, ids=lambda f: f.__name__)
every_stem = pytest.mark.parametrize("stem", ["imagenet", "cifar"])
every_mode = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
BLOCKS = [  # block, in_channels, channels, stride
    pytest.param(BasicBlock, 3, 3, 1, id="basic"),
    pytest.param(BasicBlock, 2, 4, 2, id="basic, stride 2"),
    pytest.param(BasicBlock, 3, 2, 1, id="basic, other channels"),
    pytest.param(BasicBlock, 3, 3, 2, id="basic, stride 2, same channels"),
    pytest.param(Bottleneck, 8, 2, 1, id="bottleneck"),
    pytest.param(Bottleneck, 8, 3, 2, id="bottleneck, stride 2"),
    pytest.param(Bottleneck, 2, 2, 1, id="bottleneck, other channels"),
    pytest.param(Bottleneck, 8, 2, 2, id="bottleneck, stride 2, same channels"),
]


class Still(np.random.Generator):
    """A generator whose numbers are all 0, one place in memory for all: a large network costs little time."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def zeros(self, size, dtype=np.float64):
        shape = size if isinstance(size, tuple) else () if size is None else (size,)
        return as_strided(np.zeros(1, dtype), shape, (0,) * len(shape))

    def normal(self, loc=0.0, scale=1.0, size=None):
        return self.zeros(size)

    def uniform(self, low=0.0, high=1.0, size=None):
        return self.zeros(size)

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        return self.zeros(size, dtype)


def generator(seed=0):
    return np.random.default_rng(seed)


def filled(model, seed=3):
    """The same model with numbers of the test's own, by name: nothing is 0 or 1 that could hide a mistake."""
    rng = generator(seed)
    for name, p in sorted(model.named_parameters()):
        expect.true(p.requires_grad, f"{name} is a parameter and should require a gradient, yours is frozen")
        scale = math.sqrt(1.5 / max(1, math.prod(p.shape[1:]))) if p.ndim > 1 else 0.3
        p.data[...] = rng.normal(1.0 if name.endswith("weight") and p.ndim == 1 else 0.0, scale, p.shape)
    for name, array in sorted(model.named_buffers(), key=lambda item: item[0]):
        if name.endswith("running_mean"):
            array[...] = rng.normal(0.0, 0.3, array.shape)
        elif name.endswith("running_var"):
            array[...] = rng.uniform(0.5, 1.5, array.shape)
    return model


# The definition, in plain NumPy, from the arrays of a state_dict.


def convolved(x, weight, stride=1):
    """A sum over the weights of the kernel of shifted images; the padding is half the kernel."""
    r = weight.shape[2]
    image = np.pad(x, ((0, 0), (0, 0), (r // 2, r // 2), (r // 2, r // 2)))
    h, w = (x.shape[2] - 1) // stride + 1, (x.shape[3] - 1) // stride + 1
    y = np.zeros((len(x), len(weight), h, w))
    for u, v in np.ndindex(r, r):
        seen = image[:, :, u : u + stride * (h - 1) + 1 : stride, v : v + stride * (w - 1) + 1 : stride]
        y += np.moveaxis(np.tensordot(seen, weight[:, :, u, v], (1, 1)), -1, 1)
    return y


def normalized(x, state, name, training):
    """In training it also puts into ``state``, as "new ...", the running statistics after this batch."""
    if training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
        for part, seen in (("running_mean", mean), ("running_var", x.var((0, 2, 3), ddof=1))):
            state[f"new {name}.{part}"] = 0.9 * state[f"{name}.{part}"] + 0.1 * seen
    else:
        mean, var = state[name + ".running_mean"], state[name + ".running_var"]
    scale = state[name + ".weight"] / np.sqrt(var + 1e-5)
    return (x - mean[:, None, None]) * scale[:, None, None] + state[name + ".bias"][:, None, None]


def branch(x, state, prefix, stride, training):
    """F(x) for the block whose arrays begin with ``prefix``."""
    last = 3 if prefix + "conv3.weight" in state else 2
    for i in range(1, last + 1):
        x = convolved(x, state[f"{prefix}conv{i}.weight"], stride if i == last - 1 else 1)
        x = normalized(x, state, f"{prefix}bn{i}", training)
        x = np.maximum(x, 0) if i < last else x
    return x


def through_block(x, state, prefix, stride, training):
    """relu(F(x) + S(x)) for that block."""
    shortcut = x
    if prefix + "downsample.0.weight" in state:
        shortcut = convolved(x, state[prefix + "downsample.0.weight"], stride)
        shortcut = normalized(shortcut, state, prefix + "downsample.1", training)
    return np.maximum(branch(x, state, prefix, stride, training) + shortcut, 0)


def through_network(x, state, stem, layers, training):
    x = convolved(x, state["conv1.weight"], 2 if stem == "imagenet" else 1)
    x = np.maximum(normalized(x, state, "bn1", training), 0)
    if stem == "imagenet":  # 3x3 max pooling, stride 2; zeros around are right behind a ReLU
        image = np.pad(x, ((0, 0), (0, 0), (1, 2), (1, 2)))
        h, w = (x.shape[2] + 1) // 2, (x.shape[3] + 1) // 2
        x = np.max([image[:, :, u : u + 2 * h : 2, v : v + 2 * w : 2] for u in range(3) for v in range(3)], 0)
    for i, count in enumerate(layers, start=1):
        for b in range(count):
            x = through_block(x, state, f"layer{i}.{b}.", 2 if i > 1 and b == 0 else 1, training)
    return x.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]


# What the pieces and the network are made of: (name, shape) of everything in a state_dict.


def norm_arrays(name, c):
    return [(f"{name}.{part}", (c,)) for part in ("weight", "bias", "running_mean", "running_var")] + [
        (f"{name}.num_batches_tracked", ())
    ]


def block_arrays(prefix, c, channels, stride, expansion):
    k = channels * expansion
    if expansion == 1:
        kernels = [(channels, c, 3), (channels, channels, 3)]
    else:
        kernels = [(channels, c, 1), (channels, channels, 3), (k, channels, 1)]
    found = []
    for i, (out, into, size) in enumerate(kernels, start=1):
        found += [(f"{prefix}conv{i}.weight", (out, into, size, size)), *norm_arrays(f"{prefix}bn{i}", out)]
    if c != k or stride != 1:
        found += [(f"{prefix}downsample.0.weight", (k, c, 1, 1)), *norm_arrays(f"{prefix}downsample.1", k)]
    return found


def network_arrays(factory, classes, width, stem, in_channels):
    _, expansion, layers = KINDS[factory]
    size, c = (7 if stem == "imagenet" else 3), width
    found = [("conv1.weight", (width, in_channels, size, size)), *norm_arrays("bn1", width)]
    for i, count in enumerate(layers):
        for b in range(count):
            channels, stride = width * 2**i, 2 if i and b == 0 else 1
            found += block_arrays(f"layer{i + 1}.{b}.", c, channels, stride, expansion)
            c = channels * expansion
    return [*found, ("fc.weight", (classes, c)), ("fc.bias", (classes,))]


def same_arrays(model, wanted, what):
    """The state_dict has exactly the arrays of these (name, shape), in any order."""
    __tracebackhide__ = True
    wanted, got = dict(wanted), {name: array.shape for name, array in model.state_dict().items()}
    missing, extra = ([n for n in a if n not in b] for a, b in ((wanted, got), (got, wanted)))
    surplus = f", but it has {extra[0]}" if extra else ""
    expect.true(not missing, f"{what} should have {' and '.join(missing[:2])}, yours has not{surplus}")
    expect.true(not extra, f"{what} should not have {' and '.join(extra[:2])}, yours has")
    for name, shape in wanted.items():
        expect.true(got[name] == shape, f"{name} of {what} has shape {got[name]}, expected {shape}")


# Pieces.


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (7, 2)])
def test_a_convolution_is_padded_by_half_its_kernel_and_has_no_bias(size, stride):
    layer = convolution(2, 3, size, stride, rng=generator(), dtype=np.float64)
    what = f"convolution(2, 3, {size}, {stride})"
    same_arrays(layer, [("weight", (3, 2, size, size))], what)
    x = generator(1).standard_normal((2, 2, 8, 7))
    expect.tensor(layer(Tensor(x)), convolved(x, layer.weight.data, stride), f"{what} of x (2, 2, 8, 7)")


@pytest.mark.parametrize(("k", "c", "size"), [(60, 30, 3), (30, 300, 1), (20, 12, 7)])
def test_weights_start_normal_with_variance_two_over_the_fan_out(k, c, size):
    """False alarm: 2e-6 a case, as the kurtosis of 9,000 normal numbers, 3 +- 0.05, is allowed 10 sd."""
    weight = convolution(c, k, size, 1, rng=generator(2)).weight.data.astype(np.float64)
    expect.equal(weight.shape, (k, c, size, size), "the shape of the weight")
    what, variance = f"the weight of convolution({c}, {k}, {size})", 2 / (k * size**2)
    statistics.mean_is(weight, 0.0, math.sqrt(variance), what)
    statistics.variance_is(weight, variance, what)
    kurtosis = float(np.mean(weight**4) / np.mean(weight**2) ** 2)
    expect.true(
        abs(kurtosis - 3) < 0.5,
        f"{what} should be normal, with E[w^4] = 3 Var[w]^2, yours has {kurtosis:.3g} Var[w]^2:\n"
        "  1.8 is uniform, 1 is two values only",
    )


def test_a_projection_stands_only_where_the_shape_changes():
    x = generator(1).standard_normal((2, 4, 5, 6))
    for k, stride in [(4, 2), (6, 1), (2, 2)]:
        what = f"projection(4, {k}, {stride})"
        layers = projection(4, k, stride, rng=generator(), dtype=np.float64)
        expect.true(isinstance(layers, Module), f"{what} should be a Sequential, yours is {layers!r}")
        same_arrays(layers, [("0.weight", (k, 4, 1, 1)), *norm_arrays("1", k)], what)
        state = filled(layers).state_dict()
        state |= {f"n.{name[2:]}": array for name, array in state.items()}
        expected = normalized(convolved(x, state["0.weight"], stride), state, "n", True)
        expect.tensor(layers(Tensor(x)), expected, f"{what} of x (2, 4, 5, 6)", rtol=1e-9)
    expect.equal(projection(4, 4, 1, rng=generator()), None, "projection(4, 4, 1)")
    expect.equal(projection(4, 4, rng=generator()), None, "projection(4, 4)")


# Blocks.


@pytest.mark.parametrize(("block", "c", "channels", "stride"), BLOCKS)
@every_mode
def test_a_block_is_the_sum_of_its_branch_and_its_shortcut(block, c, channels, stride, training):
    layer = filled(block(c, channels, stride, rng=generator(), dtype=np.float64)).train(training)
    x = generator(1).standard_normal((3, c, 5, 6))
    state = layer.state_dict()
    with expect.unchanged(x, *layer.parameters()):
        y = layer(Tensor(x) if training else x)  # an array will do, too
    what = f"{block.__name__}({c}, {channels}, {stride}) of x {x.shape}"
    expect.tensor(y, through_block(x, state, "", stride, training), what, rtol=1e-9)


@pytest.mark.parametrize(("block", "c", "channels", "stride"), BLOCKS)
def test_the_branch_stops_before_the_sum(block, c, channels, stride):
    layer = filled(block(c, channels, stride, rng=generator(), dtype=np.float64)).eval()
    x = generator(1).standard_normal((2, c, 5, 6))
    expected = branch(x, layer.state_dict(), "", stride, False)
    what = f"{block.__name__}({c}, {channels}, {stride}).branch of x {x.shape}"
    expect.tensor(layer.branch(x), expected, what, rtol=1e-9)


@pytest.mark.parametrize(("block", "c", "channels", "stride"), BLOCKS)
def test_names_and_shapes_of_a_block(block, c, channels, stride):
    layer = block(c, channels, stride, rng=generator())
    expansion = 4 if block is Bottleneck else 1
    what = f"{block.__name__}({c}, {channels}, {stride})"
    same_arrays(layer, block_arrays("", c, channels, stride, expansion), what)


def test_a_block_keeps_the_size_unless_told_otherwise():
    for block, c in ((BasicBlock, 3), (Bottleneck, 12)):
        layer = filled(block(c, 3, rng=generator(), dtype=np.float64))
        x = generator(1).standard_normal((2, c, 3, 4))
        expected = through_block(x, layer.state_dict(), "", 1, True)
        expect.tensor(layer(Tensor(x)), expected, f"{block.__name__}({c}, 3) of x {x.shape}", rtol=1e-9)


@pytest.mark.parametrize(("block", "expansion"), [(BasicBlock, 1), (Bottleneck, 4)])
def test_a_stage_changes_the_shape_in_its_first_block_only(block, expansion):
    blocks = stage(block, 3, 2, 3, 2, rng=generator(), dtype=np.float64)
    want = block_arrays("0.", 3, 2, 2, expansion)
    want += block_arrays("1.", 2 * expansion, 2, 1, expansion)
    want += block_arrays("2.", 2 * expansion, 2, 1, expansion)
    what = f"stage({block.__name__}, 3, 2, 3, 2)"
    same_arrays(blocks, want, what)
    x = generator(1).standard_normal((3, 3, 7, 6))
    y, state = x, filled(blocks).state_dict()
    for b in range(3):
        y = through_block(y, state, f"{b}.", 2 if b == 0 else 1, True)
    expect.tensor(blocks(Tensor(x)), y, f"{what} of x {x.shape}", rtol=1e-9)


def test_a_stage_of_one_block_at_stride_1():
    blocks = filled(stage(BasicBlock, 2, 2, 1, rng=generator(), dtype=np.float64))
    x = generator(1).standard_normal((2, 2, 3, 4))
    same_arrays(blocks, block_arrays("0.", 2, 2, 1, 1), "stage(BasicBlock, 2, 2, 1)")
    expected = through_block(x, blocks.state_dict(), "0.", 1, True)
    expect.tensor(blocks(Tensor(x)), expected, "stage(BasicBlock, 2, 2, 1) of x (2, 2, 3, 4)", rtol=1e-9)


# The network.


@every_factory
@every_stem
def test_names_and_shapes_of_all_arrays(factory, stem):
    model, what = factory(5, 2, stem, rng=generator()), f"{factory.__name__}(5, 2, '{stem}')"
    same_arrays(model, network_arrays(factory, 5, 2, stem, 3), what)
    none = getattr(model, "maxpool", "missing") is None
    expect.true(
        none is (stem == "cifar"), f"{what}.maxpool is a MaxPool2d, and None with the CIFAR stem only"
    )


@every_factory
def test_the_stem_is_that_of_imagenet_unless_told_otherwise(factory):
    block, _, layers = KINDS[factory]
    name, want = factory.__name__, network_arrays(factory, 5, 2, "imagenet", 3)
    same_arrays(factory(5, width=2, rng=generator()), want, f"{name}(5, width=2)")
    model = ResNet(block, layers, 5, width=2, rng=generator())
    same_arrays(model, want, f"ResNet({block.__name__}, {layers}, 5, width=2)")


@pytest.mark.parametrize(("factory", "classes", "stem", "published"), PUBLISHED)
def test_the_number_of_parameters_is_the_published_one(factory, classes, stem, published):
    """It is a polynomial of degree 2 in the width: three small networks tell what 64 channels would have."""
    one, two, three = (
        sum(p.size for p in factory(classes, width, stem, rng=generator()).parameters())
        for width in (1, 2, 3)
    )
    count = one + 63 * (two - one) + 63 * 62 // 2 * (three - 2 * two + one)  # Newton's form, at 64
    what = f"the number of parameters of {factory.__name__} with {classes} classes and the {stem} stem"
    expect.equal(count, published, f"{what}, from {one}, {two} and {three} at widths 1, 2 and 3,")


@every_factory
@pytest.mark.parametrize(
    ("stem", "size", "training"), [("imagenet", (33, 40), True), ("cifar", (9, 10), False)], ids=str
)
def test_the_network_is_its_stem_its_stages_and_its_head(factory, stem, size, training):
    model = filled(factory(3, 2, stem, in_channels=2, rng=generator(), dtype=np.float64)).train(training)
    x = generator(1).standard_normal((3 if training else 1, 2, *size))
    state = model.state_dict()
    with expect.unchanged(x, *model.parameters()):
        y = model(Tensor(x) if training else x)
    what = f"{factory.__name__}(3, 2, '{stem}', in_channels=2) of x {x.shape}"
    expect.tensor(y, through_network(x, state, stem, KINDS[factory][2], training), what, rtol=1e-7)


def test_any_numbers_of_blocks_make_a_network():
    layers = [1, 2, 1, 3]
    model = filled(ResNet(BasicBlock, layers, 4, 3, "cifar", rng=generator(), dtype=np.float64))
    x = generator(1).standard_normal((3, 3, 9, 16))
    expected = through_network(x, model.state_dict(), "cifar", layers, True)
    expect.tensor(model(Tensor(x)), expected, f"ResNet(BasicBlock, {layers}, 4, 3, 'cifar')", rtol=1e-7)


@pytest.mark.parametrize("factory", [resnet18, resnet50], ids=lambda f: f.__name__)
def test_every_normalization_sees_a_batch_once(factory):
    model = filled(factory(3, 2, "cifar", rng=generator(), dtype=np.float64))
    state, x = model.state_dict(), generator(1).standard_normal((2, 3, 16, 16))
    through_network(x, state, "cifar", KINDS[factory][2], True)
    model(Tensor(x))
    for name, array in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            expect.equal(int(array), 1, f"{name} after one batch")
        elif "running" in name:
            expect.close(array, state[f"new {name}"], f"{name} after a batch", rtol=1e-7)


# How it starts.


def test_the_seed_decides_and_no_two_layers_start_alike():
    first, again, other = (resnet18(3, 2, "cifar", rng=generator(seed)) for seed in (1, 1, 2))
    for (name, a), b, c in zip(first.named_parameters(), again.parameters(), other.parameters(), strict=True):
        expect.equal(a.data, b.data, f"{name} of a second network with the same seed")
        if a.ndim > 1:
            expect.true(
                not np.any(a.data == c.data), f"{name} should differ between networks of different seeds"
            )
    a, b = first.layer1[0].conv1.weight.data, first.layer1[0].conv2.weight.data
    expect.true(not np.any(a == b), "conv1 and conv2 of a block should draw weights of their own")
    a, b = first.layer1[0].conv1.weight.data, first.layer1[1].conv1.weight.data
    expect.true(not np.any(a == b), "two blocks of a stage should draw weights of their own")


@every_factory
def test_every_convolution_starts_with_variance_two_over_its_fan_out(factory):
    """False alarm: 1e-6 a network, of some 200,000 numbers or more."""
    model = factory(10, 8, "cifar", rng=generator(5))
    weights = {n: p.data for n, p in model.named_parameters() if p.ndim == 4}
    wanted = {n for n, shape in network_arrays(factory, 10, 8, "cifar", 3) if len(shape) == 4}
    expect.equal(sorted(weights), sorted(wanted), f"the names of the convolutions of {factory.__name__}")
    scaled = [w.astype(np.float64).ravel() * math.sqrt(len(w) * w[0, 0].size / 2) for w in weights.values()]
    what = f"the weights of {factory.__name__} times sqrt(fan_out / 2)"
    statistics.mean_is(np.concatenate(scaled), 0.0, 1.0, what)
    statistics.variance_is(np.concatenate(scaled), 1.0, what)
    bound = 1 / math.sqrt(model.fc.weight.shape[1])
    for name, p in model.fc.named_parameters():  # the bias has 10 numbers: all below 0.2 with 1e-7
        reach = float(np.abs(p.data).max())
        expect.true(
            0.2 * bound < reach <= bound * 1.000001 and (name == "bias" or reach > 0.8 * bound),
            f"fc is a Linear as it starts, its {name} uniform within {bound:.4g}, yours reaches {reach:.4g}",
        )


@every_factory
@pytest.mark.parametrize("zero", [False, True])
def test_normalizations_start_at_one_and_zero(factory, zero):
    options = {"zero_init_residual": True} if zero else {}
    model = factory(3, 2, rng=generator(), **options)
    state, last = model.state_dict(), "bn3.weight" if factory is resnet50 else "bn2.weight"
    for name, shape in network_arrays(factory, 3, 2, "imagenet", 3):
        if len(shape) == 1 and not name.startswith("fc"):
            one = name.endswith(("weight", "running_var")) and not (zero and name.endswith(last))
            expected = np.full(shape, float(one), np.float32)
            expect.close(state[name], expected, f"{name} at the start, zero_init_residual={zero},")


def test_with_zero_init_a_stage_that_keeps_its_shape_is_the_identity():
    model = resnet18(3, 4, "cifar", zero_init_residual=True, rng=generator(), dtype=np.float64)
    x = np.abs(generator(1).standard_normal((2, 4, 5, 5)))
    x[0, 0, 0, 0] = 0.0
    expect.tensor(model.layer1(Tensor(x)), x, "layer1 with zero_init_residual of an x without negatives")
    wide = resnet50(3, 2, "cifar", zero_init_residual=True, rng=generator(), dtype=np.float64)
    x = np.abs(generator(1).standard_normal((2, 8, 5, 5)))
    expect.tensor(wide.layer1[1:](Tensor(x)), x, "two bottlenecks with zero_init_residual of x >= 0")


# Gradients.


def slope_is_right(model, definition, x, what):
    """Along a random direction in x and all parameters, against differences of ``definition(x, state)``.

    No ReLU changes sides within 1e-8 of the numbers that the tests have.
    """
    rng, state = generator(4), filled(model).state_dict()
    names = [name for name, _ in model.named_parameters()]
    leaf = Tensor(x, requires_grad=True)
    y = model(leaf)
    g = rng.standard_normal(y.shape)
    grads = grad(y, [leaf, *model.parameters()], g)
    along = {name: rng.standard_normal(state[name].shape) * np.std(state[name]) for name in names}
    along_x = rng.standard_normal(x.shape)

    def loss(step):
        moved = state | {name: state[name] + step * along[name] for name in names}
        return float(np.sum(g * definition(x + step * along_x, moved)))

    slope = float(np.sum(grads[0].data * along_x))
    slope += sum(float(np.sum(d.data * along[n])) for n, d in zip(names, grads[1:], strict=True))
    expected = (loss(1e-8) - loss(-1e-8)) / 2e-8
    expect.close(slope, expected, f"the slope of {what} along a random direction", rtol=1e-4)


@pytest.mark.parametrize(("block", "c", "channels", "stride"), BLOCKS)
def test_the_gradient_of_a_block_along_a_direction(block, c, channels, stride):
    layer = block(c, channels, stride, rng=generator(), dtype=np.float64)
    x = generator(9).standard_normal((3, c, 5, 6))
    what = f"{block.__name__}({c}, {channels}, {stride})"
    slope_is_right(layer, lambda x, state: through_block(x, state, "", stride, True), x, what)


@pytest.mark.parametrize(
    ("factory", "stem"), [(resnet18, "imagenet"), (resnet50, "cifar")], ids=["resnet18", "resnet50"]
)
def test_the_gradient_of_the_network_along_a_direction(factory, stem):
    model = factory(3, 2, stem, rng=generator(), dtype=np.float64)
    x = generator(5).standard_normal((3, 3, *((33, 40) if stem == "imagenet" else (9, 10))))
    layers = KINDS[factory][2]
    slope_is_right(model, lambda x, state: through_network(x, state, stem, layers, True), x, factory.__name__)


def test_the_gradient_takes_the_shortcut_untouched():
    for block, c, channels in ((BasicBlock, 3, 3), (Bottleneck, 4, 1)):
        blocks = filled(stage(block, c, channels, 4, rng=generator(), dtype=np.float64))
        for layer in blocks:
            norm = layer.bn3 if block is Bottleneck else layer.bn2
            norm.weight.data[...], norm.bias.data[...] = 0.0, 0.0
        x, g = generator(1).standard_normal((2, 2, c, 3, 3))
        leaf = Tensor(x, requires_grad=True)
        y = blocks(leaf)
        what = f"four blocks {block.__name__} whose branches give 0"
        expect.tensor(y, np.maximum(x, 0), what)
        expect.tensor(grad(y, [leaf], g)[0], g * (x > 0), f"gradient with respect to x through {what}")


# dtype.


@every_stem
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_array_the_output_and_the_gradients_have_the_dtype(stem, dtype):
    zero = stem == "cifar"
    model = filled(resnet18(3, 2, stem, zero_init_residual=zero, rng=generator(), dtype=dtype)).eval()
    for name, array in model.state_dict().items():
        right = array.dtype == dtype or name.endswith("num_batches_tracked")
        expect.true(right, f"{name} has dtype {array.dtype}, expected {np.dtype(dtype)}")
    x = generator(1).standard_normal((2, 3, 16, 16)).astype(dtype)
    state = {name: array.astype(np.float64) for name, array in model.state_dict().items()}
    leaf = Tensor(x, requires_grad=True)
    y = model(leaf)
    expected = through_network(x.astype(np.float64), state, stem, (2, 2, 2, 2), False)
    expect.tensor(y, expected, "the output", rtol=1e-3, dtype=dtype)
    grads = grad(y.sum(), [leaf, *model.parameters()])
    for name, g in zip(["x", *(n for n, _ in model.named_parameters())], grads, strict=True):
        expect.true(g.dtype == dtype, f"the gradient of {name} is {g.dtype}, expected {np.dtype(dtype)}")


def test_blocks_and_networks_are_float32_unless_told_otherwise():
    rng = generator()
    model = ResNet(Bottleneck, (1, 1, 1, 1), 3, 2, "cifar", rng=rng)
    layers = (convolution(2, 3, 1, rng=rng), projection(2, 3, rng=rng), stage(BasicBlock, 2, 3, 1, rng=rng))
    for layer in (*layers, BasicBlock(2, 3, rng=rng), Bottleneck(2, 3, rng=rng), model):
        for name, p in layer.named_parameters():
            what = f"{name} of {type(layer).__name__} without a dtype"
            expect.true(p.dtype == np.float32, f"{what} has {p.dtype}, expected float32")


# What is refused.


@pytest.mark.parametrize("layers", [(2, 2, 2), (2, 2, 2, 2, 2), (2, 0, 2, 2), (1, 1, 1, -1), ()], ids=str)
def test_layers_that_are_not_four_stages_are_refused(layers):
    with expect.raises(ValueError, str(layers)):
        ResNet(BasicBlock, layers, 3, 2, rng=generator())


@pytest.mark.parametrize("sizes", [(0, 8, 5), (7, 0, 5), (7, 8, 0), (7, -1, 5)], ids=str)
def test_no_classes_or_channels_are_refused(sizes):
    classes, width, in_channels = sizes
    with expect.raises(ValueError, *map(str, sizes)):
        resnet18(classes, width, in_channels=in_channels, rng=generator())


@every_factory
def test_what_is_refused_names_the_usual_numbers_too(factory):
    block, _, layers = KINDS[factory]
    for make in (factory, lambda *args, **kwargs: ResNet(block, layers, *args, **kwargs)):
        with expect.raises(ValueError, "0", "64", "3"):
            make(0, rng=Still())
        with expect.raises(ValueError, "1000", "0", "3"):
            make(width=0, rng=Still())


def test_an_unknown_stem_is_refused():
    for stem in ("tiny", "CIFAR"):
        with expect.raises(ValueError, stem, "imagenet", "cifar"):
            resnet34(3, 2, stem, rng=generator())
