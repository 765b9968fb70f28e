"""Finds the commands in the documents' blocks of code and in their sentences.

An indented block holds commands, and so does a fenced one that is called `sh`. Whatever else is shown in a block is
fenced with its language. In a sentence a command is what is marked as code, and begins with the name of a program.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "ops").rglob("*.md")])
OTHER_LANGUAGES = {"http", "json", "mermaid", "python", "sql", "text", "yaml"}
"""Languages of blocks that hold no commands."""

NAMES_ONLY = {"CHANGELOG.md"}
"""Documents whose sentences tell of options by their names alone."""

FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?<=\n\n)((?:    .*\n|\n(?=    ))+)")
INLINE_PROGRAMS = (
    r"ops/[a-z]+|\.ci/[a-z]+|\.venv/bin/\w+|apt|apt-get|bash|curl|df|docker|du|git|gunicorn|k6|kill|kubectl|openssl|"
    r"patronictl|pg_\w+|pip|prometheus|promtool|psql|py-spy|python3?|redis-cli|uv|wrk"
)
INLINE = re.compile(rf"`((?:[A-Z_]+=\S+ )*(?:{INLINE_PROGRAMS}) [^`\n]+)`")
PLACEHOLDER = re.compile(r"…|(?<![\w=])[A-Z]+(?![\w=])")
COMMENT = re.compile(r"(?:^|\s\s+)# .*$")
ASSIGNMENT = re.compile(r"\w+=")
SEPARATOR = re.compile(r"&&|;|\|")
SHELL_WORDS = {"for", "done"}


@dataclass(frozen=True)
class ShownCommand:
    """A command line of a document, without its comment."""

    document: str
    text: str
    variables: str
    """The assignments that stand before it in its block, as one line."""


def blocks(document: str) -> Iterator[tuple[str, str]]:
    """Give the text of each block, and the language that it is fenced with, which is empty for an indented one."""
    for match in FENCED.finditer(document):
        yield match[3], match[2]
    for match in INDENTED.finditer(FENCED.sub("", document)):
        yield match[1], ""


def is_complete(text: str) -> bool:
    """Tell whether the shell would run a text, and not wait for another line of it."""
    read = subprocess.run(["bash", "-n", "-c", text], check=False, capture_output=True)  # noqa: S603, S607 - it only reads
    return not text.endswith("\\") and read.returncode == 0 and not read.stderr


def commands_of_block(block: str) -> Iterator[str]:
    """Give each command of a block, which may have several lines, without comments and the indentation."""
    unfinished = ""
    for line in block.splitlines():
        unfinished += COMMENT.sub("", line.strip())
        if unfinished and is_complete(unfinished):
            yield unfinished.replace("\\\n", "")
            unfinished = ""
        elif unfinished:
            unfinished += "\n"
    assert not unfinished, f"this is no command: {unfinished}"


def commands_of(path: Path) -> list[ShownCommand]:
    """List the commands of a document: those in its sentences, then those of its blocks, each in their order."""
    name, document = path.relative_to(ROOT).as_posix(), path.read_text()
    found = [] if name in NAMES_ONLY else [ShownCommand(name, text, "") for text in inline_commands(document)]
    for block, language in blocks(document):
        assert language in {"", "sh", *OTHER_LANGUAGES}, f"{name}: is {language} a language of commands?"
        if language in OTHER_LANGUAGES:
            continue
        variables = ""
        for text in commands_of_block(block):
            if all(ASSIGNMENT.match(word) for word in shlex.split(text)):
                variables = f"{variables}{text}; "
            else:
                found.append(ShownCommand(name, text, variables))
    return found


def programs_of(text: str) -> set[str]:
    """Tell which programs a line runs; words of the shell are among them."""
    parts = [part.strip().removeprefix("do ").split() for part in SEPARATOR.split(text)]
    return {next((word for word in part if not ASSIGNMENT.match(word)), "") for part in parts}


def project_commands(text: str) -> list[list[str]]:
    """Split a line that consists of the project's own commands into their words; an empty list if it has others."""
    own = {program for program in programs_of(text) if program.startswith("ops/")}
    if programs_of(text) - own - SHELL_WORDS:
        return []
    found = []
    for part in SEPARATOR.split(text):
        words = shlex.split(part.strip().removeprefix("do "))
        while words and ASSIGNMENT.match(words[0]):
            words.pop(0)
        if words and words[0] in own:
            found.append(words)
    return found


def inline_commands(document: str) -> list[str]:
    """List the commands that stand in sentences, without those that hold a placeholder."""
    return [call for call in INLINE.findall(FENCED.sub("", document)) if not PLACEHOLDER.search(call)]
