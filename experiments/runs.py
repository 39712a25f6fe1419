"""A training run leaves a folder behind: ``runs/<name>_###/``.

    config.json         what was asked for
    metrics.csv         one row a record; the same seed gives the same bytes, so times are not in it
    *.png, *.csv        figures and tables
    verdict.json        the goal, the value, whether it was reached, seconds, whose code ran, on what
    interruptions.csv   of a run that was cut short and went on: after which step, how many seconds into it

Training itself is a generator that yields metrics and returns what was trained: it neither prints nor writes.
Where it names what it changes (`experiments.checkpoints`), a run that was cut short, by Ctrl-C or worse, is
taken up again by the same command, and its weights and metrics.csv end as if nothing had happened.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from curriculum import milestone, report
from experiments import animation
from experiments.checkpoints import Checkpoint, unfinished

Trained = TypeVar("Trained")
Options = TypeVar("Options")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Metrics:
    """How training stands; a row of ``metrics.csv``."""

    step: int  # parameter updates so far
    epoch: int  # passes over the training data begun so far, from 1
    loss: float  # of this step's batch, before its update
    accuracy: float | None = None  # on data not trained on, in [0, 1]; None where it was not measured


def configure(config: type[Options], arguments: Sequence[str] | None, title: str) -> Options:
    """Read a config dataclass from a command line: every field is an option, with its default.

    Args:
        config: a dataclass whose fields are int, float, str or a tuple of int, all with defaults.
        arguments: "--seed 1"; None for those of this process.
        title: of the help text.
    """
    return configure_resumable(config, arguments, title)[0]


def configure_resumable(
    config: type[Options], arguments: Sequence[str] | None, title: str
) -> tuple[Options, bool]:
    """`configure`, and whether the run is to begin anew (``--fresh``): that is no part of what it depends on.

    Args:
        config: as there.
        arguments: as there.
        title: as there.
    """
    parser = argparse.ArgumentParser(
        prog="options", description=title, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for field in fields(config):  # type: ignore[arg-type]
        option = "--" + field.name.replace("_", "-")
        convert = _numbers_of if isinstance(field.default, tuple) else type(field.default)
        parser.add_argument(option, type=convert, default=field.default, help=" ")
    anew = "begin anew, even where a run with these options was cut short and could go on"
    parser.add_argument("--fresh", action="store_true", help=anew)
    chosen = vars(parser.parse_args(arguments))
    fresh = chosen.pop("fresh")
    return config(**chosen), fresh


def _numbers_of(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


class Run:
    """One training run and its folder; as a context manager it keeps the record of a run that was cut short.

    Args:
        name: of the experiment: the folder is the next free ``runs/<name>_###``, or that of the newest run
            with this config and this code, if it was cut short and left a checkpoint.
        config: a dataclass.
        root: where the folder ``runs`` is.
        console: where a person looks on.
        fresh: take a free folder in any case.

    Attributes:
        folder: the run's folder.
        checkpoint: for training that can go on after it was cut short; unused, it costs nothing.
        interruptions: how often it was cut short and went on.
        exit_code: 0 the goal was reached, 1 it was not (yet), 130 interrupted.
        seconds: from the start to the last step of training, time of figures excluded. Of a run that went on,
            all its parts, each up to the checkpoint that the next began with: what came after it was lost.
    """

    def __init__(
        self,
        name: str,
        config: object,
        *,
        root: Path | str = "runs",
        console: Console | None = None,
        fresh: bool = False,
    ):
        self.console = console or report.console()
        self.exit_code = milestone.NOT_REACHED
        self.seconds = 0.0
        self.interruptions = 0
        self._last: Metrics | None = None
        self._started = time.perf_counter()
        asked = {"name": name, **asdict(config)}  # type: ignore[call-overload]
        left, obstacle = None, ""
        if not fresh:
            left, obstacle = unfinished([*_folders(Path(root), name).values()], json.loads(json.dumps(asked)))
        self.checkpoint = left or Checkpoint(_next_folder(Path(root), name))
        self.folder = self.checkpoint.folder
        if left:
            self._take_up()
        else:
            self.save_json("config.json", asked)
        if obstacle:
            self._say(f"{obstacle}: beginning anew in {self.folder}")

    @classmethod
    def open(cls, folder: Path, console: Console | None = None) -> Run:
        """The run of a folder that is there already, to draw into it again; its config stays as it is."""
        run = cls.__new__(cls)
        run.console, run.folder = console or report.console(), folder
        run.seconds, run.interruptions, run._started = 0.0, 0, time.perf_counter()
        return run

    def _take_up(self) -> None:
        """Go on after the checkpoint: forget what was recorded after it, and note that this happened."""
        step, seconds = self.checkpoint.step, self.checkpoint.seconds
        self._started -= seconds
        os.truncate(self.folder / "metrics.csv", self.checkpoint.size)
        file = self.folder / "interruptions.csv"
        rows = (file.read_text("ascii").splitlines() if file.exists() else []) or ["step,seconds"]
        rows.append(f"{step},{seconds:.2f}")
        file.write_text("\n".join(rows) + "\n", "ascii", newline="\n")
        self.interruptions = len(rows) - 1
        self._say(
            f"Going on with {self.folder} after step {step:,}, {seconds:.0f} s into it. FRESH=1 begins anew."
        )

    def _say(self, sentence: str) -> None:
        self.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.checkpoint.release()
        if error is None:
            return False
        self.seconds = time.perf_counter() - self._started
        stopped = (
            "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
        )
        self.save_json("verdict.json", {"reached": False, "stopped": stopped, **self.facts()})
        if not isinstance(error, KeyboardInterrupt):
            return False
        self.exit_code = milestone.INTERRUPTED
        after = f" after {self._last.step:,} steps" if self._last else ""
        step = self.checkpoint.step
        how = f". The same command goes on after step {step:,}" if step else ""
        self._say(f"Stopped{after}; the record so far is in {self.folder}{how}")
        return True

    def follow(self, training: Generator[Metrics, None, Trained], steps: int) -> Trained:
        """Run ``training`` to its end: each record to ``metrics.csv`` and to the progress bar.

        Args:
            training: yields a record a step. If it asks the checkpoint how many are done, it is saved now and
                then, between two steps.
            steps: how many there will be.

        Returns:
            What ``training`` returns.
        """
        names = [f.name for f in fields(Metrics)]
        done = self.checkpoint.step
        file = (self.folder / "metrics.csv").open("ab" if done else "wb")
        with file, _Bar(self.console, steps, done) as bar:
            if not done:
                file.write((",".join(names) + "\n").encode("ascii"))
            while True:
                try:
                    metrics = next(training)
                except StopIteration as end:
                    self.seconds = time.perf_counter() - self._started
                    trained: Trained = end.value
                    return trained
                row = (getattr(metrics, name) for name in names)
                line = ",".join("" if value is None else repr(value) for value in row) + "\n"
                file.write(line.encode("ascii"))
                self._last = metrics
                bar.show(metrics)
                if self.checkpoint.due():
                    file.flush()
                    os.fsync(file.fileno())
                    self.checkpoint.save(metrics.step, time.perf_counter() - self._started, file.tell())

    def track(self, work: Sequence[Item], what: str) -> Iterator[Item]:
        """Go through ``work`` with a progress bar that says ``what`` is being done and how long it takes."""
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("left"))
        shown = self.console.is_terminal
        with Progress(*columns, console=self.console, transient=True, disable=not shown) as bar:
            yield from bar.track(work, description=what)
        self.seconds = time.perf_counter() - self._started

    def history(self) -> dict[str, np.ndarray]:
        """The columns of ``metrics.csv``, float64, NaN where a value was not measured."""
        table: np.ndarray = np.genfromtxt(
            self.folder / "metrics.csv", delimiter=",", names=True, dtype=np.float64
        )
        return {f.name: np.atleast_1d(table[f.name]) for f in fields(Metrics)}

    def save_figure(self, name: str, drawn: Figure) -> None:
        """Write ``<name>.png``; nothing in it depends on when or with what version it was made."""
        drawn.savefig(self.folder / f"{name}.png", metadata={"Software": None})

    def save_animation(
        self, name: str, drawn: Figure, show: Callable[[int], None], frames: Sequence[int], fps: int = 8
    ) -> None:
        """Write ``<name>.gif``, and ``<name>.mp4`` where ffmpeg is; the last picture stays for two seconds.

        Args:
            name: of the files.
            drawn: the figure that every frame is drawn on.
            show: draws a frame, given its number.
            frames: the numbers.
            fps: frames a second.
        """
        canvas, pictures = FigureCanvasAgg(drawn), []
        for number in self.track(frames, "drawing the animation"):
            show(number)
            canvas.draw()
            pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3]))
        animation.write(self.folder / name, pictures, fps)

    def save_table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write ``<name>.csv``."""
        lines = [",".join(header), *(",".join(str(value) for value in row) for row in rows)]
        (self.folder / f"{name}.csv").write_text("\n".join(lines) + "\n", "utf-8", newline="\n")

    def conclude(self, goal: str, *, reached: bool, value: str, **facts: object) -> int:
        """Write ``verdict.json``, say whether the goal was reached, and return the exit code.

        Args:
            goal: "at least 98 % of the test images in at most 90 s".
            reached: whether it was.
            value: what was measured, in words.
            facts: further numbers for the record.
        """
        self.exit_code = milestone.REACHED if reached else milestone.NOT_REACHED
        verdict = {"goal": goal, "reached": reached, "value": value, **facts}
        self.save_json("verdict.json", {**verdict, **self.facts()})
        self.checkpoint.delete()
        mark = report.mark(self.console, "passed" if reached else "failed")
        word = "reached" if reached else "not reached"
        self.console.print(Text.assemble(mark, f" {value}. Goal {word}: {goal}."), soft_wrap=True)
        self.console.print(f"  stack: {_describe(milestone.stack())}; record: {self.folder}", soft_wrap=True)
        return self.exit_code

    def facts(self) -> dict[str, object]:
        """Seconds, interruptions, whose code ran and on what."""
        machine = {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
        }
        spent = {"seconds": round(self.seconds, 2), "interruptions": self.interruptions}
        return {**spent, "stack": milestone.stack(), **machine}

    def save_json(self, name: str, content: object) -> None:
        """Write ``content`` as the file ``name``."""
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (self.folder / name).write_text(text + "\n", "utf-8", newline="\n")


def _next_folder(root: Path, name: str) -> Path:
    """Make and return ``root/<name>_###`` with the lowest number above those that are there."""
    root.mkdir(parents=True, exist_ok=True)
    number = max(_folders(root, name), default=0)
    while True:
        number += 1
        folder = root / f"{name}_{number:03d}"
        try:
            folder.mkdir()
        except FileExistsError:  # another run took it in this moment
            continue
        return folder


def _folders(root: Path, name: str) -> dict[int, Path]:
    """The folders ``root/name_###`` by number, in order."""
    endings = {f.name.removeprefix(f"{name}_"): f for f in root.glob(f"{name}_*")}
    return dict(sorted((int(ending), f) for ending, f in endings.items() if ending.isdigit()))


def _describe(stack: dict) -> str:
    """Whose code ran, in a few words: "yours (12 modules)"."""
    kinds = [module["kind"] for module in stack["modules"].values()]
    own, reference = len(kinds) - kinds.count("reference"), kinds.count("reference")
    parts = [f"{own} of your modules" if own else "", f"{reference} of the reference" if reference else ""]
    return " and ".join(p for p in parts if p) or "none of the course's modules"


class _Bar:
    """The progress of training: a bar on a terminal, a line per measured accuracy in a log."""

    def __init__(self, console: Console, steps: int, done: int):
        self.console = console
        self.loss: float | None = None
        self.accuracy: float | None = None
        columns: tuple[ProgressColumn, ...] = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            _Numbers(),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        self.progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.progress.add_task("", total=steps, completed=done, epoch=1, loss=None, accuracy=None)

    def __enter__(self) -> _Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def show(self, metrics: Metrics) -> None:
        """Draw where training stands; the loss is smoothed, as single batches jump."""
        self.loss = metrics.loss if self.loss is None else 0.95 * self.loss + 0.05 * metrics.loss
        self.accuracy = self.accuracy if metrics.accuracy is None else metrics.accuracy
        self.progress.update(
            self.task, completed=metrics.step, epoch=metrics.epoch, loss=self.loss, accuracy=self.accuracy
        )
        if metrics.accuracy is not None and not self.console.is_terminal:
            self.console.print(f"epoch {metrics.epoch:3d}  {_numbers(self.loss, self.accuracy)}")


class _Numbers(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(_numbers(task.fields["loss"], task.fields["accuracy"]))


def _numbers(loss: float | None, accuracy: float | None) -> str:
    shown = "" if loss is None else f"loss {loss:.4f}"
    return shown if accuracy is None else f"{shown}  accuracy {accuracy:.2%}"
