"""What the command line says, and nothing else: words in, one `Request` out, and the exit code of its verb.

``make check PHASE=2 V=1`` arrives as ``check PHASE=2 V=1``; ``check --phase 2 -v`` says the same.
Exit codes: 0 all is well, 1 something failed, 2 the command makes no sense, 3 the course is at fault,
130 stopped.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curriculum.manifest import Course, Module, Phase

PASSED, FAILED, USAGE, OUR_FAULT, STOPPED = 0, 1, 2, 3, 130


class UsageError(Exception):
    """The command line makes no sense. The message says what arrived and what is possible."""


@dataclass(frozen=True)
class Setting:
    """One thing a verb can be told: ``PHASE=2`` or ``--phase 2``."""

    name: str
    means: str
    values: tuple[str, ...] = ()  # all that is allowed; empty: anything
    flag: bool = False  # on or off
    number: bool = False

    @property
    def option(self) -> str:
        return "--" + self.name.lower().replace("_", "-")


SETTINGS = {
    s.name: s
    for s in (
        Setting("PHASE", "a phase of the course, 1 to 12"),
        Setting("MODULE", "a module: nn_core/layers/linear, or layers/linear where that is clear"),
        Setting("STACK", "what your module imports: the reference, or your own code", ("reference", "mine")),
        Setting("IMPL", "grade the solutions in place of your files", ("mine", "solutions")),
        Setting("V", "every test, and what your code printed", flag=True),
        Setting("JSON", "a file for the results as data, - for standard output"),
        Setting("GIVE_UP", "see the solution before yours passes", flag=True),
        Setting("FORCE", "overwrite edited files, after a backup", flag=True),
        Setting("FRESH", "begin anew, in place of going on with a run that was cut short", flag=True),
        Setting("NAME", "a name for what is made"),
        Setting("WIDTH", "columns of the screen; for milestone, channels of its network", number=True),
        Setting("ARGS", "handed on as they are"),
    )
}
SHORT = {"-v": "V", "-f": "FORCE", "--verbose": "V"}


@dataclass(frozen=True)
class Request:
    """One command line, understood."""

    verb: str
    settings: dict[str, str] = field(default_factory=dict)  # "" is never a value
    modules: tuple[str, ...] = ()  # as typed

    def get(self, name: str, default: str = "") -> str:
        return self.settings.get(name, default)

    def on(self, name: str) -> bool:
        return name in self.settings

    @property
    def everything(self) -> bool:
        """True when neither a phase nor a module was named."""
        return not self.modules and not self.on("PHASE")

    def phase(self, course: Course) -> Phase | None:
        return course.phase(self.get("PHASE")) if self.on("PHASE") else None

    def chosen(self, course: Course) -> list[Module]:
        """The modules that the command names: some, those of a phase, or all."""
        if self.modules:
            return list(dict.fromkeys(course.module(text) for text in self.modules))
        phase = self.phase(course)
        return [m for m in course.modules if phase is None or m.phase == phase.number]

    def one(self, course: Course) -> Module:
        """The one module that the command names.

        Raises:
            UsageError: it names none, or several.
        """
        if len(self.modules) != 1:
            arrived = ", ".join(self.modules) or "none"
            raise UsageError(
                f"{self.verb} needs one module and got {arrived}: make {self.verb} MODULE=path, see make list"
            )
        return course.module(self.modules[0])

    @property
    def width(self) -> int | None:
        """Columns of the screen, where they were given."""
        return int(self.get("WIDTH")) if self.on("WIDTH") else None

    @property
    def stack(self) -> str:
        """The overlay's mode (curriculum/overlay.py): reference, mine or solutions."""
        return "solutions" if self.get("IMPL") == "solutions" else self.get("STACK", "reference")


Action = Callable[["Course", Request], int]


@dataclass(frozen=True)
class Verb:
    name: str
    does: str
    action: str  # "module:function", imported when the verb is called
    takes: tuple[str, ...] = ()
    group: str = "learn"

    def load(self) -> Action:
        module, _, function = self.action.partition(":")
        action: Action = getattr(importlib.import_module(f"curriculum.{module}"), function)
        return action


VERBS = {
    v.name: v
    for v in (
        Verb("check", "grade a module, a phase, or all that you have started", "check:check",
             ("PHASE", "MODULE", "STACK", "IMPL", "V", "JSON", "WIDTH")),
        Verb("watch", "grade again whenever you save", "watch:watch", ("PHASE", "MODULE", "STACK", "V")),
        Verb("next", "what to do now", "guide:show_next", ("PHASE",)),
        Verb("list", "every module and how far you are", "guide:show_list", ("PHASE",)),
        Verb("progress", "a bar for each phase", "guide:show_progress"),
        Verb("hint", "the next of four hints", "guide:show_hint", ("MODULE",)),
        Verb("solution", "the reference beside yours, once yours passes", "guide:show_solution",
             ("MODULE", "GIVE_UP", "WIDTH")),
        Verb("reset", "back to the stub; your file is kept as a backup", "upkeep:reset", ("MODULE",)),
        Verb("milestone", "the training run that ends a phase", "upkeep:milestone",
             ("PHASE", "STACK", "IMPL", "NAME", "WIDTH", "FRESH", "ARGS")),
        Verb("lab", "an experiment on how learning works", "upkeep:lab", ("NAME", "STACK", "ARGS")),
        Verb("energy", "a network that rolls down its error, as a mass", "upkeep:energy",
             ("STACK", "ARGS")),
        Verb("neuroscope", "watch a network learn, and how sharp its loss is",
             "upkeep:neuroscope", ("NAME", "STACK", "ARGS")),
        Verb("doctor", "is this machine fit", "doctor:doctor"),
        Verb("swap", "put the solutions in the workspace, yours kept", "upkeep:swap", ("PHASE", "MODULE"),
             "teach"),
        Verb("unswap", "take them out again", "upkeep:unswap", (), "teach"),
        Verb("reference-branch", "build the branch that holds the solutions", "upkeep:reference_branch",
             ("NAME",), "teach"),
        Verb("test", "everything that must hold", "upkeep:test", ("ARGS",), "maintain"),
        Verb("verify", "prove modules right: stub, solution, mutants, lazy answers", "upkeep:verify",
             ("PHASE", "MODULE"), "maintain"),
        Verb("stubs", "regenerate the stubs from the solutions", "upkeep:stubs", ("PHASE", "MODULE", "FORCE"),
             "maintain"),
        Verb("new", "the skeleton of a new module", "scaffold:new", ("MODULE", "PHASE"), "maintain"),
        Verb("bench", "the figures of benchmarks/", "upkeep:bench", ("NAME", "ARGS"), "maintain"),
        Verb("picture", "the README's picture of a session", "picture:picture", ("MODULE",), "maintain"),
        Verb("curriculum-md", "CURRICULUM.md, from the manifest", "upkeep:curriculum_md", (), "maintain"),
    )
}  # fmt: skip


def parse(words: Sequence[str]) -> Request:
    """Understand a command line.

    Args:
        words: what follows ``python -m curriculum``.

    Raises:
        UsageError: an unknown verb, setting or value; the message names what is possible.
    """
    if not words or words[0] in ("help", "-h", "--help"):
        about = words[1] if len(words) > 1 and words[1] in VERBS else ""
        return Request("help", {"NAME": about} if about else {})
    name, rest = words[0], list(words[1:])
    verb = VERBS.get(name) or VERBS.get(name.replace("_", "-"))
    if verb is None:
        raise UsageError(f"there is no verb '{name}': {_did_you_mean(name, list(VERBS))}")
    settings: dict[str, str] = {}
    modules: list[str] = []
    while rest:
        word = rest.pop(0)
        if word in ("-h", "--help"):
            return Request("help", {"NAME": verb.name})
        setting, value = _setting(verb, word, rest)
        if value == "":  # `PHASE=` from a Makefile says nothing
            continue
        if setting.name == "MODULE":
            modules += [part for part in value.replace(",", " ").split() if part]
        elif setting.flag:
            settings.pop(setting.name, None)
            if value.lower() not in ("0", "no", "false", "off"):
                settings[setting.name] = "1"
        else:
            _validate(setting, value)
            settings[setting.name] = value
    return Request(verb.name, settings, tuple(modules))


def _setting(verb: Verb, word: str, rest: list[str]) -> tuple[Setting, str]:
    """Which setting ``word`` gives, and its value, taken from ``rest`` where it is the next word."""
    key, equals, value = word.partition("=")
    if word.startswith("-") and word != "-":
        name = SHORT.get(key) or key.lstrip("-").upper().replace("-", "_")
    elif equals:
        name = key.upper()
    else:  # a bare word: a phase if it is a number, else a module or a name
        name = "PHASE" if word.isdigit() else "MODULE" if "MODULE" in verb.takes else "NAME"
        equals, value = "=", word
    setting = SETTINGS.get(name)
    if setting is None or name not in verb.takes:
        possible = [SETTINGS[n].option if key.startswith("-") else n for n in verb.takes]
        raise UsageError(f"{verb.name} does not take '{word}': {_did_you_mean(key, possible)}")
    if setting.flag and not equals:
        return setting, "1"
    if not equals:
        if not rest:
            raise UsageError(f"{setting.option} needs a value: {setting.means}")
        value = rest.pop(0)
    return setting, value


def _validate(setting: Setting, value: str) -> None:
    if setting.values and value not in setting.values:
        raise UsageError(f"{setting.name} must be {' or '.join(setting.values)}, got '{value}'")
    if setting.number and not (value.isdigit() and int(value) > 0):
        raise UsageError(f"{setting.name} must be a positive number, got '{value}'")


def _did_you_mean(word: str, possible: list[str]) -> str:
    import difflib  # only needed for a mistake

    if not possible:
        return "it takes nothing"
    folded = {p.lower(): p for p in possible}
    near = [folded[p] for p in difflib.get_close_matches(word.lower(), folded, 3)]
    return f"did you mean {' or '.join(near)}?" if near else f"possible are {', '.join(possible)}"


GROUPS = {"learn": "Learning", "teach": "Teaching", "maintain": "Maintaining"}


def usage(verb: str = "") -> str:
    """What can be typed: one line a verb, or all about one."""
    if verb:
        lines = [f"make {verb}: {VERBS[verb].does}"]
        for setting in (SETTINGS[name] for name in VERBS[verb].takes):
            word = setting.name + ("=1" if setting.flag else "=")
            values = f" ({' or '.join(setting.values)})" if setting.values else ""
            lines.append(f"  {word:<10} {setting.means}{values}")
        return "\n".join(lines)
    lines = ["Machine learning, implemented by you. Begin with: make check PHASE=1"]
    for group, title in GROUPS.items():
        lines += ["", title]
        for v in VERBS.values():
            if v.group == group:
                lines.append(f"  {v.name:<16}  {v.does}")
    lines += ["", "What a verb takes: python -m curriculum help check"]
    return "\n".join(lines)


def main(words: Sequence[str]) -> int:
    """Do what the command line says; return the exit code, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ✓ is no reason to fail
    try:
        request = parse(words)
        if request.verb == "help":
            print(usage(request.get("NAME")))
            return PASSED
        from curriculum import manifest

        return VERBS[request.verb].load()(manifest.load(), request)
    except UsageError as error:
        return _say(error, USAGE)
    except KeyboardInterrupt:
        return _say("stopped", STOPPED)
    except BrokenPipeError:  # `... | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PASSED
    except Exception as error:
        return _explain(error)


def _explain(error: Exception) -> int:
    """Exit code and one sentence for what a verb raised."""
    from curriculum.manifest import CourseError, UnknownName
    from curriculum.store import StoreError

    if isinstance(error, UnknownName):
        return _say(error, USAGE)
    if isinstance(error, CourseError):
        return _say(f"the course is at fault, not you: {error}", OUR_FAULT)
    if isinstance(error, StoreError):
        return _say(error, OUR_FAULT)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("curriculum"):
        return _say(
            f"{error.name} is not installed for {sys.executable}: use make, which sees to that", OUR_FAULT
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _say("the disk is full, nothing was lost: make some room and run this again", OUR_FAULT)
    return _say(f"the course's own code failed ({type(error).__name__}: {error}); "
                f"this is not your fault: please report {_keep_traceback()}", OUR_FAULT)  # fmt: skip


def _keep_traceback() -> str:
    """Write the traceback in hand to a file, and return its path."""
    import tempfile
    import traceback
    from pathlib import Path

    text = f"python {sys.version}\ncommand {sys.argv[1:]}\n\n{traceback.format_exc()}"
    root = Path(os.environ.get("CURRICULUM_ROOT") or Path(__file__).parents[1])
    for folder in (root / ".curriculum", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(exist_ok=True)
            file = folder / "traceback.txt"
            file.write_text(text, "utf-8")
            return str(file)
        except OSError:
            continue
    return text


def _say(what: object, code: int) -> int:
    sys.stdout.flush()
    print(what, file=sys.stderr)
    return code
