"""What happened in a run: one record, which the live view, the replay, the pictures and the tests all read.

    metrics.csv      a row for each step: its loss and the parts of it, and what was measured at that step
    snapshots.npz    the samples, the grid, the target, the fit now and then, and the last theta
    end.json         how it ended, after which step, and if it blew up, why and what to do

Training writes through `Recorder` and never draws; drawing reads a `History` and never trains.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from types import TracebackType
from zipfile import BadZipFile

import numpy as np

from experiments.neuroscope.config import ConfigError, load
from experiments.neuroscope.targets import Data, Plot

Array = np.ndarray
LONGEST = 20_000  # rows of a page: of longer runs it shows every second, third, ... step
FRAMES = 500  # fits that a page shows
POINTS = 1000  # samples that a page shows

ENDS = ("running", "completed", "diverged", "interrupted")


@dataclass(frozen=True)
class End:
    """How a run ended."""

    how: str = "running"  # "completed", "diverged", "interrupted"
    step: int = 0  # steps done
    why: str = ""
    advice: str = ""


@dataclass
class History:
    """A run, finished or not.

    Attributes:
        name: of its folder.
        title: one line: target, network, optimizer.
        config: as in config.json.
        end: how it ended.
        columns: name -> (R,), a value for each row of metrics.csv, NaN where nothing was measured.
        frames: (F,) steps of the snapshots.
        output: (F, M) the fit on the grid, float32; slope and curvature alike, for one input.
        data, plot: samples and grid.
        target: (M,) the function on the grid, NaN where it is not known.
        notes: short sentences for the panels.
    """

    name: str
    title: str
    config: dict
    data: Data
    plot: Plot
    target: Array
    notes: dict[str, str] = field(default_factory=dict)
    end: End = End()
    columns: dict[str, Array] = field(default_factory=dict)
    frames: Array = field(default_factory=lambda: np.zeros(0, int))
    output: Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    slope: Array | None = None
    curvature: Array | None = None

    def at(self, column: str) -> tuple[Array, Array]:
        """The steps at which a column was measured, and its values; both empty where it never was."""
        values = self.columns.get(column, np.empty(0))
        known = ~np.isnan(values)
        return self.columns["step"][known] if values.size else values, values[known]

    @property
    def sampled(self) -> bool:
        """Whether the samples are learned from at all: an equation can do without."""
        return bool(self.config.get("data_weight", 1.0))

    def page(self) -> dict:
        """The record as the page takes it, see `page.write`."""
        from experiments.neuroscope.page import encode

        rows = np.arange(len(self.columns.get("step", [])))
        thin = rows[:: max(1, -(-rows.size // LONGEST))]
        thin = np.union1d(thin, rows[-1:])
        chosen = np.unique(np.linspace(0, len(self.data.X) - 1, POINTS).astype(int))[: POINTS * self.sampled]
        shots = np.unique(np.linspace(0, len(self.frames) - 1, FRAMES).astype(int))[: len(self.frames)]
        integers = lambda a: encode(np.asarray(a, np.int32))  # noqa: E731
        steps = {name: encode(values[thin]) for name, values in self.columns.items() if name != "step"}
        return {
            "name": self.name,
            "title": self.title,
            "config": self.config,
            "input": len(self.plot.axes),
            "end": vars(self.end),
            "notes": self.notes,
            "box": self.data.box.tolist(),
            "train": {"x": encode(self.data.X[chosen].ravel()), "y": encode(self.data.y[chosen])},
            "kept": {"x": encode(self.data.outside_X.ravel()), "y": encode(self.data.outside_y)},
            "plot": {"axes": [encode(a) for a in self.plot.axes], "target": encode(self.target)},
            "frames": {
                "step": integers(self.frames[shots]),
                "output": encode(self.output[shots].ravel()),
                "slope": None if self.slope is None else encode(self.slope[shots].ravel()),
                "curvature": None if self.curvature is None else encode(self.curvature[shots].ravel()),
            },
            "steps": {"step": integers(self.columns.get("step", np.empty(0))[thin]), **steps},
        }


class Recorder:
    """Writes the record of a run while it grows; a context manager, whose files are whole whatever happens.

    Args:
        folder: of the run.
        history: what is known before it begins; filled as it goes on.
        columns: names of the columns, "step" first.
    """

    def __init__(self, folder: Path, history: History, columns: list[str]):
        self.folder, self.history, self.names = folder, history, columns
        self.theta = np.empty(0)
        self._rows: list[list[float]] = []
        self._snapshots: list[tuple[int, Array, Array | None, Array | None]] = []
        self._file = (folder / "metrics.csv").open("w", encoding="ascii", newline="\n")
        self._file.write(",".join(columns) + "\n")

    def row(self, step: int, values: Mapping[str, float]) -> None:
        """Add a row: what is not in ``values`` was not measured."""
        self._rows.append([float(step), *(float(values.get(name, nan)) for name in self.names[1:])])
        cells = (repr(float(values[name])) if name in values else "" for name in self.names[1:])
        self._file.write(f"{step},{','.join(cells)}\n")

    def snapshot(self, step: int, output: Array, slope: Array | None, curvature: Array | None) -> None:
        """Keep the fit on the grid at a step, (M,), in single precision."""
        parts = (None if a is None else a.astype(np.float32) for a in (output, slope, curvature))
        self._snapshots.append((step, *parts))  # type: ignore[arg-type]

    def update(self) -> History:
        """Bring the history up to the last row."""
        table = np.array(self._rows).reshape(-1, len(self.names))
        self.history.columns = {name: table[:, i] for i, name in enumerate(self.names)}
        if self.history.end.how == "running" and self._rows:
            self.history.end = End(step=int(self._rows[-1][0]))
        if self._snapshots:
            steps, output, slope, curvature = zip(*self._snapshots, strict=True)
            self.history.frames, self.history.output = np.array(steps), np.stack(output)
            self.history.slope = None if slope[0] is None else np.stack(slope)
            self.history.curvature = None if curvature[0] is None else np.stack(curvature)
        return self.history

    def finish(self, end: End) -> None:
        """Note how it ended."""
        self.history.end = end

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        last = self._rows[-1][0] if self._rows else -1
        self._snapshots = [
            s for s in self._snapshots if s[0] <= last
        ]  # one whose row was not written any more
        h = self.update()
        if error is not None:
            stopped = isinstance(error, KeyboardInterrupt)
            why = "stopped by Ctrl-C" if stopped else f"{type(error).__name__}: {error}"
            done = int(self._rows[-1][0]) if self._rows else 0
            h.end = End("interrupted", done, why)
        data, plot = h.data, h.plot
        known = {f"axis_{i}": axis for i, axis in enumerate(plot.axes)}
        known |= {"X": data.X, "y": data.y, "box": data.box, "target": h.target, "theta": self.theta}
        known |= {
            "outside_X": data.outside_X,
            "outside_y": data.outside_y,
            "frames": h.frames,
            "output": h.output,
        }
        known |= {k: v for k, v in (("slope", h.slope), ("curvature", h.curvature)) if v is not None}
        np.savez(self.folder / "snapshots.npz", **known)
        record = {"title": h.title, "label": data.label, "notes": h.notes, **vars(h.end)}
        text = json.dumps(record, indent=2, ensure_ascii=False)
        (self.folder / "end.json").write_text(text + "\n", "utf-8", newline="\n")


def replay(folder: Path | str) -> History:
    """Read a run back, for pictures and the page; nothing is trained.

    Raises:
        ConfigError: the folder holds no record of a run; the message names what is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}")
    missing = [
        n for n in ("config.json", "metrics.csv", "snapshots.npz", "end.json") if not (folder / n).is_file()
    ]
    if missing:
        raise ConfigError(f"{folder} holds no record of a run: {', '.join(missing)} is missing")
    try:
        record = json.loads((folder / "end.json").read_text("utf-8"))
        with (folder / "snapshots.npz").open("rb") as file, np.load(file, allow_pickle=False) as found:
            kept = dict(found)
        with (folder / "metrics.csv").open(encoding="ascii", newline="") as text:
            header, *rows = csv.reader(text)
        if not rows:
            raise ValueError("metrics.csv has no rows")
        table = np.array([[float(c) if c else nan for c in row] for row in rows]).reshape(-1, len(header))
        end = End(*(record[k] for k in ("how", "step", "why", "advice")))
        box, axes = kept["box"], [kept[f"axis_{i}"] for i in range(len(kept["box"]))]
        X = np.stack([side.ravel() for side in np.meshgrid(*axes)], axis=1)
        _check(header, table, end, kept, len(X))
        if not isinstance(record["notes"], dict):
            raise ValueError("end.json has no notes for the panels")
        inside = ((box[:, 0] <= X) & (X <= box[:, 1])).all(axis=1)
        data = Data(kept["X"], kept["y"], box, None, kept["outside_X"], kept["outside_y"], record["label"])
        return History(
            folder.name, record["title"], load(folder), data, Plot(axes, X, inside), kept["target"],
            record["notes"], end, {name: table[:, i] for i, name in enumerate(header)}, kept["frames"],
            kept["output"], kept.get("slope"), kept.get("curvature"),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, BadZipFile) as error:
        raise ConfigError(f"the record in {folder} is damaged: {type(error).__name__}: {error}") from None


def _check(header: list[str], table: Array, end: End, kept: Mapping[str, Array], points: int) -> None:
    """Refuse files that do not belong together.

    Raises:
        ValueError: a row or a snapshot is missing or too many, or the end is no end.
    """
    if end.how not in ENDS or not isinstance(end.step, int) or not isinstance(end.why + end.advice, str):
        raise ValueError("end.json does not say how the run ended")
    if header[:2] != ["step", "loss"]:
        raise ValueError("metrics.csv does not begin with step and loss")
    if table[:, 0].tolist() != list(range(len(table))):
        raise ValueError("metrics.csv has not one row for each step")
    frames = kept["frames"]
    fits = [kept[name].shape for name in ("output", "slope", "curvature") if name in kept]
    if set(fits) != {(len(frames), points)} or kept["target"].shape != (points,):
        raise ValueError("snapshots.npz has fits of another shape than its grid")
    if len(kept["X"]) != len(kept["y"]) or len(kept["outside_X"]) != len(kept["outside_y"]):
        raise ValueError("snapshots.npz has samples without values")
    if len(frames) and frames[-1] > table[-1, 0]:
        raise ValueError("snapshots.npz goes on after the last row of metrics.csv")
