"""What the README says, taken apart: its commands, its Python examples, its folder tree."""

from __future__ import annotations

import re
import shlex

from repository import ROOT

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def text() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(*languages: str) -> list[str]:
    """The contents of the fenced blocks in one of the languages, in order."""
    return [body for language, body in _BLOCK.findall(text()) if language in languages]


def commands() -> list[list[str]]:
    """Every command of the ``bash`` and ``console`` blocks, split into words; ``&&`` and pipes make further ones."""
    lines = [
        line.removeprefix("$ ")
        for body in blocks("bash", "console", "sh", "shell")
        for line in body.replace("\\\n", " ").splitlines()
        # in a console block what does not begin with the prompt is output
        if line.strip() and not line.startswith("#")
    ]
    found: list[list[str]] = []
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if set(word) <= set("&|;<>"):
                found.append(words)
                words = []
            else:
                words.append(word)
        found.append(words)
    return [words for words in found if words]


def tree() -> dict[str, str]:
    """Paths below the repository and their phrases, from the block with the folder tree."""
    [body] = [body for body in blocks("text") if body.startswith("src/w2svqa/")]
    entries: dict[str, str] = {}
    parents: list[str] = []
    for line in body.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, phrase = line.strip().partition("  ")
        parents = [*parents[:depth], name]
        entries["".join(parents)] = phrase.strip()
    return entries
