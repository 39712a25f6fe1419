"""The reference branch is made of git objects alone, and is a function of HEAD."""

import os
import subprocess

import pytest

from curriculum import reference
from curriculum.manifest import Course
from curriculum.store import StoreError
from tests.engine import tiny


@pytest.fixture(autouse=True)
def nobodys_git(monkeypatch, tmp_path):
    """Git without the configuration of whoever runs the tests, and with a hostile environment."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def course(tmp_path) -> Course:
    course = tiny.make(tmp_path / "course")
    git(course, "init", "-q", "-b", "main")
    commit(course, "everything")
    return course


def git(course, *arguments):
    names = ["-c", "user.name=Somebody", "-c", "user.email=somebody@localhost"]
    command = ["git", "-C", str(course.root), *names, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(course, message):
    git(course, "add", "-A")
    git(course, "commit", "-qm", message)


def test_the_branch_holds_the_solutions_in_the_workspace_and_nothing_else_changes(course):
    head = git(course, "rev-parse", "HEAD")
    assert reference.build(course) == [
        f"branch reference is made: {git(course, 'rev-parse', 'reference')[:10]} holds {head[:10]} "
        "with 3 solutions in the workspace"
    ]
    changed = git(course, "diff", "--name-only", "main", "reference").splitlines()
    assert changed == ["a/one.py", "a/two.py", "b/c/three.py"]
    for module in course.modules:
        theirs = git(course, "rev-parse", f"reference:{module.path}.py")
        assert theirs == git(course, "rev-parse", f"main:solutions/{module.path}.py")
    assert git(course, "rev-parse", "reference^") == head


def test_the_working_tree_the_index_and_head_are_untouched(course):
    (course.root / "a" / "one.py").write_bytes(b"work in progress")
    (course.root / "a" / "two.py").write_bytes(b"staged")
    git(course, "add", "a/two.py")
    (course.root / "a" / "new.py").write_bytes(b"untracked")
    before = tiny.files(course.root)
    reference.build(course)
    after = tiny.files(course.root)
    changed = {path for path in before | after if before.get(path) != after.get(path)}
    assert {path for path in changed if not path.startswith(".git/objects/")} == {
        ".git/refs/heads/reference",
        ".git/logs/refs/heads/reference",
    }


def test_building_twice_makes_one_commit(course):
    reference.build(course)
    first = git(course, "rev-parse", "reference")
    assert reference.build(course)[0].startswith("branch reference is up to date: ")
    git(course, "update-ref", "-d", "refs/heads/reference")
    reference.build(course)
    assert git(course, "rev-parse", "reference") == first


def test_a_new_commit_moves_the_branch(course):
    reference.build(course)
    solution = course.solution_file(course.module("a/one"))
    solution.write_bytes(solution.read_bytes() + b"\nNEW = 1\n")
    commit(course, "a better solution")
    reference.build(course)
    assert git(course, "show", "reference:a/one.py").endswith("NEW = 1")
    assert git(course, "rev-parse", "reference^") == git(course, "rev-parse", "main")


def test_uncommitted_solutions_are_named_and_left_out(course):
    solution = course.solution_file(course.module("a/one"))
    solution.write_bytes(b"# not committed\n")
    said = reference.build(course)
    assert said[1:] == ["solutions/a/one.py is not committed, and so not in the branch"]
    assert "not committed" not in git(course, "show", "reference:a/one.py")


def test_a_course_in_a_folder_of_a_larger_repository(tmp_path):
    course = tiny.make(tmp_path / "large" / "course")
    large = tmp_path / "large"
    (large / "solutions").mkdir()
    (large / "solutions" / "other.py").write_bytes(b"not ours")
    subprocess.run(["git", "-C", str(large), "init", "-q", "-b", "main"], check=True)
    git(course, "add", "-A", str(large))
    git(course, "commit", "-qm", "everything")
    reference.build(course)
    changed = git(course, "diff", "--name-only", "main", "reference").splitlines()
    assert changed == ["course/a/one.py", "course/a/two.py", "course/b/c/three.py"]


def test_it_works_inside_a_hook(course, monkeypatch):
    """Git sets GIT_DIR and GIT_INDEX_FILE for its hooks; neither may lead astray."""
    monkeypatch.setenv("GIT_INDEX_FILE", str(course.root / "elsewhere"))
    monkeypatch.setenv("GIT_DIR", str(course.root / "nowhere"))
    said = reference.build(course)
    monkeypatch.delenv("GIT_INDEX_FILE")
    monkeypatch.delenv("GIT_DIR")
    assert "3 solutions" in said[0]
    assert not (course.root / "elsewhere").exists()


def test_a_branch_with_commits_of_its_own_is_refused(course):
    git(course, "branch", "reference")
    with pytest.raises(StoreError, match="branch reference holds commits of its own"):
        reference.build(course)
    assert git(course, "rev-parse", "reference") == git(course, "rev-parse", "main")
    assert "branch answers is made" in reference.build(course, "answers")[0]


def test_a_branch_that_is_checked_out_is_refused(course):
    reference.build(course)
    git(course, "checkout", "-q", "reference")
    with pytest.raises(StoreError, match="branch reference is checked out: switch to another one first"):
        reference.build(course)


def test_without_a_commit_or_a_repository_it_says_so(tmp_path):
    course = tiny.make(tmp_path)
    with pytest.raises(StoreError, match="not a git repository"):
        reference.build(course)
    git(course, "init", "-q")
    with pytest.raises(StoreError, match="there is no commit yet"):
        reference.build(course)


def test_without_git_it_says_so(course, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StoreError, match="git is not installed"):
        reference.build(course)


@pytest.mark.parametrize("name", ["two words", "a..b", "-x", ""])
def test_a_name_that_git_does_not_take_is_refused(course, name):
    with pytest.raises(StoreError, match="cannot name a branch"):
        reference.build(course, name)
