"""The branch ``reference``: the last commit with the solutions in the workspace.

Made of git objects alone, through a temporary index: the working tree, the index and HEAD are never touched.
The commit is a function of HEAD (its date included), so that building it twice makes one commit, and
``git diff main reference`` shows exactly what a learner has to write.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from curriculum.manifest import Course
from curriculum.store import StoreError

SUBJECT = "The workspace completed with the solutions"
IDENTITY = {"NAME": "ML Implementation Curriculum", "EMAIL": "curriculum@localhost"}


def build(course: Course, name: str = "reference") -> list[str]:
    """Make branch ``name`` from the commit that is checked out; what was done, in sentences.

    Raises:
        StoreError: there is no git or no commit, the branch is checked out, or holds somebody's own commits.
    """
    git, branch = _Git(course.root), f"refs/heads/{name}"
    git("rev-parse", "--git-dir")  # says what is wrong when there is no repository
    head = git.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if head is None:
        raise StoreError("there is no commit yet: commit first, the branch is made from the last one")
    if git.ask("check-ref-format", "--branch", name) != name:
        raise StoreError(f"'{name}' cannot name a branch")
    if f"branch {branch}" in git("worktree", "list", "--porcelain").splitlines():
        raise StoreError(f"branch {name} is checked out: switch to another one first")
    before = git.ask("rev-parse", "--verify", "--quiet", branch)
    if before and git("log", "-1", "--format=%s", before) != SUBJECT:
        raise StoreError(f"branch {name} holds commits of its own: rename it, or give another NAME=")

    tree, count = _tree(git, head)
    commit = _commit(git, tree, head)
    if commit != before:
        git("update-ref", "-m", "reference-branch", branch, commit, before or "0" * len(commit))
    made = "is up to date" if commit == before else "is made"
    said = [f"branch {name} {made}: {commit[:10]} holds {head[:10]} with {count} solutions in the workspace"]
    for line in git("status", "--porcelain", "--", "solutions").splitlines():
        said.append(f"{line[3:]} is not committed, and so not in the branch")
    return said


def _tree(git: _Git, head: str) -> tuple[str, int]:
    """HEAD's tree with each file of solutions/ also in the workspace, and how many solutions that are."""
    prefix = git("rev-parse", "--show-prefix")  # the course may be a folder of a larger repository
    entries = []
    for entry in git("ls-tree", "-r", "-z", "--full-tree", head, f"{prefix}solutions/").split("\0"):
        about, _, path = entry.partition("\t")
        if path.endswith(".py"):
            mode, _, blob = about.split()
            entries.append(f"{mode} {blob}\t{prefix}{path.removeprefix(f'{prefix}solutions/')}\0")
    with tempfile.TemporaryDirectory() as folder:
        apart = _Git(git.folder, {"GIT_INDEX_FILE": str(Path(folder, "index"))})
        apart("read-tree", head)
        apart("update-index", "-z", "--index-info", text="".join(entries))
        return apart("write-tree"), sum(not entry.endswith("/__init__.py\0") for entry in entries)


def _commit(git: _Git, tree: str, parent: str) -> str:
    date = git("log", "-1", "--format=%cI", parent)
    people = {f"GIT_{who}_{what}": text for who in ("AUTHOR", "COMMITTER") for what, text in IDENTITY.items()}
    dated = _Git(git.folder, people | {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date})
    return dated("commit-tree", tree, "-p", parent, "-m", SUBJECT)


class _Git:
    """Git in one folder, with more environment: ``git("write-tree")`` is what it prints."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None):
        self.folder = folder
        inherited = {
            key: text for key, text in os.environ.items() if not key.startswith("GIT_")
        }  # as in a hook
        self.environment = inherited | {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"} | (environment or {})

    def __call__(self, *arguments: str, text: str = "") -> str:
        done = self._run(arguments, text)
        if done.returncode:
            raise StoreError(f"git {arguments[0]} failed: {done.stderr.strip() or done.returncode}")
        return done.stdout.strip("\n")

    def ask(self, *arguments: str) -> str | None:
        """What it prints, or None when it fails."""
        done = self._run(arguments, "")
        return None if done.returncode else done.stdout.strip("\n")

    def _run(self, arguments: tuple[str, ...], text: str) -> subprocess.CompletedProcess[str]:
        command = ["git", "-C", str(self.folder), *arguments]
        try:
            return subprocess.run(
                command, input=text, capture_output=True, env=self.environment, encoding="utf-8"
            )
        except FileNotFoundError:
            raise StoreError("git is not installed, and the branch is made by it") from None
