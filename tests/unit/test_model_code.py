"""The lines of model code that a rung turns on: each is run by its model, and all that is new in it is among them."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from lab import models
from lab.config.ladder import STAGES, STAGES_BY_NAME, stage_config
from lab.config.run_config import RunConfig, models_that_read
from lab.models.build import build_model
from lab.tui.model_code import Excerpt, stage_code

MODELS = Path(models.__file__).parent
FASTER_WAYS = (
    "fused.py",
    "fused_mlp.py",
    "fused_transformer.py",
    "cached_transformer.py",
    "short_ways.py",
    "dropout.py",
)
"""What computes the same as the models' source, and says nothing of how they are built."""
NO_RUNG = ("build.py", "own.py", "contract.py")
"""What builds any model, and what is only of models of one's own."""
SAME_CODE = {"embedding_dim", "context_length", "hidden_dim", "head_dim"}


def lines_run(config: RunConfig) -> set[tuple[str, int]]:
    """File and number of every line of the models' source that building a config's model and one pass run."""
    config = config.replace(**{"embedding_dim": config.heads * 8} if config.model == "transformer" else {})
    seen: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        path = Path(frame.f_code.co_filename)
        if path.parent != MODELS or path.name in FASTER_WAYS:
            return None
        seen.add((path.name, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        model = build_model(config, 27)
        tokens = torch.zeros(2, config.context_length, dtype=torch.long)
        model(tokens, tokens if config.predicts_every_position else tokens[:, -1:])
    finally:
        sys.settrace(None)
    return seen


def runs(excerpt: Excerpt, seen: set[tuple[str, int]]) -> bool:
    lines = range(excerpt.line, excerpt.line + len(excerpt.code.splitlines()))
    return any((excerpt.file, line) in seen for line in lines)


@pytest.mark.parametrize("stage", STAGES_BY_NAME)
def test_what_is_shown_stands_in_the_source_and_is_run(stage: str) -> None:
    seen = lines_run(stage_config(stage))
    for excerpt in stage_code(stage):
        lines = (MODELS / excerpt.file).read_text().splitlines()
        shown = [line.strip() for line in excerpt.code.splitlines()]
        assert shown == [line.strip() for line in lines[excerpt.line - 1 : excerpt.line - 1 + len(shown)]]
        assert runs(excerpt, seen), excerpt
        before = "\n".join(lines[: excerpt.line])
        *of_class, method = excerpt.function.split(".")
        assert f"def {method}(" in before
        assert all(f"class {name}(" in before for name in of_class)


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES if stage.stands_on])
def test_what_no_model_below_runs_is_shown(stage: str) -> None:
    new = lines_run(stage_config(stage)) - lines_run(stage_config(str(STAGES_BY_NAME[stage].stands_on)))
    covered = {
        (excerpt.file, excerpt.line + i) for excerpt in stage_code(stage) for i in range(excerpt.code.count("\n") + 1)
    }
    for file, line in sorted(new - covered):
        assert not says_something(file, line), f"{file}:{line} is run by {stage} and not shown"


def says_something(file: str, line: int) -> bool:
    """Whether a line belongs to a statement of a method that computes: not a header, nor `return x`."""
    tree = ast.parse((MODELS / file).read_text())
    for part in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for method in (node for node in part.body if isinstance(node, ast.FunctionDef) and node.name != "__init__"):
            for node in ast.walk(method):
                inside = isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
                if inside and isinstance(node, ast.Assign | ast.AugAssign):
                    return True
                if inside and isinstance(node, ast.Return) and not isinstance(node.value, ast.Name):
                    return True
    return False


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage.stands_on], ids=lambda stage: stage.name)
def test_every_switch_of_the_model_is_found(stage: Any) -> None:
    config, below = stage_config(stage.name), stage_config(stage.stands_on)
    shown = "\n".join(excerpt.code for excerpt in stage_code(stage.name))
    source = "\n".join(path.read_text() for path in MODELS.glob("*.py") if path.name not in (*NO_RUNG, *FASTER_WAYS))
    for field, info in RunConfig.model_fields.items():
        changed = getattr(config, field) != getattr(below, field)
        read = f"config.{field}" in source and config.model in models_that_read(info)
        if changed and read and field not in SAME_CODE and config.model == below.model:
            assert f"config.{field}" in shown, field


def test_what_a_rung_is_about_is_among_its_lines() -> None:
    about = {
        "bigram": "nn.Embedding(vocabulary_size, vocabulary_size)",
        "linear": "self.token_embedding(tokens)",
        "mlp": "self.head(self.hidden(side_by_side))",
        "single-head": "scaled_dot_product_attention",
        "multi-head": "self.heads, self.head_dim",
        "feed-forward": "if self.feed_forward:",
        "blocks": "for _ in range(config.layers)",
        "residual": "x = x + added if self.residual else added",
        "layernorm": 'if config.norm != "none":',
        "scaled": "Dropout(config.dropout)",
    }
    for stage, line in about.items():
        assert line in "\n".join(excerpt.code for excerpt in stage_code(stage)), stage
    assert "position_embedding" not in "\n".join(excerpt.code for excerpt in stage_code("linear")), "it has none"
    assert "weights" not in "\n".join(excerpt.function for excerpt in stage_code("single-head")), "not run in training"
