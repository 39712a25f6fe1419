"""Population codes: tuning number by number, information and estimates where algebra knows the answer."""

import cmath
import math

import numpy as np

from curriculum.testing import expect, statistics
from dynamics.neural.population_code import (
    Population,
    center_of_mass,
    circular_difference,
    decode_linear,
    differential_correlations,
    fisher_information,
    gaussian_response,
    linear_information,
    linear_weights,
    local_weights,
    log_likelihood,
    maximum_posterior,
    poisson_response,
    population_vector,
    rates,
    slopes,
)

TURN = 2 * math.pi
LINE = np.array([-1.5, -0.2, 0.4, 2.0])
POPULATIONS = [
    Population(LINE, "gaussian", 7.0, 0.8, 0.5),
    Population(LINE, "von_mises", 5.0, 0.6, 0.25),
    Population(LINE, "cosine", 4.0, 0.5, 1.5),
    Population([0.3], "gaussian", 2.0, 1.7),
]


def ring(units, kind="von_mises", **settings):
    return Population(TURN * np.arange(units) / units, kind, **settings)


def rate(population, k, s):
    """f_k at a number, which may be complex."""
    x = s - population.preferred[k]
    if population.kind == "gaussian":
        bump = cmath.exp(-x * x / (2 * population.width**2))
    elif population.kind == "von_mises":
        bump = cmath.exp((cmath.cos(x) - 1) / population.width**2)
    else:
        bump = (1 + cmath.cos(x)) / 2
    return population.baseline + population.peak * bump


def table(population, stimuli):
    """Rates and slopes (by complex steps), number by number."""
    units = range(population.preferred.size)
    f = np.array([[rate(population, k, float(s)).real for k in units] for s in stimuli])
    steps = np.array([[rate(population, k, complex(s, 1e-30)).imag / 1e-30 for k in units] for s in stimuli])
    return f, steps


def likelihood(population, counts, s):
    """log p(counts | s) without the factorials, unit by unit."""
    f = [rate(population, k, float(s)).real for k in range(len(counts))]
    return sum((n * math.log(v) if n else 0.0) - v for n, v in zip(counts, f, strict=True))


def covariance(units, seed=0):
    A = np.random.default_rng(seed).normal(size=(units, 2 * units))
    return A @ A.T / units


# Tuning and responses


def test_rates_number_by_number():
    stimuli = np.array([-2.0, 0.0, 0.7, 3.5])
    for p in POPULATIONS:
        want, _ = table(p, stimuli)
        expect.close(rates(p, stimuli), want, f"{p.kind} rates")
        expect.close(rates(p, 0.7), want[2], f"{p.kind} rates at one stimulus")
        expect.close(
            rates(p, stimuli.reshape(2, 2)), want.reshape(2, 2, -1), f"{p.kind} rates, 2 x 2 stimuli"
        )


def test_slopes_are_the_derivatives_of_the_rates():
    stimuli = np.array([-2.0, 0.1, 0.7, 3.5])
    for p in POPULATIONS:
        _, want = table(p, stimuli)
        expect.close(slopes(p, stimuli), want, f"{p.kind} slopes", rtol=1e-11)
        expect.close(slopes(p, -2), want[0], f"{p.kind} slopes at one stimulus", rtol=1e-11)


def test_circular_kinds_repeat_after_a_turn():
    for p in POPULATIONS[1:3]:
        want = rates(p, [1.0, -0.5])
        expect.close(rates(p, [1 + TURN, -0.5 - TURN]), want, f"{p.kind} rates a turn later", rtol=1e-11)
        expect.close(want, table(p, [1.0, -0.5])[0], f"{p.kind} rates")


def test_poisson_counts_have_their_rates_as_mean_and_variance():
    expected = np.array([[0.0, 0.5], [3.0, 40.0]])
    with expect.unchanged(expected):
        counts = poisson_response(expected, 4000, rng=np.random.default_rng(0))
    expect.equal(counts.shape, (4000, 2, 2), "shape of 4000 trials of 2 x 2 rates")
    expect.true(counts.dtype.kind in "iu", f"counts should be integers, got {counts.dtype}")
    expect.equal(int(counts[:, 0, 0].sum()), 0, "spikes at a rate of 0")
    for at in ((0, 1), (1, 0), (1, 1)):
        f = expected[at]
        statistics.mean_is(counts[(slice(None), *at)], f, math.sqrt(f), f"counts at rate {f}")
        statistics.variance_is(counts[(slice(None), *at)], f, f"counts at rate {f}", kurtosis=3 + 1 / f)
    products = (counts[:, 1, 0] - 3.0) * (counts[:, 1, 1] - 40.0)
    statistics.mean_is(products, 0.0, math.sqrt(120), "the product of two units' deviations")
    products = (counts[1:, 1, 1] - 40.0) * (counts[:-1, 1, 1] - 40.0)
    statistics.mean_is(products, 0.0, 40.0, "the product of the deviations of successive trials")


def test_normal_responses_have_the_mean_and_the_covariance():
    Sigma, f = covariance(3), np.array([1.0, 20.0, -3.0])
    with expect.unchanged(Sigma, f):
        r = gaussian_response(f, Sigma, 6000, rng=np.random.default_rng(1))
    expect.equal(r.shape, (6000, 3), "shape of 6000 trials of 3 units")
    directions = np.vstack([np.eye(3), [[1, 1, 0], [1, -1, 0], [0, 1, 1], [1, 2, -3]]])
    for a in directions:
        variance = float(a @ Sigma @ a)
        statistics.mean_is(r @ a, float(f @ a), math.sqrt(variance), f"responses along {a}")
        statistics.variance_is(r @ a, variance, f"responses along {a}")


# Information


def test_information_of_counts_unit_by_unit():
    stimuli = np.array([-1.0, 0.3, 2.2])
    for p in POPULATIONS:
        f, steps = table(p, stimuli)
        want = np.array(
            [sum(d * d / v for d, v in zip(a, b, strict=True)) for a, b in zip(steps, f, strict=True)]
        )
        expect.close(fisher_information(p, stimuli), want, f"{p.kind} information", rtol=1e-11)
        expect.close(fisher_information(p, 0.3), float(want[1]), f"{p.kind} information at 0.3", rtol=1e-11)


def test_silent_units_add_nothing():
    with expect.quiet("the information of a population with a silent unit"):
        got = fisher_information(Population([0.0, 90.0]), 0.5)
        cosine = fisher_information(Population([-math.pi], "cosine"), [0.0, 1.0])
    f, steps = table(Population([0.0]), [0.5])
    expect.close(got, float(steps[0, 0] ** 2 / f[0, 0]), "information where a unit is silent", rtol=1e-10)
    want = np.array([0.0, 5.0 * (1 + math.cos(1.0))])
    expect.close(cosine, want, "information of a cosine unit where its rate is 0, and elsewhere", rtol=1e-10)
    faint = 64 * 10 * math.exp(-32)
    got = fisher_information(Population([0.0]), 8.0)
    expect.close(got, faint, "information of a unit with a rate of 1e-13", rtol=1e-10, atol=0)


def test_dense_gaussian_populations_have_the_information_of_an_integral():
    for spacing, peak, width in ((0.1, 10.0, 1.0), (0.25, 3.0, 0.5), (0.5, 20.0, 2.0)):
        p = Population(np.arange(-30, 30 + spacing / 2, spacing), "gaussian", peak, width)
        want = math.sqrt(TURN) * peak / (spacing * width)
        for s in (0.0, 0.13):
            expect.close(
                fisher_information(p, s), want, "information sqrt(2 pi) density peak / width", rtol=1e-6
            )


def test_rings_have_their_information_in_closed_form():
    p = ring(24, "cosine", peak=6.0)
    expect.close(fisher_information(p, 0.1), 24 * 6.0 / 2, "cosine ring: units times peak / 2", rtol=1e-9)
    p, kappa = ring(40, peak=5.0, width=0.7), 1 / 0.49
    bessel = sum((kappa / 2) ** (2 * j + 1) / (math.factorial(j) * math.factorial(j + 1)) for j in range(40))
    want = 40 * 5.0 * kappa * math.exp(-kappa) * bessel
    expect.close(
        fisher_information(p, 2.0), want, "von Mises ring: K peak kappa e^-kappa I1(kappa)", rtol=1e-9
    )


def test_linear_information_solves_the_covariance():
    Sigma, slope = covariance(4, 1), np.array([1.0, -2.0, 0.5, 3.0])
    with expect.unchanged(Sigma, slope):
        got = linear_information(slope, Sigma)
    expect.close(got, float(slope @ np.linalg.inv(Sigma) @ slope), "f'^T Sigma^-1 f'", rtol=1e-9)
    expect.close(linear_information([3.0, 4.0], [[9.0, 0], [0, 4]]), 5.0, "independent units: 9 / 9 + 16 / 4")
    expect.close(linear_information([1, 1], [[2, 1], [1, 2]]), 2 / 3, "two units with shared noise")
    expect.close(linear_information([1, -1], [[2, 1], [1, 2]]), 2.0, "slopes across the shared noise")


def test_noise_along_the_slope_limits_the_information():
    for units in (5, 50):
        slope = np.random.default_rng(2).normal(size=units)
        Sigma = covariance(units, 3)
        before = float(slope @ np.linalg.inv(Sigma) @ slope)
        for strength in (0.0, 0.01, 2.0):
            with expect.unchanged(Sigma, slope):
                noisy = differential_correlations(Sigma, slope, strength)
            want = np.array(
                [[Sigma[i, j] + strength * slope[i] * slope[j] for j in range(units)] for i in range(units)]
            )
            expect.close(noisy, want, "Sigma + strength f' f'^T")
            got = linear_information(slope, noisy)
            expect.close(
                got, before / (1 + strength * before), f"information, strength {strength}", rtol=1e-7
            )
            if strength:
                expect.true(
                    got < 1 / strength, f"information {got} should be below 1 / strength = {1 / strength}"
                )


def test_local_weights_have_no_bias_and_reach_the_bound():
    Sigma, slope = covariance(5, 4), np.array([1.0, -2.0, 0.5, 3.0, 0.0])
    with expect.unchanged(Sigma, slope):
        w = local_weights(slope, Sigma)
    want = np.linalg.inv(Sigma) @ slope
    expect.close(w, want / (want @ slope), "Sigma^-1 f' / information", rtol=1e-9)
    expect.close(float(w @ slope), 1.0, "w . f'", rtol=1e-9)
    bound = 1 / linear_information(slope, Sigma)
    expect.close(float(w @ Sigma @ w), bound, "variance of the estimate: 1 / information", rtol=1e-9)
    expect.close(local_weights([2.0, 0.0], np.eye(2)), np.array([0.5, 0.0]), "weights of one useful unit")


# Decoding


def test_log_likelihood_unit_by_unit():
    rng = np.random.default_rng(5)
    stimuli = np.array([-1.0, 0.2, 0.9])
    for p in POPULATIONS:
        counts = rng.poisson(3.0, size=(4, p.preferred.size))
        counts[0] = 0
        want = np.array([[likelihood(p, n, s) for s in stimuli] for n in counts])
        with expect.unchanged(counts):
            got = log_likelihood(p, counts[:, None], stimuli)
        expect.close(got, want, f"{p.kind} log-likelihood of 4 counts at 3 stimuli", rtol=1e-10)
        expect.close(
            log_likelihood(p, counts[1], 0.2), float(want[1, 1]), f"{p.kind}, one number", rtol=1e-10
        )
        expect.close(log_likelihood(p, counts[:3], stimuli), np.diag(want), f"{p.kind}, in pairs", rtol=1e-10)


def test_log_likelihood_survives_rates_that_underflow():
    p = Population([0.0, 100.0], "gaussian", 10.0, 0.5)
    with expect.quiet("the log-likelihood of distant stimuli"):
        got = log_likelihood(p, [0, 3], [0.0, 100.0])
        narrow = log_likelihood(ring(2, peak=10.0, width=0.02), [2, 0], math.pi)
        silent = log_likelihood(Population([0.0], "cosine"), [[0], [3]], [math.pi, math.pi])
    expect.close(
        got, np.array([3 * (math.log(10) - 20000) - 10, 3 * math.log(10) - 10]), "log-likelihood far away"
    )
    expect.close(narrow, 2 * (math.log(10) - 5000) - 10, "log-likelihood on the other side of the ring")
    expect.close(silent[0], 0.0, "log-likelihood of no spike from a silent unit", atol=1e-12)
    expect.true(
        silent[1] <= -1e30,
        f"spikes of a silent unit: expected a log-likelihood of -1e30 or less, got {silent[1]}",
    )


def climb(score, low, high):
    """The maximum of a function with one peak between low and high, by thirds."""
    for _ in range(200):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (a, high) if score(a) < score(b) else (low, b)
    return (low + high) / 2


def test_maximum_likelihood_is_the_maximum():
    grid = np.linspace(-2.5, 3.0, 56)
    fine = np.linspace(-2.5, 3.0, 400)
    p = POPULATIONS[0]
    counts = poisson_response(table(p, [-1.0, 0.0, 0.8, 1.7])[0], 2, rng=np.random.default_rng(6)).reshape(
        8, 4
    )
    with expect.unchanged(counts, grid):
        got = maximum_posterior(p, counts, grid)
    for i, n in enumerate(counts):
        start = fine[np.argmax([likelihood(p, n, s) for s in fine])]
        want = climb(lambda s, n=n: likelihood(p, n, s), max(start - 0.02, -2.5), min(start + 0.02, 3.0))
        expect.close(got[i], float(want), f"most likely stimulus for counts {n}", rtol=0, atol=1e-6)
    expect.close(maximum_posterior(p, counts[3], grid), float(got[3]), "one vector of counts", atol=1e-7)
    got = maximum_posterior(p, counts.reshape(2, 4, 4), grid)
    expect.equal(got.shape, (2, 4), "shape of estimates for 2 x 4 counts")


def test_maximum_likelihood_of_dense_gaussian_tuning_is_the_centre_of_mass():
    p = Population(np.arange(-8.0, 8.1, 0.25), "gaussian", 2.0, 1.0)
    counts = poisson_response(rates(p, [-0.7, 0.0, 1.3]), 5, rng=np.random.default_rng(7))
    want = counts @ np.arange(-8.0, 8.1, 0.25) / counts.sum(-1)
    expect.close(center_of_mass(p, counts), want, "centre of mass")
    got = maximum_posterior(p, counts, np.linspace(-4, 4, 41))
    expect.close(got, want, "maximum likelihood against the centre of mass", rtol=0, atol=1e-6)


def test_a_gaussian_prior_pulls_as_so_many_spikes():
    p = Population(np.arange(-8.0, 8.1, 0.25), "gaussian", 0.5, 1.0)
    counts = poisson_response(rates(p, [0.0, 1.3]), 4, rng=np.random.default_rng(8))
    counts[0, 0] = 0
    mean, variance = -0.6, 0.3
    got = maximum_posterior(p, counts, np.linspace(-4, 4, 41), lambda s: -((s - mean) ** 2) / (2 * variance))
    spikes = counts.sum(-1)
    want = (counts @ np.arange(-8.0, 8.1, 0.25) + mean / variance) / (spikes + 1 / variance)
    expect.close(got, want, "posterior maximum: spikes and prior weighted by precision", rtol=0, atol=1e-6)


def test_maximum_likelihood_of_a_von_mises_ring_is_the_population_vector():
    p = ring(20, peak=6.0, width=0.6)
    stimuli = np.array([0.0, 0.01, 2.0, TURN - 0.02])
    counts = poisson_response(rates(p, stimuli), 5, rng=np.random.default_rng(9))
    arrows = sum(counts[..., k] * cmath.exp(1j * p.preferred[k]) for k in range(20))
    want = np.mod(np.angle(arrows), TURN)
    got = population_vector(p, counts)
    expect.close(got, want, "population vector", rtol=1e-10)
    for shift in (0.0, 0.5, 1.0):
        best = maximum_posterior(p, counts, TURN * (np.arange(50) + shift) / 50)
        expect.true(
            bool(np.all((best >= 0) & (best <= TURN))), f"estimates should be in [0, 2 pi], got {best}"
        )
        off = np.abs(np.mod(best - want + math.pi, TURN) - math.pi).max()
        expect.true(off < 1e-6, f"maximum likelihood is {off:.3g} from the population vector")


def test_on_a_line_the_estimate_stays_in_the_grid():
    p = Population(np.arange(-8.0, 8.1, 0.25), "gaussian", 5.0, 1.0)
    counts = poisson_response(rates(p, [3.0, -3.0, 0.5]), 1, rng=np.random.default_rng(10))[0]
    got = maximum_posterior(p, counts, np.linspace(-1.5, 1.5, 16))
    expect.close(got[:2], np.array([1.5, -1.5]), "estimates of stimuli beyond the grid", atol=1e-6)
    want = float(counts[2] @ p.preferred / counts[2].sum())
    expect.close(got[2], want, "estimate inside", rtol=0, atol=1e-6)
    coarse = maximum_posterior(p, counts[2], [want - 0.3, want + 0.5])
    expect.close(coarse, want, "estimate from a grid of two points", rtol=0, atol=1e-6)


def test_without_spikes_there_is_no_mean():
    line, circle = Population([1.0, 2.0, 4.0]), ring(4)
    with expect.quiet("decoding without spikes"):
        got = center_of_mass(line, [[0, 0, 0], [1, 0, 1], [0, 1, 0]])
        turned = population_vector(circle, [[0, 0, 0, 0], [0, 1, 0, 0], [2, 0, 0, 2]])
    expect.close(got, np.array([math.nan, 2.5, 2.0]), "centre of mass of no spikes, of two, of one unit")
    want = np.array([math.nan, math.pi / 2, 7 * math.pi / 4])
    expect.close(turned, want, "population vector of no spikes, of one unit, of two")
    opposed = population_vector(circle, [1, 0, 1, 0])
    expect.true(
        0 <= opposed <= TURN, f"arrows that cancel: expected some angle, for there are spikes, got {opposed}"
    )


def test_centre_of_mass_reaches_the_bound_where_it_is_maximum_likelihood():
    p = Population(np.arange(-8.0, 8.1, 0.25), "gaussian", 5.0, 1.0)
    counts = poisson_response(rates(p, 0.4), 4000, rng=np.random.default_rng(11))
    estimates, information = center_of_mass(p, counts), float(fisher_information(p, 0.4))
    mean_spikes = math.sqrt(TURN) * 20
    statistics.mean_is(estimates, 0.4, 1 / math.sqrt(information), "the estimates")
    statistics.variance_is(estimates * math.sqrt(information), 1 + 1 / mean_spikes, "estimates times sqrt(I)")


def squared_error(population, stimuli, weights):
    """Of a linear readout of Poisson counts, expected: bias squared, and the noise that it passes on."""
    f, _ = table(population, stimuli)
    v = np.array([[math.cos(s), math.sin(s)] if population.kind != "gaussian" else [s] for s in stimuli])
    total = 0.0
    for row, target in zip(f, v, strict=True):
        for d in range(v.shape[1]):
            mean = sum(w * r for w, r in zip(weights[:-1, d], row, strict=True)) + weights[-1, d]
            total += (mean - target[d]) ** 2 + sum(
                w * w * r for w, r in zip(weights[:-1, d], row, strict=True)
            )
    return total / len(stimuli)


def test_no_other_linear_readout_has_a_smaller_error():
    rng = np.random.default_rng(12)
    stimuli = np.linspace(-1.0, 2.0, 15)
    for p in POPULATIONS[:3]:
        with expect.unchanged(stimuli):
            w = linear_weights(p, stimuli)
        expect.equal(w.shape, (5, 1 if p.kind == "gaussian" else 2), f"shape of the {p.kind} weights")
        least = squared_error(p, stimuli, w)
        for _ in range(6):
            step = rng.normal(size=w.shape)
            for size in (1e-3, -1e-3, 0.1):
                other = squared_error(p, stimuli, w + size * step)
                expect.true(other > least, f"{p.kind}: weights with the error {other} beat yours, {least}")


def test_two_units_by_hand():
    p = Population([0.0, 1e3], "gaussian", 2.0, 1.0)
    got = linear_weights(p, [0.0, 1.0])
    a, b = 2.0, 2.0 * math.exp(-0.5)
    # one unit that responds: normal equations of (n, 1) for the target s; the other never does
    second = np.array([[(a * a + b * b + a + b) / 2, (a + b) / 2], [(a + b) / 2, 1.0]])
    slope, constant = np.linalg.solve(second, [b / 2, 0.5])
    want = np.array([[slope], [0.0], [constant]])
    expect.close(got, want, "weights of a unit that responds, one that does not, and the constant", rtol=1e-9)


def test_linear_readouts_of_lines_and_circles():
    line, circle = Population([0.0, 1.0]), ring(2)
    got = decode_linear(line, [[1, 2], [0, 4]], [[0.5], [0.25], [-1.0]])
    expect.close(got, np.zeros(2), "n . w + constant", atol=1e-12)
    expect.close(decode_linear(line, [3, 1], [[0.5], [0.25], [-1.0]]), 0.75, "n . w + constant, one vector")
    weights = np.array([[1.0, 0.0], [0.0, -2.0], [1.0, 0.0]])
    got = decode_linear(circle, [[0, 0], [0, 1], [1, 1]], weights)
    want = np.array([0.0, TURN - math.atan2(2, 1), TURN - math.pi / 4])
    expect.close(got, want, "direction of n . w + constant")


def test_the_best_linear_readout_of_an_even_ring_is_the_population_vector():
    p = ring(16, peak=8.0, width=0.7)
    w = linear_weights(p, TURN * np.arange(64) / 64)
    counts = poisson_response(rates(p, [0.5, 3.0]), 4, rng=np.random.default_rng(13))
    off = np.abs(circular_difference(decode_linear(p, counts, w), population_vector(p, counts))).max()
    expect.true(off < 1e-8, f"the two are {off:.3g} apart, expected the same direction")
    expect.close(w[-1], np.zeros(2), "the constant, by symmetry", atol=1e-9)


def test_differences_on_the_circle_take_the_short_way():
    got = circular_difference([0.1, TURN - 0.1, 3.0, 7.0, 0.0], [TURN - 0.1, 0.1, 1.0, 0.0, 2.5])
    want = np.array([0.2, -0.2, 2.0, 7.0 - TURN, -2.5])
    expect.close(got, want, "differences of angles", rtol=1e-10)
    expect.close(circular_difference(5 * TURN + 0.25, 0.0), 0.25, "five turns and a quarter", rtol=1e-10)


# Errors


def test_populations_are_checked_when_they_are_made():
    settings = {"peak": 2.0, "baseline": 0.25}
    got = rates(Population([0, 2], **settings), [0.0, 2.0])
    side = 0.25 + 2 * math.exp(-2)
    expect.close(got, np.array([[2.25, side], [side, 2.25]]), "rates of two units of the default width, 1")
    for preferred, shape in (([], "(0,)"), (0.5, "()"), ([[1.0, 2.0]], "(1, 2)")):
        with expect.raises(ValueError, shape):
            rates(Population(preferred), 0.0)
    for wrong, value in (
        ({"kind": "square"}, "square"),
        ({"peak": 0.0}, "0"),
        ({"width": -0.5}, "-0.5"),
        ({"baseline": -1.5}, "-1.5"),
    ):
        with expect.raises(ValueError, value):
            rates(Population([0.0], **wrong), 0.0)


def test_responses_refuse_what_is_no_rate_and_no_covariance():
    rng = np.random.default_rng(0)
    for wrong in (-0.5, math.nan):
        with expect.raises(ValueError, f"{wrong}"):
            poisson_response([1.0, wrong], 3, rng=rng)
    with expect.raises(ValueError, "0"):
        poisson_response([1.0, 2.0], 0, rng=rng)
    with expect.raises(ValueError, "0"):
        gaussian_response([1.0, 2.0], np.eye(2), 0, rng=rng)
    with expect.raises(ValueError, "(3, 3)", "(2,)"):
        gaussian_response([1.0, 2.0], np.eye(3), 5, rng=rng)


def test_covariances_must_fit_and_be_covariances():
    good = np.array([[2.0, 1.0], [1.0, 2.0]])
    rules = {
        "linear_information": lambda Sigma, slope: linear_information(slope, Sigma),
        "local_weights": lambda Sigma, slope: local_weights(slope, Sigma),
        "gaussian_response": lambda Sigma, f: gaussian_response(f, Sigma, 2, rng=np.random.default_rng(0)),
    }
    for rule in rules.values():
        rule(good, [1.0, 1.0])
        with expect.raises(ValueError, "(2, 2)", "(3,)"):
            rule(good, [1.0, 1.0, 1.0])
        with expect.raises(ValueError, "(2, 3)"):
            rule(np.ones((2, 3)), [1.0, 1.0])
        with expect.raises(ValueError, "(2, 2)"):
            rule(np.array([[2.0, 1.0], [0.5, 2.0]]), [1.0, 1.0])
        with expect.raises(ValueError, "(2, 2)"):
            rule(np.array([[1.0, 2.0], [2.0, 1.0]]), [1.0, 1.0])
    with expect.raises(ValueError, "(2, 2)", "(3,)"):
        differential_correlations(good, np.ones(3), 0.1)
    for wrong in (-0.5, math.nan):
        with expect.raises(ValueError, f"{wrong}"):
            differential_correlations(good, np.ones(2), wrong)
    with expect.raises(ValueError):
        local_weights(np.zeros(2), good)


def test_decoders_refuse_other_numbers_of_units_and_the_wrong_topology():
    line, circle = Population([0.0, 1.0, 2.0]), ring(3)
    readers = {
        "log_likelihood": lambda n: log_likelihood(line, n, 0.0),
        "maximum_posterior": lambda n: maximum_posterior(line, n, np.linspace(0, 2, 5)),
        "center_of_mass": lambda n: center_of_mass(line, n),
        "population_vector": lambda n: population_vector(circle, n),
        "decode_linear": lambda n: decode_linear(line, n, np.ones((4, 1))),
    }
    for read in readers.values():
        for shape in ((4, 2), (5,), (1,), (4, 1)):  # a last axis of 1 would broadcast
            with expect.raises(ValueError, str(shape), "3"):
                read(np.ones(shape))
    for grid, shape in ((np.ones((2, 2)), "(2, 2)"), (np.ones(1), "(1,)")):
        with expect.raises(ValueError, shape):
            maximum_posterior(line, np.ones(3), grid)
    with expect.raises(ValueError, "von_mises"):
        center_of_mass(circle, np.ones(3))
    with expect.raises(ValueError, "gaussian"):
        population_vector(line, np.ones(3))
    with expect.raises(ValueError, "(4, 2)", "(4, 1)"):
        decode_linear(line, np.ones(3), np.ones((4, 2)))
    with expect.raises(ValueError, "(4, 1)", "(4, 2)"):
        decode_linear(circle, np.ones(3), np.ones((4, 1)))
