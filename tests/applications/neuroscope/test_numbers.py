"""What NeuroScope measures, against full matrices, differences and the course's own modules."""

from __future__ import annotations

from math import pi, sqrt
from pathlib import Path

import numpy as np
import pytest

from dynamics.approximation import jets, pinn
from dynamics.continuous.ode import stability_function
from dynamics.credit import mlp_backprop
from dynamics.credit.mlp_backprop import Spec, unflatten
from dynamics.geometry.ntk import parameter_jacobian
from experiments.neuroscope import network, objective
from experiments.neuroscope.config import ACTIVATIONS, Config
from experiments.neuroscope.dual import Dual
from experiments.neuroscope.engine import Trainer, start
from experiments.neuroscope.methods import Method
from experiments.neuroscope.network import Jet
from experiments.neuroscope.recorder import History, Recorder

Array = np.ndarray
SMOOTH = [a for a in ACTIVATIONS if a != "relu"]


def trainer(**keys: object) -> Trainer:
    """A run of a small network on few samples."""
    small = {"hidden": 6, "n_samples": 20, "total_steps": 40, "ntk_probe_points": 9, "n_plot_points": 50}
    return Trainer(Config(**small | keys))  # type: ignore[arg-type]


def history(folder: Path, **keys: object) -> tuple[Trainer, History]:
    run = trainer(**keys)
    with Recorder(folder, run.history, run.columns) as recorder:
        for _ in run.train(recorder):
            pass
    return run, run.history


def slope(function, theta: Array, eps: float = 1e-6) -> Array:
    """The derivative by each element, by central differences."""
    moved = eps * np.eye(theta.size)
    return np.array([(function(theta + e) - function(theta - e)) / (2 * eps) for e in moved])


def hessian(run: Trainer, theta: Array) -> Array:
    H = slope(run.objective.gradient, theta)
    return (H + H.T) / 2


# --- the network ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_comes_with_its_derivatives(name: str) -> None:
    z = np.random.default_rng(0).normal(0, 2, 40)
    eps, rule = 1e-5, network.DERIVATIVES[name]
    found = rule(z, 4)
    assert [len(rule(z, order)) for order in (1, 2, 3, 4)] == [2, 3, 4, 5]
    for low, high, exact in zip(rule(z - eps, 4), rule(z + eps, 4), found[1:], strict=False):
        np.testing.assert_allclose(exact, (high - low) / (2 * eps), atol=2e-9)


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_the_network_is_that_of_the_course(name: str) -> None:
    rng = np.random.default_rng(1)
    spec = Spec((2, 5, 4, 1), name)
    theta, X, y = rng.normal(0, 0.6, spec.parameters), rng.normal(size=(7, 2)), rng.normal(size=(7, 1))
    u, tape = network.forward(theta, spec, Jet(X))
    value, gradient = mlp_backprop.value_and_gradient(theta, spec, X, y)
    mine = network.backward(theta, spec, tape, Jet(2 * (u.value - y) / 7))
    np.testing.assert_allclose(np.mean((u.value - y) ** 2), value, rtol=1e-13)
    np.testing.assert_allclose(mine, gradient, atol=1e-13)
    operator = np.array([1.0, -2.0])
    theirs = jets.network(theta, spec, jets.coordinates(X, operator))
    ours, _ = network.forward(theta, spec, network.coordinates(X, 2), operator[:, None, None])
    for a, b in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(a, b, atol=1e-13)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradient_and_hessian_of_a_loss_of_all_derivatives(name: str) -> None:
    rng = np.random.default_rng(2)
    spec, operator = Spec((2, 4, 3, 1), name), np.array([1.0, -2.0])[:, None, None]
    theta, inputs = rng.normal(0, 0.7, spec.parameters), network.coordinates(rng.normal(size=(5, 2)), 2)
    a, b, c = rng.normal(size=(5, 1)), rng.normal(size=(2, 5, 1)), rng.normal(size=(5, 1))

    def loss(theta: Array) -> float:
        u, _ = network.forward(theta, spec, inputs, operator)
        return float((a * u.value**2).sum() + (b * u.gradient**3).sum() + (c * u.second**2).sum())

    def gradient(theta):
        u, tape = network.forward(theta, spec, inputs, operator)
        cotangent = Jet(2 * a * u.value, 3 * b * (u.gradient * u.gradient), 2 * c * u.second)
        return network.backward(theta, spec, tape, cotangent, operator)

    scale = np.abs(gradient(theta)).max()
    np.testing.assert_allclose(gradient(theta), slope(loss, theta), atol=1e-7 * scale)
    v = rng.normal(size=theta.size)
    product = gradient(Dual(theta, v)).tangent
    np.testing.assert_allclose(product, slope(gradient, theta).T @ v, atol=1e-6 * np.abs(product).max())


# --- the loss ---------------------------------------------------------------------------------------------

LOSSES = [
    {},
    {"criterion_name": "l1", "l2_weight": 0.01},
    {"criterion_name": "huber", "huber_delta": 0.2},
    {"pde": "poisson", "rhs": "-sin(x)", "bc": "dirichlet"},
    {"pde": "helmholtz", "helmholtz_k": 1.7, "bc": "neumann", "bc_values": "cos(x)", "pde_weight": 0.3},
    {"bc": "robin", "bc_values": "x", "robin_k": 0.6},
    {"bc": "periodic", "data_weight": 0.5},
    {"input_dim": 2, "pde": "poisson", "bc": "dirichlet", "bc_weight": 2.0},
    {"input_dim": 2, "pde": "helmholtz", "bc": "periodic", "collocation": "random", "n_collocation": 3},
    {"input_dim": 2, "pde": "heat", "diffusivity": 0.4, "bc": "dirichlet", "rhs": "x*t"},
]


@pytest.mark.parametrize("keys", LOSSES, ids=lambda k: "-".join(str(v) for v in k.values()) or "default")
def test_gradient_and_products_of_every_loss(keys: dict) -> None:
    run = trainer(hidden=4, **keys)
    theta = run.method.theta
    parts, gradient = run.objective.value_and_gradient(theta)
    assert parts["loss"] == pytest.approx(sum(v for k, v in parts.items() if k != "loss"), rel=1e-13)
    assert run.objective.parts(theta) == parts
    np.testing.assert_allclose(gradient, slope(lambda t: run.objective.parts(t)["loss"], theta), atol=2e-7)
    v = np.random.default_rng(3).normal(size=theta.size)
    product = run.objective.product(theta, v)
    np.testing.assert_allclose(product, hessian(run, theta) @ v, atol=1e-6 * (1 + np.abs(product).max()))


@pytest.mark.parametrize("pde", ["poisson", "helmholtz", "heat"])
@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "robin"])
@pytest.mark.parametrize("inputs", [1, 2])
def test_the_equation_and_its_boundary_are_those_of_the_course(pde: str, bc: str, inputs: int) -> None:
    if pde == "heat" and inputs == 1:
        return
    run = trainer(
        input_dim=inputs, pde=pde, bc=bc, data_weight=0.0, x_min=-1.0, x_max=2.0, rhs="x*x", bc_values="2*x",
        helmholtz_k=1.3, diffusivity=0.7, robin_k=0.4, pde_weight=3.0, bc_weight=5.0,
    )  # fmt: skip
    theta, spec = run.method.theta, run.spec
    parts = run.objective.parts(theta)
    n = 200 if inputs == 1 else 20
    X = pinn.collocation("uniform", n, [-1.0] * inputs, [2.0] * inputs)
    coefficient = {"helmholtz": 1.3, "heat": 0.7, "poisson": 1.0}[pde]
    operator = {"heat": [1.0, 0.0]}.get(pde, [1.0] * inputs)
    u = jets.network(theta, spec, jets.coordinates(X, operator))
    source = X[:, :1] ** 2
    if pde == "helmholtz":  # the course's has one input
        left = u.second + 1.3**2 * u.value - source
    else:
        left = pinn.residual(pde if pde == "heat" else f"poisson{inputs}d", u, source, coefficient)
    assert parts["residual"] == pytest.approx(3 * np.mean(left**2), rel=1e-12)

    squares = []
    for d in range(inputs if pde != "heat" else 1):
        along = np.linspace(-1, 2, objective.SIDE) if inputs == 2 else np.zeros(1)
        for end, sign in ((-1.0, -1.0), (2.0, 1.0)):
            P, normal = np.empty((len(along), inputs)), np.zeros((len(along), inputs))
            P[:, d], normal[:, d] = end, sign
            if inputs == 2:
                P[:, 1 - d] = along
            at = jets.network(theta, spec, jets.coordinates(P))
            squares.append((pinn.boundary(bc, at, normal, 0.4) - 2 * P[:, :1]) ** 2)
    sides = [np.mean(np.concatenate(squares[i : i + 2])) for i in range(0, len(squares), 2)]
    if pde == "heat":
        P = np.column_stack([np.linspace(-1, 2, objective.SIDE), np.full(objective.SIDE, -1.0)])
        begin = 2 * P[:, 0] if bc == "dirichlet" else np.sin(P[:, 0]) + 0.5 * np.cos(P[:, 1])
        sides.append(np.mean((mlp_backprop.forward(theta, spec, P)[0][:, 0] - begin) ** 2))
    assert parts["boundary"] == pytest.approx(5 * np.mean(sides), rel=1e-12)


def test_a_periodic_condition_compares_values_and_slopes_of_both_ends() -> None:
    run = trainer(bc="periodic", data_weight=0.0, pde="poisson", pde_weight=0.0)
    theta = run.method.theta
    y, dy, _ = jets.curve(theta, run.spec, np.array([-2 * pi, 2 * pi]))
    expected = ((y[0] - y[1]) ** 2 + (dy[0] - dy[1]) ** 2) / 2
    assert run.objective.parts(theta)["boundary"] == pytest.approx(expected, rel=1e-12)


def test_the_criteria_by_hand() -> None:
    r = np.array([[-3.0], [0.5], [1.0]])
    assert objective.criterion("mse", r, 1.0)[0] == pytest.approx((9 + 0.25 + 1) / 3)
    assert objective.criterion("l1", r, 1.0)[0] == pytest.approx(4.5 / 3)
    assert objective.criterion("huber", r, 1.0)[0] == pytest.approx((2.5 + 0.125 + 0.5) / 3)


# --- what is measured -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"activation": "relu"},
        {"input_dim": 2, "activation": "gelu"},
        {"pde": "poisson", "bc": "dirichlet", "lr": 1e-4},
        {"criterion_name": "huber", "l2_weight": 0.01},
    ],
    ids=str,
)
def test_both_eigenvalues_are_those_of_the_full_hessian(keys: dict, tmp_path: Path) -> None:
    run, h = history(tmp_path, sharpness_stride=20, **keys)
    last = run.method.theta
    exact = np.linalg.eigvalsh(
        np.stack(
            [run.objective.product(last, e) for e in np.eye(last.size)]
        )  # exact products: kinks are none
    )
    assert h.at("sharpness")[0].tolist() == [0, 20, 40]
    assert h.at("sharpness")[1][-1] == pytest.approx(exact[-1], rel=1e-6)
    assert h.at("sharpness_2")[1][-1] == pytest.approx(exact[-2], rel=1e-6)


def test_an_eigenvalue_that_is_there_twice_is_found_twice(tmp_path: Path) -> None:
    keys = {"activation": "relu", "criterion_name": "l1", "init": "orthogonal", "depth": 1, "hidden": 12,
            "n_samples": 40, "seed": 1, "lr": 0.05, "total_steps": 20}  # fmt: skip
    run, h = history(tmp_path, **keys)
    theta = run.method.theta
    exact = np.linalg.eigvalsh(np.stack([run.objective.product(theta, e) for e in np.eye(theta.size)]))
    found = [h.at(name)[1][-1] for name in ("sharpness", "sharpness_2")]
    np.testing.assert_allclose(found, exact[:-3:-1], rtol=1e-6)


def test_the_largest_eigenvalue_is_meant_not_the_largest_magnitude(tmp_path: Path) -> None:
    for seed in range(40):  # starts whose most negative eigenvalue is the larger one exist: with large gains
        run = trainer(seed=seed, gain=3.0, n_samples=6, noise_std=1.0, function_params={"frequency": 3.0})
        exact = np.linalg.eigvalsh(hessian(run, run.method.theta))
        if -exact[0] > 1.05 * exact[-1]:
            break
    else:
        pytest.fail("no start has a most negative eigenvalue that is the larger one")
    with Recorder(tmp_path, run.history, run.columns) as recorder:
        next(iter(run.train(recorder)))
    assert run.history.at("sharpness")[1][0] == pytest.approx(exact[-1], rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "adagrad"])
def test_the_scaled_hessian_is_that_of_the_optimizer(optimizer: str, tmp_path: Path) -> None:
    run, h = history(tmp_path, optimizer=optimizer, lr=0.003, sharpness_stride=20)
    P = run.method.scale()
    root = np.sqrt(P)
    exact = np.linalg.eigvalsh(hessian(run, run.method.theta) / np.outer(root, root))[-1]
    assert h.at("effective")[1][-1] == pytest.approx(exact, rel=1e-4)
    assert h.at("effective")[0].tolist() == [20, 40]  # before the first step there is no scale


def test_the_kernel_is_that_of_the_full_jacobian(tmp_path: Path) -> None:
    for name in ACTIVATIONS:
        run, h = history(tmp_path, activation=name, total_steps=20)
        J = parameter_jacobian(run.method.theta, run.spec, run.probes)[:, 0]
        exact = np.linalg.eigvalsh(J @ J.T)[::-1]
        found = [h.at(f"ntk_{i + 1}")[1][-1] for i in range(6)]
        np.testing.assert_allclose(found, exact[:6], rtol=1e-6, atol=1e-9 * exact[0])
    eps = 1e-6  # the Jacobian itself, by differences
    moved = slope(lambda t: network.output(t, run.spec, run.probes)[:, 0], run.method.theta, eps).T
    np.testing.assert_allclose(J, moved, atol=1e-7)


def test_layers_derivatives_errors_and_regions(tmp_path: Path) -> None:
    run, h = history(tmp_path, activation="relu", hidden=8)
    theta, x = run.method.theta, run.plot.axes[0]
    for i, W in enumerate(unflatten(theta, run.spec)[0]):
        assert h.at(f"spectral_{i + 1}")[1][-1] == pytest.approx(np.linalg.svd(W)[1][0], rel=1e-12)
    fine = np.linspace(x[0], x[-1], 200_001)
    kinks = np.abs(np.diff(network.output(theta, run.spec, fine[:, None])[:, 0], 2)) > 1e-7
    seen = int((kinks[1:] & ~kinks[:-1]).sum()) + 1  # a kink shows in one or two neighbouring differences
    assert h.at("regions")[1][-1] == pytest.approx(seen, abs=2)
    assert seen > 4
    run, h = history(tmp_path, noise_std=0.5)
    y = network.output(run.method.theta, run.spec, run.plot.X)[:, 0]
    np.testing.assert_allclose(h.output[-1], y, rtol=1e-6)
    inside = np.abs(run.plot.X[:, 0]) <= 2 * pi
    error = (y - np.sin(run.plot.X[:, 0])) ** 2
    assert h.at("clean")[1][-1] == pytest.approx(error[inside].mean(), rel=1e-12)
    assert h.at("ood")[1][-1] == pytest.approx(error[~inside].mean(), rel=1e-12)
    assert 0 < inside.sum() < inside.size
    step = 1e-4
    shifted = [network.output(run.method.theta, run.spec, run.plot.X + s)[:, 0] for s in (-step, 0, step)]
    np.testing.assert_allclose(h.slope[-1], (shifted[2] - shifted[0]) / (2 * step), atol=1e-5)
    np.testing.assert_allclose(h.curvature[-1], np.array([1, -2, 1]) @ shifted / step**2, atol=1e-5)


def test_the_projection_is_that_of_the_step_with_its_sign(tmp_path: Path) -> None:
    run, h = history(tmp_path, sharpness_stride=1, total_steps=5)
    run = trainer(sharpness_stride=1, total_steps=5)
    theta, before = run.method.theta, None
    for k in range(5):
        _, vectors = np.linalg.eigh(hessian(run, theta))
        v = vectors[:, -1] if before is None or vectors[:, -1] @ before > 0 else -vectors[:, -1]
        moved = -run.config.lr * run.objective.gradient(theta)
        found = h.columns["projection"][k]
        assert abs(found) == pytest.approx(abs(moved @ v), rel=1e-3, abs=1e-9)
        if k == 0:
            sign = np.sign(found * (moved @ v))
        assert np.sign(found) == np.sign(sign * (moved @ v))  # one orientation for the whole run
        assert h.columns["step_norm"][k] == pytest.approx(np.linalg.norm(moved), rel=1e-9)
        theta, before = theta + moved, v
    np.testing.assert_allclose(
        h.columns["projection_sum"][:5], np.cumsum(h.columns["projection"][:5]), rtol=1e-12
    )


# --- optimizers and their edges ---------------------------------------------------------------------------


def grows(config: Config, curvature: float) -> bool:
    """Whether a method that starts at 1 leaves on the quadratic curvature / 2 theta^2."""
    method = Method(config, np.ones(1))
    size = []
    for _ in range(400):
        method.step(curvature * method.theta, lambda theta: curvature * theta)
        size.append(abs(float(method.theta[0])))
    return max(size[-20:]) > max(size[180:200])


@pytest.mark.parametrize(
    "keys",
    [
        {"optimizer": "gd"},
        {"optimizer": "sgd"},
        {"optimizer": "sgd", "momentum": 0.5},
        {"optimizer": "heavy_ball", "momentum": 0.6},
        {"optimizer": "nesterov", "momentum": 0.5},
        {"optimizer": "nesterov"},
        {"optimizer": "rk4"},
    ],
    ids=str,
)
def test_a_method_is_stable_up_to_its_edge(keys: dict) -> None:
    config = Config(lr=0.1, **keys)
    edge = Method(config, np.ones(1)).edge
    assert not grows(config, 0.97 * edge)
    assert grows(config, 1.03 * edge)


@pytest.mark.parametrize("decay", [0.0, 0.5, 3.0])
def test_the_edge_of_adam_with_decay_is_where_its_recurrence_turns_unstable(decay: float) -> None:
    lr, b = 0.01, 0.9
    config = Config(optimizer="adamw", lr=lr, weight_decay=decay)
    edge = Method(config, np.ones(1)).edge

    def radius(a: float) -> float:
        into_m = np.array([(1 - b) * a, b])  # of (theta, m)
        step = np.array([[1 - lr * decay, 0.0], [0.0, 0.0]]) + np.outer([-lr, 1.0], into_m)
        return float(np.abs(np.linalg.eigvals(step)).max())

    assert radius(0.999 * edge) < 1 < radius(1.001 * edge)


def test_the_edges_in_figures() -> None:
    edge = lambda **keys: Method(Config(**keys), np.ones(1)).edge  # noqa: E731
    assert edge(lr=0.025) == pytest.approx(80)
    assert edge(lr=0.05, optimizer="nesterov", momentum=0.9) == pytest.approx(40 * 1.9 / 2.8)  # 27.1, not 40
    assert edge(lr=0.1, optimizer="heavy_ball", momentum=0.5) == pytest.approx(30)
    assert edge(lr=0.1, optimizer="adam") == pytest.approx(380)
    assert edge(lr=0.1, optimizer="rmsprop") == pytest.approx(20)
    assert edge(lr=0.1, optimizer="rk4") == pytest.approx(27.85, rel=1e-3)
    assert abs(stability_function("rk4", -0.1 * edge(lr=0.1, optimizer="rk4"))) == pytest.approx(1, rel=1e-6)
    assert np.isnan(edge(optimizer="lion"))


def test_descent_by_hand_is_the_courses_sgd(tmp_path: Path) -> None:
    _, a = history(tmp_path, optimizer="gd")
    _, b = history(tmp_path, optimizer="sgd")
    np.testing.assert_allclose(a.columns["loss"], b.columns["loss"], rtol=1e-12)


def test_a_solver_follows_the_flow(tmp_path: Path) -> None:
    ends = []
    for lr, optimizer in ((0.02, "rk4"), (0.01, "rk4"), (0.0005, "gd")):
        run, _ = history(
            tmp_path, optimizer=optimizer, lr=lr, total_steps=round(0.2 / lr), sharpness_stride=0
        )
        ends.append(run.method.theta)
    assert np.linalg.norm(ends[0] - ends[1]) < 1e-6
    assert np.linalg.norm(ends[2] - ends[1]) < 0.01 * np.linalg.norm(ends[1] - start(run.config, run.spec))


def test_a_start_is_drawn_within_one_over_the_root_of_the_inputs() -> None:
    spec = Spec((1, 64, 64, 1))
    theta = start(Config(seed=4, gain=0.5), spec)
    (A, B, C), biases = unflatten(theta, spec)
    for W, bias, width in zip((A, B, C), biases, (1, 64, 64), strict=True):
        bound = 0.5 / sqrt(width)
        assert max(np.abs(W).max(), np.abs(bias).max()) <= bound
    assert B.std() == pytest.approx(0.5 / 8 / sqrt(3), rel=0.05)
    assert np.array_equal(start(Config(seed=4, gain=0.5), spec), theta)
    assert not np.array_equal(start(Config(seed=5, gain=0.5), spec), theta)


# --- the phenomenon ---------------------------------------------------------------------------------------


def test_the_demo_settles_at_its_edge(tmp_path: Path) -> None:
    from experiments.neuroscope.presets import PRESETS

    run = Trainer(Config(**PRESETS["demo"][1]))  # type: ignore[arg-type]
    with Recorder(tmp_path, run.history, run.columns) as recorder:
        for _ in run.train(recorder):
            pass
    h = run.history
    steps, sharpness = h.at("sharpness")
    ratio = np.median(sharpness[steps > 2400]) / run.method.edge
    assert ratio == pytest.approx(1.0, abs=0.02)
    loss = h.columns["loss"]
    assert (np.diff(loss) > 0).sum() > 200  # it rises and rises
    assert loss[-1] < 0.01 * loss[0]  # and falls all the same
    sign = np.sign(h.columns["projection"][2400:-1])
    assert (sign[1:] != sign[:-1]).mean() > 0.9  # it swings along the sharpest direction


def test_the_default_reaches_its_edge(tmp_path: Path) -> None:
    run = Trainer(Config(total_steps=1000, ntk_stride=0, steps_per_frame=1000))
    with Recorder(tmp_path, run.history, run.columns) as recorder:
        for _ in run.train(recorder):
            pass
    assert run.history.at("sharpness")[1].max() > run.method.edge == 80
