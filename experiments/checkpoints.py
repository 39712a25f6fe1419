"""A training run that was cut short goes on where it stopped, and ends as if nothing had happened.

    checkpoint.npz     everything that training changes, and how far it was
    checkpoint.lock    held by the process that trains; the system frees it when that dies, however it dies

Training names once what it changes, and learns how many steps are behind it:

    done = checkpoint.resume(network=network, optimizer=optimizer)

Between two steps all there is to know is in these objects, so that is where the run saves them. Whatever else
a step depends on must follow from its number: the batches of an epoch from a generator of that epoch alone.
The file appears whole or not at all: it is written beside the old one, flushed to the disk, and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from curriculum import milestone, store
from curriculum.datasets.store import DataError

FILE, LOCK, PART = "checkpoint.npz", "checkpoint.lock", "checkpoint.npz.part"
EVERY = 15.0  # seconds between two checkpoints, or more:
SHARE = 0.02  # of the time, at most, goes into them


class Damaged(Exception):
    """A checkpoint is not what was written. The message says how that shows."""


class Stateful(Protocol):
    """A Module, an Optimizer, a Scheduler."""

    def state_dict(self) -> Mapping: ...

    def load_state_dict(self, saved: Mapping, /) -> object: ...


class Checkpoint:
    """How far training is and everything that it changes, on the disk.

    Args:
        folder: of the run.

    Attributes:
        step: parameter updates that the checkpoint holds; 0 if there is none.
        seconds: that these took.
        size: bytes of metrics.csv that belong to them.
        code: what trained, as `code` says.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.step, self.seconds, self.size = 0, 0.0, 0
        self.code: dict[str, str] = {}
        self._parts: dict[str, Stateful | np.random.Generator] = {}
        self._states: dict[str, dict] = {}  # what was read, until `resume` asks for it
        self._lock = -1
        self._saved, self._cost = time.perf_counter(), 0.0  # when; seconds that it took

    def resume(self, **parts: Stateful | np.random.Generator) -> int:
        """Name what training changes and, where a checkpoint was read, bring it to the state it had there.

        Args:
            parts: what has ``state_dict`` and ``load_state_dict``, and generators. A generator is changed in
                place: a layer that draws from it goes on with the same numbers.

        Returns:
            How many steps are done: training goes on with the next one.

        Raises:
            ValueError: the checkpoint holds other parts; the message names both.
        """
        if self.step and set(parts) != set(self._states):
            raise ValueError(f"the checkpoint holds {sorted(self._states)}, training names {sorted(parts)}")
        for name, state in self._states.items():
            _restore(parts[name], state)
        self._parts, self._states = parts, {}
        self.code = self.code or code()
        self._saved = time.perf_counter()
        return self.step

    def due(self) -> bool:
        """Whether it is time to save."""
        waited = time.perf_counter() - self._saved
        return bool(self._parts) and waited >= max(EVERY, self._cost / SHARE)

    def save(self, step: int, seconds: float, size: int) -> None:
        """Write the state of all parts.

        Args:
            step: parameter updates so far.
            seconds: that they took, in all parts of the run.
            size: bytes of metrics.csv, which are on the disk.

        Raises:
            DataError: it cannot be written; the checkpoint before it is as it was.
        """
        began = time.perf_counter()
        states = {name: _state(part) for name, part in self._parts.items()}
        arrays: dict[str, np.ndarray] = {}
        header = {"step": step, "seconds": seconds, "size": size, "code": self.code}
        header["parts"] = _pack(states, arrays)
        try:
            self.hold()
            part = self.folder / PART
            with part.open("wb") as file:
                np.savez(file, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.folder / FILE)
            store.flush_folder(self.folder)
        except OSError as error:
            raise DataError(f"cannot write {self.folder / FILE}: {error.strerror}") from None
        self.step, self.seconds, self.size = step, seconds, size
        self._saved = time.perf_counter()
        self._cost = self._saved - began

    def read(self) -> None:
        """Read what was saved in the folder; `resume` then hands it out.

        Raises:
            Damaged: it is not whole, or metrics.csv is shorter than it was.
        """
        try:
            with zipfile.ZipFile(self.folder / FILE) as archive:
                bad = archive.testzip()  # compares checksums
            if bad:
                raise ValueError(f"{bad} is not what was written")
            with np.load(self.folder / FILE, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(str(arrays.pop("header")))
            self.step, self.seconds, self.size = (header[name] for name in ("step", "seconds", "size"))
            self.code = header["code"]
            self._states = _unpack(header["parts"], arrays)  # type: ignore[assignment]
        except Exception as error:  # a flipped bit shows in many ways
            raise Damaged(f"{type(error).__name__}: {error}") from None
        metrics = self.folder / "metrics.csv"
        size = metrics.stat().st_size if metrics.exists() else 0
        if size < self.size:
            raise Damaged(f"metrics.csv has {size:,} bytes, it had {self.size:,}")

    def hold(self) -> bool:
        """Keep other processes from going on with this run; False if one of them does."""
        if self._lock < 0:
            handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            if not store.try_lock(handle):
                os.close(handle)
                return False
            self._lock = handle
        return True

    def release(self) -> None:
        """Let another process, or this one later, go on with the run."""
        if self._lock >= 0:
            store.unlock(self._lock)
            os.close(self._lock)
            self._lock = -1

    def delete(self) -> None:
        """The run is over: nothing is left to go on with."""
        self.release()
        for name in (FILE, PART, LOCK):
            (self.folder / name).unlink(missing_ok=True)


def unfinished(folders: Sequence[Path], config: Mapping) -> tuple[Checkpoint | None, str]:
    """The checkpoint of the newest run that was cut short and can go on.

    A run can go on if it has the same config and every file of code is the same as it was, and NumPy too.

    Args:
        folders: the runs of one name, oldest first.
        config: what is asked for now, as config.json would have it.

    Returns:
        The checkpoint, read and held; or None and, where a run had been cut short, why it cannot go on.
    """
    reason = ""
    for folder in reversed(folders):
        if _json(folder / "config.json") != config:
            continue
        if (folder / "verdict.json").exists() and "stopped" not in _json(folder / "verdict.json"):
            break  # what came before it is history
        if not (folder / FILE).exists():
            continue
        checkpoint = Checkpoint(folder)
        obstacle = _obstacle(checkpoint)
        if not obstacle:
            return checkpoint, ""
        checkpoint.release()
        reason = reason or f"{folder} {obstacle}"
    return None, reason


def _obstacle(checkpoint: Checkpoint) -> str:
    """Read a checkpoint; why training cannot go on from it, or nothing."""
    if not checkpoint.hold():
        return "is being trained by another process"
    try:
        checkpoint.read()
    except Damaged as error:
        return f"has a damaged checkpoint ({error})"
    now = code()
    changed = [name for name in {**checkpoint.code, **now} if checkpoint.code.get(name) != now.get(name)]
    if changed:
        return f"stopped at step {checkpoint.step:,} on other code ({changed[0]} has changed since)"
    return ""


def code() -> dict[str, str]:
    """What decides the numbers of a run: modules of the course and of the experiments, NumPy, the machine.

    Returns:
        name -> the SHA-256 of the file, or a version. What only draws is left out.
    """
    modules: dict[str, dict[str, str]] = milestone.stack()["modules"]  # type: ignore[assignment]
    known = {module["file"]: module["sha256"] for module in modules.values()}
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        ours = name == "__main__" or name.startswith(("experiments.", "curriculum.datasets."))
        if ours and file and name != "experiments.plots":
            known[name] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return {**known, "NumPy": np.__version__, "machine": platform.machine()}


def _state(part: Stateful | np.random.Generator) -> Mapping:
    if not isinstance(part, np.random.Generator):
        return part.state_dict()
    return {"state": part.bit_generator.state, "children": _sequence(part).n_children_spawned}


def _restore(part: Stateful | np.random.Generator, state: Mapping) -> None:
    if not isinstance(part, np.random.Generator):
        part.load_state_dict(state)
        return
    part.bit_generator.state = state["state"]
    _sequence(part).spawn(state["children"] - _sequence(part).n_children_spawned)


def _sequence(rng: np.random.Generator) -> np.random.SeedSequence:
    return rng.bit_generator.seed_seq  # type: ignore[attr-defined,return-value]


def _pack(value: object, arrays: dict[str, np.ndarray]) -> object:
    """``value`` as JSON that keeps its types; its arrays go to ``arrays``, and leave their names."""
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        name = f"array_{len(arrays)}"
        arrays[name] = np.asarray(value)
        return {"scalar" if isinstance(value, np.generic) else "array": name}
    if isinstance(value, Mapping):
        return {"dict": [[_pack(key, arrays), _pack(entry, arrays)] for key, entry in value.items()]}
    if isinstance(value, list | tuple):
        return {"list" if isinstance(value, list) else "tuple": [_pack(entry, arrays) for entry in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint holds arrays, numbers, texts, dicts and lists, got {type(value).__name__}")


def _unpack(packed: object, arrays: Mapping[str, np.ndarray]) -> object:
    """The inverse of `_pack`."""
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind == "array":
        return arrays[content]
    if kind == "scalar":
        return arrays[content][()]
    if kind == "dict":
        return {_unpack(key, arrays): _unpack(entry, arrays) for key, entry in content}
    entries = [_unpack(entry, arrays) for entry in content]
    return entries if kind == "list" else tuple(entries)


def _json(file: Path) -> Mapping:
    """What a file holds; nothing if it cannot be read."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
