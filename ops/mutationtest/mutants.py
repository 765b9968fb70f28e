"""Makes the mutants of a module: the same source with one small mistake each."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, takewhile

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider, WhitespaceInclusivePositionProvider
from mutmut.mutation.mutators import mutation_operators

UNREACHABLE = "assert_never"
"""Marks what no test can reach, as the type checker proves."""
UNCHANGED_CALLS = ("isinstance", "len", UNREACHABLE)
"""Functions whose calls stay as they are: `len(None)` is noticed wherever it is run, and says nothing about a test."""


@dataclass(frozen=True)
class Mutant:
    """A module with one mistake."""

    module: str
    source: str
    place: "MutatedPlace"
    before: str
    """The lines that have been changed, joined."""
    after: str

    @cached_property
    def name(self) -> str:
        """What has been changed, in the words by which survivors are judged."""
        return f"{'.'.join((self.module, *self.place.scope))}: {self.before} -> {self.after}"

    @cached_property
    def key(self) -> str:
        """A hash by which the result of an earlier run is found."""
        return hashlib.sha256(f"{self.module}\n{self.source}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class MutatedPlace:
    """Where a mistake stands."""

    scope: tuple[str, ...] = ()
    """The classes and functions around it."""
    lines: range = range(0)
    """Lines of its statement."""
    function_lines: range = range(0)
    """Lines of its function; none where it stands outside of functions."""
    is_in_statement: bool = False


def make_mutants(module: str, source: str) -> Iterator[Mutant]:
    """Make all mutants of a module, each source once."""
    wrapper = MetadataWrapper(cst.parse_module(source))
    spans = wrapper.resolve(WhitespaceInclusivePositionProvider)
    begins = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]
    sources = {source}
    for node, place in _walk(wrapper.module, MutatedPlace(), wrapper.resolve(PositionProvider)):
        for mistaken in _mistakes(node):
            if isinstance(node, cst.Match):  # It is indented.
                mutated = cst.ensure_type(wrapper.module.deep_replace(node, mistaken), cst.Module).code
            else:  # That would take a minute for the longest modules.
                begin, end = (begins[at.line - 1] + at.column for at in (spans[node].start, spans[node].end))
                mutated = source[:begin] + wrapper.module.code_for_node(mistaken) + source[end:]
            before, after = _difference(source.splitlines(), mutated.splitlines())
            if mutated not in sources and UNREACHABLE not in before:
                sources.add(mutated)
                yield Mutant(module, mutated, place, before, after)


def _walk(
    node: cst.CSTNode, place: MutatedPlace, positions: Mapping[cst.CSTNode, CodeRange]
) -> Iterator[tuple[cst.CSTNode, MutatedPlace]]:
    """Go through all nodes that may be changed."""
    if _is_left_alone(node):
        return
    if node in positions and not place.is_in_statement:
        lines = range(positions[node].start.line, positions[node].end.line + 1)
        place = replace(place, lines=lines, is_in_statement=isinstance(node, cst.SimpleStatementLine))
    if isinstance(node, cst.FunctionDef | cst.ClassDef):
        function_lines = place.lines if isinstance(node, cst.FunctionDef) else range(0)
        place = replace(place, scope=(*place.scope, node.name.value), function_lines=function_lines)
    yield node, place
    for child in node.children:
        yield from _walk(child, place, positions)


def _is_left_alone(node: cst.CSTNode) -> bool:
    """Whether a node is never run, or is noticed wherever it is."""
    if isinstance(node, cst.Call):
        return isinstance(node.func, cst.Name) and node.func.value in UNCHANGED_CALLS
    return isinstance(node, cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom)


def _mistakes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Make what might stand in the place of a node: what mutmut's operators make of it, or nothing for a call."""
    for kind, operator in mutation_operators:
        if isinstance(node, kind):
            for mistaken in operator(node):
                yield mistaken
                if isinstance(node, cst.BaseString):
                    break  # The others differ from the first in nothing that a test would see.
    if isinstance(node, cst.Expr) and isinstance(node.value, cst.Call):
        yield cst.Pass()


def _difference(before: list[str], after: list[str]) -> tuple[str, str]:
    """Return the lines that differ, joined, without those that are equal around them."""
    begin = _count_equal(before, after)
    old, new = before[begin:], after[begin:]
    end = _count_equal(reversed(old), reversed(new))
    old, new = old[: len(old) - end], new[: len(new) - end]
    return " ".join(map(str.strip, old)), " ".join(map(str.strip, new))


def _count_equal(one: Iterable[str], other: Iterable[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
