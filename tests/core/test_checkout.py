"""The commit of a checkout, from git's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from w2svqa.core.checkout import commit_of

FIRST, SECOND = "a" * 40, "b" * 40


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "src" / "w2svqa"
    folder.mkdir(parents=True)
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_detached_head_is_the_commit(package: Path, tmp_path: Path) -> None:
    write(tmp_path / ".git" / "HEAD", f"{FIRST}\n")
    assert commit_of(package) == FIRST


def test_a_loose_branch_wins_over_a_packed_one(package: Path, tmp_path: Path) -> None:
    write(tmp_path / ".git" / "HEAD", "ref: refs/heads/main\n")
    write(tmp_path / ".git" / "packed-refs", f"# pack-refs with: peeled\n{SECOND} refs/heads/main\n^{FIRST}\n")
    assert commit_of(package) == SECOND
    write(tmp_path / ".git" / "refs" / "heads" / "main", f"{FIRST}\n")
    assert commit_of(package) == FIRST


def test_a_linked_work_tree_shares_the_branches_of_its_repository(package: Path, tmp_path: Path) -> None:
    linked = tmp_path / "main" / ".git" / "worktrees" / "other"
    write(tmp_path / ".git", f"gitdir: {linked}\n")
    write(linked / "HEAD", "ref: refs/heads/other\n")
    write(linked / "commondir", "../..\n")
    write(tmp_path / "main" / ".git" / "refs" / "heads" / "other", f"{SECOND}\n")
    assert commit_of(package) == SECOND


@pytest.mark.parametrize(
    "head", [None, "", "ref: refs/heads/none", "ref: refs/heads/../../HEAD", "not a commit", "\udcff"]
)
def test_what_cannot_be_read_is_no_commit(package: Path, tmp_path: Path, head: str | None) -> None:
    if head is not None:
        (tmp_path / ".git").mkdir()
        (tmp_path / ".git" / "HEAD").write_bytes(head.encode("utf-8", "surrogateescape"))
    assert commit_of(package) is None


def test_an_environment_inside_a_checkout_is_no_part_of_it(tmp_path: Path) -> None:
    write(tmp_path / ".git" / "HEAD", FIRST)
    package = tmp_path / "lib" / "site-packages" / "w2svqa"
    package.mkdir(parents=True)
    assert commit_of(package) is None
