"""The energy simulator: each kind of run in a reduced form keeps its claims, and nonsense is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import os, sys
from pathlib import Path
root, folder, *arguments = sys.argv[1:]
sys.path.append(root)
from curriculum import manifest
from curriculum.overlay import Overlay, install
course = manifest.load(Path(root))
install(Overlay(course.root, course.packages, "solutions"))
from experiments.energy import app
os.chdir(folder)
if arguments:
    sys.exit(app.main(arguments))
for line in sys.stdin:  # one after the other
    print(app.main(line.split()), file=sys.stderr, flush=True)
"""
SMALL = "--architectures 2-3-1 --epochs 200 --seeds 12 --frames 2"
PICTURES = {
    "success_rates.png", "energy_comparison.png", "energy_balance.png", "plateau_escape.png",
    "energy_decay_2-3-1.png", "energy_decay_2-3-1.gif", "confusion_2-3-1.png", "phase_diagram_evolution.gif",
}  # fmt: skip
TABLES = {"metrics.csv", "predictions.csv", "success_rates.csv", "plateau_escape.csv"}
KINDS = [
    "--architectures 2-2-1 --epochs 100 --seeds 0 --activation sigmoid --patience 20",
    "--rule langevin --architectures 2-3-1 --epochs 2000 --seeds 0",
    "--rule hamiltonian --architectures 2-3-1 --epochs 200",
    "--rule feedback_alignment --epochs 200",
    "--rule equilibrium --epochs 20 --start 0.3",
    "--data moons --epochs 20",
    "--data digits --architectures 49-8-10 --epochs 2",
]


def run(folder: Path, arguments: str) -> tuple[int, str, Path]:
    """Its exit code, what it printed, and the folder of its record."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(ROOT), str(folder), *arguments.split()],
        env=os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout.decode("utf-8"), folder / "runs" / "energy_001"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, Path]:
    """What the simulator does with no options, reduced."""
    return run(tmp_path_factory.mktemp("energy"), SMALL)


def test_every_claim_of_the_reduced_run_holds(small: tuple[int, str, Path]) -> None:
    code, said, record = small
    assert code == 0, said
    claims = json.loads((record / "claims.json").read_text("utf-8"))
    assert all(c["holds"] for c in claims)
    assert any("ledger" in c["claim"] and c["measured"] < 1e-13 for c in claims)


def test_the_known_outputs_and_the_unseen_inputs_are_printed(small: tuple[int, str, Path]) -> None:
    said, record = small[1:]
    for number in ("0.9996646498695336", "0.7216325609518421", "(0.5, 0.5)", "(0.9, 0.1)"):
        assert number in said
    rows = (record / "predictions.csv").read_text("utf-8").splitlines()
    assert rows[0] == "input_1,input_2,2-3-1"
    assert [tuple(map(float, row.split(",")[:2])) for row in rows[1:]] == [
        (0.5, 0.5), (0.2, 0.8), (0.7, 0.3), (0.9, 0.1),
    ]  # fmt: skip


def test_every_figure_and_table_is_written(small: tuple[int, str, Path]) -> None:
    written = {file.name for file in small[2].iterdir()}
    assert written >= PICTURES | TABLES | {"config.json", "claims.json", "verdict.json"}


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    small: tuple[int, str, Path], tmp_path: Path
) -> None:
    alone = SMALL.replace("--seeds 12", "--seeds 0")  # crowds draw from generators of their own
    again, other = run(tmp_path / "again", alone)[2], run(tmp_path / "other", f"{alone} --seed 1")[2]
    for name in ("metrics.csv", "predictions.csv"):
        assert (again / name).read_bytes() == (small[2] / name).read_bytes(), name
        assert (other / name).read_bytes() != (small[2] / name).read_bytes(), name


@pytest.mark.parametrize("arguments", KINDS)
def test_every_rule_and_every_kind_of_data_keeps_its_claims(arguments: str, tmp_path: Path) -> None:
    code, said, record = run(tmp_path, arguments + " --frames 2")
    assert code == 0, said
    assert {"energy_balance.png", "energy_comparison.png", "metrics.csv", "predictions.csv"} <= {
        file.name for file in record.iterdir()
    }


@pytest.mark.parametrize("model", ["rbm --epochs 3", "hopfield", "modern_hopfield"])
def test_every_model_keeps_its_claims(model: str, tmp_path: Path) -> None:
    code, said, record = run(tmp_path, f"--model {model} --frames 3")
    assert code == 0, said
    assert list(record.glob("*.png"))


REFUSED = [
    ("--data xnor", "xor, moons, spirals, digits, mnist"),
    ("--rule newton", "descent, langevin, hamiltonian, feedback_alignment, equilibrium"),
    ("--model transformer", "network, rbm, hopfield, modern_hopfield"),
    ("--activation gelu", "tanh, sigmoid, relu"),
    ("--architectures 2-x-1", "sizes of layers, as in 2-3-1"),
    ("--architectures 3-2-1", "2 inputs and 1 outputs"),
    ("--start small", "xavier or a standard deviation"),
    ("--start -1", "xavier or a standard deviation"),
    ("--lr 0", "lr must be positive"),
    ("--momentum 1", "momentum must be in [0, 1)"),
    ("--batch-size -1", "--batch-size must be at least 0"),
    ("--epochs 0", "--epochs must be at least 1"),
    ("--rule equilibrium --activation relu", "got relu units: choose tanh"),
    ("--lr inf", "--lr must be a finite number, got inf"),
    ("--rule langevin --temperature nan", "--temperature must be a finite number"),
    ("--model hopfield --rule langevin", "leave out --rule langevin"),
    ("--model rbm --data moons", "leave out --data moons"),
]
LOST = "--rule hamiltonian --spring 1e6 --epochs 200", "--rule equilibrium --start 5 --epochs 20"


@pytest.mark.parametrize("arguments", LOST)
def test_a_roll_that_is_lost_is_a_claim_that_fails(arguments: str, tmp_path: Path) -> None:
    code, said, record = run(tmp_path, f"{arguments} --frames 1")
    assert code == 1, said
    assert "Nothing is left to draw: take a smaller --lr" in said
    assert "Traceback" not in said
    claims = json.loads((record / "claims.json").read_text("utf-8"))
    assert [c["holds"] for c in claims] == [False]
    assert (record / "metrics.csv").is_file()


def test_with_friction_the_hamiltonian_rule_learns(tmp_path: Path) -> None:
    words = "--rule hamiltonian --momentum 0.9 --architectures 2-3-1 --epochs 1000 --frames 1"
    code, said, record = run(tmp_path, words)
    assert code == 0, said
    assert "off the plateau" in (record / "claims.json").read_text("utf-8")


def test_what_makes_no_sense_is_refused_in_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(ROOT), str(tmp_path)],
        input="\n".join(arguments for arguments, _ in REFUSED), env=os.environ | {"COLUMNS": "200"},
        capture_output=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    said = done.stderr.splitlines()
    assert len(said) == 2 * len(REFUSED), done.stderr
    for (arguments, named), sentence, code in zip(REFUSED, said[::2], said[1::2], strict=True):
        assert named in sentence, arguments
        assert code == "2", arguments
    assert not (tmp_path / "runs").exists()
