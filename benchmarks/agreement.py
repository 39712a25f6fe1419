"""Do the reference's operations agree with PyTorch's? Values, first and second derivatives, in float64.

    python -m benchmarks.agreement [ROUNDS]      with an interpreter that has NumPy and PyTorch

Each row draws its shapes and inputs anew in every round. A difference counts relative to the largest
magnitude of what is compared; the exit code is 1 if one is above 1e-10. Inputs stay clear of kinks, where a
derivative is a choice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

TOLERANCE = 1e-10
Draw = Callable[[np.random.Generator], list[np.ndarray]]


def main(rounds: int = 100) -> int:
    """Compare everything ``rounds`` times, print a line a row, return the exit code."""
    from curriculum import manifest, overlay

    course = manifest.load(Path(__file__).parents[1])
    overlay.install(overlay.Overlay(course.root, course.packages, "solutions"))
    worst = 0.0
    for name, ours, theirs, draw in rows():
        found = [compare(ours, theirs, draw, np.random.default_rng((i, 7))) for i in range(rounds)]
        value, first, second = np.max(found, axis=0)
        worst = max(worst, value, first, second)
        print(f"{name:34s} {rounds:4d} cases   value {value:.0e}   first {first:.0e}   second {second:.0e}")
    for name, difference in optimizers(rounds):
        worst = max(worst, difference)
        print(f"{name:34s} {rounds:4d} cases   weights after 20 steps {difference:.0e}")
    print(f"largest relative difference {worst:.1e}, allowed {TOLERANCE:.0e}")
    return int(worst > TOLERANCE)


def compare(
    ours: Callable, theirs: Callable, draw: Draw, rng: np.random.Generator
) -> tuple[float, float, float]:
    """The relative differences of value, gradients and gradients' gradients on one set of inputs."""
    import torch

    from foundations.autograd import grad
    from foundations.computational_graph import Tensor

    arrays = draw(rng)
    seed = int(rng.integers(2**32))  # for what a row draws besides: the same on both sides
    xs = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = ours(np.random.default_rng(seed), *xs), theirs(np.random.default_rng(seed), *ts)
    u, vs = rng.standard_normal(y.shape), [rng.standard_normal(a.shape) for a in arrays]
    gs = grad(y, xs, u, create_graph=True)
    torch_gs = torch.autograd.grad(
        t, ts, torch.tensor(u).reshape(t.shape), create_graph=True, allow_unused=True, materialize_grads=True
    )
    curved = [(g, v) for g, v in zip(gs, vs, strict=True) if g.requires_grad]
    seconds = [np.zeros_like(a) for a in arrays]
    if curved:
        seconds = [h.data for h in grad([g for g, _ in curved], xs, [v for _, v in curved])]
    total = sum((g * torch.tensor(v)).sum() for g, v in zip(torch_gs, vs, strict=True))
    torch_seconds = [torch.zeros_like(x) for x in ts]
    if total.requires_grad:
        torch_seconds = torch.autograd.grad(total, ts, allow_unused=True, materialize_grads=True)
    return (
        difference([y.data], [t.numpy(force=True)]),
        difference([g.data for g in gs], [g.numpy(force=True) for g in torch_gs]),
        difference(seconds, [h.numpy(force=True) for h in torch_seconds]),
    )


def difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest difference, relative to the largest magnitude (at least 1)."""
    for a, b in zip(ours, theirs, strict=True):
        if np.shape(a) != np.shape(b):
            raise ValueError(f"shapes differ: ours {np.shape(a)}, PyTorch's {np.shape(b)}")
    scale = max([1.0, *(float(np.max(np.abs(b), initial=0.0)) for b in theirs)])
    return max(float(np.max(np.abs(a - b), initial=0.0)) / scale for a, b in zip(ours, theirs, strict=True))


def shape(rng: np.random.Generator, low: int = 1, high: int = 4) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(1, 5, rng.integers(low, high)))


def one(rng: np.random.Generator) -> list[np.ndarray]:
    """One array, its numbers at least 0.01 away from 0 and 1 (kinks)."""
    x = rng.standard_normal(shape(rng))
    return [np.where(np.minimum(np.abs(x), np.abs(np.abs(x) - 1)) < 0.01, x + 0.05, x)]


def positive(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.uniform(0.3, 3.0, shape(rng))]


def pair(rng: np.random.Generator) -> list[np.ndarray]:
    """Two arrays that broadcast, positive, so that they may be divided and raised."""
    full = shape(rng)
    parts = []
    for _ in range(2):
        kept = full[rng.integers(0, len(full) + 1) :]
        parts.append(rng.uniform(0.3, 3.0, tuple(1 if rng.random() < 0.3 else n for n in kept)))
    return parts


def matrices(rng: np.random.Generator) -> list[np.ndarray]:
    n, k, m = (int(v) for v in rng.integers(1, 5, 3))
    batch = shape(rng, 0, 3)
    a = [(k,), (n, k), (*batch, n, k)][rng.integers(3)]
    b = [(k,), (k, m), (*batch, k, m)][rng.integers(3)]
    return [rng.standard_normal(a), rng.standard_normal(b)]


def layer(rng: np.random.Generator) -> list[np.ndarray]:
    d, k = (int(v) for v in rng.integers(1, 5, 2))
    return [rng.standard_normal((*shape(rng, 0, 3), d)), rng.standard_normal((k, d)), rng.standard_normal(k)]


def maps(rng: np.random.Generator) -> list[np.ndarray]:
    """Images or sequences (N, C, *) with C even and at least two numbers a channel; weight and bias (C,)."""
    n, c = int(rng.integers(2, 5)), 2 * int(rng.integers(1, 4))
    x = rng.standard_normal((n, c, *(int(side) for side in rng.integers(2, 5, rng.integers(1, 3)))))
    return [x, rng.standard_normal(c), rng.standard_normal(c)]


def rows_of_features(rng: np.random.Generator) -> list[np.ndarray]:
    """(*, D) and two (D,), D at least 2."""
    d = int(rng.integers(2, 6))
    return [rng.standard_normal((*shape(rng), d)), rng.standard_normal(d), rng.standard_normal(d)]


def logits(rng: np.random.Generator) -> list[np.ndarray]:
    return [3 * rng.standard_normal((int(rng.integers(1, 6)), int(rng.integers(2, 6)), *shape(rng, 0, 2)))]


def targets(rng: np.random.Generator) -> list[np.ndarray]:
    sides = shape(rng)
    return [rng.standard_normal(sides), rng.standard_normal(sides)]


def axis_of(rng: np.random.Generator, ndim: int) -> int | tuple[int, ...]:
    if rng.random() < 0.5:
        return int(rng.integers(-ndim, ndim))
    return tuple(int(a) for a in rng.permutation(ndim)[: rng.integers(1, ndim + 1)])


def rows() -> list[tuple[str, Callable, Callable, Draw]]:
    """(name, ours, PyTorch's, inputs): functions of a generator, for what else they draw, and the inputs."""
    import torch
    import torch.nn.functional as F

    from foundations import elementwise as e
    from foundations import reductions as r
    from foundations import shaping as s
    from nn_core.activations import gelu, relu, sigmoid, softmax, tanh
    from nn_core.layers.linear import linear
    from nn_core.normalization import batchnorm, groupnorm, instancenorm, layernorm, rmsnorm
    from optimization.losses import cross_entropy as ce
    from optimization.losses import mse

    def both(name, ours, theirs, draw):
        return name, (lambda _, *xs: ours(*xs)), (lambda _, *ts: theirs(*ts)), draw

    def reduce(name, ours, theirs):
        def run(f):
            return lambda rng, x: f(x, axis_of(rng, x.ndim), bool(rng.random() < 0.5))

        return name, run(ours), run(theirs), one

    def reduction(rng):
        return ["mean", "sum", "none"][rng.integers(3)]

    def classes(rng, z):
        """A random set of arguments of cross_entropy, in NumPy."""
        c, rest = z.shape[1], (z.shape[0], *z.shape[2:])
        options = {"reduction": reduction(rng), "label_smoothing": float(rng.choice([0.0, 0.2]))}
        weight = rng.uniform(0.5, 2.0, c) if rng.random() < 0.5 else None
        if rng.random() < 0.4:
            return np.moveaxis(rng.dirichlet(np.ones(c), rest), -1, 1), weight, options
        labels = rng.integers(c, size=rest)
        labels[rng.random(rest) < 0.2] = -100
        labels.flat[0] = 0  # so that something counts
        return labels, weight, options

    def our_ce(rng, z):
        target, weight, options = classes(rng, z)
        return ce.cross_entropy(z, target, weight, **options)

    def torch_ce(rng, z):
        target, weight, options = classes(rng, z)
        return F.cross_entropy(
            z, torch.tensor(target), None if weight is None else torch.tensor(weight), **options
        )

    def our_bce(rng, z):
        return ce.binary_cross_entropy_with_logits(
            z, rng.random(z.shape), None, reduction(rng), rng.uniform(0.5, 2.0, z.shape)
        )

    def torch_bce(rng, z):
        return F.binary_cross_entropy_with_logits(
            z,
            torch.tensor(rng.random(tuple(z.shape))),
            reduction=reduction(rng),
            pos_weight=torch.tensor(rng.uniform(0.5, 2.0, tuple(z.shape))),
        )

    def index(rng, x):
        rows_ = rng.integers(-x.shape[0], x.shape[0], 5)  # repeated indices add up
        return x[rows_ if isinstance(x, e.Tensor) else torch.tensor(rows_)]

    table = [
        both("a + b", lambda a, b: a + b, lambda a, b: a + b, pair),
        both("a - b", lambda a, b: a - b, lambda a, b: a - b, pair),
        both("a * b", lambda a, b: a * b, lambda a, b: a * b, pair),
        both("a / b", lambda a, b: a / b, lambda a, b: a / b, pair),
        both("a ** b", lambda a, b: a**b, lambda a, b: a**b, pair),
        both("x ** 3, 2 ** x", lambda x: x**3 + 2**x, lambda x: x**3 + 2**x, one),
        both("a @ b", lambda a, b: a @ b, lambda a, b: a @ b, matrices),
        both("exp", e.exp, torch.exp, one),
        both("log", e.log, torch.log, positive),
        both("sqrt", e.sqrt, torch.sqrt, positive),
        both("tanh", e.tanh, torch.tanh, one),
        both("abs", e.abs, torch.abs, one),
        both("maximum", e.maximum, torch.maximum, pair),
        both("minimum", e.minimum, torch.minimum, pair),
        both("clip", lambda x: e.clip(x, -1.0, 1.0), lambda x: torch.clamp(x, -1.0, 1.0), one),
        both("where", lambda x: e.where(x.data > 0, x * x, -x), lambda x: torch.where(x > 0, x * x, -x), one),
        reduce("sum", r.sum, lambda x, axis, keep: x.sum(axis, keep)),
        reduce("mean", r.mean, lambda x, axis, keep: x.mean(axis, keep)),
        reduce("var", r.var, lambda x, axis, keep: x.var(axis, correction=0, keepdim=keep)),
        reduce("max", r.max, lambda x, axis, keep: torch.amax(x, axis, keep)),
        reduce("min", r.min, lambda x, axis, keep: torch.amin(x, axis, keep)),
        both(
            "reshape, transpose",
            lambda x: s.transpose(x * x).reshape((-1,)),
            lambda x: (x * x).permute(*range(x.ndim - 1, -1, -1)).reshape(-1),
            one,
        ),
        ("x[i], i repeated", index, index, one),
        both("x[::-1], flip", lambda x: (x * x)[::-1], lambda x: (x * x).flip(0), one),
        both(
            "concatenate, stack",
            lambda a, b: s.concatenate([s.stack([a, b]), s.stack([b, a])]),
            lambda a, b: torch.cat([torch.stack([a, b]), torch.stack([b, a])]),
            targets,
        ),
        both("linear", linear, F.linear, layer),
        both("relu", relu.relu, F.relu, one),
        both("leaky_relu", lambda x: relu.leaky_relu(x, 0.1), lambda x: F.leaky_relu(x, 0.1), one),
        both("elu", lambda x: relu.elu(x, 1.5), lambda x: F.elu(x, 1.5), one),
        both("silu", relu.silu, F.silu, one),
        both("sigmoid", sigmoid.sigmoid, torch.sigmoid, one),
        both("log_sigmoid", sigmoid.log_sigmoid, F.logsigmoid, one),
        both("hardtanh", lambda x: tanh.hardtanh(x, -1.0, 1.0), lambda x: F.hardtanh(x, -1.0, 1.0), one),
        both("softmax", lambda z: softmax.softmax(z, 1), lambda z: torch.softmax(z, 1), logits),
        both("log_softmax", lambda z: softmax.log_softmax(z, 1), lambda z: torch.log_softmax(z, 1), logits),
        both("gelu, exact", gelu.gelu, F.gelu, one),
        both("gelu, tanh", lambda x: gelu.gelu(x, "tanh"), lambda x: F.gelu(x, approximate="tanh"), one),
        both(
            "batch_norm, training",
            lambda x, w, b: batchnorm.batch_norm(x, None, None, w, b, training=True),
            lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
            maps,
        ),
        both(
            "layer_norm",
            lambda x, w, b: layernorm.layer_norm(x, w.shape, w, b),
            lambda x, w, b: F.layer_norm(x, w.shape, w, b),
            rows_of_features,
        ),
        both(
            "rms_norm",
            lambda x, w, b: rmsnorm.rms_norm(x, w.shape, w) + b,
            lambda x, w, b: F.rms_norm(x, w.shape, w) + b,
            rows_of_features,
        ),
        both(
            "group_norm",
            lambda x, w, b: groupnorm.group_norm(x, 2, w, b),
            lambda x, w, b: F.group_norm(x, 2, w, b),
            maps,
        ),
        both(
            "instance_norm",
            lambda x, w, b: instancenorm.instance_norm(x, w, b, eps=1e-3),
            lambda x, w, b: F.instance_norm(x, None, None, w, b, eps=1e-3),
            maps,
        ),
        both("mse_loss", mse.mse_loss, F.mse_loss, targets),
        both("l1_loss", mse.l1_loss, F.l1_loss, targets),
        both("huber_loss", mse.huber_loss, F.huber_loss, targets),
        ("cross_entropy", our_ce, torch_ce, logits),
        ("binary_cross_entropy_with_logits", our_bce, torch_bce, logits),
    ]
    return table


def optimizers(rounds: int) -> list[tuple[str, float]]:
    """Each optimizer with the largest relative difference of the weights after 20 steps, settings random."""
    import torch

    from foundations.computational_graph import Tensor
    from optimization.optimizers.adam import Adam, AdamW
    from optimization.optimizers.rmsprop import Adagrad, RMSprop
    from optimization.optimizers.sgd import SGD

    def settings(kind: str, rng: np.random.Generator) -> dict[str, object]:
        chosen: dict[str, object] = {"lr": float(rng.uniform(0.001, 0.1))}
        chosen["weight_decay"] = float(rng.choice([0, 0.1]))
        if kind == "RMSprop":
            return chosen | {
                "alpha": 0.9,
                "momentum": float(rng.choice([0.0, 0.9])),
                "centered": bool(rng.random() < 0.5),
            }
        if kind == "Adagrad":
            return chosen | {"lr_decay": float(rng.choice([0.0, 0.1])), "initial_accumulator_value": 0.1}
        if kind != "SGD":
            betas = (float(rng.uniform(0, 0.95)), 0.99)
            return chosen | {"betas": betas, "amsgrad": bool(rng.random() < 0.5)}
        momentum = float(rng.choice([0.0, 0.9]))
        nesterov = momentum > 0 and bool(rng.random() < 0.5)
        return chosen | {"momentum": momentum, "nesterov": nesterov, "dampening": 0.0 if nesterov else 0.3}

    found = []
    for ours in (SGD, RMSprop, Adagrad, Adam, AdamW):
        theirs = getattr(torch.optim, ours.__name__)
        worst = 0.0
        for i in range(rounds):
            rng = np.random.default_rng((i, 11))
            arrays = [rng.standard_normal((3, 4)), rng.standard_normal(5)]
            chosen = settings(ours.__name__, rng)
            xs = [Tensor(a.copy(), True) for a in arrays]
            ts = [torch.tensor(a, requires_grad=True) for a in arrays]
            mine, other = ours(xs, **chosen), theirs(ts, **chosen)
            for _ in range(20):
                for x, t in zip(xs, ts, strict=True):
                    x.grad = rng.standard_normal(x.shape)
                    t.grad = torch.tensor(x.grad)
                mine.step()
                other.step()
            worst = max(worst, difference([x.data for x in xs], [t.numpy(force=True) for t in ts]))
        found.append((ours.__name__, worst))
    return found


if __name__ == "__main__":
    raise SystemExit(main(*[int(word) for word in sys.argv[1:2]]))
