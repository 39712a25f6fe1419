"""The test kit: what it refuses, what it lets pass, and the patterns that it names."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from curriculum.testing import expect, statistics

ROOT = Path(__file__).parents[2]
E = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]])
SQUARE = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 10.0]])


def message(check, *args, **options) -> str:
    with pytest.raises(AssertionError) as caught:
        check(*args, **options)
    return str(caught.value)


class AlwaysEqual(np.ndarray):
    def __eq__(self, other):
        return np.ones(self.shape, bool)


@pytest.mark.parametrize(
    ("actual", "says"),
    [
        (E * 0, "yours is all zeros"),
        (-E, "the sign is flipped"),
        (E * 2, "times 2 (= the length of axis 0)"),
        (E / 3, "divided by 3 (= the length of axis 1)"),
        (E * 1.7, "a factor of 1.7"),
        (E + 5, "plus a constant, 5"),
        (np.abs(E) * [1, -1, 1], "some signs are flipped"),
        (E[:, ::-1].copy(), "reversed along axis 1"),
        (np.roll(E, 1, axis=1), "shifted by one along axis 1"),
        (E.T.copy(), "yours is the transpose"),
        (E.reshape(-1), "the values are right, reshape them"),
        (np.stack([E, E]) / 2, "sum over axis 0"),
        (np.stack([E - 1, E + 1]), "average over axis 0"),
        (np.where(E == 5, np.nan, E), "1 of 6 values are NaN"),
        (np.where(E == 5, np.inf, E), "1 of 6 values are infinite"),
        (np.where(E == 5, 6.0, E), "1 of 6 values differ, first at [1, 1]"),
        (E + 1e-9, "nearly right: 6 of 6 values"),
        (E.astype(int), "int64, expected float64"),
        (E.tolist(), "expected an array, got a list"),
        (None, "None (is a return missing?)"),
        (E.view(AlwaysEqual), "a subclass of ndarray, AlwaysEqual"),
        (1.0, "expected an array, got float"),
    ],
)
def test_close_names_the_pattern(actual, says):
    text = message(expect.close, actual, E, "softmax of x")
    assert text.startswith("softmax of x ")
    assert says in text


def test_no_sign_is_blamed_where_none_is_flipped():
    assert "flipped" not in message(expect.close, 3e-33, 0.0, "a share")
    assert "flipped" not in message(expect.close, np.array([3e-33, 0.0]), np.zeros(2), "shares")


def test_close_names_a_transpose_of_a_square():
    assert "transpose" in message(expect.close, SQUARE.T.copy(), SQUARE, "y")


def test_close_names_a_size_that_explains_the_factor():
    assert "(= the batch size)" in message(expect.close, E * 7, E, "y", sizes={"the batch size": 7})


@pytest.mark.parametrize(
    ("factor", "says"), [(2, "of 2"), (0.25, "divided by 4"), (-1, "the sign is flipped")]
)
def test_one_value_may_be_wrong_by_a_small_integer(factor, says):
    assert says in message(expect.close, 1.25 * factor, 1.25, "y")


@pytest.mark.parametrize("actual", [2.0, np.array(1e-300), 0.7])
def test_one_value_has_no_other_factor(actual):
    text = message(expect.close, actual, 1.25, "y")
    assert "factor" not in text
    assert "divided" not in text
    assert "factor" not in message(expect.close, np.full(3, actual), np.full(3, 1.25), "y")


def test_a_length_explains_the_factor_of_one_value():
    assert "(= batch size)" in message(expect.close, 1.25 * 64, 1.25, "loss", sizes={"batch size": 64})


def test_as_many_digits_are_shown_as_differ():
    assert "yours 0.001234567   expected 0.001234572" in message(expect.close, 0.001234567, 0.001234572, "y")
    text = message(expect.close, np.array([0.001234567, 1.0]), np.array([0.001234572, 1.0]), "y")
    assert "yours [0.001234567, 1." in text


@pytest.mark.parametrize(
    ("what", "verb"),
    [
        ("the slopes of f", "are"),
        ("weights after 2 steps", "are"),
        ("the bias of f", "is"),
        ("abs of two numbers", "is"),
        ("what f returns", "is"),
        ("loss", "is"),
        ("kept_shape((2, 3), 1)", "is"),
    ],
)
def test_the_verb_goes_with_its_subject(what, verb):
    assert message(expect.close, -E, E, what).startswith(f"{what} {verb} wrong\n")
    has = {"is": "has", "are": "have"}[verb]
    assert message(expect.close, E[0], E, what).startswith(f"{what} {has} the wrong shape\n")


@pytest.mark.parametrize("actual", [E, E + 1e-14, np.asfortranarray(E)])
def test_close_accepts_what_rounding_explains(actual):
    expect.close(actual, E, "y")


@pytest.mark.parametrize("actual", [0.5, np.float64(0.5), np.array(0.5)])
def test_a_number_may_be_of_any_kind(actual):
    expect.close(actual, 0.5, "accuracy")


@pytest.mark.parametrize("actual", ["0.5", [0.5], np.array([0.5]), None, True])
def test_what_is_no_number_is_refused(actual):
    assert "expected a number" in message(expect.close, actual, 0.5, "accuracy")


def test_close_checks_the_dtype_that_is_asked_for():
    assert "float64, expected float32" in message(expect.close, E, E, "y", dtype=np.float32)
    expect.close(E.astype(np.float32), E, "y", dtype=np.float32)


def test_infinities_and_nan_are_expected_where_they_are_expected():
    special = np.array([np.inf, -np.inf, np.nan, 1.0])
    expect.close(special.copy(), special, "y")
    assert "y is wrong" in message(expect.close, -special, special, "y")


@pytest.mark.parametrize(
    ("actual", "expected", "says"),
    [
        ([-1.0, 2.0], [np.nan, 2.0], "1 of 2 values is -1 where NaN is expected"),
        ([-0.0, 2.0], [np.inf, 2.0], "1 of 2 values is -0 where inf is expected"),
        ([1.0, 2.0, 3.0], [-np.inf, -np.inf, 3.0], "2 of 3 values are finite where -inf is expected"),
        ([0.0, 0.0], [np.nan, 2.0], "yours is all zeros"),
        (-1.0, np.nan, "1 of 1 values is -1 where NaN is expected"),
    ],
)
def test_a_finite_value_is_not_nearly_infinite(actual, expected, says):
    actual, expected = np.array(actual), np.array(expected)
    for check in (expect.close, expect.equal):
        text = message(check, actual, expected, "y")
        assert says in text
        assert "nearly" not in text


def test_nan_where_it_is_expected_is_no_difference():
    text = message(expect.equal, np.array([np.nan, 2.0]), np.array([np.nan, 3.0]), "y")
    assert "1 of 2 values differ, first at [1]" in text


def test_booleans_are_shown_as_such():
    text = message(expect.equal, np.array([True, True]), np.array([True, False]), "mask")
    assert "first at [1]: True, expected False" in text
    assert message(expect.equal, np.bool_(True), False, "flag").endswith(
        "yours bool True   expected bool False"
    )


def test_small_values_beside_large_ones_are_checked_only_if_asked():
    pair, off = np.array([1.0, 1e-30]), np.array([1.0, 2e-30])
    expect.close(off, pair, "y")
    assert "y is wrong" in message(expect.close, off, pair, "y", atol=0.0)


def test_equal_is_exact_and_typed():
    expect.equal({"a": (1, [2.0])}, {"a": (1, [2.0])}, "state")
    expect.equal(np.int64(3), 3, "count")
    for wrong in ({"a": (1, (2.0,))}, {"b": (1, [2.0])}, None, {"a": (1, [2])}):
        assert "state" in message(expect.equal, wrong, {"a": (1, [2.0])}, "state")
    assert "dtype" in message(expect.equal, np.array([1.0]), np.array([1]), "labels")
    assert message(expect.equal, True, 1, "count")


def test_equal_shows_strings_as_they_are():
    text = message(expect.equal, ["a(", "  (0): b"], ["a(", "    (0): b"], "the repr, as a list of lines,")
    assert text == (
        "the repr, as a list of lines, item 1 is wrong\n  yours str '  (0): b'   expected str '    (0): b'"
    )


def test_true_wants_a_true_boolean():
    expect.true(np.bool_(True), "fine")
    for wrong in (1, "yes", np.ones(2), object(), False):
        assert message(expect.true, wrong, "the sum should be 1") == "the sum should be 1"


def test_raises_wants_the_class_and_the_values():
    with expect.raises(ValueError, "(2, 3)"):
        raise ValueError("x has shape (2, 3)")

    def run(error, *naming):
        with expect.raises(ValueError, *naming):
            if error:
                raise error

    assert message(run, None).endswith("nothing was raised\n  by if error: raise error")
    assert "yours raised TypeError: no" in message(run, TypeError("no"))
    assert "should name 7" in message(run, ValueError("eight"), "7")
    with pytest.raises(NotImplementedError):
        run(NotImplementedError("TODO"))


def test_raises_shows_the_call_that_should_have_raised():
    def run():
        with expect.raises(ValueError, "(2, 3)"):
            np.add(
                E,
                [[1], [2]],
            )
        np.add(E, 2)

    assert message(run).endswith(" naming (2, 3), but nothing was raised\n  by np.add(E, [[1], [2]])")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("(2, 3)", "x has shape [2, 3]"),
        ("(2, 3)", "x is 2x3, w is 4x3"),
        ("(2, 3)", "expected 2 × 3."),
        ("(2, 3)", "shapes [(2, 3), (2, 4)] differ"),
        ("(1, -1)", "axes [1, -1]"),
        ("((1, 1), (0, -1))", "widths [[1, 1], [0, -1]]"),
        ("(5,)", "a vector of length 5, got a matrix"),
        ("()", "shape []"),
        ("2", "k=2."),
        ("2", "lr is 2.0"),
        ("-0.5", "between -0.50 and 1"),
        ("mean", "none of mean and sum"),
    ],
)
def test_raises_takes_a_value_in_any_notation(wanted, said):
    with expect.raises(ValueError, wanted):
        raise ValueError(said)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("(2, 3)", "(3, 2)"),
        ("(2, 3)", "(2, 3, 4)"),
        ("(2, 3)", "(12, 3)"),
        ("(2, 3)", "(2, -3)"),
        ("(2, 3)", "2 rows and 3 columns"),
        ("((1, 1), (0, -1))", "[[1, 1], [0, 1]]"),
        ("(5,)", "(2, 5)"),
        ("(5,)", "15"),
        ("()", "no shape"),
        ("2", "12"),
        ("2", "2.5"),
        ("2", "-2"),
        ("0.5", "0.51"),
    ],
)
def test_raises_refuses_another_value(wanted, said):
    def run():
        with expect.raises(ValueError, wanted):
            raise ValueError(said)

    assert f"should name {wanted}" in message(run)


def test_quiet_notices_what_numpy_warns_of():
    with expect.quiet("exp of 1"):
        np.exp(np.array([1.0, -1e9]))

    def run():
        with expect.quiet("log of -1"):
            np.log(np.array([-1.0]))

    assert "invalid value encountered in log" in message(run)


def test_unchanged_notices_a_change_in_place():
    x = E.copy()

    def run():
        with expect.unchanged(x):
            x[0, 0] = 9

    assert "changed in place" in message(run)


def test_statistics_state_what_they_allow():
    rng = np.random.default_rng(0)
    normal = rng.standard_normal(10_000)
    statistics.mean_is(normal, 0.0, 1.0, "x")
    statistics.variance_is(normal, 1.0, "x")
    statistics.uniform_counts(np.bincount(rng.integers(10, size=10_000)), "x")
    assert "expected 0.1 ±" in message(statistics.mean_is, normal, 0.1, 1.0, "x")
    assert "variance of x" in message(statistics.variance_is, normal, 1.2, "x")
    assert "not uniform" in message(statistics.uniform_counts, np.array([800, 1200, 1000, 1000]), "x")


def test_the_false_alarm_rate_is_what_it_says():
    """1,000 right answers at alpha = 0.01: 10 alarms are expected, and more than 27 one time in a million."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(1000):
        try:
            statistics.mean_is(rng.standard_normal(100), 0.0, 1.0, "x", alpha=0.01)
        except AssertionError:
            alarms += 1
    assert 0 < alarms <= 27


GRADCHECK = """
import sys
import numpy as np
from pathlib import Path
from curriculum.overlay import Overlay, install
install(Overlay(Path({root!r}), ["foundations", "utils"], "solutions"))
from curriculum.testing import engine, expect, gradcheck
from foundations.computational_graph import Function, Mul, Tensor, as_array
from foundations.elementwise import Tanh

rng = np.random.default_rng(0)
x, w = rng.standard_normal((2, 3)), rng.standard_normal(3)

class Twice(Mul):
    def backward(self, grad):
        a, b = self.operands
        return grad * b, grad * a * 2.0

class Detached(Tanh):
    def backward(self, grad):
        y = as_array(self.output)
        return grad * (1 - y * y)

class Unsummed(Mul):
    broadcasts = False

class TwoFaced(Tanh):
    def backward(self, grad):
        y = self.output
        return grad * (1 - y * y) * (2.0 if isinstance(grad, Tensor) else 1.0)

for grad in (None, engine.grad):
    gradcheck(lambda a, b: a * b, x, w, engine=grad)
    gradcheck(Tanh.apply, x, engine=grad)
    for fn, arrays in ((Twice.apply, (x, w)), (Detached.apply, (x,)), (lambda a: Tensor(a.data * 2), (x,)),
                       (Unsummed.apply, (x, w)), (TwoFaced.apply, (x,))):
        try:
            gradcheck(fn, *arrays, names=["x", "w"][: len(arrays)], engine=grad)
        except (AssertionError, ValueError) as error:
            print(str(error).replace(chr(10), " "))
        else:
            print("PASSED")
try:
    expect.tensor(x, x, "y")
except AssertionError as error:
    print(error)
"""


def test_gradcheck_catches_each_kind_of_wrong_rule():
    run = subprocess.run(
        [sys.executable, "-c", GRADCHECK.format(root=str(ROOT))],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    lines = run.stdout.splitlines()
    for factor, detached, outside, unsummed, two_faced in (lines[:5], lines[5:10]):
        assert "respect to w is wrong" in factor
        assert "times 2" in factor
        assert "second derivative" in detached
        assert "does not require a gradient" in outside
        assert "Unsummed.backward" in unsummed
        assert "second derivative" in two_faced
        assert "factor of 4" in two_faced
    assert "expected a Tensor, got an array of shape (2, 3)" in "".join(lines[10:])
