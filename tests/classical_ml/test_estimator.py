"""classical_ml.estimator: parameters that can be read and copied, and data that is refused with a reason."""

from fractions import Fraction

import numpy as np
import pytest

from classical_ml.estimator import (
    Classifier,
    Clusterer,
    Estimator,
    InvalidParameterError,
    NotFittedError,
    Regressor,
    Transformer,
)
from curriculum.testing import expect

INF, NAN = float("inf"), float("nan")


class Blur(Estimator):
    def __init__(self, width=3, *, mode="box", scale=1.0, rng=None):
        self.width = width
        self.mode = mode
        self.scale = scale
        self.rng = rng


class Memory(Estimator):
    """Keeps things that are no parameters, and stores its parameters in an order of its own."""

    def __init__(self, first=1, second=2):
        self.second = second
        self._private = 0
        self.first = first


class Line(Regressor):
    """Predicts the sum of the features, or a column for each of ``outputs`` multiples of it."""

    def __init__(self, outputs=0):
        self.outputs = outputs

    def predict(self, X):
        total = np.asarray(X, float).sum(axis=1)
        return total if not self.outputs else np.stack([(k + 1) * total for k in range(self.outputs)], axis=1)


class Sides(Classifier):
    """Knows the classes ``names``; the features are the probabilities."""

    def __init__(self, names=("left", "right")):
        self.names = names
        self.classes_ = np.array(names)

    def predict_proba(self, X):
        return np.asarray(X, float)


class Halves(Clusterer):
    def __init__(self, border=0.0):
        self.border = border

    def fit(self, X):
        self.labels_ = (np.asarray(X)[:, 0] > self.border).astype(int)
        return self


class Centre(Transformer):
    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, X, y=None):
        self.mean_ = np.mean(X, axis=0) + self.shift + (0.0 if y is None else np.mean(y))
        return self

    def transform(self, X):
        return X - self.mean_


class Double(Transformer):
    """Has no use for y."""

    def fit(self, X):
        return self

    def transform(self, X):
        return 2 * X


def fitted(n_features):
    """An estimator as it is after a fit on ``n_features`` features."""
    blur = Blur()
    blur.n_features_in_ = n_features
    return blur


def passes(estimator, name, *limits, **options):
    """Whether the parameter is accepted."""
    check = estimator.check_option if isinstance(limits[0], tuple) else estimator.check_number
    try:
        check(name, *limits, **options)
    except InvalidParameterError:
        return False
    return True


# Parameters


def test_parameters_are_read_in_the_order_of_the_constructor():
    expect.equal(
        Blur(5, scale=2.0).get_params(),
        {"width": 5, "mode": "box", "scale": 2.0, "rng": None},
        "parameters of Blur(5, scale=2.0)",
    )
    expect.equal(list(Blur().get_params()), ["width", "mode", "scale", "rng"], "order of the parameters")
    expect.equal(Line().get_params(), {"outputs": 0}, "parameters of Line()")


def test_what_was_learned_is_no_parameter():
    blur = Blur(4)
    blur.kernel_ = np.ones(4)
    expect.equal(list(blur.get_params()), ["width", "mode", "scale", "rng"], "parameters after a fit")


def test_only_the_constructor_says_what_the_parameters_are():
    memory = Memory(5)
    memory._private, memory.note = 9, "no parameter"
    expect.equal(list(memory.get_params().items()), [("first", 5), ("second", 2)], "parameters in order")
    copy = memory.clone()
    expect.equal((copy._private, hasattr(copy, "note")), (0, False), "what is no parameter, in the clone")
    for name in ("note", "fit", "_private", "coef_"):
        memory.coef_ = 1.0
        with expect.raises(ValueError, name, "first", "second"):
            memory.set_params(**{name: 3})


def test_what_was_learned_stays_when_a_parameter_changes():
    blur = fitted(2).set_params(width=4)
    expect.close(blur.check_new_X([[1, 2]]), np.array([[1.0, 2.0]]), "new data after set_params")


def test_parameters_are_changed_by_name_and_the_estimator_comes_back():
    blur = Blur()
    same = blur.set_params(mode="cone", width=7)
    expect.true(same is blur, "set_params should return the estimator itself, so that calls can be chained")
    expect.equal((blur.width, blur.mode, blur.scale), (7, "cone", 1.0), "width, mode and scale afterwards")


def test_an_unknown_parameter_is_named_with_those_that_exist_and_changes_nothing():
    blur = Blur()
    with expect.raises(ValueError, "widht", "width", "mode", "scale", "rng"):
        blur.set_params(scale=9.0, widht=7)
    expect.equal((blur.width, blur.scale), (3, 1.0), "width and scale after the refused change")


def test_a_clone_has_the_parameters_and_nothing_that_was_learned():
    blur = Blur(5, mode="cone")
    blur.kernel_, blur.n_features_in_ = np.ones(5), 2
    copy = blur.clone()
    expect.true(type(copy) is Blur and copy is not blur, f"expected another Blur, got {copy!r}")
    expect.equal(copy.get_params(), blur.get_params(), "parameters of the clone")
    expect.equal(hasattr(copy, "kernel_") or hasattr(copy, "n_features_in_"), False, "the clone is fitted")
    copy.set_params(width=1)
    expect.equal(blur.width, 5, "width of the original after a change of its clone")


def test_the_repr_shows_what_is_not_at_its_default():
    expect.equal(repr(Blur(5, scale=2)), "Blur(width=5, scale=2)", "repr of Blur(5, scale=2)")
    expect.equal(repr(Blur()), "Blur()", "repr of Blur()")
    with_array = repr(Blur(np.array([1.0, 2.0])))
    expect.equal(with_array, "Blur(width=array([1., 2.]))", "repr with an array for a parameter")


# Parameters out of range

NUMBERS = [  # value, kind, range, as the message has it
    (0, int, {"low": 1}, "an int in [1, inf)"),
    (-1, int, {"low": 0, "high": 10}, "an int in [0, 10]"),
    (11, int, {"low": 0, "high": 10}, "an int in [0, 10]"),
    (2.0, int, {"low": 1}, "an int in [1, inf)"),
    (True, int, {"low": 0}, "an int in [0, inf)"),
    ("3", int, {"low": 1}, "an int in [1, inf)"),
    (None, float, {"low": 0.0}, "a float in [0.0, inf)"),
    (0.0, float, {"low": 0.0, "low_open": True}, "a float in (0.0, inf)"),
    (1.0, float, {"low": 0.0, "high": 1.0, "high_open": True}, "a float in [0.0, 1.0)"),
    (NAN, float, {}, "a float in (-inf, inf)"),
    (INF, float, {"low": 0.0}, "a float in [0.0, inf)"),
    (-INF, float, {}, "a float in (-inf, inf)"),
    (False, float, {}, "a float in (-inf, inf)"),
]


@pytest.mark.parametrize(
    ("value", "kind", "limits", "allowed"), NUMBERS, ids=[f"{v!r} for {a}" for v, *_, a in NUMBERS]
)
def test_a_number_out_of_range_is_refused(value, kind, limits, allowed):
    with expect.raises(InvalidParameterError, "width", "Blur", *allowed.split()[2:], repr(value)):
        Blur(value).check_number("width", kind, **limits)


def test_numbers_in_range_pass():
    """Ends are inside unless they are open; NumPy's numbers are numbers; an int serves as a float."""
    for value in (1, 10, np.int64(3), np.uint8(10)):
        expect.true(
            passes(Blur(value), "width", int, 1, 10), f"{value!r} is an int in [1, 10], but is refused"
        )
    for value in (0.5, 1, 2.0, np.float32(0.5), np.int32(2)):
        accepted = passes(Blur(value), "width", float, 0.0, 2.0, low_open=True)
        expect.true(accepted, f"{value!r} is a float in (0.0, 2.0], but is refused")
    expect.true(passes(Blur(-1e308), "width", float), "-1e308 is a float in (-inf, inf), but is refused")
    for value in ("0", "11"):
        with expect.raises(InvalidParameterError, "width", value):
            Blur(int(value)).check_number("width", int, 1, 10)


def test_both_kinds_of_except_catch_an_invalid_parameter():
    for kind in (ValueError, TypeError):
        with expect.raises(kind, "width", "Blur", "-3"):
            Blur(-3).check_number("width", int, 0)


@pytest.mark.parametrize("value", ["cube", None, 0, 1, 1.0, ["box"]], ids=repr)
def test_an_unknown_option_is_refused_with_all_that_exist(value):
    options = ("box", "cone", True)
    with expect.raises(InvalidParameterError, "mode", "Blur", "box", "cone", "True", repr(value)):
        Blur(mode=value).check_option("mode", options)


def test_options_pass():
    for value in ("box", None, False):
        accepted = passes(Blur(mode=value), "mode", ("cone", False, None, "box"))
        expect.true(accepted, f"{value!r} is one of the options, but is refused")
    with expect.raises(InvalidParameterError, "mode", "cone", "box"):
        Blur(mode="box").check_option("mode", ("cone",))


def test_the_generator_is_handed_out():
    rng = np.random.default_rng(0)
    expect.true(Blur(rng=rng).check_rng() is rng, "check_rng should return the generator itself")
    for wrong in (None, 3, np.random.RandomState(0)):
        with expect.raises(InvalidParameterError, "rng", "Blur", repr(wrong)):
            Blur(rng=wrong).check_rng()


# X


def test_data_becomes_floats():
    for values in ([[1, 2], [3, 4]], np.array([[1, 2], [3, 4]], np.uint8), [[True, 2], [3.0, 4]]):
        expect.close(
            Blur().check_X(values), np.array([[1.0, 2], [3, 4]]), f"check_X of {values!r}", dtype=np.float64
        )
    as_text = np.array([[Fraction(1, 2), 2]], object)
    expect.close(Blur().check_X(as_text), np.array([[0.5, 2.0]]), "check_X of Python numbers")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_not_copied_or_changed(dtype):
    X = np.array([[1.5, 2], [3, -4]], dtype)
    with expect.unchanged(X):
        checked = Blur().check_X(X)
    expect.close(checked, np.array([[1.5, 2], [3, -4]]), "check_X of floats", dtype=dtype)
    with expect.raises(ValueError, "nan", "1", "0"):
        Blur().check_X(np.array([[1.0, 2.0], [NAN, 4.0]], dtype))
    expect.true(np.shares_memory(checked, X), f"{np.dtype(dtype)} should come back without a copy")


def test_large_numbers_are_finite():
    X = np.full((3, 2), 3e38, np.float32)
    with expect.quiet("check_X of numbers near the largest"):
        checked = Blur().check_X(X)
    expect.close(checked, X, "six numbers whose sum overflows", dtype=np.float32)
    X[2, 1] = NAN
    with expect.raises(ValueError, "nan", "2", "1"):
        Blur().check_X(X)


@pytest.mark.parametrize("shape", [(3,), (), (2, 2, 2)])
def test_data_without_two_axes_names_its_shape(shape):
    with expect.raises(ValueError, str(shape), "reshape"):
        Blur().check_X(np.ones(shape))


def test_too_few_samples_or_features():
    with expect.raises(ValueError, "(0, 2)", "1", "Blur"):
        Blur().check_X(np.ones((0, 2)))
    with expect.raises(ValueError, "(3, 2)", "4", "Blur"):
        Blur().check_X(np.ones((3, 2)), min_samples=4)
    with expect.raises(ValueError, "(3, 0)", "Blur"):
        Blur().check_X(np.ones((3, 0)))
    expect.close(Blur().check_X([[2, 3]]), np.array([[2.0, 3.0]]), "a single sample")
    tall = Blur().check_X([[2], [3], [4]], min_samples=3)
    expect.close(tall, np.array([[2.0], [3.0], [4.0]]), "three samples of one feature")


@pytest.mark.parametrize(("wrong", "name"), [(NAN, "nan"), (INF, "inf"), (-INF, "inf")])
def test_a_number_that_is_none_is_located(wrong, name):
    X = np.ones((6, 5), np.float32)
    X[4, 3] = wrong
    with expect.raises(ValueError, name, "4", "3"):
        Blur().check_X(X)
    X[5] = -wrong  # inf and -inf would cancel in a sum
    with expect.raises(ValueError, name, "4", "3"):
        Blur().check_X(X)


def test_data_that_are_no_numbers():
    for values in ([["a", "b"]], np.array([[1 + 2j, 0]]), [[1.0, None, "x"]]):
        with expect.raises(ValueError, "X"):
            Blur().check_X(values)


def test_nothing_is_predicted_before_fit():
    with expect.raises(NotFittedError, "Blur"):
        Blur().check_new_X([[1.0]])
    for kind in (ValueError, AttributeError):
        with expect.raises(kind, "Blur"):
            Blur().check_new_X([[1.0]])


def test_new_data_must_have_the_features_of_fit():
    expect.close(fitted(2).check_new_X([[1, 2]]), np.array([[1.0, 2.0]]), "new data of 2 features")
    with expect.raises(ValueError, "3", "2", "Blur"):
        fitted(2).check_new_X(np.ones((4, 3)))
    with expect.raises(ValueError, "(2,)", "reshape"):
        fitted(2).check_new_X([1.0, 2.0])
    with expect.raises(ValueError, "nan", "0", "1"):
        fitted(2).check_new_X([[1.0, NAN]])
    with expect.raises(ValueError, "(0, 2)", "1", "Blur"):
        fitted(2).check_new_X(np.ones((0, 2)))


# y


def test_targets_become_floats():
    X, y = Line().check_X_y([[1], [2]], [3, 4])
    expect.close(X, np.array([[1.0], [2.0]]), "X")
    expect.close(y, np.array([3.0, 4.0]), "y", dtype=np.float64)
    single = np.array([[1, 2], [3, 4]], np.float32)
    expect.close(
        Line().check_X_y([[1], [2]], single, multi_output=True)[1],
        np.array([[1.0, 2], [3, 4]]),
        "two columns of targets",
        dtype=np.float32,
    )


def test_targets_that_do_not_fit():
    X = np.ones((3, 2))
    with expect.raises(ValueError, "3", "2"):
        Line().check_X_y(X, [1.0, 2.0])
    with expect.raises(ValueError, "(3, 1)"):
        Line().check_X_y(X, np.ones((3, 1)))
    with expect.raises(ValueError, "(3, 1, 1)"):
        Line().check_X_y(X, np.ones((3, 1, 1)), multi_output=True)
    with expect.raises(ValueError, "(3, 0)"):
        Line().check_X_y(X, np.ones((3, 0)), multi_output=True)
    with expect.raises(ValueError, "3", "4"):
        Line().check_X_y(X, [1.0, 2.0, 3.0, 4.0])
    with expect.raises(ValueError, "nan", "2"):
        Line().check_X_y(X, [[1.0, 2.0], [3.0, 4.0], [5.0, NAN]], multi_output=True)
    with expect.raises(ValueError, "nan", "1"):
        Line().check_X_y(X, [1.0, NAN, 2.0])
    with expect.raises(ValueError, "inf", "2"):
        Line().check_X_y(X, [1.0, 0.0, INF])
    with expect.raises(ValueError, "y"):
        Line().check_X_y(X, ["a", "b", "c"])
    with expect.raises(ValueError, "(3, 2)", "4"):
        Line().check_X_y(X, np.ones(3), min_samples=4)
    with expect.raises(ValueError, "nan", "0", "1"):
        Line().check_X_y([[1.0, NAN]], [1.0])


LABELS = {
    "strings": (["b", "a", "b", "c"], ["a", "b", "c"], [1, 0, 1, 2]),
    "ints": ([7, -2, 7, 3], [-2, 3, 7], [2, 0, 2, 1]),
    "bools": ([True, False, True, True], [False, True], [1, 0, 1, 1]),
    "whole floats": ([2.0, 0.0, 0.0, 2.0], [0.0, 2.0], [1, 0, 0, 1]),
    "one class": ([5, 5, 5, 5], [5], [0, 0, 0, 0]),
}


@pytest.mark.parametrize(("y", "classes", "indices"), LABELS.values(), ids=LABELS.keys())
def test_labels_become_indices_of_sorted_classes(y, classes, indices):
    X, names, places = Sides().check_X_y(np.ones((4, 2)), y)
    expect.close(X, np.ones((4, 2)), "X")
    expect.equal(names.tolist(), classes, f"classes of {y}")
    expect.equal([type(name) for name in names.tolist()], [type(c) for c in classes], "types of the classes")
    expect.equal(places.tolist(), indices, f"places of {y} among {classes}")


def test_labels_that_do_not_fit():
    X = np.ones((3, 2))
    with expect.raises(ValueError, "3", "4"):
        Sides().check_X_y(X, ["a", "b", "a", "b"])
    with expect.raises(ValueError, "(3, 1)"):
        Sides().check_X_y(X, [["a"], ["b"], ["a"]])
    with expect.raises(ValueError, "0.25"):
        Sides().check_X_y(X, [1.0, 0.25, 2.0])
    with expect.raises(ValueError, "nan"):
        Sides().check_X_y(X, [1.0, NAN, 2.0])
    with expect.raises(ValueError, "inf"):
        Sides().check_X_y(X, [1.0, 0.0, INF])
    with expect.raises(ValueError, "2", "1", "yes", "Sides"):
        Sides().check_X_y(X, ["yes", "yes", "yes"], min_classes=2)
    with expect.raises(ValueError, "3", "2", "yes", "no", "Sides"):
        Sides().check_X_y(X, ["yes", "no", "yes"], min_classes=3)
    with expect.raises(ValueError, "0.25"):
        Sides().check_X_y(X, np.array([1.0, 0.25, 2.0], object))
    with expect.raises(ValueError, "nan"):
        Sides().check_X_y(X, np.array(["a", NAN, "b"], object))
    with expect.raises(ValueError, "(3, 2)", "4"):
        Sides().check_X_y(X, [0, 1, 0], min_samples=4)
    with expect.raises(ValueError, "inf", "0", "1"):
        Sides().check_X_y([[1.0, INF]], ["a"])


# What the kinds of estimators add


def test_the_score_of_a_regressor_is_r2():
    X = np.array([[1.0, 1], [2, 2], [3, 5]])  # predictions 2, 4, 8
    y = np.array([2.0, 5.0, 8.0])
    expect.close(Line().score(X, y), 1 - 1 / 18, "R^2 of the predictions 2, 4, 8 of 2, 5, 8")
    expect.close(Line().score(X, y[::-1].tolist()), 1 - (36 + 1 + 36) / 18, "R^2 of 8, 5, 2")


def test_the_score_of_several_outputs_is_the_mean():
    X = np.array([[1.0, 1], [2, 2], [3, 5]])
    Y = np.array([[2.0, 4], [5, 8], [8, 16]])  # the second column is predicted exactly
    expect.close(Line(2).score(X, Y), (1 - 1 / 18 + 1) / 2, "mean of the R^2 of two columns")


def test_the_most_probable_class_is_predicted():
    P = [[0.2, 0.8], [0.9, 0.1], [0.4, 0.6]]
    expect.equal(Sides().predict(P).tolist(), ["right", "left", "right"], "classes predicted")
    expect.equal(Sides((3, 9)).predict(P).tolist(), [9, 3, 9], "classes predicted")
    expect.equal(Sides((3, 9, 12)).predict([[0.4, 0.2, 0.4]]).tolist(), [3], "class predicted in a tie")


class Unready(Classifier):
    def predict_proba(self, X):
        return self.check_new_X(X)


def test_predicting_before_fit_says_so():
    with expect.raises(NotFittedError, "Unready"):
        Unready().predict([[1.0]])
    with expect.raises(NotFittedError, "Unready"):
        Unready().score([[1.0]], [1])


def test_the_score_of_a_classifier_is_the_share_of_hits():
    P = [[0.2, 0.8], [0.9, 0.1], [0.4, 0.6]]
    expect.close(Sides().score(P, ["right", "right", "right"]), 2 / 3, "two hits of three")
    expect.close(Sides((3, 9)).score(P, np.array([9, 3, 9])), 1.0, "three hits of three")
    with expect.raises(ValueError, "3", "1"):
        Sides().score(P, ["right"])
    with expect.raises(ValueError, "(3, 1)"):  # a column against a row would be compared all with all
        Sides().score(P, [["right"], ["left"], ["right"]])


def test_fit_predict_returns_the_labels():
    halves = Halves(border=1.0)
    expect.equal(halves.fit_predict(np.array([[0.0], [2.0], [1.5]])).tolist(), [0, 1, 1], "groups")
    expect.equal(halves.labels_.tolist(), [0, 1, 1], "labels_ afterwards")


def test_fit_transform_fits_and_maps():
    X = np.array([[1.0, 5], [3, 7]])
    centre = Centre()
    expect.close(centre.fit_transform(X), np.array([[-1.0, -1], [1, 1]]), "X less its mean")
    expect.close(centre.mean_, np.array([2.0, 6.0]), "mean_ afterwards")
    expect.close(
        Centre().fit_transform(X, [10.0, 20.0]), np.array([[-16.0, -16], [-14, -14]]), "X, with y of mean 15"
    )
    expect.close(Double().fit_transform(X), 2 * X, "a transformer whose fit takes X alone")
