"""VGG: the list of numbers and what follows from it, the layers, the whole against plain NumPy, its start."""

import math

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from architectures.vgg import (
    VGG,
    A,
    B,
    D,
    E,
    classifier,
    extractor,
    parameter_count,
    receptive_field,
    scaled,
    vgg11,
    vgg13,
    vgg16,
    vgg19,
)
from curriculum.testing import expect, statistics
from foundations.autograd import grad
from foundations.computational_graph import Tensor

KINDS = {vgg11: A, vgg13: B, vgg16: D, vgg19: E}
PUBLISHED = [  # configuration, parameters, the same with batch normalization
    pytest.param(A, 132_863_336, 132_868_840, id="VGG-11"),
    pytest.param(B, 133_047_848, 133_053_736, id="VGG-13"),
    pytest.param(D, 138_357_544, 138_365_992, id="VGG-16"),
    pytest.param(E, 143_667_240, 143_678_248, id="VGG-19"),
]
every_factory = pytest.mark.parametrize("factory", KINDS, ids=lambda f: f.__name__)
every_head = pytest.mark.parametrize("head", ["imagenet", "cifar"])
plain_and_normalized = pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "batch_norm"])


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
        scale = math.sqrt(2.0 / max(1, math.prod(p.shape[1:]))) if p.ndim > 1 else 0.3
        p.data[...] = rng.normal(1.0 if name.endswith("weight") and p.ndim == 1 else 0.0, scale, p.shape)
    for name, array in sorted(model.named_buffers(), key=lambda item: item[0]):
        if name.endswith("running_mean"):
            array[...] = rng.normal(0.0, 0.3, array.shape)
        elif name.endswith("running_var"):
            array[...] = rng.uniform(0.5, 1.5, array.shape)
    return model


# The definition, in plain NumPy, from the arrays of a state_dict.


def convolved(x, weight, bias):
    """3x3, padding 1: a sum over the weights of the kernel of shifted images."""
    h, w = x.shape[2:]
    image, y = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), np.zeros((len(x), len(weight), h, w))
    for u, v in np.ndindex(3, 3):
        y += np.moveaxis(np.tensordot(image[:, :, u : u + h, v : v + w], weight[:, :, u, v], (1, 1)), -1, 1)
    return y + bias[:, None, None]


def normalized(x, state, name, training):
    if training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    else:
        mean, var = state[name + ".running_mean"], state[name + ".running_var"]
    scale = state[name + ".weight"] / np.sqrt(var + 1e-5)
    return (x - mean[:, None, None]) * scale[:, None, None] + state[name + ".bias"][:, None, None]


def through_features(x, state, prefix, config, batch_norm=False, training=False):
    at = 0  # position among the layers
    for entry in config:
        if entry == "M":
            h, w = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
            x = np.max([x[:, :, u:h:2, v:w:2] for u in (0, 1) for v in (0, 1)], axis=0)
            at += 1
            continue
        x = convolved(x, state[f"{prefix}{at}.weight"], state[f"{prefix}{at}.bias"])
        if batch_norm:
            x = normalized(x, state, f"{prefix}{at + 1}", training)
        x = np.maximum(x, 0)
        at += 3 if batch_norm else 2
    return x


def through_classifier(x, state, prefix, head):
    """Without dropout. x (N, D)."""
    for at in (0, 3, 6) if head == "imagenet" else (0,):
        x = x @ state[f"{prefix}{at}.weight"].T + state[f"{prefix}{at}.bias"]
        x = np.maximum(x, 0) if head == "imagenet" and at < 6 else x
    return x


def pooled(x, side):
    """The mean over windows [i H // side, ceil((i + 1) H / side))."""
    rows, columns = ([(i * n // side, -(-(i + 1) * n // side)) for i in range(side)] for n in x.shape[2:])
    return np.stack(
        [np.stack([x[:, :, a:b, c:d].mean((2, 3)) for c, d in columns], axis=-1) for a, b in rows], axis=-2
    )


def through_network(x, state, config, head, batch_norm=False, training=False):
    h = through_features(x, state, "features.", config, batch_norm, training)
    h = pooled(h, 7) if head == "imagenet" else h.mean((2, 3))
    return through_classifier(h.reshape(len(x), -1), state, "classifier.", head)


# What the parts and the network are made of: (name, shape) of everything in a state_dict.


def norm_arrays(name, c):
    return [(f"{name}.{part}", (c,)) for part in ("weight", "bias", "running_mean", "running_var")] + [
        (f"{name}.num_batches_tracked", ())
    ]


def feature_arrays(prefix, config, batch_norm, c):
    found, at = [], 0
    for entry in config:
        if entry != "M":
            found += [(f"{prefix}{at}.weight", (entry, c, 3, 3)), (f"{prefix}{at}.bias", (entry,))]
            found += norm_arrays(f"{prefix}{at + 1}", entry) if batch_norm else []
            c, at = entry, at + (2 if batch_norm else 1)
        at += 1
    return found


def classifier_arrays(prefix, c, classes, head, hidden):
    sizes = {"0": (hidden, 49 * c), "3": (hidden, hidden), "6": (classes, hidden)}
    sizes = sizes if head == "imagenet" else {"0": (classes, c)}
    found = [(f"{prefix}{at}.weight", shape) for at, shape in sizes.items()]
    return found + [(f"{prefix}{at}.bias", shape[:1]) for at, shape in sizes.items()]


def network_arrays(config, classes, batch_norm, in_channels, head, hidden):
    last = [entry for entry in config if entry != "M"][-1]
    found = feature_arrays("features.", config, batch_norm, in_channels)
    return found + classifier_arrays("classifier.", last, classes, head, hidden)


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


# What follows from the list alone.


def test_scaled_puts_width_in_the_place_of_64():
    expect.equal(tuple(scaled(A, 64)), A, "tuple(scaled(A, 64))")
    want = (2, "M", 4, "M", 8, 8, "M", 16, 16, "M", 16, 16, "M")
    expect.equal(tuple(scaled(A, 2)), want, "tuple(scaled(A, 2))")
    expect.equal(tuple(scaled([64, "M", 192], 3)), (3, "M", 9), "tuple(scaled([64, 'M', 192], 3))")


@pytest.mark.parametrize("width", [0, -2])
def test_a_width_below_one_is_refused(width):
    expect.equal(tuple(scaled((128,), 1)), (2,), "tuple(scaled((128,), 1))")
    with expect.raises(ValueError, str(width)):
        scaled((64, "M"), width)
    with expect.raises(ValueError, str(width)):
        vgg11(10, width=width, rng=Still())


def seen(config):
    """How many pixels the place 1,000 behind ``config`` sees: from the last layer back to the first."""
    first = last = 1_000
    for entry in reversed(config):
        first, last = (2 * first, 2 * last + 1) if entry == "M" else (first - 1, last + 1)
    return last - first + 1


@pytest.mark.parametrize(
    "config",
    [
        *(pytest.param(p.values[0], id=p.id) for p in PUBLISHED),
        *(pytest.param(c, id=str(c)) for c in [(3,), ("M",), (3, 3), [3, "M", 3], ("M", 5, "M", "M", 5, 5)]),
    ],
)
def test_the_receptive_field_is_what_a_place_sees(config):
    expect.equal(receptive_field(config), seen(config), f"receptive_field({config})")


def test_two_layers_of_3x3_see_what_one_of_5x5_does():
    expect.equal(receptive_field((64, 64)), 5, "receptive_field((64, 64))")
    expect.equal(receptive_field((64, 64, 64)), 7, "receptive_field((64, 64, 64))")
    expect.equal(receptive_field(D), 212, "the receptive field of VGG-16")


@pytest.mark.parametrize(("config", "plain", "normal"), PUBLISHED)
def test_the_number_of_parameters_is_the_published_one(config, plain, normal):
    expect.equal(parameter_count(config), plain, f"parameter_count({config})")
    expect.equal(parameter_count(config, batch_norm=True), normal,
                 f"parameter_count({config}, batch_norm=True)")  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_the_count_is_that_of_a_real_network(seed):
    rng = generator(seed)
    config = [*(int(rng.integers(1, 7)) if rng.random() < 0.7 else "M" for _ in range(4)), seed + 1]
    given = tuple(config)  # of a list, which a caller may use again
    classes, in_channels, hidden = (int(n) for n in rng.integers(1, 6, 3))
    batch_norm, head = bool(seed % 2), ("imagenet", "cifar")[seed // 2 % 2]
    model = VGG(config, classes, batch_norm, in_channels=in_channels, head=head, hidden=hidden, rng=rng)
    what = f"parameter_count({given}, {classes}, {batch_norm}, {in_channels}, '{head}', {hidden})"
    count = parameter_count(config, classes, batch_norm, in_channels, head, hidden)
    expect.equal(tuple(config), given, "the list after VGG(list, ...) and parameter_count(list, ...)")
    expect.equal(count, sum(p.size for p in model.parameters()), what)
    same_arrays(model, network_arrays(given, classes, batch_norm, in_channels, head, hidden), f"VGG({given})")


# The layers.


@plain_and_normalized
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_the_features_are_the_layers_that_the_list_names(batch_norm, training):
    config, given = (3, 4, "M", 2, "M", "M", 5), [3, 4, "M", 2, "M", "M", 5]
    what = f"extractor({given}, {batch_norm}, 2)"
    layers = extractor(given, batch_norm, 2, rng=generator(), dtype=np.float64)
    expect.equal(tuple(given), config, f"the list after {what}")
    same_arrays(layers, feature_arrays("", config, batch_norm, 2), what)
    x, state = generator(1).standard_normal((3, 2, 17, 25)), filled(layers).train(training).state_dict()
    with expect.unchanged(x, *layers.parameters()):
        y = layers(Tensor(x))
    expected = through_features(x, state, "", config, batch_norm, training)
    expect.tensor(y, expected, f"{what} of x {x.shape}", rtol=1e-9)


@every_head
def test_the_classifier_without_dropout(head):
    what = f"classifier(2, 3, 0.5, '{head}', 5)"
    layers = classifier(2, 3, 0.5, head, 5, rng=generator(), dtype=np.float64)
    same_arrays(layers, classifier_arrays("", 2, 3, head, 5), what)
    x = generator(1).standard_normal((4, 98 if head == "imagenet" else 2))
    expected = through_classifier(x, filled(layers).eval().state_dict(), "", head)
    expect.tensor(layers(Tensor(x)), expected, f"{what} in evaluation", rtol=1e-9)


def test_in_training_each_hidden_feature_is_dropped_or_enlarged():
    p = 0.25
    layers = filled(classifier(2, 3, p, "imagenet", 40, rng=generator(), dtype=np.float64))
    x, state = generator(1).standard_normal((5, 98)), layers.state_dict()
    for first, at in ((0, "0"), (3, "3")):
        kept = np.maximum(x @ state[f"{at}.weight"].T + state[f"{at}.bias"], 0)
        y = layers[first : first + 3](Tensor(x))
        expected = np.where(y.data == 0, 0.0, kept / (1 - p))
        what = f"layers {first} to {first + 2} of the classifier with dropout={p}, in training,"
        expect.tensor(y, expected, what, rtol=1e-9)
        dropped = int(np.sum((y.data == 0) & (kept > 0)))
        expect.true(
            0 < dropped < np.sum(kept > 0) / 2,
            f"{what} should drop a quarter of {np.sum(kept > 0)} active features, yours drop {dropped}",
        )
        x = kept


def dropout_is(layers, p, what):
    """Layers 2 and 5 of a classifier drop with probability ``p``."""
    __tracebackhide__ = True
    expect.equal(len(layers), 7, f"the number of layers of {what}, ReLU and Dropout counted,")
    for at in (2, 5):
        expect.equal(layers[at].p, p, f"the dropout of layer {at} of {what}")


def test_dropped_features_come_from_the_generator_that_is_given():
    rng = generator()
    layers = classifier(2, 3, 0.3, hidden=4, rng=rng)
    dropout_is(layers, 0.3, "classifier(2, 3, 0.3, hidden=4)")
    for at in (2, 5):
        expect.true(
            layers[at].rng is rng, f"the rng of layer {at} should be the very generator that is given"
        )


@every_factory
def test_dropout_is_handed_on_and_one_half_unless_told_otherwise(factory):
    name = factory.__name__
    dropout_is(factory(3, width=1, rng=Still()).classifier, 0.5, f"the classifier of {name}(3, width=1)")
    model = factory(3, width=1, dropout=0.3, rng=Still())
    dropout_is(model.classifier, 0.3, f"the classifier of {name}(3, width=1, dropout=0.3)")


def test_the_head_is_that_of_imagenet_unless_told_otherwise():
    model, what = VGG((2, "M"), 5, hidden=3, rng=generator()), "VGG((2, 'M'), 5, hidden=3)"
    same_arrays(model, network_arrays((2, "M"), 5, False, 3, "imagenet", 3), what)
    dropout_is(model.classifier, 0.5, f"the classifier of {what}")
    layers, what = classifier(1, 5, rng=Still(), dtype=np.float16), "classifier(1, 5)"
    dropout_is(layers, 0.5, what)
    expect.equal(layers[3].weight.shape, (4096, 4096), f"the shape of 3.weight of {what}")


def test_the_last_layer_is_not_dropped_from_and_the_cifar_head_drops_nothing():
    model = filled(VGG((2, "M"), 6, dropout=1.0, hidden=3, rng=generator(), dtype=np.float64))
    x = generator(1).standard_normal((2, 3, 4, 4))
    bias = model.state_dict()["classifier.6.bias"]
    expect.tensor(
        model(Tensor(x)), np.stack([bias, bias]), "the output where dropout=1.0 leaves the last bias"
    )
    small = filled(VGG((2, "M"), 6, dropout=1.0, head="cifar", rng=generator(), dtype=np.float64))
    expected = through_network(x, small.state_dict(), (2, "M"), "cifar")
    expect.tensor(small(Tensor(x)), expected, "the output of the cifar head in training", rtol=1e-9)


def test_no_dropout_makes_training_and_evaluation_alike():
    model = filled(VGG((2, "M"), 6, dropout=0.0, hidden=3, rng=generator(), dtype=np.float64))
    x = generator(1).standard_normal((2, 3, 4, 4))
    expected = through_network(x, model.state_dict(), (2, "M"), "imagenet")
    expect.tensor(model(Tensor(x)), expected, "the output in training with dropout=0.0", rtol=1e-9)


# The network.


@every_factory
@plain_and_normalized
@every_head
def test_names_and_shapes_of_all_arrays(factory, batch_norm, head):
    model = factory(5, batch_norm, 1, in_channels=2, head=head, rng=Still())
    config = tuple(entry if entry == "M" else entry // 64 for entry in KINDS[factory])
    what = f"{factory.__name__}(5, {batch_norm}, 1, in_channels=2, head='{head}')"
    same_arrays(model, network_arrays(config, 5, batch_norm, 2, head, 64), what)


@every_factory
def test_nothing_is_normalized_unless_asked_for(factory):
    config = tuple(entry if entry == "M" else entry // 64 for entry in KINDS[factory])
    model, what = (
        factory(5, width=1, head="cifar", rng=Still()),
        f"{factory.__name__}(5, width=1, head='cifar')",
    )
    same_arrays(model, network_arrays(config, 5, False, 3, "cifar", 64), what)
    same_arrays(extractor(config, rng=Still()), feature_arrays("", config, False, 3), f"extractor({config})")


@every_factory
@pytest.mark.parametrize(("batch_norm", "head"), [(False, "imagenet"), (True, "cifar")])
def test_the_network_is_its_features_their_average_and_its_head(factory, batch_norm, head):
    model = factory(3, batch_norm, 2, head=head, rng=generator(), dtype=np.float64)
    config = tuple(entry if entry == "M" else entry // 32 for entry in KINDS[factory])
    what = f"{factory.__name__}(3, {batch_norm}, 2, head='{head}')"
    same_arrays(model, network_arrays(config, 3, batch_norm, 3, head, 128), what)
    filled(model).eval()
    x = generator(1).standard_normal((2, 3, 32, 64))
    with expect.unchanged(x, *model.parameters()):
        y = model(Tensor(x))
    expected = through_network(x, model.state_dict(), config, head, batch_norm)
    expect.tensor(y, expected, f"{what} of x {x.shape}, in evaluation,", rtol=1e-8)


@every_head
@pytest.mark.parametrize("size", [(14, 14), (20, 31), (3, 40), (2, 2)], ids=str)
def test_one_image_of_any_size(size, head):
    model = filled(VGG((3, "M", 4), 5, head=head, hidden=6, rng=generator(), dtype=np.float64)).eval()
    x = generator(1).standard_normal((1, 3, *size))
    expected = through_network(x, model.state_dict(), (3, "M", 4), head)
    expect.tensor(model(x), expected, f"VGG((3, 'M', 4), 5) of an array {x.shape}", rtol=1e-9)


def test_normalizations_in_training_use_the_batch():
    config, x = (3, "M", 4), generator(1).standard_normal((3, 2, 6, 7))
    model = filled(VGG(config, 5, True, in_channels=2, head="cifar", rng=generator(), dtype=np.float64))
    state = model.state_dict()
    expected = through_network(x, state, config, "cifar", True, True)
    expect.tensor(model(Tensor(x)), expected, f"VGG({config}, 5, True) in training", rtol=1e-9)
    mean = convolved(x, state["features.0.weight"], state["features.0.bias"]).mean((0, 2, 3))
    running = 0.9 * state["features.1.running_mean"] + 0.1 * mean
    expect.close(model.state_dict()["features.1.running_mean"], running,
                 "features.1.running_mean after a batch", rtol=1e-9)  # fmt: skip
    counts = [int(a) for n, a in model.named_buffers() if n.endswith("tracked")]
    expect.equal(counts, [1, 1], "batches that each normalization has seen after one")


# How it starts.


def test_the_seed_decides_and_no_two_layers_start_alike():
    first, again, other = (vgg13(3, width=2, head="cifar", rng=generator(seed)) for seed in (1, 1, 2))
    for (name, a), b, c in zip(first.named_parameters(), again.parameters(), other.parameters(), strict=True):
        expect.equal(a.data, b.data, f"{name} of a second network with the same seed")
        if a.ndim > 1:
            expect.true(
                not np.any(a.data == c.data), f"{name} should differ between networks of different seeds"
            )
    a, b = (first.state_dict()[f"features.{at}.weight"] for at in (20, 22))
    expect.true(not np.any(a == b), "two layers of one shape should draw weights of their own")


def test_convolutions_start_with_variance_two_over_the_fan_out_and_no_bias():
    """False alarm: 2e-6 a weight, as the kurtosis of 9,000 normal numbers, 3 +- 0.05, is allowed 10 sd."""
    model = extractor((20, "M", 60), True, 50, rng=generator(2))
    state = model.state_dict()
    for name, fan_out in (("0", 180), ("4", 540)):
        weight, what = state[f"{name}.weight"].astype(np.float64), f"the weight of layer {name}"
        statistics.mean_is(weight, 0.0, math.sqrt(2 / fan_out), what)
        statistics.variance_is(weight, 2 / fan_out, what)
        kurtosis = float(np.mean(weight**4) / np.mean(weight**2) ** 2)
        expect.true(
            abs(kurtosis - 3) < 0.5,
            f"{what} should be normal, with E[w^4] = 3 Var[w]^2, yours has {kurtosis:.3g} Var[w]^2:\n"
            "  1.8 is uniform, 1 is two values only",
        )
        bias = np.zeros(len(weight), np.float32)
        expect.close(state[f"{name}.bias"], bias, f"the bias of layer {name} at the start")


def test_linear_layers_start_with_variance_gain_squared_over_the_fan_in_and_no_bias():
    """False alarm: 2e-6 a weight."""
    state = classifier(3, 100, 0.5, "imagenet", 150, rng=generator(2)).state_dict()
    small = classifier(100, 80, 0.5, "cifar", rng=generator(2)).state_dict()
    for name, weight, variance in (
        ("the first weight", state["0.weight"], 2 / 147), ("the second weight", state["3.weight"], 2 / 150),
        ("the last weight", state["6.weight"], 1 / 150), ("the cifar head's", small["0.weight"], 1 / 100),
    ):  # fmt: skip
        statistics.mean_is(weight, 0.0, math.sqrt(variance), name)
        statistics.variance_is(weight.astype(np.float64), variance, name)
    biases = [state["0.bias"], state["3.bias"], state["6.bias"], small["0.bias"]]
    expect.true(not any(b.any() for b in biases), "every bias starts at 0")


# Gradients and dtype.


@every_head
@plain_and_normalized
def test_the_gradient_along_a_direction(head, batch_norm):
    """Against differences of the definition; no ReLU or maximum changes sides within 1e-8 of such numbers."""
    config = (3, 4, "M", 5, "M")
    model = VGG(config, 4, batch_norm, 0.0, 2, head, 6, rng=generator(), dtype=np.float64)
    rng, state = generator(4), filled(model).state_dict()
    x = rng.standard_normal((3, 2, 12, 9))
    names = [name for name, _ in model.named_parameters()]
    leaf = Tensor(x, requires_grad=True)
    y = model(leaf)
    g = rng.standard_normal(y.shape)
    grads = grad(y, [leaf, *model.parameters()], g)
    along = {name: rng.standard_normal(state[name].shape) * np.std(state[name]) for name in names}
    along_x = rng.standard_normal(x.shape)

    def loss(step):
        moved = state | {name: state[name] + step * along[name] for name in names}
        return float(np.sum(g * through_network(x + step * along_x, moved, config, head, batch_norm, True)))

    slope = float(np.sum(grads[0].data * along_x))
    slope += sum(float(np.sum(d.data * along[n])) for n, d in zip(names, grads[1:], strict=True))
    expected = (loss(1e-8) - loss(-1e-8)) / 2e-8
    expect.close(slope, expected, f"the slope of VGG({config}) along a random direction", rtol=1e-4)


@every_head
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_array_the_output_and_the_gradients_have_the_dtype(head, dtype):
    model = filled(VGG((3, "M", 4), 5, True, head=head, hidden=6, rng=generator(), dtype=dtype)).eval()
    for name, array in model.state_dict().items():
        right = array.dtype == dtype or name.endswith("num_batches_tracked")
        expect.true(right, f"{name} has dtype {array.dtype}, expected {np.dtype(dtype)}")
    x = generator(1).standard_normal((2, 3, 8, 9)).astype(dtype)
    state = {name: array.astype(np.float64) for name, array in model.state_dict().items()}
    leaf = Tensor(x, requires_grad=True)
    y = model(leaf)
    expected = through_network(x.astype(np.float64), state, (3, "M", 4), head, True)
    expect.tensor(y, expected, "the output", rtol=1e-4, dtype=dtype)
    grads = grad(y.sum(), [leaf, *model.parameters()])
    for name, g in zip(["x", *(n for n, _ in model.named_parameters())], grads, strict=True):
        expect.true(g.dtype == dtype, f"the gradient of {name} is {g.dtype}, expected {np.dtype(dtype)}")


def test_networks_are_float32_unless_told_otherwise():
    rng = Still()
    parts = (vgg11(3, True, 1, rng=rng), extractor((2,), True, rng=rng), classifier(2, 3, hidden=4, rng=rng))
    for part, what in zip(parts, ("vgg11", "extractor", "classifier"), strict=True):
        for name, p in part.named_parameters():
            expect.true(p.dtype == np.float32, f"{name} of {what} has dtype {p.dtype}, expected float32")


# What is refused.


@pytest.mark.parametrize("config", [(), ("M", "M"), (4, 0), (4, "M", -1), (4, "m"), (4, "P", 4)], ids=str)
def test_a_list_that_makes_no_network_is_refused(config):
    with expect.raises(ValueError, *map(str, config)):
        VGG(config, 3, hidden=4, rng=generator())


@pytest.mark.parametrize("sizes", [(0, 8, 5), (7, 0, 5), (7, 8, 0), (7, -1, 5)], ids=str)
def test_no_classes_channels_or_hidden_features_are_refused(sizes):
    classes, in_channels, hidden = sizes
    for head in ("imagenet", "cifar"):
        with expect.raises(ValueError, *map(str, sizes)):
            VGG((4, "M"), classes, in_channels=in_channels, hidden=hidden, head=head, rng=generator())


@every_factory
def test_what_is_refused_names_the_usual_numbers_too(factory):
    for make in (factory, lambda *args, **kwargs: VGG(KINDS[factory], *args, **kwargs)):
        with expect.raises(ValueError, "0", "3", "4096"):
            make(0, head="cifar", rng=Still())
        with expect.raises(ValueError, "1000", "0", "4096"):
            make(in_channels=0, head="cifar", rng=Still())


def test_an_unknown_head_is_refused():
    for head in ("tiny", "CIFAR"):
        with expect.raises(ValueError, head, "imagenet", "cifar"):
            vgg16(3, width=1, head=head, rng=generator())


@every_head
@pytest.mark.parametrize("dropout", [1.5, -0.1, math.nan])
def test_an_impossible_dropout_is_refused(head, dropout):
    with expect.raises(ValueError, str(dropout)):
        vgg16(3, width=1, dropout=dropout, head=head, rng=generator())
