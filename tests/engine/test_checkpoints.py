"""A run that was cut short goes on as if nothing had happened: the same weights and records, to the bit.

The kills happen in children that a warm, single-threaded server forks (this file, run as a script).
"""

from __future__ import annotations

import io
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from experiments import checkpoints
from experiments.checkpoints import Checkpoint, Damaged
from experiments.runs import Metrics, Run, configure_resumable

ROOT = Path(__file__).parents[2]
STEPS = 12


@dataclass(frozen=True)
class Config:
    seed: int = 0
    sizes: tuple[int, ...] = (6, 8, 3)


class Walk:
    """The smallest thing that has a state."""

    def __init__(self) -> None:
        self.place = np.zeros(2)

    def state_dict(self) -> dict:
        return {"place": self.place.copy()}

    def load_state_dict(self, saved: dict) -> None:
        self.place[...] = saved["place"]


def walk(checkpoint: Checkpoint, stop: int = 0, error: type[BaseException] = KeyboardInterrupt):
    """A random walk of 12 steps; raises in step ``stop``."""
    walker, rng = Walk(), np.random.default_rng(0)
    for step in range(1 + checkpoint.resume(walk=walker, rng=rng), STEPS + 1):
        walker.place += rng.standard_normal(2)
        if step == stop:
            raise error
        yield Metrics(step, 1, float(walker.place[0]))
    return walker.place, rng


def begin(root: Path, **options) -> tuple[Run, io.StringIO]:
    said = io.StringIO()
    return Run("walk", Config(), root=root, console=Console(file=said, width=300), **options), said


def interrupted(root: Path, stop: int) -> Run:
    """A run that was stopped in step ``stop``, with a checkpoint of the step before."""
    run, _ = begin(root)
    with run:
        run.follow(walk(run.checkpoint, stop), STEPS)
    return run


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every step."""
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", math.inf)


# what is kept


def test_types_survive_a_checkpoint(tmp_path: Path) -> None:
    kept = {
        "list": [1, 2.5, -math.inf, None, True, "text"],
        ("a", 1): (np.float32(0.1), np.int64(3), np.arange(3)),
        7: {"empty": {}, "big": 1 << 127, "float": 0.1, "bool": np.array(True)},
        "column": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "none": np.zeros((0, 3), np.float16),
    }

    class Part:
        def state_dict(self):
            return kept

        def load_state_dict(self, saved):
            self.saved = saved

    checkpoint, part = Checkpoint(tmp_path), Part()
    (tmp_path / "metrics.csv").write_bytes(b"12345")
    assert checkpoint.resume(part=part) == 0
    checkpoint.save(step=3, seconds=1.5, size=5)
    checkpoint.release()
    other, copy = Checkpoint(tmp_path), Part()
    other.read()
    assert (other.step, other.seconds, other.size) == (3, 1.5, 5)
    assert other.resume(part=copy) == 3
    assert repr(copy.saved) == repr(kept)
    assert type(copy.saved["a", 1][0]) is np.float32
    assert copy.saved["column"].flags.f_contiguous
    assert copy.saved["none"].shape == (0, 3)
    assert not list(tmp_path.glob("*.part"))


def test_a_generator_goes_on_in_place_with_its_children(tmp_path: Path) -> None:
    rng = np.random.Generator(np.random.MT19937(5))
    rng.random(700)
    rng.bit_generator.seed_seq.spawn(2)
    checkpoint = Checkpoint(tmp_path)
    checkpoint.resume(rng=rng)
    checkpoint.save(1, 0.0, 0)
    checkpoint.release()
    expected = rng.random(3), rng.spawn(1)[0].random(3)
    again = Checkpoint(tmp_path)
    again.read()
    held = np.random.Generator(np.random.MT19937(5))
    again.resume(rng=held)
    assert np.array_equal(held.random(3), expected[0])
    assert np.array_equal(held.spawn(1)[0].random(3), expected[1])


def test_what_cannot_be_kept_or_is_missing_is_refused(tmp_path: Path, eager: None) -> None:
    class Part:
        def state_dict(self):
            return {"set": {1}}

        def load_state_dict(self, saved):
            pass

    checkpoint = Checkpoint(tmp_path)
    checkpoint.resume(part=Part())
    with pytest.raises(TypeError, match="arrays, numbers, texts, dicts and lists, got set"):
        checkpoint.save(1, 0.0, 0)
    interrupted(tmp_path, 5)
    run, _ = begin(tmp_path)
    with pytest.raises(ValueError, match=r"holds \['rng', 'walk'\], training names \['walk'\]"):
        run.checkpoint.resume(walk=Walk())
    run.checkpoint.release()


def test_a_part_of_the_time_goes_into_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(checkpoints.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(os, "fsync", lambda handle: now.__setitem__(0, now[0] + 0.5))
    checkpoint = Checkpoint(tmp_path)
    assert not checkpoint.due()
    now[0] = 1000.0
    assert not checkpoint.due()  # nobody has named anything to save
    checkpoint.resume(walk=Walk())
    now[0] += checkpoints.EVERY - 0.1
    assert not checkpoint.due()
    now[0] += 0.1
    assert checkpoint.due()
    checkpoint.save(1, 0.0, 0)
    cost = now[0] - 1000.0 - checkpoints.EVERY
    assert cost >= 0.5
    now[0] += cost / checkpoints.SHARE - 0.1
    assert not checkpoint.due()
    now[0] += 0.1 + 1e-6
    assert checkpoint.due()
    checkpoint.release()


# going on


@pytest.mark.parametrize("stop", [2, 7, STEPS])
def test_the_same_command_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, eager: None, stop: int
) -> None:
    whole, _ = begin(tmp_path / "whole")
    with whole:
        place, rng = whole.follow(walk(whole.checkpoint), STEPS)
        whole.conclude("12 steps", reached=True, value="12 steps")
    first = interrupted(tmp_path / "cut", stop)
    assert first.exit_code == 130
    assert f"goes on after step {stop - 1}" in first.console.file.getvalue()
    with (first.folder / "metrics.csv").open("a") as file:
        file.write("99,1,0.5,\n100,1,")  # what was written after the checkpoint
    second, said = begin(tmp_path / "cut")
    assert second.folder == first.folder
    assert f"Going on with {second.folder} after step {stop - 1}" in said.getvalue()
    with second:
        place_again, rng_again = second.follow(walk(second.checkpoint), STEPS)
        second.conclude("12 steps", reached=True, value="12 steps")
    assert place_again.tobytes() == place.tobytes()
    assert rng_again.bit_generator.state == rng.bit_generator.state
    assert (second.folder / "metrics.csv").read_bytes() == (whole.folder / "metrics.csv").read_bytes()
    names = {"config.json", "metrics.csv", "verdict.json"}
    assert {f.name for f in whole.folder.iterdir()} == names
    assert {f.name for f in second.folder.iterdir()} == {*names, "interruptions.csv"}
    verdict = json.loads((second.folder / "verdict.json").read_text("utf-8"))
    assert verdict["interruptions"] == 1
    assert "stopped" not in verdict
    third, _ = begin(tmp_path / "cut")  # a finished run is finished
    assert third.folder.name == "walk_002"


def test_seconds_of_all_parts_add_up(tmp_path: Path, eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for part, (stop, seconds) in enumerate([(5, 100.0), (9, 10.0), (0, 1.0)]):
        run, _ = begin(tmp_path)
        run._started -= seconds
        with run:
            run.follow(walk(run.checkpoint, stop), STEPS)
        assert run.interruptions == part
    assert 111.0 <= run.seconds < 115.0
    rows = (run.folder / "interruptions.csv").read_text("ascii").splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "4", "8"]


def test_a_run_that_fails_can_go_on_too(tmp_path: Path, eager: None) -> None:
    run, _ = begin(tmp_path)
    with pytest.raises(ZeroDivisionError), run:
        run.follow(walk(run.checkpoint, 4, ZeroDivisionError), STEPS)
    again, _ = begin(tmp_path)
    assert again.checkpoint.step == 3
    again.checkpoint.release()


def test_a_run_stopped_before_its_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    first = interrupted(tmp_path, 5)
    assert "goes on" not in first.console.file.getvalue()
    run, said = begin(tmp_path)
    assert run.folder.name == "walk_002"
    assert said.getvalue() == ""


def test_fresh_begins_anew_and_is_no_part_of_the_config(tmp_path: Path, eager: None) -> None:
    interrupted(tmp_path, 5)
    assert configure_resumable(Config, ["--fresh"], "title") == (Config(), True)
    assert configure_resumable(Config, ["--seed", "2"], "title") == (Config(2), False)
    run, said = begin(tmp_path, fresh=True)
    assert run.folder.name == "walk_002"
    assert run.checkpoint.step == 0
    assert said.getvalue() == ""


# when it must not


def test_another_config_or_name_begins_anew(tmp_path: Path, eager: None) -> None:
    interrupted(tmp_path, 5)
    for name, config in (("walk", Config(1)), ("walk", Config(sizes=(6,))), ("walks", Config())):
        run = Run(name, config, root=tmp_path, console=Console(file=io.StringIO()))
        assert run.checkpoint.step == 0


def test_the_newest_run_that_can_go_on_does(tmp_path: Path, eager: None) -> None:
    interrupted(tmp_path, 5)
    run, _ = begin(tmp_path, fresh=True)
    with run:
        run.follow(walk(run.checkpoint, 9), STEPS)
    Run("walk", Config(3), root=tmp_path, console=Console(file=io.StringIO()))
    again, _ = begin(tmp_path)
    assert again.folder.name == "walk_002"
    assert again.checkpoint.step == 8
    again.checkpoint.release()


def test_changed_code_begins_anew_and_names_what_changed(
    tmp_path: Path, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = interrupted(tmp_path, 5)
    known = checkpoints.code()
    assert "experiments.runs" in known
    assert "experiments.plots" not in known
    assert known["NumPy"] == np.__version__
    monkeypatch.setattr(checkpoints, "code", lambda: known | {"solutions/a.py": "1"})
    run, said = begin(tmp_path)
    assert run.folder.name == "walk_002"
    expected = f"{first.folder} stopped at step 4 on other code (solutions/a.py has changed since): beginning"
    assert said.getvalue() == f"{expected} anew in {run.folder}\n"
    monkeypatch.setattr(checkpoints, "code", lambda: known)
    assert begin(tmp_path)[0].folder == first.folder  # changed back


def test_a_run_that_another_process_trains_is_left_alone(tmp_path: Path, eager: None) -> None:
    training = begin(tmp_path)[0]
    steps = walk(training.checkpoint)
    next(steps)
    training.checkpoint.save(1, 0.0, 0)
    run, said = begin(tmp_path)
    assert run.folder.name == "walk_002"
    assert "is being trained by another process: beginning anew" in said.getvalue()
    training.checkpoint.release()


def test_a_damaged_checkpoint_is_never_used_and_kept(tmp_path: Path, eager: None) -> None:
    first = interrupted(tmp_path, 5)
    file = first.folder / checkpoints.FILE
    whole = file.read_bytes()
    wanted = repr(_read(first.folder))
    rng = random.Random(0)
    for trial in range(300):  # one bit, or the end cut off
        damaged = bytearray(whole)
        if trial % 3:
            damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        else:
            del damaged[rng.randrange(len(whole)) :]
        file.write_bytes(damaged)
        try:
            assert repr(_read(first.folder)) == wanted  # a bit that means nothing
        except Damaged:
            pass
    file.write_bytes(whole[:-7])
    run, said = begin(tmp_path)
    assert run.folder.name == "walk_002"
    assert f"{first.folder} has a damaged checkpoint" in said.getvalue()
    assert said.getvalue().count("\n") == 1
    assert file.read_bytes() == whole[:-7]


def _read(folder: Path) -> tuple:
    checkpoint = Checkpoint(folder)
    checkpoint.read()
    return checkpoint.step, checkpoint.seconds, checkpoint.size, checkpoint.code, checkpoint._states


def test_a_record_shorter_than_the_checkpoint_is_damage(tmp_path: Path, eager: None) -> None:
    first = interrupted(tmp_path, 5)
    file = first.folder / "metrics.csv"
    file.write_bytes(file.read_bytes()[:-30])
    run, said = begin(tmp_path)
    assert run.folder.name == "walk_002"
    assert "metrics.csv has" in said.getvalue()


def test_a_full_disk_leaves_the_checkpoint_before_it(
    tmp_path: Path, eager: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = begin(tmp_path)
    replace, count = os.replace, iter(range(99))

    def full(*paths):
        if next(count) == 3:
            raise OSError(28, "No space left on device")
        replace(*paths)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(checkpoints.DataError, match=r"cannot write .*checkpoint.npz: No space left"), run:
        run.follow(walk(run.checkpoint), STEPS)
    again, _ = begin(tmp_path)
    assert again.checkpoint.step == 3
    again.checkpoint.release()


# kill -9 and Ctrl-C, on a real network


CALLS = ("open", "fsync", "replace", "truncate", "unlink", "mkdir")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


def train(checkpoint: Checkpoint) -> Generator[Metrics, None, object]:
    """Batch normalization has buffers, dropout draws, Adam remembers."""
    from experiments import classifier
    from nn_core.activations.relu import ReLU
    from nn_core.layers.linear import Linear
    from nn_core.module import Sequential
    from nn_core.normalization.batchnorm import BatchNorm1d
    from nn_core.regularization.dropout import Dropout
    from optimization.losses.cross_entropy import CrossEntropyLoss
    from optimization.optimizers.adam import Adam

    rng = np.random.default_rng(0)
    network = Sequential(
        Linear(6, 8, rng=rng), BatchNorm1d(8), ReLU(), Dropout(0.5, rng=rng), Linear(8, 3, rng=rng)
    )
    optimizer = Adam(network.parameters())

    def batches_of(epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = np.random.default_rng(epoch)
        for _ in range(4):
            yield order.standard_normal((5, 6)).astype(np.float32), order.integers(3, size=5)

    yield from classifier.fit(
        network,
        optimizer,
        CrossEntropyLoss(),
        batches_of,
        lambda epoch: epoch / 10,
        epochs=STEPS // 4,
        steps_per_epoch=4,
        schedule=classifier.falling(optimizer, 0.1, STEPS),
        checkpoint=checkpoint,
    )
    return network


def whole_run(root: Path) -> int:
    """What a milestone does: train, write down, conclude."""
    with Run("tiny", Config(), root=root, console=Console(file=io.StringIO())) as run:
        network = run.follow(train(run.checkpoint), STEPS)
        weights = [name.encode() + array.tobytes() for name, array in network.state_dict().items()]
        (run.folder / "weights").write_bytes(b"\n".join(weights))
        run.conclude("12 steps", reached=True, value="12 steps")
    return run.exit_code


def serve() -> None:
    """Fork a child for each request on standard input, end it when that says so, and answer."""
    from curriculum import manifest
    from curriculum.overlay import Overlay, install

    install(Overlay(ROOT, manifest.load(ROOT).packages, "solutions"))
    checkpoints.EVERY, checkpoints.SHARE = 0.0, math.inf
    next(train(Checkpoint(Path())))  # so that no child has to import anything
    for line in sys.stdin:
        request = json.loads(line)
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            try:
                die_at_call(request["call"])
                os._exit(whole_run(Path(request["root"])))
            except KeyboardInterrupt:
                os._exit(130)
            finally:
                os._exit(99)
        if request["delay"] is not None:
            time.sleep(request["delay"])
            os.kill(child, request["signal"])
        _, status = os.waitpid(child, 0)
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        print(json.dumps({"code": code, "seconds": time.perf_counter() - start}), flush=True)


def die_at_call(number: int | None) -> None:
    """Die instead of making the ``number``-th system call that changes files; leave out fsync, for speed."""
    count = 0

    def wrapped(name, original):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return None if name == "fsync" else original(*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, wrapped(name, getattr(os, name)))


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("CURRICULUM_ROOT", None)
    process = subprocess.Popen(
        [sys.executable, __file__], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        yield process
        process.stdin.close()


def ask(server: subprocess.Popen, root: Path, **ending) -> dict:
    request = {"root": str(root), "call": None, "delay": None, "signal": None, **ending}
    server.stdin.write(json.dumps(request).encode() + b"\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


@pytest.fixture(scope="module")
def undisturbed(server: subprocess.Popen, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The folder of a run that nothing disturbed, and how long it took."""
    root = tmp_path_factory.mktemp("undisturbed")
    answer = ask(server, root)
    assert answer["code"] == 0
    return root / "tiny_001", answer["seconds"]


def ended_alike(root: Path, undisturbed: Path) -> int:
    """Check the newest run of ``root``; how often it was cut short."""
    folder = max(root.iterdir())
    for name in ("weights", "metrics.csv"):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes()
    assert not list(folder.glob("checkpoint*"))
    return json.loads((folder / "verdict.json").read_text("utf-8"))["interruptions"]


@forks
def test_killed_at_a_system_call_a_run_goes_on_to_the_same_bits(server, undisturbed, tmp_path) -> None:
    interruptions, call = 0, 0
    while True:
        call += 5
        root = tmp_path / str(call)
        killed = ask(server, root, call=call)["code"] == -signal.SIGKILL
        assert ask(server, root)["code"] == 0
        interruptions += ended_alike(root, undisturbed[0])
        shutil.rmtree(root)
        if not killed:
            break
    assert call > 40, "a checkpoint makes several system calls, and there are 12"
    assert interruptions >= 6


@forks
@pytest.mark.parametrize("kind", ["kill -9", "Ctrl-C", "both"])
def test_stopped_at_random_a_run_goes_on_to_the_same_bits(server, undisturbed, tmp_path, kind) -> None:
    rng = random.Random(kind)
    signals = {"kill -9": [9], "Ctrl-C": [2], "both": [9, 2]}[kind]
    interruptions = 0
    for trial in range(6):
        root = tmp_path / str(trial)
        for _ in range(rng.randrange(1, 5)):
            delay = undisturbed[1] * rng.random()
            answer = ask(server, root, delay=delay, signal=rng.choice(signals))
            assert answer["code"] in (0, 130, -signal.SIGKILL)
        assert ask(server, root)["code"] == 0
        interruptions += ended_alike(root, undisturbed[0])
    assert interruptions >= 1


if __name__ == "__main__":
    serve()
