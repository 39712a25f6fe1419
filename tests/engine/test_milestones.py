"""Milestones: the real runs, their records, and what is said when a learner's code stops one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curriculum import manifest, milestone, performance
from curriculum.manifest import Course, Milestone, UnknownName
from experiments import scores
from experiments.runs import Metrics, Run, configure

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("utils", "foundations", "nn_core", "optimization", "architectures", "classical_ml")
QUICK = ("--steps", "40", "--measure-every", "20")


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A checkout of our own whose workspace holds a learner's complete work."""
    root = tmp_path / "check out"
    for folder in ("curriculum", "experiments", "solutions"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for package in PACKAGES:
        shutil.copytree(root / "solutions" / package, root / package)
        for file in (root / package).rglob("*.py"):
            if file.stat().st_size:
                file.write_text(file.read_text("utf-8") + "\n# every line is mine\n", "utf-8")
    return manifest.load(root)


def finish(
    course: Course, phase: int, *arguments: str, stack: str = "mine", data: str = "", name: str = ""
) -> tuple[int, str]:
    """Run a milestone as the command line does: its exit code and everything it said."""
    call = f"""
import sys
from pathlib import Path
sys.path.append({str(course.root)!r})
from curriculum import manifest, milestone
course = manifest.load(Path({str(course.root)!r}))
sys.exit(milestone.run(course, {phase}, name={name!r}, stack={stack!r}, arguments={arguments!r}))
"""
    environment = {k: v for k, v in os.environ.items() if k != "CURRICULUM_ROOT"}
    environment |= {
        "COLUMNS": "200",
        "CURRICULUM_DATA": data or str(course.root / "none"),
    }
    done = subprocess.run(
        [sys.executable, "-c", call],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    return done.returncode, done.stdout.decode("utf-8")


def verdict(course: Course, run: str) -> dict:
    return json.loads((course.root / "runs" / run / "verdict.json").read_text("utf-8"))


# the runs


def test_two_moons_reaches_its_goal_and_leaves_a_record(course) -> None:
    code, said = finish(course, 1)
    assert code == 0, said
    record = course.root / "runs" / "two_moons_001"
    names = ["boundary.png", "config.json", "gradients.csv", "metrics.csv", "training.png", "verdict.json"]
    assert sorted(f.name for f in record.iterdir()) == names
    result = verdict(course, "two_moons_001")
    assert result["reached"] is True
    assert result["accuracy"] >= 0.99
    assert result["seconds"] < 10
    assert result["stack"]["mode"] == "mine"
    assert {m["kind"] for m in result["stack"]["modules"].values()} == {"learner"}
    assert result["stack"]["modules"]["foundations/autograd"]["file"] == "foundations/autograd.py"
    config = json.loads((record / "config.json").read_text("utf-8"))
    assert config["seed"] == 0
    rows = (record / "gradients.csv").read_text("utf-8").splitlines()
    assert [r.split(",")[0] for r in rows] == ["parameter", "W1", "b1", "W2", "b2"]
    assert max(float(r.split(",")[-1]) for r in rows[1:]) < 1e-6
    assert "Gradient check" in said
    assert "Goal reached" in said


def test_mnist_on_the_bundled_digits_reaches_the_reduced_goal_and_says_which_it_is(course) -> None:
    code, said = finish(course, 2, "--data", "digits", stack="reference")
    assert code == 0, said
    record = course.root / "runs" / "mnist_001"
    names = ["config.json", "confusion.png", "metrics.csv", "mistakes.png", "training.png", "verdict.json"]
    assert sorted(f.name for f in record.iterdir()) == names
    result = verdict(course, "mnist_001")
    assert result["reduced"] is True
    assert "98% needs the full MNIST" in result["goal"]
    assert {m["kind"] for m in result["stack"]["modules"].values()} == {"reference"}
    assert "98% needs the full MNIST" in said


def test_lenet_on_the_bundled_digits_reaches_the_reduced_goal(course) -> None:
    code, said = finish(course, 5, "--data", "digits", stack="reference", name="lenet")
    assert code == 0, said
    record = course.root / "runs" / "lenet_001"
    figures = ["confusion.png", "filters.png", "mistakes.png", "training.png"]
    assert sorted(f.name for f in record.iterdir() if f.suffix == ".png") == figures
    result = verdict(course, "lenet_001")
    assert result["reduced"] is True
    assert result["interruptions"] == 0
    assert "99% needs the full MNIST" in said


@pytest.mark.skipif(os.name != "posix", reason="signals to a process group are POSIX")
def test_a_milestone_that_was_interrupted_goes_on_and_ends_with_the_same_record(course, tmp_path) -> None:
    settings = course.root / "experiments" / "checkpoints.py"
    settings.write_text(settings.read_text("utf-8").replace("EVERY = 15.0", "EVERY = 0.0"), "utf-8")
    arguments = ("--data", "digits", "--epochs", "6")
    call = (
        f"import sys; sys.path.append({str(course.root)!r}); "
        "from pathlib import Path; from curriculum import manifest, milestone; "
        f"c = manifest.load(Path({str(course.root)!r})); "
        f"raise SystemExit(milestone.run(c, 2, stack='reference', arguments={arguments!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", call], start_new_session=True)
    checkpoint = course.root / "runs" / "mnist_001" / "checkpoint.npz"
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    assert checkpoint.exists()
    _, said = finish(course, 2, *arguments, stack="reference")
    assert "Going on with runs/mnist_001 after step" in said
    assert verdict(course, "mnist_001")["interruptions"] == 1
    finish(course, 2, *arguments, "--fresh", stack="reference")
    one, two = ((course.root / f"runs/mnist_00{i}/metrics.csv").read_bytes() for i in (1, 2))
    assert one == two
    assert one.count(b"\n") == 1 + 6 * 32


def claims(course: Course, run: str) -> dict[str, bool]:
    """Each claim of a run, and whether its number bears it out."""
    record = json.loads((course.root / "runs" / run / "claims.json").read_text("utf-8"))
    return {claim["claim"]: claim["holds"] for claim in record}


def test_every_claim_about_the_optimizers_holds(course) -> None:
    code, said = finish(course, 3, "--grid", "9", "--probe", "300")
    assert code == 0, said
    record = course.root / "runs" / "optimizers_001"
    figures = ["convergence.png", "decay.png", "paths.png", "rates.png", "surface.png"]
    assert sorted(f.name for f in record.glob("*.png")) == figures
    made = claims(course, "optimizers_001")
    assert len(made) == 15
    assert all(made.values())
    assert "15 of 15 claims hold" in said
    assert {m["kind"] for m in verdict(course, "optimizers_001")["stack"]["modules"].values()} == {"learner"}


def test_every_claim_about_em_holds_and_the_animation_moves(course) -> None:
    code, said = finish(course, 4, "--frames", "4", name="em")
    assert code == 0, said
    made = claims(course, "em_001")
    assert len(made) == 10
    assert all(made.values())
    with Image.open(course.root / "runs" / "em_001" / "em.gif") as picture:
        assert picture.n_frames == 4


def test_every_claim_of_the_atlas_holds(course) -> None:
    code, said = finish(course, 4, "--grid", "20", name="atlas")
    assert code == 0, said
    record = course.root / "runs" / "atlas_001"
    names = ["classifiers.csv", "classifiers.png", "clusterings.csv", "clusterings.png"]
    assert sorted(f.name for f in record.iterdir() if f.suffix != ".json") == names
    made = claims(course, "atlas_001")
    assert len(made) == 27
    assert all(made.values())
    table = (record / "classifiers.csv").read_text("utf-8").splitlines()
    assert len(table) == 7
    assert table[0].startswith("set,logistic regression,")


def test_every_claim_about_the_maps_of_digits_holds(course) -> None:
    code, said = finish(course, 4, "--images", "800", "--iterations", "500", name="maps")
    assert code == 0, said
    record = course.root / "runs" / "maps_001"
    assert sorted(f.name for f in record.glob("*.png")) == ["digits.png", "limits.png", "pictures.png"]
    made = claims(course, "maps_001")
    assert len(made) == 19
    assert all(made.values())
    assert verdict(course, "maps_001")["data"] == "MNIST subset"


def test_mnist_without_data_and_network_says_what_it_uses(course) -> None:
    code, said = finish(course, 2, "--epochs", "1", stack="solutions")
    assert code == 1  # after one epoch the goal is out of reach
    assert "Using the MNIST subset that ships with the course" in said
    assert "Goal not reached" in said
    assert verdict(course, "mnist_001")["stack"]["mode"] == "solutions"


@pytest.mark.parametrize(
    ("phase", "arguments", "name"),
    [(1, QUICK, "two_moons"), (2, ("--data", "digits", "--epochs", "1"), "mnist")],
    ids=["two moons", "mnist"],
)
def test_the_same_seed_gives_the_same_bytes(course, phase, arguments, name) -> None:
    for _ in range(2):
        finish(course, phase, *arguments, "--seed", "3", stack="reference")
    first, second = ((course.root / f"runs/{name}_00{i}/metrics.csv").read_bytes() for i in (1, 2))
    assert first == second
    assert first.startswith(b"step,epoch,loss,accuracy\n1,1,")
    assert first.count(b"\n") > 30
    assert b"\r" not in first


# the learner's code


def test_an_open_blank_is_one_sentence_with_the_command_to_go_on(course) -> None:
    file = course.root / "foundations" / "elementwise.py"
    todo = 'raise NotImplementedError("foundations.elementwise: TODO 2 of 9, Log.forward")'
    file.write_text(file.read_text("utf-8") + f"\ndef log(x):\n    {todo}\n", "utf-8")
    code, said = finish(course, 1, *QUICK)
    assert code == 1
    assert said == (
        "Your foundations/elementwise.py is not finished: Log.forward is still to be written. "
        "Continue with: make check MODULE=foundations/elementwise\n"
    )
    assert verdict(course, "two_moons_001")["reached"] is False


def test_an_exception_of_the_learners_is_one_sentence_with_its_line(course) -> None:
    file = course.root / "foundations" / "elementwise.py"
    text = file.read_text("utf-8") + '\ndef tanh(x):\n    raise KeyError("output")\n'
    file.write_text(text, "utf-8")
    code, said = finish(course, 1, *QUICK)
    assert code == 1
    line = len(text.splitlines())
    assert said.startswith(
        f"Your foundations/elementwise.py stopped the run at line {line} with KeyError: 'output'."
    )
    assert said.endswith("Continue with: make check MODULE=foundations/elementwise\n")
    assert said.count("\n") == 1


def test_a_syntax_error_is_one_sentence_with_its_line(course) -> None:
    file = course.root / "foundations" / "reductions.py"
    file.write_text("import numpy as np\n\ndef sum(x:\n", "utf-8")
    code, said = finish(course, 1, *QUICK)
    assert code == 1
    assert said.startswith("Your foundations/reductions.py stopped the run at line 3 with SyntaxError")
    assert said.count("\n") == 1


def test_a_missing_name_is_one_sentence_that_names_the_file_without_it(course) -> None:
    (course.root / "foundations" / "elementwise.py").write_text("exp = log = abs = maximum = None\n", "utf-8")
    code, said = finish(course, 1, *QUICK)
    assert code == 1
    assert said.startswith("Your foundations/elementwise.py stopped the run")
    assert "cannot import name 'tanh'" in said
    assert said.count("\n") == 1


def test_a_missing_file_is_not_replaced_by_the_reference(course) -> None:
    (course.root / "foundations" / "shaping.py").unlink()
    code, said = finish(course, 1, *QUICK)
    assert code == 1
    assert "needs foundations/shaping.py, which is missing: make reset MODULE=foundations/shaping" in said
    assert not (course.root / "runs").exists()


def test_a_process_that_dies_is_a_sentence(course) -> None:
    file = course.root / "foundations" / "elementwise.py"
    file.write_text(file.read_text("utf-8") + "\ndef tanh(x):\n    import os\n    os._exit(7)\n", "utf-8")
    code, said = finish(course, 1, *QUICK)
    assert code == 1
    assert said == "The run ended without a verdict (exit code 7): the process was killed or crashed.\n"


@pytest.mark.parametrize("ending", ["sys.exit(0)", "os._exit(0)"])
@pytest.mark.parametrize("indent", ["", "def tanh(x):\n    "], ids=["at import", "in a call"])
def test_a_learner_who_ends_the_process_has_not_reached_the_goal(course, ending, indent) -> None:
    file = course.root / "foundations" / "elementwise.py"
    file.write_text(file.read_text("utf-8") + f"\nimport os, sys\n{indent}{ending}\n", "utf-8")
    code, said = finish(course, 1, *QUICK)
    assert code == 1
    assert "SystemExit: 0" in said or "ended without a verdict (exit code 0)" in said
    assert said.count("\n") == 1


def test_a_result_that_the_script_cannot_use_is_a_sentence(course) -> None:
    file = course.root / "foundations" / "computational_graph.py"
    file.write_text(file.read_text("utf-8") + "\nTensor.backward = lambda *given, **named: None\n", "utf-8")
    code, said = finish(course, 1, *QUICK)
    assert code == 1
    assert said.startswith("The run stopped at experiments/milestones/two_moons.py:")
    assert "what your code had returned (ValueError: backward left no gradient in W1)" in said
    assert said.endswith("make check STACK=mine\n")
    assert said.count("\n") == 1


def test_gradients_that_are_nan_are_not_right(course) -> None:
    file = course.root / "foundations" / "elementwise.py"
    text = (
        file.read_text("utf-8")
        + "\n_right = Tanh.backward\nTanh.backward = lambda self, g: _right(self, g) * np.nan\n"
    )
    file.write_text(text, "utf-8")
    code, said = finish(course, 1, *QUICK)
    assert code == 1
    assert "derivatives right to nan" in said


def test_arguments_that_are_wrong_are_bad_usage(course) -> None:
    code, said = finish(course, 1, "--speed", "9")
    assert code == 2
    assert "unrecognized arguments: --speed 9" in said


def test_a_numpy_beside_the_workspace_is_not_numpy(course) -> None:
    for name in ("numpy", "rich", "types"):
        (course.root / f"{name}.py").write_text("raise SystemExit('not me')\n", "utf-8")
    code, said = finish(course, 1, *QUICK, stack="reference")
    assert code == 1, said  # 40 steps do not reach the goal
    assert "Goal not reached" in said


def test_a_damaged_data_file_is_a_sentence(course, tmp_path) -> None:
    mnist = tmp_path / "data" / "mnist"
    mnist.mkdir(parents=True)
    for split in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (mnist / f"{split}-ubyte").write_bytes(b"half a file")
    code, said = finish(course, 2, data=str(tmp_path / "data"))
    assert code == 3
    assert "is damaged" in said
    assert "Traceback" not in said


@pytest.mark.skipif(os.name != "posix", reason="signals to a process group are POSIX")
def test_an_interrupted_run_keeps_its_record(course) -> None:
    script = (
        f"import sys; sys.path.append({str(course.root)!r}); "
        "from pathlib import Path; from curriculum import manifest, milestone; "
        f"c = manifest.load(Path({str(course.root)!r})); "
        "raise SystemExit(milestone.run(c, 1, stack='reference', arguments=['--steps', '10000000']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    metrics = course.root / "runs" / "two_moons_001" / "metrics.csv"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.stat().st_size > 4000) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[0].decode("utf-8")
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "the record so far is in" in said
    result = verdict(course, "two_moons_001")
    assert result["reached"] is False
    assert result["stopped"] == "interrupted"
    assert all(line.count(",") == 3 for line in metrics.read_text("ascii").splitlines())


# choosing


def test_a_milestone_that_is_not_there_is_an_unknown_name() -> None:
    course = manifest.load(ROOT)
    first, *others = course.phases
    two = (Milestone("a", "g", "experiments.milestones.a"), Milestone("b", "g", "experiments.milestones.b"))
    course = replace(course, phases=(replace(first, milestones=two), replace(others[0], milestones=())))
    with pytest.raises(UnknownName, match="phase 1 has no milestone 'c': it has a, b"):
        milestone.run(course, 1, name="c")
    with pytest.raises(UnknownName, match="the milestone of phase 2 is planned but not built yet"):
        milestone.run(course, 2)
    with pytest.raises(UnknownName, match="there is no phase 99"):
        milestone.run(course, 99)


# records


@dataclass(frozen=True)
class Config:
    seed: int = 0
    rate: float = 0.5
    sizes: tuple[int, ...] = (2, 3)
    data_name: str = "moons"


def test_a_config_is_read_from_the_command_line() -> None:
    assert configure(Config, [], "title") == Config()
    arguments = ["--seed", "7", "--sizes", "4,5,6", "--data-name", "x"]
    assert configure(Config, arguments, "title") == Config(7, 0.5, (4, 5, 6), "x")
    with pytest.raises(SystemExit):
        configure(Config, ["--speed", "1"], "title")


def test_runs_are_numbered_and_never_overwrite_each_other(tmp_path) -> None:
    folders = [Run("a", Config(), root=tmp_path).folder.name for _ in range(2)]
    (tmp_path / "a_007").mkdir()
    (tmp_path / "a_notes").mkdir()
    folders += [Run("a", Config(), root=tmp_path).folder.name, Run("b", Config(), root=tmp_path).folder.name]
    assert folders == ["a_001", "a_002", "a_008", "b_001"]


def test_a_run_follows_training_to_its_end_and_returns_what_it_returns(tmp_path) -> None:
    def training():
        yield Metrics(1, 1, 0.5)
        yield Metrics(2, 1, 0.25, 0.75)
        return "trained"

    with Run("a", Config(), root=tmp_path) as run:
        assert run.follow(training(), 2) == "trained"
    table = (run.folder / "metrics.csv").read_text("ascii")
    assert table == "step,epoch,loss,accuracy\n1,1,0.5,\n2,1,0.25,0.75\n"
    history = run.history()
    assert history["loss"].tolist() == [0.5, 0.25]
    assert history["accuracy"][1] == 0.75
    assert str(history["accuracy"][0]) == "nan"
    assert run.exit_code == 1  # nobody has concluded that a goal was reached


def test_a_run_that_fails_keeps_its_record_and_says_why(tmp_path) -> None:
    def training():
        yield Metrics(1, 1, 0.5)
        raise ZeroDivisionError("loss")

    run = Run("a", Config(), root=tmp_path)
    with pytest.raises(ZeroDivisionError), run:
        run.follow(training(), 2)
    assert (run.folder / "metrics.csv").read_text("ascii").count("\n") == 2
    assert (
        json.loads((run.folder / "verdict.json").read_text("utf-8"))["stopped"] == "ZeroDivisionError: loss"
    )


# scores


def test_the_adjusted_rand_index_counts_pairs() -> None:
    one, two = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2])
    # pairs: 2 together in both, 6 in one, 3 in two, 15 in all: (2 - 6 * 3 / 15) / ((6 + 3) / 2 - 6 * 3 / 15)
    assert scores.adjusted_rand(one, two) == pytest.approx(0.8 / 3.3)
    assert scores.adjusted_rand(two, one) == pytest.approx(0.8 / 3.3)
    assert scores.adjusted_rand(one, 1 - one) == 1.0
    assert scores.adjusted_rand(np.zeros(3, int), np.zeros(3, int)) == 1.0
    assert scores.adjusted_rand(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) == pytest.approx(-0.5)
    with pytest.raises(ValueError, match=r"equal shapes \(N,\), got \(6,\), \(5,\)"):
        scores.adjusted_rand(one, two[:5])


def test_groups_are_renamed_after_those_they_overlap_most() -> None:
    found = np.array([5, 5, 5, 2, 2, -1, 7])
    labels = np.array([0, 0, 1, 1, 1, 1, 0])
    assert scores.renamed(found, labels).tolist() == [0, 0, 0, 1, 1, -1, 2]


def test_a_map_is_trusted_as_far_as_its_neighbours_are_neighbours() -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((40, 5)), rng.standard_normal((40, 2))
    distances = ((X[:, None] - X) ** 2).sum(axis=2), ((Y[:, None] - Y) ** 2).sum(axis=2)
    ranked = [[sorted(set(range(40)) - {i}, key=lambda j: d[i, j]) for i in range(40)] for d in distances]
    k, excess = 4, 0
    for space, paper in zip(*ranked, strict=True):
        excess += sum(space.index(j) + 1 - k for j in set(paper[:k]) - set(space[:k]))
    expected = 1 - 2 * excess / (40 * k * (2 * 40 - 3 * k - 1))
    assert scores.trustworthiness(X, Y, k) == pytest.approx(expected)
    assert scores.trustworthiness(X, 3 * X + 1, k) == 1.0
    shared = [len(set(a[:k]) & set(b[:k])) / k for a, b in zip(*ranked, strict=True)]
    assert scores.kept_neighbors(X, Y, k) == pytest.approx(np.mean(shared))
    labels = rng.integers(3, size=40)
    assert scores.nearest_neighbor_accuracy(Y, labels) == np.mean(
        [labels[i] == labels[ranked[1][i][0]] for i in range(40)]
    )
    with pytest.raises(ValueError, match=r"k must be in \[1, N / 2\), got 20 with N = 40"):
        scores.trustworthiness(X, Y, 20)


# speed


def test_freed_memory_can_be_reused_where_the_library_is_glibc() -> None:
    probe = "import sys; from curriculum.performance import reuse_memory; sys.exit(reuse_memory())"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True)
    glibc = sys.platform.startswith("linux") and "glibc" in os.confstr("CS_GNU_LIBC_VERSION")
    assert done.returncode == int(glibc), done.stderr


def test_threads_reuse_freed_memory_too() -> None:
    probe = """
import threading
import numpy as np
from curriculum.performance import reuse_memory

def work():
    faults = []
    for _ in range(5):
        arrays = [np.ones(500_000) for _ in range(20)]  # 80 MB: more than a heap of its own would hold
        del arrays
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    print(faults[-1] - faults[0])

if reuse_memory():
    import resource
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
else:
    print(0)
"""
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1000, "page faults; thousands where each round takes its memory anew"


def test_the_threads_of_blas_are_set_for_a_process_yet_to_start(monkeypatch) -> None:
    environment = performance.blas_environment(3)
    assert environment["OMP_NUM_THREADS"] == environment["OPENBLAS_NUM_THREADS"] == "3"
    assert environment.get("PATH") == os.environ.get("PATH")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert performance.blas_environment()["OMP_NUM_THREADS"] == "2"  # what somebody chose
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert performance.blas_environment()["OMP_NUM_THREADS"] == "1"
    with pytest.raises(ValueError, match="at least 1 thread, got 0"):
        performance.blas_environment(0)
