"""NeuroScope's command line: from options to a folder with the record, the page and the film of a run.

    --KEY VALUE        a key of the config, as --lr 0.05; --help lists them all
    --preset NAME      a ready-made run to begin from; --list shows them
    --config FILE      a config.json to begin from, or the folder of a run
    --replay FOLDER    draw a run again from its record, with other --panels, --fps, --frames; trains nothing
    --compare FOLDER   put a second run beside it on the page
    --open             open the page in a browser

Exit code 0 the run went to its end, 1 it blew up, 2 an option was not possible, 130 stopped.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
import time
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from curriculum import milestone, report
from experiments.neuroscope import draw, page
from experiments.neuroscope.config import (
    SOURCES,
    Config,
    ConfigError,
    convert,
    from_mapping,
    load,
    unknown,
)
from experiments.neuroscope.engine import Trainer
from experiments.neuroscope.presets import PRESETS
from experiments.neuroscope.recorder import History, Recorder, replay
from experiments.neuroscope.targets import FUNCTIONS, inputs_of
from experiments.runs import Run

LIVE = 0.03  # of the time may be spent on writing the live page
OPTIONS = ("preset", "config", "replay", "compare", "open", "help", "list")
DRAWING = ("panels", "fps", "frames", "picture", "animation")  # what a replay may change


@dataclass(frozen=True)
class Request:
    """A command line, understood."""

    config: Config
    replay: str = ""
    compare: str = ""
    open: bool = False


def main(arguments: Sequence[str] | Config | None = None) -> int:
    """Run what a command line, or a config, asks for.

    Args:
        arguments: words, or a config; None for the words of this process.

    Returns:
        The exit code.
    """
    console = report.console()
    try:
        if isinstance(arguments, Config):
            return _exit_code(run(arguments, console=console))
        words = list(sys.argv[1:] if arguments is None else arguments)
        if {"-h", "--help"} & set(words):
            return _help(console)
        if "--list" in words:
            return _list(console)
        request = read(words)
        other = replay(request.compare) if request.compare else None
        if request.replay:
            history = redraw(Path(request.replay), request.config, other, console)
        else:
            history = run(request.config, other, console)
        if request.open and history.end.how != "interrupted":
            webbrowser.open(
                (Path(request.replay or Path("runs") / history.name) / "dashboard.html").resolve().as_uri()
            )
        return _exit_code(history)
    except ConfigError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"the run cannot be written: {error}")
    except (MemoryError, OverflowError) as error:
        return _refuse(f"this is too large to be computed here ({error}): take smaller numbers")


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return milestone.USAGE


def read(words: Sequence[str]) -> Request:
    """Understand a command line: ``--key value``, ``--key=value`` or ``key=value``, in any order.

    Raises:
        ConfigError: an unknown key or a value that makes no sense.
    """
    given, asked = _options(list(words))
    begin: dict[str, object] = {}
    if "replay" in asked:
        wrong = [*(key for key in given if key not in DRAWING), *({"preset", "config"} & set(asked))]
        if wrong:
            raise ConfigError(f"a replay trains nothing: it takes {', '.join(DRAWING)}, not {wrong[0]}")
        replay(asked["replay"])  # is it the record of a run?
        begin = load(asked["replay"]) | {"target_fn_override": None}
    if "preset" in asked:
        if asked["preset"] not in PRESETS:
            raise ConfigError(f"there is no preset {asked['preset']!r}: there are {', '.join(PRESETS)}")
        begin = {"project_name": asked["preset"], **PRESETS[asked["preset"]][1]}
    if {"preset", "config"} <= set(asked):
        raise ConfigError("a run begins from --preset or from --config, not from both")
    if "config" in asked:
        begin = _spread(load(asked["config"]))
    chosen = _spread({key: convert(key, value) for key, value in given.items()})
    if any(chosen.get(source) for source in SOURCES):  # a target of one's own replaces that of a preset
        begin = {k: v for k, v in begin.items() if k not in (*SOURCES, "function_params")}
    return Request(
        from_mapping(begin | chosen), asked.get("replay", ""), asked.get("compare", ""), "open" in asked
    )


def _spread(keys: dict[str, object]) -> dict[str, object]:
    """The keys of criterion_params beside the others, which come first where both say something."""
    inner = keys.pop("criterion_params", None)
    return {**inner, **keys} if isinstance(inner, dict) else keys


def _options(rest: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The keys of the config, and the other options, with their words."""
    known = [f.name for f in dataclasses.fields(Config)]
    given: dict[str, str] = {}
    asked: dict[str, str] = {}
    while rest:
        word = rest.pop(0)
        key, equals, value = word.removeprefix("--").partition("=")
        key = key.replace("-", "_")
        if not key or not (word.startswith("--") or equals):
            raise ConfigError(f"{word!r} is no option: they are --key value, as --lr 0.05; --help lists them")
        if key not in known and key not in ("criterion_params", *OPTIONS):
            raise ConfigError(unknown(key, [*known, *OPTIONS]))
        if key in ("open", "help", "list"):
            if equals:
                raise ConfigError(f"--{key} takes no value, got {value!r}")
        elif not equals and rest and not rest[0].startswith("--"):
            value = rest.pop(0)
        elif not equals and isinstance(getattr(Config, key, None), bool):
            value = "true"
        elif not value and key not in ("rhs", "expression", "csv"):
            raise ConfigError(f"--{key.replace('_', '-')} needs a value")
        (asked if key in OPTIONS else given)[key] = value
    return given, asked


def run(config: Config, other: History | None = None, console: Console | None = None) -> History:
    """Train, record, and draw what was recorded.

    Args:
        config: what the run depends on.
        other: a second run for the page.
        console: where a person looks on.

    Returns:
        The record, which is in the folder ``runs/<name>_###`` as well.

    Raises:
        ConfigError: the target or the device cannot be had.
    """
    console = console or report.console()
    trainer = Trainer(config)
    with Run(config.name, config.recorded(), console=console, fresh=True) as folder:
        history = trainer.history
        history.name, history.config = folder.folder.name, load(folder.folder)
        _say(
            console,
            f"Run directory: {folder.folder}",
            f"Target: {history.title}",
            f"Device: {trainer.device}",
        )
        begun = time.perf_counter()
        try:
            with Recorder(folder.folder, history, trainer.columns) as recorder:
                _train(trainer, recorder, folder, other)
        except KeyboardInterrupt:
            folder.exit_code = milestone.INTERRUPTED
        folder.seconds = time.perf_counter() - begun
        folder.save_json("verdict.json", {**vars(history.end), **folder.facts()})
        _tell(console, history, folder.seconds)
        try:
            _publish(history, folder, config, other)
        except KeyboardInterrupt:
            _say(console, f"Stopped while drawing. The record is whole: --replay {folder.folder} draws it.")
            history.end = dataclasses.replace(history.end, how="interrupted")
    return history


def redraw(folder: Path, config: Config, other: History | None, console: Console) -> History:
    """Draw a run again from its record."""
    history = replay(folder)
    run = Run.open(folder, console)
    _tell(console, history, 0.0)
    _publish(history, run, config, other)
    return history


def _train(trainer: Trainer, recorder: Recorder, folder: Run, other: History | None) -> None:
    """Go through the steps with a progress bar, and keep the live page up to date."""
    console, steps = folder.console, trainer.config.total_steps
    columns = (TextColumn("{task.fields[numbers]}"), BarColumn(), TimeRemainingColumn(), TextColumn("left"))
    live = trainer.config.live and console.is_terminal
    path = folder.folder / "dashboard.html"
    if live:
        _say(console, f"Live: open {path}")
        page.write(path, recorder.update().page(), other.page() if other else None)
    due = time.perf_counter() + 1.0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=steps, numbers="")
        for step in trainer.train(recorder):
            now = time.perf_counter()
            if now < due:
                continue
            history = recorder.update()
            bar.update(task, completed=step, numbers=_numbers(history))
            if live:
                with suppress(OSError):  # a browser may hold the file: the next one gets through
                    page.write_live(folder.folder, history.page())
            due = now + max(0.2, (time.perf_counter() - now) / LIVE)


def _publish(history: History, run: Run, config: Config, other: History | None) -> None:
    """The page, the picture and the film of a record."""
    page.write(run.folder / "dashboard.html", history.page(), other.page() if other else None)
    if (run.folder / page.LIVE).exists():
        page.write_live(run.folder, history.page())  # a page that is open loads its own file anew
        time.sleep(1.2)
    (run.folder / page.LIVE).unlink(missing_ok=True)
    written = ["dashboard.html"]
    if history.end.how != "interrupted" and history.frames.size:
        if config.picture:
            draw.picture(history, run)
            written.append("dashboard.png")
        if config.animation:
            draw.film(history, run, config.panels, config.frames, config.fps)
            films = [
                f"animation.{kind}" for kind in ("mp4", "gif") if (run.folder / f"animation.{kind}").exists()
            ]
            written += films
            if not shutil.which("ffmpeg"):
                _say(run.console, "There is no ffmpeg here, so no animation.mp4: the GIF shows the same.")
    _say(run.console, f"Saved in {run.folder}: {', '.join(written)}")


def _tell(console: Console, history: History, seconds: float) -> None:
    """Say how a run ended."""
    end, good = history.end, history.end.how == "completed"
    mark = report.mark(console, "passed" if good else "failed")
    took = f" in {seconds:.1f} s" if seconds else ""
    said = {
        "completed": f"completed {end.step:,} steps{took}",
        "diverged": f"blew up at step {end.step:,}",
    }
    line = Text.assemble(
        mark, f" {said.get(end.how, f'{end.how} after {end.step:,} steps')}: {_numbers(history)}"
    )
    console.print(line, soft_wrap=True)
    for sentence in (end.why, end.advice):
        if sentence and end.how != "interrupted":
            _say(console, f"  {sentence}")


def _numbers(history: History) -> str:
    """ "loss 0.0287, sharpness 79.9 = 1.00 of its edge"."""
    parts = []
    for name in ("loss", "clean", "ood"):
        values = history.at(name)[1]
        if values.size:
            parts.append(f"{name} {values[-1]:.4g}")
    name = "effective" if history.at("effective")[1].size else "sharpness"
    sharpness, edge = history.at(name)[1], history.at("edge")[1]
    if sharpness.size:
        ratio = sharpness[-1] / edge[-1] if edge.size and isfinite(edge[-1]) else nan
        share = f" = {ratio:.2f} of its edge" if ratio < 1e6 else ""
        parts.append(f"{'scaled ' if name == 'effective' else ''}sharpness {sharpness[-1]:.4g}{share}")
    return ", ".join(parts)


def _exit_code(history: History) -> int:
    codes = {"completed": milestone.REACHED, "interrupted": milestone.INTERRUPTED}
    return codes.get(history.end.how, milestone.NOT_REACHED)


def _say(console: Console, *sentences: str) -> None:
    for sentence in sentences:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _help(console: Console) -> int:
    """The options, and every key with its default."""
    head, _, tail = (__doc__ or "").partition("\n\n")
    _say(console, head, "", tail.rstrip(), "", "Keys of the config, with their defaults:", "")
    for f in dataclasses.fields(Config):
        among = f.metadata.get("among")
        words = f"{f.metadata['help']}" + (f": {', '.join(among)}" if among else "")
        _say(console, f"  --{f.name.replace('_', '-'):<20} {f.default!s:<10} {words}")
    return milestone.REACHED


def _list(console: Console) -> int:
    """The presets and the functions."""
    _say(console, "Presets, --preset NAME:")
    for name, (what, _) in PRESETS.items():
        _say(console, f"  {name:<12} {what}")
    _say(console, "", "Functions, --function-name NAME --function-params k=5:")
    for name, function in FUNCTIONS.items():
        inputs = inputs_of(name)
        _say(console, f"  {name:<12} {'x' if inputs == 1 else 'x, y'}: {function.__doc__}")
    return milestone.REACHED


if __name__ == "__main__":
    raise SystemExit(main())
