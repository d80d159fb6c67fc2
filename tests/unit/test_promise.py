"""The promise of docs/promise.md: every sentence of it names a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMISE = ROOT / "docs" / "promise.md"
SECTIONS = ["Killed processes", "Storage", "Concurrency", "Misbehaving runs", "Time", "Hostile input", "Growth"]


def sections() -> dict[str, list[str]]:
    """The lines under each heading."""
    found: dict[str, list[str]] = {}
    for line in PROMISE.read_text().splitlines():
        if line.startswith("## "):
            found[line[3:]] = []
        elif found and line:
            found[list(found)[-1]].append(line)
    return found


def sentences() -> list[tuple[str, str]]:
    """Each sentence, and what its row says of its proof."""
    rows = [line.strip("|").split(" | ") for lines in sections().values() for line in lines if line.startswith("| ")]
    return [(sentence.strip(), proof) for sentence, proof in rows if sentence.strip() != "sentence"]


def names_in(path: Path) -> set[str]:
    """The tests and state machines of a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


def test_every_part_of_the_promise_has_a_short_form_and_sentences() -> None:
    parts = sections()
    assert list(parts) == SECTIONS
    for lines in parts.values():
        assert [line for line in lines if line.startswith("> ")] == lines[:1]
        assert sum(line.startswith("| ") for line in lines) >= 2


@pytest.mark.parametrize(("sentence", "proof"), sentences())
def test_every_sentence_of_the_promise_names_tests_that_exist(sentence: str, proof: str) -> None:
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", proof)
    assert tests, f"no test is named for: {sentence}"
    assert len(tests) == proof.count("`") // 2, f"what is named beside tests for: {sentence}"
    for path, name in tests:
        assert name in names_in(ROOT / path), f"{path} has no {name}"
