r"""What does a classifier's Hessian look like, and do as many directions stand out as there are classes?

A tanh network 8-17-C on C groups of points, equally far apart; for C = 8 it has 297 parameters, few enough to
write its Hessian down and to judge what is made of products alone.

    H = G + R       G = mean of J_i^T A_i J_i, J_i = dz_i / dtheta, A_i the loss' Hessian by the logits z_i

    outliers        as many as the mean of A_i has positive eigenvalues. Softmax and cross-entropy: A = diag p
                    - p p^T with A 1 = 0, C - 1. Squared error: A = 2 I, C
    quadrature      F, the share of eigenvalues below a point, is estimated with the variance 2 F (1 - F) /
                    ((n + 2) P) by P probes; the Wasserstein distance is the integral of |error|
    trace           the mean of z^T H z has the variance 2 (|H|_F^2 - sum H_ii^2) / P with signs z, and
                    2 |H|_F^2 / P with normal numbers
    ghosts          without reorthogonalisation q has a part as eps |H| / residual along a converged vector

Source   Sagun et al. 2017, arXiv:1706.04454; Papyan 2019, arXiv:1901.08244; Ubaru, Chen & Saad 2017, sec. 3;
         Hutchinson 1990; Paige 1980, "Accuracy and effectiveness of the Lanczos algorithm".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import pi, sqrt

import numpy as np

from dynamics.geometry.hessian_vector import full_hessian, ggn_vp, hvp
from dynamics.geometry.lanczos import Density, Krylov, hutchinson, lanczos, ritz, smooth, spectral_density
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure
from foundations import autograd
from foundations.computational_graph import Tensor
from foundations.elementwise import tanh
from optimization.losses.cross_entropy import cross_entropy

QUICK = ("--networks", "1", "--pool", "64")  # what continuous integration runs
Array = np.ndarray
D, UNITS, SAMPLES = 8, 17, 480
APART, NOISE = 1.5, 0.5  # distance of the groups' middles from 0, and the spread of each coordinate
SOFTMAX, SQUARED = "cross-entropy", "squared error"
TRAINING = {SOFTMAX: (0.5, 100), SQUARED: (0.3, 500)}  # learning rate and steps
FINE, COARSE = 80, (10, 20)  # steps of Lanczos
PROBES = (1, 2, 4, 8, 16)
GHOSTS = 150  # steps of Lanczos where they are shown
SAME = 1e-6  # of the width: Ritz values that close are one eigenvalue


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    seed: int = 0  # of the first network
    networks: int = 4  # in which outliers are counted; the others have the seeds after the first
    pool: int = 320  # probes of each estimate


class Classifier:
    """A network, its groups of points and its loss; ``theta`` is where it stands."""

    def __init__(self, classes: int, seed: int, loss: str = SOFTMAX) -> None:
        rng = np.random.default_rng(seed)
        middles = np.linalg.qr(rng.standard_normal((D, D)))[0][:classes]  # at right angles
        self.classes, self.name = classes, loss
        self.labels = np.repeat(np.arange(classes), SAMPLES // classes)
        self.X = APART * middles[self.labels] + NOISE * rng.standard_normal((self.labels.size, D))
        hidden = rng.standard_normal(D * UNITS) / sqrt(D)
        output = rng.standard_normal(UNITS * classes) / sqrt(UNITS)
        self.theta = np.concatenate([hidden, np.zeros(UNITS), output, np.zeros(classes)])

    def logits(self, theta: Tensor) -> Tensor:
        """z (N, C)."""
        a, b = D * UNITS, (D + 1) * UNITS
        hidden = tanh(Tensor(self.X) @ theta[:a].reshape(D, UNITS) + theta[a:b])
        last = theta[b:]
        return hidden @ last[: -self.classes].reshape(UNITS, self.classes) + last[-self.classes :]

    def of_logits(self, z: Tensor) -> Tensor:
        """The loss, a mean over the points."""
        if self.name == SOFTMAX:
            return cross_entropy(z, self.labels)
        error = z - Tensor(np.eye(self.classes)[self.labels])
        return (error * error).sum() * (1 / self.labels.size)

    def loss(self, theta: Tensor) -> Tensor:
        """As a function of theta."""
        return self.of_logits(self.logits(theta))

    def train(self) -> Classifier:
        """Full-batch gradient descent, at the rate and for the steps of its loss; returns itself."""
        lr, steps = TRAINING[self.name]
        for _ in range(steps):
            leaf = Tensor(self.theta, requires_grad=True)
            self.theta = self.theta - lr * autograd.grad(self.loss(leaf), [leaf])[0].data
        return self

    def hessian(self) -> Array:
        """H (n, n)."""
        H = full_hessian(self.loss, self.theta)
        return (H + H.T) / 2

    def gauss_newton(self) -> Array:
        """G (n, n), a product for each column."""
        columns = np.eye(self.theta.size)
        G = np.stack([ggn_vp(self.logits, self.of_logits, self.theta, e) for e in columns])
        return (G + G.T) / 2

    def by_class(self) -> tuple[Array, Array]:
        """For each class the mean Jacobian (C, C, n) and the mean Hessian by the logits (C, C, C)."""
        leaf = Tensor(self.theta, requires_grad=True)
        share = np.eye(self.classes)[self.labels] / (SAMPLES // self.classes)  # (N, C)
        z = self.logits(leaf)
        J = autograd.jacobian(Tensor(share.T) @ z, leaf).data.reshape(self.classes, self.classes, -1)
        if self.name == SQUARED:
            return J, np.tile(2 * np.eye(self.classes), (self.classes, 1, 1))
        p = np.exp(z.data - z.data.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        A = np.eye(self.classes) * p[:, None, :] - p[:, :, None] * p[:, None, :]  # (N, C, C)
        return J, np.einsum("nc,nij->cij", share, A)


class Judged:
    """The network whose Hessian is written down, and what is drawn from it once."""

    def __init__(self, config: Config) -> None:
        self.before = Classifier(8, config.seed).hessian()
        self.net = Classifier(8, config.seed).train()
        self.H = self.net.hessian()
        self.values, self.vectors = np.linalg.eigh(self.H)
        self.n, self.width = self.values.size, float(np.ptp(self.values))
        self.rng = np.random.default_rng(config.seed + 1000)
        self.pool = config.pool

    def product(self, v: Array) -> Array:
        """H v, from the matrix: what is repeated a thousand times need not build a graph."""
        return self.H @ v

    @cached_property
    def densities(self) -> dict[int, list[Density]]:
        """For each number of steps the quadratures of single probes."""
        draw = partial(spectral_density, self.product, self.n, probes=1, rng=self.rng)
        return {m: [draw(steps=m) for _ in range(self.pool)] for m in (*COARSE, FINE)}

    def distances(self, steps: int, probes: int) -> Array:
        """Wasserstein distances to the full spectrum, as shares of its width, one for each group."""
        single = self.densities[steps]
        groups = [single[i : i + probes] for i in range(0, self.pool - probes + 1, probes)]
        return np.array([wasserstein(self.values, together(g)) for g in groups]) / self.width

    def predicted(self, probes: int) -> float:
        """What the distance is in the mean: the integral of E |error of F|, normal, by the width."""
        F = np.arange(1, self.n) / self.n
        deviation = np.sqrt(2 * F * (1 - F) / ((self.n + 2) * probes))
        return float(sqrt(2 / pi) * deviation @ np.diff(self.values) / self.width)

    @cached_property
    def start(self) -> Array:
        """Where Lanczos begins that shows ghosts."""
        return self.rng.standard_normal(self.n)

    @cached_property
    def signs(self) -> Array:
        """z^T H z of random signs z, (pool,)."""
        z = self.rng.choice((-1.0, 1.0), size=(self.pool, self.n))
        return np.einsum("pi,ij,pj->p", z, self.H, z, optimize=True)

    def deviation(self, kind: str) -> float:
        """The standard deviation of one probe of the trace, from the entries of H."""
        seen = np.sum(np.diag(self.H) ** 2) if kind == "rademacher" else 0.0
        return sqrt(2 * (np.sum(self.H**2) - seen))


def wasserstein(values: Array, density: Density) -> float:
    """The area between two distribution functions, of equal weights at ``values`` and of ``density``."""
    points = np.concatenate([values, density.values])
    weights = np.concatenate([np.full(values.size, 1 / values.size), -density.weights])
    order = np.argsort(points, kind="stable")
    return float(np.abs(np.cumsum(weights[order]))[:-1] @ np.diff(points[order]))


def together(parts: Sequence[Density]) -> Density:
    """The mean of quadratures."""
    values = np.concatenate([p.values for p in parts])
    return Density(values, np.concatenate([p.weights for p in parts]) / len(parts))


def gap(values: Array, classes: int) -> int:
    """After how many of the largest eigenvalues the ratio to the next is largest, among the first 2 C."""
    top = values[::-1][: 2 * classes + 1]
    return int(np.argmax(top[:-1] / top[1:])) + 1


def copies(krylov: Krylov, steps: int, value: float, near: float) -> int:
    """How many Ritz values of the first ``steps`` steps are this eigenvalue."""
    return int(np.sum(np.abs(np.linalg.eigvalsh(tridiagonal(krylov, steps)) - value) < near))


def tridiagonal(krylov: Krylov, steps: int) -> Array:
    """T of the first steps."""
    beside = krylov.beta[: steps - 1]
    return np.diag(krylov.alpha[:steps]) + np.diag(beside, 1) + np.diag(beside, -1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, write the Hessian down, estimate it, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Which directions of a classifier's Hessian stand out?")
    with Run("hessian_spectrum", config) as run:
        claims = Claims()
        judged = Judged(config)
        parts: list[Callable[[], None]] = [
            partial(count, claims, config),
            partial(explain, claims, judged),
            partial(estimate, claims, judged),
            partial(haunt, claims, judged),
            partial(draw_spectrum, run, judged, config),
            partial(draw_estimates, run, judged),
            partial(draw_ghosts, run, judged),
        ]
        for part in run.track(parts, "measuring"):
            part()
        claims.conclude(run, "the outliers are counted by the loss, and seen from products alone")
    return run.exit_code


def count(claims: Claims, config: Config) -> None:
    """Outliers after training, under two losses and for several numbers of classes."""
    seeds = range(config.seed, config.seed + config.networks)
    for classes in (2, 6, 8):
        found = [gap(np.linalg.eigvalsh(Classifier(classes, s).train().hessian()), classes) for s in seeds]
        worst = max(found, key=lambda k: abs(k - classes + 1))
        claims.near(f"{SOFTMAX}, {classes} classes: C - 1 outliers, in every network", worst, classes - 1, 0)
    for classes in (3, 4):
        found = [gap(np.linalg.eigvalsh(Classifier(classes, s).train().hessian()), classes) for s in seeds]
        either = {classes - 1, classes * (classes - 1) // 2}
        claims.true(
            f"{SOFTMAX}, {classes} classes: C - 1, or one for each pair of classes", set(found) <= either
        )
    for classes in (6, 8):
        nets = [Classifier(classes, s, SQUARED).train() for s in seeds]
        found = [gap(np.linalg.eigvalsh(net.hessian()), classes) for net in nets]
        worst = max(found, key=lambda k: abs(k - classes))
        claims.near(f"{SQUARED}, {classes} classes: C outliers, in every network", worst, classes, 0)


def explain(claims: Claims, judged: Judged) -> None:
    """Where the outliers of the judged network come from."""
    net, values = judged.net, judged.values
    top = values[::-1]
    claims.at_least("trained: the 7th eigenvalue is a multiple of the 8th", top[6] / top[7], 1.6)
    first = np.linalg.eigvalsh(judged.before)[::-1]
    claims.at_most("untrained: the 7th eigenvalue is hardly above the 8th", first[6] / first[7], 1.15)
    G = net.gauss_newton()
    rest = float(np.linalg.norm(judged.H - G, 2))
    moved = float(np.abs(np.linalg.eigvalsh(G) - values).max())
    claims.at_most("no eigenvalue of H is further from G's than |R| (Weyl)", moved / rest, 1.0 + 1e-9)
    claims.at_most("R is small beside the 7th eigenvalue, so that outliers are G's", rest / top[6], 0.25)
    claims.at_most("negative eigenvalues are R's: the lowest is above -|R|", -values[0] / rest, 1.0)
    J, A = net.by_class()
    rank = int(np.sum(np.linalg.eigvalsh(A.mean(axis=0)) > 1e-9))
    claims.near("the mean Hessian by the logits has rank C - 1", rank, net.classes - 1, 0)
    means = np.einsum("cin,cij,cjm->nm", J, A, J, optimize=True) / net.classes
    vectors = np.linalg.eigh(means)[1][:, -7:]
    shared = float(np.sum((vectors.T @ judged.vectors[:, -7:]) ** 2) / 7)
    # 0.90 to 0.94 over 20 seeds; two random subspaces of 7 dimensions in 297 share 7 / 297 = 0.02
    claims.at_least("class means of the Jacobian span the outliers' space, by squared cosine", shared, 0.85)


def estimate(claims: Claims, judged: Judged) -> None:
    """What products alone tell, against the matrix."""
    v = judged.start
    exact = judged.H @ v
    error = np.linalg.norm(hvp(judged.net.loss, judged.net.theta, v) - exact) / np.linalg.norm(exact)
    claims.at_most("a product without the matrix is the matrix' product", float(error), 1e-12)
    rng = np.random.default_rng(judged.n)
    mv = partial(hvp, judged.net.loss, judged.net.theta)
    density = spectral_density(mv, judged.n, steps=40, probes=10, rng=rng)
    distance = wasserstein(judged.values, density) / judged.width
    claims.at_most("400 products: Wasserstein distance to the spectrum, by its width", distance, 0.02)
    groups = judged.distances(FINE, 4)
    # one group's distance varies by 0.4 of its mean
    claims.near(
        "distance of 4 probes with 80 steps, over that of random weights",
        groups.mean() / judged.predicted(4), 1.0, 0.05 + 4 * 0.4 / sqrt(groups.size),
    )  # fmt: skip
    few, many = judged.distances(COARSE[0], 16).mean(), judged.predicted(16)
    claims.at_least("10 steps blur: 16 probes stay above what their randomness explains", few / many, 2.0)
    trace, seen = float(np.trace(judged.H)), judged.signs
    standard = judged.deviation("rademacher") / sqrt(seen.size)
    claims.near("trace by signs: its error in standard errors", (seen.mean() - trace) / standard, 0.0, 4.0)
    for kind in ("rademacher", "gaussian"):
        found = hutchinson(judged.product, judged.n, probes=judged.pool, rng=rng, kind=kind)
        ratio = found.error * sqrt(judged.pool) / judged.deviation(kind)
        # a standard deviation from P nearly normal numbers is off by 1 / sqrt(2 P)
        claims.near(f"spread of a {kind} probe over the predicted", ratio, 1.0, 5 / sqrt(2 * judged.pool))


def haunt(claims: Claims, judged: Judged) -> None:
    """Ghosts: eigenvalues found again and again, and what they do not harm."""
    top, near = float(judged.values[-1]), SAME * judged.width
    clean = lanczos(judged.product, judged.start, GHOSTS)
    bare = lanczos(judged.product, judged.start, GHOSTS, reorthogonalize=False)
    claims.near("150 steps, reorthogonalised: the largest eigenvalue is found once",
                copies(clean, GHOSTS, top, near), 1, 0)  # fmt: skip
    claims.at_least("150 steps, three terms alone: it is found again and again",
                    copies(bare, GHOSTS, top, near), 3, "times")  # fmt: skip
    t, Y = np.linalg.eigh(tridiagonal(bare, GHOSTS))
    weight = float(np.sum(Y[0, np.abs(t - top) < near] ** 2))
    true = (judged.vectors[:, -1] @ judged.start) ** 2 / (judged.start @ judged.start)
    claims.near("the ghosts' weights add up to the one weight", weight / true, 1.0, 1e-6)
    parts, predicted = returning(judged, bare)
    first = int(np.argmax(predicted > 1e-3))  # until the ghost is whole
    # 20 seeds: at most 1.64, and a slope of 1.00000 +- 0.00001
    over = float((parts[:first] / predicted[:first]).max())
    claims.at_most("its vector returns, at most as eps |H| / residual: largest part of that", over, 3.0)
    rising = slice(int(np.argmax(predicted > 1e-12)), first)
    slope = float(np.polyfit(np.log(predicted[rising]), np.log(parts[rising]), 1)[0])
    claims.near("and grows as that does: slope of the logarithms", slope, 1.0, 0.001)


def returning(judged: Judged, bare: Krylov) -> tuple[Array, Array]:
    """For each step the part of the next q along the largest eigenvector, and eps |H| / residual."""
    eps, size = np.finfo(np.float64).eps, float(np.abs(judged.values).max())
    parts, predicted = [], []
    for m in range(1, GHOSTS):
        step = Krylov(bare.alpha[:m], bare.beta[: m - 1], bare.basis[:, :m], float(bare.beta[m - 1]))
        found = ritz(step)
        parts.append(abs(found.vectors[:, -1] @ bare.basis[:, m]) / np.linalg.norm(found.vectors[:, -1]))
        predicted.append(eps * size / max(found.residuals[-1], np.finfo(np.float64).tiny))
    return np.array(parts), np.array(predicted)


def draw_spectrum(run: Run, judged: Judged, config: Config) -> None:
    """``spectrum.png``: the density, exact and estimated, and the largest eigenvalues of three Hessians."""
    with plots.figure(
        "A classifier's Hessian: 297 parameters, 8 classes", columns=2, width=10.4, height=4.4
    ) as (drawn, axes):
        left, right = axes[0]
        margin = 0.05 * judged.width
        grid = np.linspace(judged.values[0] - margin, judged.values[-1] + margin, 800)
        exact = Density(judged.values, np.full(judged.n, 1 / judged.n))
        found = together(judged.densities[FINE][:10])
        for density, color, line, label in (
            (exact, "black", "-", "all eigenvalues"),
            (found, plots.VERMILION, "--", "10 probes of 80 products"),
        ):
            bells = smooth(density, grid, 0.01 * judged.width)
            left.semilogy(grid, bells, color=color, linestyle=line, label=label)
        left.plot(judged.values, np.full(judged.n, 2.5e-3), "|", color=plots.BLUE, markersize=9)
        left.annotate("7 outliers", (judged.values[-4], 4), ha="center")
        left.set(xlabel="eigenvalue (bars: each of the 297)", ylabel="density (share per unit)",
                 ylim=(1.5e-3, 200), title="density, bells of 1 % of the width")  # fmt: skip
        left.legend(loc="upper right")
        squared = np.linalg.eigvalsh(Classifier(8, config.seed, SQUARED).train().hessian())
        order = np.arange(1, 17)
        for i, (values, label) in enumerate((
            (judged.values, SOFTMAX), (squared, SQUARED), (np.linalg.eigvalsh(judged.before), "untrained"),
        )):  # fmt: skip
            top = values[::-1][:16] / values[-1]
            right.plot(order, top, color=plots.COLORS[i], linestyle=plots.LINES[i], marker=plots.MARKERS[i],
                       markersize=5, label=label)  # fmt: skip
        for at, color in ((7.5, plots.COLORS[0]), (8.5, plots.COLORS[1])):
            right.axvline(at, color=color, linewidth=1.0, linestyle=":")
        right.set(xlabel="rank", ylabel="eigenvalue over the largest", yscale="log", xticks=order[1::2],
                  title="dotted: after C − 1 = 7 and after C = 8")  # fmt: skip
        right.set_yticks([0.1, 0.2, 0.3, 0.5, 0.7, 1.0], ["0.1", "0.2", "0.3", "0.5", "0.7", "1"])
        right.minorticks_off()
        right.legend(loc="lower left")
        plots.caption(
            drawn,
            "Groups of points equally far from each other, of one size. It does not say that every "
            "classifier's "
            "outliers are so clear: unequal classes have unequal outliers, and some sink into the bulk.",
        )
        run.save_figure("spectrum", drawn)


def draw_estimates(run: Run, judged: Judged) -> None:
    """``estimates.png``: how good quadrature and trace are, over the number of probes."""
    with plots.figure(
        "What probes tell, and what their number is worth", columns=2, width=10.4, height=4.2
    ) as (
        drawn,
        axes,
    ):
        left, right = axes[0]
        for i, m in enumerate((*COARSE, FINE)):
            means = [100 * judged.distances(m, p).mean() for p in PROBES]
            left.plot(PROBES, means, color=plots.COLORS[i], marker=plots.MARKERS[i], linestyle=plots.LINES[3],
                      label=f"{m} steps, measured")  # fmt: skip
        known = [100 * judged.predicted(p) for p in PROBES]
        left.plot(PROBES, known, color="black", linestyle="--", label="weights at random, predicted")
        plots.level(left, 2.0, "")
        left.set(xscale="log", yscale="log", xlabel="probes", ylabel="Wasserstein distance (% of the width)")
        left.set_xticks(PROBES, [str(p) for p in PROBES])
        left.set_yticks([0.3, 0.5, 1.0, 2.0], ["0.3", "0.5", "1", "2"])
        left.minorticks_off()
        left.legend(loc="lower left", fontsize=8)
        number = np.arange(1, judged.pool + 1)
        trace = float(np.trace(judged.H))
        band = judged.deviation("rademacher") / np.sqrt(number)
        right.fill_between(number, trace - 2 * band, trace + 2 * band, color="0.88",
                           label="± 2 standard errors, predicted")  # fmt: skip
        right.plot(number, np.cumsum(judged.signs) / number, color=plots.BLUE, label="mean so far")
        right.axhline(trace, color="black", linestyle="--", linewidth=1.2, label="trace of H")
        right.set(xscale="log", xlabel="probes", ylabel="trace (same unit as the loss)")
        right.legend(loc="lower right", fontsize=8)
        plots.caption(
            drawn,
            "Left: with enough steps only the randomness of the probes is left (dashed); with few, the "
            "quadrature "
            "itself is coarse, and more probes do not help. In a network of millions of parameters one "
            "probe is "
            "far better than here: both errors shrink with its size.",
        )
        run.save_figure("estimates", drawn)


def draw_ghosts(run: Run, judged: Judged) -> None:
    """``ghosts.png``: copies of the largest eigenvalue over the steps, and why they come."""
    clean = lanczos(judged.product, judged.start, GHOSTS)
    bare = lanczos(judged.product, judged.start, GHOSTS, reorthogonalize=False)
    top, near = float(judged.values[-1]), SAME * judged.width
    steps = np.arange(1, GHOSTS + 1)
    with plots.figure("Ghosts: one eigenvalue, found again and again", columns=2, width=10.4, height=4.0) as (
        drawn,
        axes,
    ):
        left, right = axes[0]
        for krylov, label, index in ((bare, "three terms alone", 1), (clean, "reorthogonalised", 0)):
            number = [copies(krylov, int(m), top, near) for m in steps]
            left.step(steps, number, where="post", color=plots.COLORS[index], linestyle=plots.LINES[index],
                      label=label)  # fmt: skip
        left.set(xlabel="steps of Lanczos", ylabel="Ritz values at the largest eigenvalue")
        left.legend(loc="upper left")
        parts, predicted = returning(judged, bare)
        shown = steps[:-1][:60]
        right.semilogy(shown, parts[:60], color=plots.VERMILION, marker=".", markersize=4, linewidth=0.9,
                       label="part of the next q along its Ritz vector")  # fmt: skip
        right.semilogy(shown, np.minimum(predicted, 1.0)[:60], color="black", linestyle="--",
                       label="ε |H| / residual, predicted")  # fmt: skip
        right.set(xlabel="steps of Lanczos, three terms alone", ylabel="part of a vector of length 1",
                  ylim=(1e-17, 30))  # fmt: skip
        right.legend(loc="upper left", fontsize=8)
        plots.caption(
            drawn,
            "Rounding brings an eigenvector back as soon as it has converged. The size of rounding errors is "
            "predicted, their values are not: other machines have their ghosts a step earlier or later.",
        )
        run.save_figure("ghosts", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
