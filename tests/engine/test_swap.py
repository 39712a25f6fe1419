"""Swap, unswap, reset and write_stubs lose nothing and say what they do."""

import errno
import os
import stat
import subprocess

import pytest

from curriculum import stubs, swap
from curriculum.manifest import Course
from curriculum.store import Store, StoreError, write_file
from tests.engine import tiny

posix_only = pytest.mark.skipif(os.name != "posix", reason="permission bits and links are POSIX's")
MINE = b"# my work, in Latin-1: \xe9\r\nx = 1\r\n# no newline at the end"


@pytest.fixture
def course(tmp_path) -> Course:
    course = tiny.make(tmp_path)
    write(course, "a/one", MINE)
    return course


def write(course, path, content):
    (course.root / f"{path}.py").write_bytes(content)


def read(course, path):
    return (course.root / f"{path}.py").read_bytes()


def solution(course, path):
    return (course.root / "solutions" / f"{path}.py").read_bytes()


def workspace(course):
    return {m.path: read(course, m.path) for m in course.modules}


def test_swap_puts_every_solution_in_the_workspace_and_unswap_brings_every_byte_back(course):
    before = workspace(course)
    assert swap.swap(course, course.modules) == [
        "3 files are now the solution; `make unswap` brings yours back"
    ]
    assert workspace(course) == {m.path: solution(course, m.path) for m in course.modules}
    assert swap.status(course) == {"a/one": "swapped", "a/two": "swapped", "b/c/three": "swapped"}
    assert swap.unswap(course) == ["3 files are yours again"]
    assert workspace(course) == before
    assert swap.status(course) == {}


def test_swapping_twice_is_harmless(course):
    before = workspace(course)
    swap.swap(course, course.modules)
    backups = tiny.files(course.root / ".curriculum" / "backups")
    assert swap.swap(course, course.modules) == ["3 files are the solution already"]
    assert tiny.files(course.root / ".curriculum" / "backups") == backups
    swap.unswap(course)
    assert workspace(course) == before


def test_a_second_swap_adds_to_the_first(course):
    before = workspace(course)
    swap.swap(course, [course.module("a/one")])
    assert swap.swap(course, course.modules) == [
        "2 files are now the solution; `make unswap` brings yours back",
        "1 file is the solution already",
    ]
    swap.unswap(course)
    assert workspace(course) == before


def test_unswapping_twice_is_harmless(course):
    swap.swap(course, course.modules)
    swap.unswap(course)
    write(course, "a/one", b"later work")
    assert swap.unswap(course) == ["no solution is in the workspace: nothing to bring back"]
    assert read(course, "a/one") == b"later work"


def test_an_edit_of_a_swapped_solution_is_kept_and_named(course):
    swap.swap(course, course.modules)
    write(course, "a/two", b"an edit of the solution")
    assert swap.status(course)["a/two"] == "edited"
    assert "a/two: its solution was edited since the swap, and is left as it is" in swap.swap(
        course, course.modules
    )
    assert read(course, "a/two") == b"an edit of the solution"
    said = swap.unswap(course)
    [kept] = [b for b in Store(course.root).backups("a/two") if b.read_bytes() == b"an edit of the solution"]
    assert said == [
        f"a/two was edited while swapped; the edit is kept as {kept.relative_to(course.root).as_posix()}",
        "3 files are yours again",
    ]
    assert read(course, "a/two") == stubs.stub_of(course, course.module("a/two")).encode()


def test_a_file_deleted_while_swapped_comes_back(course):
    swap.swap(course, course.modules)
    (course.root / "a" / "one.py").unlink()
    assert swap.status(course)["a/one"] == "missing"
    swap.unswap(course)
    assert read(course, "a/one") == MINE


@posix_only
def test_permissions_survive(course):
    file = course.root / "a" / "one.py"
    file.chmod(0o750)
    swap.swap(course, course.modules)
    file.chmod(0o600)
    swap.unswap(course)
    assert stat.S_IMODE(file.stat().st_mode) == 0o750


@pytest.mark.parametrize("obstacle", ["missing", "folder", pytest.param("link", marks=posix_only)])
def test_swap_refuses_what_it_cannot_bring_back_before_it_touches_anything(course, obstacle):
    file = course.root / "b" / "c" / "three.py"
    file.unlink()
    if obstacle == "folder":
        file.mkdir()
    if obstacle == "link":
        file.symlink_to(course.root / "a" / "two.py")
    before = tiny.files(course.root)
    says = {"missing": "is missing", "folder": "is a folder", "link": "is a symbolic link"}[obstacle]
    with pytest.raises(StoreError, match=rf"^b/c/three\.py {says}"):
        swap.swap(course, course.modules)
    assert tiny.files(course.root) == before | {".curriculum/lock": b""}


def test_unswap_restores_all_others_when_one_is_obstructed(course):
    before = workspace(course)
    swap.swap(course, course.modules)
    (course.root / "a" / "one.py").unlink()
    (course.root / "a" / "one.py").mkdir()
    with pytest.raises(StoreError, match=r"(?s)2 files are yours again.*a/one\.py is a folder.*goes on when"):
        swap.unswap(course)
    (course.root / "a" / "one.py").rmdir()
    swap.unswap(course)
    assert workspace(course) == before


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_disk_that_fills_up_at_any_moment_loses_nothing(course, monkeypatch, call):
    """The n-th call fails, for every n: afterwards the workspace can be brought back."""
    before, original, said = workspace(course), getattr(os, call), set()
    for n in range(200):
        calls = iter(range(10_000))

        def full(*args, calls=calls, n=n):
            if next(calls) >= n:
                raise OSError(errno.ENOSPC, "No space left on device")
            return original(*args)

        monkeypatch.setattr(os, call, full)
        try:
            swap.swap(course, course.modules)
            swap.unswap(course)
        except StoreError as error:
            said.add("disk is full" in str(error))
        else:
            break
        finally:
            monkeypatch.undo()
        swap.unswap(course)
        assert workspace(course) == before
    assert n > 10, f"only {n} calls of os.{call} were seen"
    assert said == {True}
    assert workspace(course) == before


def test_a_damaged_backup_is_named_and_nothing_is_replaced(course):
    swap.swap(course, course.modules)
    [backup] = Store(course.root).backups("a/one")
    backup.write_bytes(b"damaged")
    with pytest.raises(StoreError, match=r"\.curriculum/backups/a/one holds no backup"):
        swap.unswap(course)
    assert read(course, "a/one") == solution(course, "a/one")
    backup.write_bytes(MINE)
    swap.unswap(course)
    assert read(course, "a/one") == MINE


@pytest.mark.parametrize("content", [b"", b"{}", b'{"schema": 1, "modules": {"a/one": {"mine": 1}}}'])
def test_a_damaged_journal_is_one_sentence_and_nothing_is_touched(course, content):
    swap.swap(course, course.modules)
    (course.root / ".curriculum" / "swap.json").write_bytes(content)
    before = tiny.files(course.root)
    for command in (
        lambda: swap.swap(course, course.modules),
        lambda: swap.unswap(course),
        lambda: swap.status(course),
        lambda: swap.reset(course, course.module("a/one")),
        lambda: swap.write_stubs(course, course.modules, force=True),
    ):
        with pytest.raises(StoreError, match=r"swap\.json is damaged .*safe in \.curriculum/backups"):
            command()
    assert tiny.files(course.root) == before


def test_a_save_during_the_swap_is_noticed(course, monkeypatch):
    """The editor saves between the backup and the rename."""

    def write_late(path, content, root, **options):
        if path.suffix == ".py" and options.get("replacing") == MINE:
            path.write_bytes(b"saved at the last moment")
        write_file(path, content, root, **options)

    monkeypatch.setattr(swap, "write_file", write_late)
    with pytest.raises(StoreError, match=r"a/one\.py was saved while it was being replaced"):
        swap.swap(course, course.modules)
    assert read(course, "a/one") == b"saved at the last moment"


def test_reset_writes_the_stub_and_keeps_the_work(course):
    said = swap.reset(course, course.module("a/one"))
    [kept] = Store(course.root).backups("a/one")
    assert said == [f"a/one is the stub again; yours is kept as {kept.relative_to(course.root).as_posix()}"]
    assert kept.read_bytes() == MINE
    assert read(course, "a/one") == stubs.stub_of(course, course.module("a/one")).encode()


def test_reset_of_a_stub_does_nothing(course):
    stub = read(course, "a/two").replace(b"\n", b"\r\n")
    write(course, "a/two", stub)  # as git may check it out
    assert swap.reset(course, course.module("a/two")) == ["a/two is the stub already"]
    assert read(course, "a/two") == stub
    assert Store(course.root).backups("a/two") == []


def test_reset_of_a_missing_file_writes_the_stub(course):
    (course.root / "a" / "one.py").unlink()
    assert swap.reset(course, course.module("a/one")) == ["a/one is the stub again"]
    assert read(course, "a/one") == stubs.stub_of(course, course.module("a/one")).encode()


def test_reset_while_swapped_is_refused(course):
    swap.swap(course, [course.module("a/one")])
    with pytest.raises(StoreError, match=r"a/one holds its solution: `make unswap` first"):
        swap.reset(course, course.module("a/one"))
    swap.reset(course, course.module("a/two"))
    swap.unswap(course)
    assert read(course, "a/one") == MINE


@pytest.mark.parametrize("obstacle", ["folder", pytest.param("link", marks=posix_only)])
def test_reset_refuses_a_folder_and_a_link(course, obstacle):
    file = course.root / "a" / "one.py"
    file.unlink()
    if obstacle == "folder":
        file.mkdir()
    else:
        file.symlink_to("nowhere.py")
    with pytest.raises(StoreError, match=r"^a/one\.py is a (folder|symbolic link)"):
        swap.reset(course, course.module("a/one"))
    assert file.is_dir() or file.is_symlink()


def edit_solution(course, path, old=b"y = x *", new=b"y = 1 * x *"):
    """A maintainer changes a solution; its stub changes with the docstring."""
    file = course.root / "solutions" / f"{path}.py"
    file.write_bytes(file.read_bytes().replace(b"Return x *", b"Return the product x *").replace(old, new))


def test_stubs_of_an_edited_solution_are_written_again(course):
    edit_solution(course, "a/two")
    stub = stubs.stub_of(course, course.module("a/two")).encode()
    old = read(course, "a/two")
    refused = swap.write_stubs(course, [course.module("a/two")])
    assert refused.written == ()  # nobody remembers that the old one was a stub: no record, no git
    assert refused.refused == ("a/two has edits of its own: --force replaces it, keeping a backup",)
    assert read(course, "a/two") == old
    [sentence] = swap.write_stubs(course, [course.module("a/two")], force=True).written
    assert sentence.startswith("a/two: the file before is kept as .curriculum/backups/a/two/")
    assert read(course, "a/two") == stub


def test_a_stub_that_was_generated_here_is_replaced_without_force(course):
    (course.root / "a" / "two.py").unlink()
    assert swap.write_stubs(course, course.modules).written == ("a/two",)
    edit_solution(course, "a/two")
    edit_solution(course, "a/two", b"1 * x", b"x * 1")
    assert swap.write_stubs(course, [course.module("a/two")]).refused == ()
    assert read(course, "a/two") == stubs.stub_of(course, course.module("a/two")).encode()


def test_a_stub_of_the_committed_solution_is_replaced_without_force(course):
    git = ["git", "-C", str(course.root), "-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "solutions", "a/one.py"], check=True)  # a learner commits work as well
    subprocess.run([*git, "commit", "-qm", "solutions"], check=True)
    edit_solution(course, "a/one")
    edit_solution(course, "a/two")
    done = swap.write_stubs(course, course.modules)
    assert done.refused == ("a/one has edits of its own: --force replaces it, keeping a backup",)
    assert read(course, "a/one") == MINE
    assert read(course, "a/two") == stubs.stub_of(course, course.module("a/two")).encode()


def test_a_stub_with_other_blanks_is_replaced_without_force(course):
    module = course.module("a/two")
    source = course.solution_file(module).read_text("utf-8")
    write(course, "a/two", stubs.make_stub(source, module.name, ("first",)).encode())
    assert swap.write_stubs(course, [module]).refused == ()
    assert read(course, "a/two") == stubs.stub_of(course, module).encode()


def test_a_stub_with_one_blank_filled_in_is_a_learners_work(course):
    module = course.module("a/two")
    todo = f'raise NotImplementedError("{module.name}: TODO 1 of 2, second")'.encode()
    write(course, "a/two", read(course, "a/two").replace(todo, b"return 2 * x"))
    before = read(course, "a/two")
    assert len(swap.write_stubs(course, course.modules).refused) == 2
    assert read(course, "a/two") == before
    assert b"return 2 * x" in before


def test_force_keeps_a_backup_of_a_learners_work(course):
    done = swap.write_stubs(course, course.modules, force=True)
    assert [sentence.partition(":")[0] for sentence in done.written] == ["a/one"]
    assert [b.read_bytes() for b in Store(course.root).backups("a/one")] == [MINE]


def test_stubs_are_not_written_over_a_swapped_solution(course):
    swap.swap(course, course.modules)
    done = swap.write_stubs(course, course.modules, force=True)
    assert len(done.refused) == 3
    assert all("`make unswap` first" in sentence for sentence in done.refused)
    swap.unswap(course)
    assert read(course, "a/one") == MINE
