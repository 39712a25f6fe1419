"""classical_ml.classification.logistic: the minimum of a convex loss, proved by its gradient."""

import math

import numpy as np
import pytest

from classical_ml.classification.logistic import (
    LogisticRegression,
    hessian,
    log_probabilities,
    minimum_is_far,
    newton,
    newton_step,
    objective,
)
from classical_ml.estimator import InvalidParameterError, NotFittedError
from curriculum.testing import expect
from curriculum.testing.calculus import numerical

SOLVERS = ["newton", "lbfgs"]
NO_PENALTY = np.zeros(2)
OVERLAP = np.array([[-2.0, 1.0], [-1.0, 1.0], [0.5, 1.0], [-0.5, 1.0], [1.0, 1.0], [2.0, 1.0]])  # x and a one
SIDES = np.array([0, 0, 0, 1, 1, 1])  # 0.5 and -0.5 are on the other's side


def problem(n, d, classes, seed=0):
    """Overlapping classes, each of which occurs."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = (X @ rng.standard_normal((d, classes)) + 2 * rng.gumbel(size=(n, classes))).argmax(axis=1)
    y[:classes] = np.arange(classes)
    return X, y


def by_definition(theta, A, y, alpha):
    """The objective, sample by sample."""
    total = 0.0
    for a, label in zip(A, y, strict=True):
        z = [float(a @ row) for row in theta]
        z = [0.0, *z] if len(z) == 1 else z
        total += math.log(sum(math.exp(value - z[label]) for value in z))
    return total / len(y) + 0.5 * sum(
        alpha[p] * theta[k, p] ** 2 for k in range(len(theta)) for p in range(len(alpha))
    )


def slope(model, X, y, C):
    """The gradient of the mean log loss plus |w|^2 / 2 C N, by weights and intercept; C None: no penalty."""
    classes = np.unique(y)
    z = X @ model.coef_.T + model.intercept_
    z = np.hstack([np.zeros_like(z), z]) if len(model.coef_) == 1 else z
    p = np.exp(z - z.max(axis=1, keepdims=True))
    residual = p / p.sum(axis=1, keepdims=True) - (np.asarray(y)[:, None] == classes)
    residual = residual[:, -len(model.coef_) :] / len(y)
    return residual.T @ X + (model.coef_ / (C * len(y)) if C else 0.0), residual.sum(axis=0)


def random_theta(rows, columns, seed=3):
    return np.random.default_rng(seed).standard_normal((rows, columns))


# The loss


def test_log_probabilities_of_two_classes_are_the_sigmoid_on_both_sides():
    got = log_probabilities(np.array([[0.0], [math.log(3)], [-math.log(3)]]))
    want = np.log([[1 / 2, 1 / 2], [1 / 4, 3 / 4], [3 / 4, 1 / 4]])
    expect.close(got, want, "log-probabilities at logits 0, log 3, -log 3")


def test_log_probabilities_of_more_classes_are_the_softmax():
    Z = np.log([[1.0, 2.0, 5.0], [3.0, 3.0, 2.0]])
    want = np.log([[1 / 8, 2 / 8, 5 / 8], [3 / 8, 3 / 8, 2 / 8]])
    expect.close(
        log_probabilities(Z), want, "log-probabilities at the logits log [1, 2, 5] and log [3, 3, 2]"
    )
    expect.close(log_probabilities(Z[:, :2])[0], np.log([1 / 3, 2 / 3]), "at two logits, log [1, 2]")


def test_log_probabilities_are_finite_however_long_the_logits():
    with expect.quiet("log_probabilities"):
        one = log_probabilities(np.array([[-1000.0], [1000.0]]))
        three = log_probabilities(np.array([[0.0, 1000.0, -1000.0]]))
    expect.close(one, np.array([[0.0, -1000.0], [-1000.0, 0.0]]), "log-probabilities at logits -1000, 1000")
    expect.close(three, np.array([[-1000.0, 0.0, -2000.0]]), "log-probabilities at [0, 1000, -1000]")
    tail = log_probabilities(np.array([[40.0]]))[0, 1]
    expect.close(tail, -math.exp(-40), "log sigmoid(40), which is not 0", rtol=1e-9)


@pytest.mark.parametrize(("rows", "classes"), [(1, 2), (2, 2), (3, 3), (4, 4)])
def test_the_objective_is_the_mean_log_loss_plus_the_penalty(rows, classes):
    A, y = problem(12, 3, classes)
    theta, alpha = random_theta(rows, 3), np.array([0.5, 2.0, 0.0])
    with expect.unchanged(theta, A, y, alpha):
        value, gradient = objective(theta, A, y, alpha)
    expect.close(
        float(value), by_definition(theta, A, y, alpha), f"objective with {rows} row(s)", sizes={"N": 12}
    )
    want = numerical(lambda t: by_definition(t[0], A, y, alpha), [theta.copy()], 0)
    expect.close(gradient, want, f"gradient with {rows} row(s)", rtol=1e-5, atol=1e-7, sizes={"N": 12})


@pytest.mark.parametrize(("rows", "classes"), [(1, 2), (2, 2), (3, 3)])
def test_the_hessian_is_the_derivative_of_the_gradient(rows, classes):
    A, y = problem(12, 3, classes)
    theta, alpha = random_theta(rows, 3), np.array([0.5, 2.0, 0.0])
    with expect.unchanged(theta, A, alpha):
        H = hessian(theta, A, alpha)
    want = np.empty((theta.size, theta.size))
    for i in range(theta.size):
        for j in range(theta.size):
            step = np.zeros((2, theta.size))
            step[0, i] = step[1, j] = 1e-3
            corners = [
                by_definition(theta + (s * step[0] + t * step[1]).reshape(theta.shape), A, y, alpha) * s * t
                for s in (1, -1)
                for t in (1, -1)
            ]
            want[i, j] = sum(corners) / 4e-6
    expect.close(H, want, f"Hessian with {rows} row(s)", rtol=1e-4, atol=1e-6, sizes={"N": 12})


def test_the_gradient_of_a_sample_that_is_all_but_certain():
    """At a logit of 40 the residual p - 1 is -4e-18: 1 is what p rounds to, and expm1(log p) what is left."""
    A, y, free = np.ones((1, 1)), np.array([1]), np.zeros(1)
    gradient = objective(np.array([[40.0]]), A, y, free)[1]
    expect.close(gradient, np.array([[-math.exp(-40.0)]]), "gradient at the logit 40", rtol=1e-9)


def test_no_probability_changes_when_all_rows_move_together():
    """So the unpenalised Hessian has a direction without curvature, and no negative one."""
    A, y = problem(12, 3, 3)
    theta, free = random_theta(3, 3), np.zeros(3)
    gradient = objective(theta, A, y, free)[1]
    moved, same = objective(theta + np.array([1.0, -2.0, 5.0]), A, y, free)
    expect.close(
        float(moved), by_definition(theta, A, y, free), "objective with the same vector added to all"
    )
    expect.close(same, gradient, "gradient there", atol=1e-12)
    expect.close(gradient.sum(axis=0), np.zeros(3), "sum of the gradient's rows", atol=1e-12)
    curvature = np.linalg.eigvalsh(hessian(theta, A, free))
    expect.close(curvature[:3], np.zeros(3), "three smallest eigenvalues of the Hessian", atol=1e-12)
    expect.true(
        bool(curvature[3] > 1e-4), f"the other eigenvalues should be positive, they are {curvature[3:]}"
    )


# Newton


def test_a_newton_step_solves_for_the_gradient():
    H, s = np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([2.0, -1.0])
    with expect.unchanged(H, s):
        got = newton_step(H, H @ s)
    expect.close(got, s, "solution s of [[4, 1], [1, 3]] s = [7, -1]", rtol=1e-9)


def test_a_newton_step_does_not_move_along_flat_directions():
    H = np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    with expect.quiet("newton_step"):
        got = newton_step(H, np.array([3.0, -3.0, 0.0]))
    expect.close(got, np.array([1.5, -1.5, 0.0]), "shortest s with s0 - s1 = 3", rtol=1e-9, atol=1e-9)


def test_a_newton_step_does_not_depend_on_units():
    H, s = np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([2.0, -1.0])
    units = np.array([1e-7, 1e6])
    got = newton_step(H * units * units[:, None], (H @ s) * units)
    expect.close(got * units, s, "step for features in units of 1e-7 and 1e6, in units of 1", rtol=1e-6)


def test_a_small_curvature_is_not_flat():
    """Two features that agree in ten digits: the curvature of their difference is 1e-10, and not 0."""
    H = np.array([[1.0, 1.0 - 1e-10], [1.0 - 1e-10, 1.0]])
    got = newton_step(H, np.array([H[0, 0] - H[0, 1], H[1, 0] - H[1, 1]]))
    expect.close(got, np.array([1.0, -1.0]), "solution s of H s = H [1, -1]", rtol=1e-4)


def test_newton_halves_where_the_value_falls_too_little():
    """For one sample of each class and only b, f = log(2 cosh(b/2)), and a full step goes to b - sinh b.

    At b = 2.177319 that is -b, no gain at all. A little before, the full step gains 0.4% of t g.s at 2.17,
    enough, and 0.005% at 2.1772, too little.
    """
    A, y = np.ones((2, 1)), np.array([0, 1])
    for b, t in ((1.0, 1.0), (2.17, 1.0), (2.1772, 0.5)):
        got, _, _ = newton(np.array([[b]]), A, y, np.zeros(1), tol=1e-9, max_iter=1)
        want = np.array([[b - t * math.sinh(b)]])
        expect.close(got, want, f"b after one step of t = {t} from {b}", rtol=1e-7)


def test_newton_converges_from_where_a_full_step_diverges():
    """At the weight 8 every p (1 - p) is next to 0: a full step leads to a weight of -150 or so, and on."""
    want, _, _ = newton(np.zeros((1, 2)), OVERLAP, SIDES, NO_PENALTY, tol=1e-12)
    expect.close(want[0, 1], 0.0, "b of data that mirrors itself", atol=1e-9)
    for w, b in ((8.0, 0.0), (-8.0, 3.0), (30.0, 0.0)):
        start = np.array([[w, b]])
        with expect.quiet("newton"), expect.unchanged(start):
            theta, n_iter, converged = newton(start, OVERLAP, SIDES, NO_PENALTY, tol=1e-10)
        expect.close(theta, want, f"minimum found from w = {w:g}, b = {b:g}", rtol=1e-6, atol=1e-8)
        expect.equal(bool(converged), True, "converged")
        expect.true(1 <= n_iter <= 30, f"it should take some 10 steps, yours took {n_iter}")


def test_newton_doubles_the_digits_with_each_step():
    A, y = problem(60, 4, 3)
    alpha = np.full(4, 0.01)
    size = []
    for steps in range(9):
        theta, n_iter, _ = newton(np.zeros((3, 4)), A, y, alpha, tol=0.0, max_iter=steps)
        expect.equal(min(int(n_iter), 4), min(steps, 4), f"steps taken of {steps}, up to 4")
        size.append(float(np.abs(objective(theta, A, y, alpha)[1]).max()))
    expect.true(size[8] < 1e-12, f"max |gradient| after 8 steps should be rounding, all are {size}")


def test_newton_ends_where_the_gradient_is_small():
    A, y = problem(60, 4, 2)
    alpha = np.full(4, 0.01)
    for tol in (10.0, 1e-2, 1e-5):
        theta, n_iter, converged = newton(np.zeros((1, 4)), A, y, alpha, tol=tol)
        left = float(np.abs(objective(theta, A, y, alpha)[1]).max())
        expect.true(left <= tol, f"max |gradient| should be at most {tol}, it is {left}")
        expect.equal(bool(converged), True, f"converged with tol {tol}")
        expect.equal(int(n_iter) == 0, tol == 10.0, f"no step was taken with tol {tol}")
    _, n_iter, converged = newton(np.zeros((1, 4)), A, y, alpha, tol=1e-12, max_iter=1)
    expect.equal((int(n_iter), bool(converged)), (1, False), "steps and converged with max_iter 1")
    largest = float(np.abs(objective(np.zeros((1, 4)), A, y, alpha)[1]).max())
    for share, steps in ((1.001, 0), (0.999, 1)):
        _, n_iter, _ = newton(np.zeros((1, 4)), A, y, alpha, tol=share * largest)
        what = f"steps where tol is {share} of the largest entry of the gradient at the start, up to 1"
        expect.equal(min(int(n_iter), 1), steps, what)


def test_two_softmax_rows_with_twice_the_penalty_are_one_sigmoid():
    A, y = problem(40, 3, 2)
    alpha = np.array([0.02, 0.3, 0.0])
    one, _, _ = newton(np.zeros((1, 3)), A, y, alpha, tol=1e-12)
    two, _, _ = newton(np.zeros((2, 3)), A, y, 2 * alpha, tol=1e-12)
    expect.close(two[1] - two[0], one[0], "difference of the rows of theta", rtol=1e-7)
    gradient = numerical(lambda t: by_definition(t[0], A, y, alpha), [one.copy()], 0)
    expect.close(gradient, np.zeros((1, 3)), "numerical gradient at the minimum", atol=1e-7)


def test_a_minimum_is_far_when_the_data_are_separated():
    free = np.zeros(2)
    apart = np.array([0, 0, 0, 1, 1, 1])
    A = np.c_[[-3.0, -2.0, -1.0, 1.0, 2.0, 3.0], np.ones(6)]
    for w in (0.1, 5.0, 1000.0):
        with expect.quiet("minimum_is_far"):
            far = minimum_is_far(np.array([[w, 0.0]]), A, apart)
        expect.equal(bool(far), True, f"far minimum of separated data at w = {w:g}")
    best, _, _ = newton(np.zeros((1, 2)), OVERLAP, SIDES, free, tol=1e-10)
    expect.equal(bool(minimum_is_far(best, OVERLAP, SIDES)), False, "far minimum of overlapping data")
    undecided = np.array([[1.0], [1.0], [-1.0], [-1.0]])
    at_zero = minimum_is_far(np.zeros((1, 1)), undecided, np.array([0, 1, 0, 1]))
    expect.equal(bool(at_zero), False, "far minimum where all probabilities are 1/2, and that is best")


@pytest.mark.parametrize("rows", [1, 2])
def test_a_minimum_is_far_if_a_step_changes_the_odds_by_more_than_half(rows):
    """One sample of each class and only b: from log odds of b the next Newton step changes them by sinh b."""
    A, y = np.ones((2, 1)), np.array([0, 1])
    for change, far in ((0.06, False), (0.45, False), (0.55, True), (0.85, True)):
        theta = np.array([[math.asinh(change)]] if rows == 1 else [[0.0], [math.asinh(change)]])
        what = f"far minimum where a step changes the log odds by {change}, {rows} row(s)"
        expect.equal(bool(minimum_is_far(theta, A, y)), far, what)
    tie = minimum_is_far(np.zeros((rows, 1)), np.array([[1.0], [-1.0]]), np.array([0, 0]))
    expect.equal(bool(tie), False, "far minimum where both classes are as probable at +1 and -1, labels 0, 0")


def test_a_minimum_is_far_when_one_class_is_cut_off():
    """x = 0 is always class 0, at x = 1 both occur: the logit at 0 falls for ever, that at 1 is log 2."""
    A, y = np.c_[[0.0, 0.0, 1.0, 1.0, 1.0], np.ones(5)], np.array([0, 0, 0, 1, 1])
    theta, _, small = newton(np.zeros((1, 2)), A, y, np.zeros(2), tol=1e-6)
    expect.equal(bool(small), True, "gradient below 1e-6")
    expect.close(theta.sum(), math.log(2), "logit at x = 1", rtol=1e-4)
    expect.equal(bool(minimum_is_far(theta, A, y)), True, "far minimum")


# The estimator


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("C", [0.01, 1.0, 30.0, None])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_gradient_vanishes_at_the_solution(solver, classes, C, fit_intercept):
    X, y = problem(50, 3, classes)
    X[:, 1] += 2.0
    settings = {"penalty": None} if C is None else {"C": C}
    model = LogisticRegression(
        solver=solver, fit_intercept=fit_intercept, tol=1e-8, max_iter=1000, **settings
    )
    model.fit(X, y)
    weights, intercept = slope(model, X, y, C)
    what = f"with C={C}, {solver}, {classes} classes"
    rows = 1 if classes == 2 else classes
    expect.close(weights, np.zeros((rows, 3)), f"gradient by the weights {what}", atol=1e-6)
    if fit_intercept:
        expect.close(intercept, np.zeros(rows), f"gradient by the intercept {what}", atol=1e-7)
    else:
        expect.equal(model.intercept_.tolist(), [0.0] * rows, f"intercept_ {what}")
    expect.equal(bool(model.converged_), True, f"converged_ {what}")
    expect.true(1 <= model.n_iter_ <= 1000, f"n_iter_ counts the steps, it is {model.n_iter_}")


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_indicator_gives_the_log_odds(solver):
    X = np.repeat([[0.0], [1.0]], [4, 6], axis=0)
    y = [0, 1, 0, 0, 0, 1, 1, 1, 1, 1]  # 1 of 4, then 5 of 6
    model = LogisticRegression(penalty=None, solver=solver, tol=1e-10).fit(X, y)
    low, high = math.log(1 / 3), math.log(5)
    expect.close(model.intercept_, np.array([low]), "intercept_ for 1 of 4 at x = 0", rtol=1e-6)
    expect.close(model.coef_, np.array([[high - low]]), "coef_ for 5 of 6 at x = 1", rtol=1e-6)
    expect.close(model.decision_function([[0.0], [1.0]]), np.array([low, high]), "logits at 0, 1", rtol=1e-6)
    want = np.array([[3 / 4, 1 / 4], [1 / 6, 5 / 6]])
    expect.close(model.predict_proba([[0.0], [1.0]]), want, "probabilities at 0 and 1", rtol=1e-6)
    expect.close(model.predict_log_proba([[0.0], [1.0]]), np.log(want), "their logs", rtol=1e-6)
    expect.equal(model.predict([[0.0], [1.0]]), np.array([0, 1]), "predicted classes at 0 and 1")
    expect.close(model.score(X, y), 0.8, "share of right predictions")


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_intercept_is_not_penalised(solver):
    X, _ = problem(8, 2, 2)
    for y, share in (([0] * 6 + [1] * 2, [6 / 8, 2 / 8]), ([0, 1, 1, 1, 2, 2, 2, 2], [1 / 8, 3 / 8, 4 / 8])):
        model = LogisticRegression(C=1e-10, solver=solver, tol=1e-10).fit(X, y)
        expect.close(model.predict_proba(X[:1])[0], np.array(share), "class shares, at C = 1e-10", rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_distance_to_the_optimum_is_bounded_by_the_gradient(solver):
    """The penalty curves the loss by alpha at least, in every direction: |w - w*| <= |gradient| / alpha."""
    X, y = problem(50, 4, 3)
    C = 0.5
    exact = LogisticRegression(C=C, fit_intercept=False, solver="newton", tol=1e-12).fit(X, y).coef_
    alpha = 1 / (C * 50)
    for tol in (1e-2, 1e-3, 1e-6):
        rough = LogisticRegression(C=C, fit_intercept=False, solver=solver, tol=tol).fit(X, y)
        gradient = np.linalg.norm(slope(rough, X, y, C)[0])
        distance = np.linalg.norm(rough.coef_ - exact)
        expect.true(
            bool(distance <= gradient / alpha + 1e-9),
            f"tol {tol}: the optimum should lie within {gradient / alpha:g}, it is {distance:g} away",
        )


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("classes", [2, 4])
def test_solvers_agree_and_rows_sum_to_zero(solver, classes):
    X, y = problem(80, 3, classes)
    for settings in ({"C": 2.0}, {"penalty": None}):
        got = LogisticRegression(solver=solver, tol=1e-10, max_iter=2000, **settings).fit(X, y)
        want = LogisticRegression(solver="newton", tol=1e-10, **settings).fit(X, y)
        expect.close(got.coef_, want.coef_, f"coef_ by {solver}, {settings}", rtol=1e-5, atol=1e-6)
        expect.close(got.intercept_, want.intercept_, f"intercept_ by {solver}", rtol=1e-5, atol=1e-6)
        if classes > 2:
            sums = np.r_[got.coef_.sum(axis=0), got.intercept_.sum()]
            expect.close(sums, np.zeros(4), f"sums over the classes, {settings}", atol=1e-6)
        weights = slope(got, X, y, settings.get("C"))[0]
        expect.close(weights, np.zeros_like(got.coef_), f"gradient, {settings}", atol=1e-8)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("classes", [2, 3])
def test_separated_data_without_penalty(solver, classes):
    """There is no minimum: it ends with finite weights and probabilities next to 1, and says so."""
    y = np.repeat(np.arange(classes), 5)
    X = np.c_[np.cos(y * 2.0), np.sin(y * 2.0)] * 3 + 0.1 * np.random.default_rng(0).standard_normal(
        (len(y), 2)
    )
    for tol in (1e-4, 1e-9):
        model = LogisticRegression(penalty=None, solver=solver, tol=tol, max_iter=200)
        with expect.quiet("a fit to separated data"):
            model.fit(X, y)
            p = model.predict_proba(X)[np.arange(len(y)), y]
        finite = bool(np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all())
        expect.true(finite, f"weights should be finite with tol {tol}, they are {model.coef_}")
        expect.true(bool(p.min() > 0.99), f"each sample's class should have p > 0.99, the least is {p.min()}")
        expect.equal(bool(model.converged_), False, f"converged_ without a minimum, tol {tol}")
    model = LogisticRegression(C=100.0, solver=solver, tol=1e-7, max_iter=1000).fit(X, y)
    expect.equal(bool(model.converged_), True, "converged_ with penalty")
    expect.close(slope(model, X, y, 100.0)[0], np.zeros_like(model.coef_), "gradient with penalty", atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_class_cut_off_from_two_that_overlap_is_no_convergence(solver):
    X = np.r_[OVERLAP[:, :1], [[50.0], [60.0]]]
    y = np.r_[SIDES, 2, 2]
    with expect.quiet("a fit to partly separated data"):
        model = LogisticRegression(penalty=None, solver=solver, max_iter=500).fit(X, y)
    expect.true(bool(np.isfinite(model.coef_).all()), f"coef_ should be finite, it is {model.coef_}")
    expect.equal(bool(model.converged_), False, "converged_ where class 2 lies apart")
    expect.equal(model.predict([[-2.0], [2.0], [60.0]]), np.array([0, 1, 2]), "classes at -2, 2, 60")


def test_classes_keep_their_names_and_their_order():
    X = np.array([[-2.0], [-1.0], [1.0], [2.0], [0.1], [-0.1]])
    names = np.array(["up", "up", "down", "down", "up", "down"])
    model = LogisticRegression(tol=1e-9).fit(X, names)
    expect.equal(model.classes_.tolist(), ["down", "up"], "classes_")
    expect.true(bool(model.coef_[0, 0] < 0), f"x grows towards classes_[0], so coef_ < 0, not {model.coef_}")
    expect.equal(model.predict([[-3.0], [3.0]]).tolist(), ["up", "down"], "classes at -3 and 3")
    expect.close(model.predict_proba([[0.0]]), np.array([[0.5, 0.5]]), "probabilities at 0", rtol=1e-6)
    X, y = problem(40, 2, 3)
    numbered = LogisticRegression(tol=1e-9).fit(X, y)
    named = LogisticRegression(tol=1e-9).fit(X, np.array([30, 10, 20])[y])
    expect.equal(named.classes_, np.array([10, 20, 30]), "classes_ of labels 30, 10, 20")
    expect.close(named.coef_, numbered.coef_[[1, 2, 0]], "rows of coef_, by class", rtol=1e-4, atol=1e-6)
    order = named.predict_proba(X).argmax(axis=1)
    expect.equal(named.predict(X), np.array([10, 20, 30])[order], "most probable classes")


def test_shapes():
    X, y = problem(20, 3, 4)
    model = LogisticRegression().fit(X, y)
    want = {"C": 1.0, "penalty": "l2", "fit_intercept": True, "solver": "lbfgs", "tol": 1e-4, "max_iter": 100}
    expect.equal(model.get_params(), want, "parameters after fit")
    expect.equal((model.coef_.shape, model.intercept_.shape), ((4, 3), (4,)), "shapes for 4 classes")
    expect.equal(model.decision_function(X[:5]).shape, (5, 4), "shape of the logits for 4 classes")
    two = LogisticRegression().fit(X, y > 1)
    expect.equal((two.coef_.shape, two.intercept_.shape), ((1, 3), (1,)), "shapes for 2 classes")
    expect.equal(two.decision_function(X[:5]).shape, (5,), "shape of the logits for 2 classes")
    expect.equal(two.predict(X).dtype.kind, "b", "kind of the predictions for labels True and False")
    for m in (model, two):
        p = m.predict_proba(X)
        expect.close(p.sum(axis=1), np.ones(20), "sums of the probabilities")
        expect.close(np.exp(m.predict_log_proba(X)), p, "exp of predict_log_proba")


def test_moving_the_features_moves_only_the_intercept():
    X, y = problem(60, 2, 3)
    shift = np.array([100.0, -30.0])
    for solver in SOLVERS:
        here = LogisticRegression(solver=solver, tol=1e-9, max_iter=1000).fit(X, y)
        there = LogisticRegression(solver=solver, tol=1e-9, max_iter=1000).fit(X + shift, y)
        expect.close(there.coef_, here.coef_, f"coef_ of moved features by {solver}", rtol=1e-3, atol=1e-4)
        want = here.intercept_ - here.coef_ @ shift
        expect.close(there.intercept_, want, f"intercept_ by {solver}", rtol=1e-3, atol=1e-2)
        expect.close(
            there.predict_proba(X[:3] + shift), here.predict_proba(X[:3]), "probabilities", rtol=1e-3
        )


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_large_mean_costs_no_steps(solver, classes):
    """At a mean of 1e4 the Hessian of uncentred features has a condition of 1e8, squared in its products."""
    X, y = problem(60, 2, classes)
    here = LogisticRegression(solver=solver, tol=1e-8).fit(X, y)
    there = LogisticRegression(solver=solver, tol=1e-8).fit(X + 1e4, y)
    expect.equal(bool(there.converged_), True, f"converged_ with 1e4 added to X, after {there.n_iter_} steps")
    expect.true(
        there.n_iter_ <= here.n_iter_ + 2,
        f"with 1e4 added to X {solver} should take as many steps as without, {here.n_iter_}, it took "
        f"{there.n_iter_}: subtract the mean first",
    )
    expect.close(there.coef_, here.coef_, "coef_ with 1e4 added to X", rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_tol_is_for_the_largest_entry_and_the_last_step_counts(solver):
    X, y = problem(60, 4, 2)
    centred = np.c_[X - X.mean(axis=0), np.ones(60)]
    largest = float(np.abs((0.5 - y) @ centred / 60).max())  # theta = 0: all probabilities are 1/2
    for share, steps in ((1.001, 0), (0.999, 1)):
        model = LogisticRegression(solver=solver, tol=share * largest).fit(X, y)
        what = f"n_iter_ where tol is {share} of the largest entry of the gradient at theta = 0, up to 1"
        expect.equal(min(int(model.n_iter_), 1), steps, what)
    needed = int(LogisticRegression(solver=solver, tol=1e-6).fit(X, y).n_iter_)
    for max_iter, converged in ((needed, True), (needed - 1, False)):
        model = LogisticRegression(solver=solver, tol=1e-6, max_iter=max_iter).fit(X, y)
        what = f"n_iter_ and converged_ with max_iter {max_iter}, where {needed} steps are needed"
        expect.equal((int(model.n_iter_), bool(model.converged_)), (max_iter, converged), what)


@pytest.mark.parametrize("solver", SOLVERS)
def test_float32_is_computed_in_float64(solver):
    X, y = problem(60, 3, 3)
    X = X.astype(np.float32)
    single = LogisticRegression(solver=solver, tol=1e-10).fit(X, y)
    double = LogisticRegression(solver=solver, tol=1e-10).fit(X.astype(np.float64), y)
    expect.equal(bool(single.converged_), True, "converged_ on float32 data with tol 1e-10")
    what = "of float32 data, against the same numbers in float64"
    expect.close(single.coef_, double.coef_, f"coef_ {what}", dtype=np.float32, rtol=2e-7)
    expect.close(single.intercept_, double.intercept_, f"intercept_ {what}", dtype=np.float32, rtol=2e-7)


@pytest.mark.parametrize("solver", SOLVERS)
def test_constant_and_repeated_features(solver):
    X, y = problem(40, 2, 2)
    alone = LogisticRegression(C=1.0, solver=solver, tol=1e-9, max_iter=1000).fit(X, y).coef_
    constant = LogisticRegression(solver=solver, tol=1e-9, max_iter=1000).fit(np.c_[X, np.full(40, 3.0)], y)
    expect.close(constant.coef_, np.c_[alone, [[0.0]]], "coef_ with a constant feature", rtol=1e-4, atol=1e-5)
    free = {"penalty": None, "solver": solver, "tol": 1e-9, "max_iter": 1000}
    once = LogisticRegression(**free).fit(X, y)
    for extra in (X[:, 1], np.full(40, 3.0)):
        with expect.quiet("a fit to dependent features"):
            twice = LogisticRegression(**free).fit(np.c_[X, extra], y)
        expect.equal(bool(twice.converged_), True, "converged_ with dependent features")
        expect.close(twice.predict_proba(np.c_[X, extra]), once.predict_proba(X), "probabilities", rtol=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
def test_repeated_rows_weigh_as_much_as_C(solver):
    X, y = problem(30, 2, 3)
    once = LogisticRegression(C=3.0, solver=solver, tol=1e-10, max_iter=500).fit(X, y)
    thrice = LogisticRegression(C=1.0, solver=solver, tol=1e-10, max_iter=500)
    thrice.fit(np.tile(X, (3, 1)), np.tile(y, 3))
    expect.close(thrice.coef_, once.coef_, "coef_ of each row three times at C / 3", rtol=1e-5, atol=1e-7)
    expect.true(bool(np.abs(once.coef_).max() > 0.1), f"coef_ should not be 0, it is {once.coef_}")


def test_newton_takes_fewer_steps():
    X, y = problem(60, 4, 3)
    settings = {"C": 10.0, "tol": 1e-8, "max_iter": 500}
    newtons, quasi = (LogisticRegression(solver=solver, **settings).fit(X, y) for solver in SOLVERS)
    expect.true(
        bool(0 < newtons.n_iter_ < quasi.n_iter_),
        f"newton should take fewer steps than lbfgs, it took {newtons.n_iter_} against {quasi.n_iter_}",
    )


def test_units_of_very_different_size():
    X, y = problem(60, 3, 2)
    plain = LogisticRegression(penalty=None, solver="newton", tol=1e-10).fit(X, y)
    scale = np.array([1e-4, 1.0, 1e5])
    with expect.quiet("newton on features of very different size"):
        scaled = LogisticRegression(penalty=None, solver="newton", tol=1e-5, max_iter=50).fit(X * scale, y)
    expect.close(scaled.coef_ * scale, plain.coef_, "coef_ in the units of the features", rtol=1e-2)


def test_no_step_gives_equal_probabilities():
    X, y = problem(10, 2, 3)
    for solver in SOLVERS:
        model = LogisticRegression(solver=solver, max_iter=0).fit(X, y)
        expect.close(model.predict_proba(X[:2]), np.full((2, 3), 1 / 3), "probabilities after no step")
        expect.equal((int(model.n_iter_), bool(model.converged_)), (0, False), "n_iter_ and converged_")


def test_one_sample_of_each_class():
    """By symmetry b = 0, and w solves w = 2 C sigmoid(-w): 2 at C = e^2 + 1."""
    C = math.exp(2.0) + 1.0
    model = LogisticRegression(C=C, tol=1e-10).fit([[-1.0], [1.0]], ["a", "b"])
    expect.close(model.coef_, np.array([[2.0]]), "coef_ for -1 and 1 at C = e^2 + 1", rtol=1e-6)
    expect.close(model.intercept_, np.array([0.0]), "intercept_", atol=1e-7)


def test_probabilities_far_away_are_finite():
    model = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    with expect.quiet("predict_log_proba"):
        logs, p = model.predict_log_proba([[1e6], [-1e6]]), model.predict_proba([[1e6], [-1e6]])
    w = float(model.coef_[0, 0])
    expect.close(logs, np.array([[-1e6 * w, 0.0], [0.0, -1e6 * w]]), "log-probabilities far away", rtol=1e-6)
    expect.close(p, np.array([[0.0, 1.0], [1.0, 0.0]]), "probabilities far away")


def test_dtype_and_lists():
    X, y = problem(30, 3, 3)
    for solver in SOLVERS:
        double = LogisticRegression(solver=solver, tol=1e-7).fit(X.tolist(), y.tolist())
        with expect.unchanged(X):
            single = LogisticRegression(solver=solver, tol=1e-7).fit(X.astype(np.float32), y)
        expect.close(single.coef_, double.coef_, "coef_", dtype=np.float32, rtol=1e-3, atol=1e-4)
        expect.close(
            single.intercept_, double.intercept_, "intercept_", dtype=np.float32, rtol=1e-3, atol=1e-4
        )
        proba = single.predict_proba(X[:4].astype(np.float32))
        expect.close(proba, double.predict_proba(X[:4]), "probabilities", dtype=np.float32, rtol=1e-3)


def test_what_cannot_be_used_is_refused():
    X, y = problem(10, 2, 2)
    for settings, named in (
        ({"C": 0.0}, ("C", "0.0")),
        ({"C": -1}, ("C", "-1")),
        ({"penalty": "l1"}, ("penalty", "l1", "l2", "None")),
        ({"solver": "sag"}, ("solver", "sag", "newton", "lbfgs")),
        ({"fit_intercept": 1}, ("fit_intercept", "1")),
        ({"tol": -0.5}, ("tol", "-0.5")),
        ({"max_iter": -1}, ("max_iter", "-1")),
        ({"max_iter": 1.5}, ("max_iter", "1.5")),
    ):
        with expect.raises(InvalidParameterError, "LogisticRegression", *named):
            LogisticRegression(**settings).fit(X, y)
    with expect.raises(ValueError, "2", "1", "LogisticRegression"):
        LogisticRegression().fit(X, np.ones(10, int))
    with expect.raises(ValueError, "nan"):
        LogisticRegression().fit([[1.0], [float("nan")]], [0, 1])
    with expect.raises(ValueError, "10", "9"):
        LogisticRegression().fit(X, y[:9])
    model = LogisticRegression()
    for method in (model.predict_proba, model.predict_log_proba, model.decision_function):
        with expect.raises(NotFittedError, "LogisticRegression"):
            method(X)
    with expect.raises(ValueError, "3", "2", "LogisticRegression"):
        model.fit(X, y).predict(np.ones((1, 3)))
