"""What grading a module yields: plain data, the same in the report, in --json and in the progress file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

Outcome = Literal["passed", "failed", "todo"]  # todo: stopped at a blank that is not filled in yet
Status = Literal[
    "passed",  # every test passed
    "failed",  # at least one test failed
    "started",  # nothing is wrong, but some blanks are still open
    "untouched",  # the file is the stub
    "broken",  # the file could not be graded at all, or the process died: `problem` says why
]


@dataclass(frozen=True)
class Provenance:
    """What was graded. A result without it cannot be shown, saved or exported."""

    file: str  # path relative to the root
    kind: Literal["stub", "learner", "reference", "variant", "missing"]
    sha256: str  # of the file's bytes; empty when missing
    stack: Literal["reference", "mine", "solutions"]


@dataclass(frozen=True)
class Test:
    """One test of a suite."""

    name: str  # "test_gradient[wide]"
    outcome: Outcome
    seconds: float = 0.0
    error: str = ""  # class of the exception: "AssertionError", "ValueError"
    message: str = ""  # its text, for a learner
    file: str = ""  # where in the learner's code it happened, relative to the root; empty if nowhere there
    line: int = 0


@dataclass(frozen=True)
class Result:
    """One module, graded."""

    module: str  # its path
    status: Status
    provenance: Provenance
    tests: tuple[Test, ...] = ()
    total: int = 0  # tests in the suite, run or not
    seconds: float = 0.0
    problem: str = ""  # one sentence, for "broken"
    line: int = 0  # of the learner's file, where `problem` has one
    printed: str = ""  # what the learner's code printed, its first 20,000 characters
    printed_bytes: int = 0
    blame: str = ""  # with STACK=mine: path of the prerequisite at fault
    notes: tuple[str, ...] = field(default=())  # sentences worth saying though nothing failed

    @property
    def passed(self) -> int:
        return sum(t.outcome == "passed" for t in self.tests)

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def in_words(test: str) -> str:
    """``test_gradient_of_weight[wide]`` -> ``gradient of weight [wide]``."""
    name, bracket, case = test.removeprefix("test_").partition("[")
    return name.replace("_", " ") + (" " + bracket + case if bracket else "")
