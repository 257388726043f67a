"""Code blocks of a Markdown page, with what an HTML comment before a block says about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*?) -->\n)?```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: what stands after the fence; empty for none.
        code: its lines.
        note: of a comment in the line before the fence; "compile only: LIBRARY" keeps a Python block from running.
        line: of its first line of code in the page.
    """

    language: str
    code: str
    note: str
    line: int


def code_blocks(page: Path) -> list[Block]:
    """Return every fenced block of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(m["language"], m["code"], m["note"] or "", text.count("\n", 0, m.start("code")) + 1)
        for m in FENCE.finditer(text)
    ]


def shell_commands(block: Block) -> list[str]:
    """Return the commands of a block without a language or in sh, continued lines joined, comments left out."""
    if block.language not in ("", "sh", "bash"):
        return []
    lines = block.code.replace("\\\n", " ").splitlines()
    commands = [part.strip() for line in lines for part in re.sub(r"(^|\s)#.*", "", line).split("&&")]
    return [command for command in commands if command]
