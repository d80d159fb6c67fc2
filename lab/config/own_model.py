"""A model of a person's own: the class in their file, and what its constructor asks for.

The file is read, never run: what a constructor asks for is found in its syntax. So runs can be composed, compared and
looked at without executing anything, and without torch.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.config.ladder import STAGES_BY_NAME
from lab.config.run_config import SYNONYMS, RunConfig, models_that_read
from lab.errors import UsageError

OWN = "own"
"""The family of models whose code is a person's own."""
LARGEST_SOURCE = 1_000_000
"""Characters of a file that can be kept with a run."""
VOCABULARY_SIZE, CONFIG = "vocabulary_size", "config"
"""What a constructor may ask for beside the fields of a config."""
_VOCABULARY_NAMES = (VOCABULARY_SIZE, "vocab_size", "vocab", "num_tokens", "n_tokens")


@dataclass(frozen=True)
class OwnSource:
    """A class and the text of the file that it stands in."""

    file_name: str
    class_name: str
    text: str
    path: Path | None = field(default=None, compare=False)
    """Where it was read from; None where it was kept with a run."""

    @property
    def word(self) -> str:
        """By which the class is named: FILE.py:CLASS."""
        return f"{self.path or self.file_name}:{self.class_name}"

    @property
    def sha256(self) -> str:
        """Of the text: by it a run knows its model's code again."""
        return source_sha256(self.text)


@dataclass(frozen=True)
class Constructor:
    """What a class's `__init__` asks for: its parameters, each with the field it stands for, and their defaults.

    A default that is no literal is not among `defaults`; `optional` names every parameter that has one.
    """

    asked: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()

    @property
    def takes_config(self) -> bool:
        """Whether it gets the whole config, and so may read any field."""
        return CONFIG in self.asked.values()

    def reads(self, key: str) -> bool:
        """Whether a field of the config means something for the model, or for how any model is trained."""
        fields = RunConfig.model_fields
        for_every_model = models_that_read(fields[key]) == models_that_read(fields["lr"])
        return for_every_model or key in self.asked.values() or self.takes_config


def source_sha256(text: str) -> str:
    """SHA-256 of a source, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def names_own_model(stage: str) -> bool:
    """Whether a word means a class in a file, and no rung of the ladder."""
    return ".py:" in stage or stage.endswith(".py")


def from_folder(word: str, folder: Path) -> str:
    """The word for a model with the file of a person's own found from a folder; that of a rung as it is."""
    if not names_own_model(word):
        return word
    path, colon, class_name = word.rpartition(":") if ".py:" in word else (word, "", "")
    return f"{folder / Path(path).expanduser()}{colon}{class_name}"


def read_own_model(word: str) -> OwnSource:
    """The class that `FILE.py:CLASS` names. Raises `UsageError` where there is no such file, or no such class in it."""
    path_text, _, class_name = word.rpartition(":") if ".py:" in word else (word, "", "")
    path = Path(path_text).expanduser()
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"model {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(text) > LARGEST_SOURCE:
        raise UsageError(f"{path} is larger than a model's file can be ({LARGEST_SOURCE:,} characters)")
    source = OwnSource(path.name, class_name, text, path)
    classes = _classes(source)
    if class_name not in classes:
        raise UsageError(_no_class(path, class_name, list(classes)))
    if class_name in STAGES_BY_NAME:
        raise UsageError(f"a class cannot be called '{class_name}', as the rung of the ladder is: rename it")
    return source


def _no_class(path: Path, class_name: str, known: list[str]) -> str:
    if not known:
        return f"{path} holds no class: define one with forward(idx, targets=None) -> (logits, loss)"
    if not class_name:
        return f"{path}: name the class too: {path}:{known[-1]}"
    near = difflib.get_close_matches(class_name, known, n=1)
    return f"{path} has no class '{class_name}': " + (
        f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known)}"
    )


def _classes(source: OwnSource) -> dict[str, ast.ClassDef]:
    """The classes of a file, by name. Raises `UsageError` where it is no Python, with line and column."""
    try:
        tree = ast.parse(source.text)
    except SyntaxError as error:
        said = f"{source.file_name}:{error.lineno}:{error.offset}: {error.msg}"
        raise UsageError(f"{said}; mend it and try again") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{source.file_name} is no Python that can be read: {error}") from None
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


# What its constructor asks for


def constructor_of(source: OwnSource) -> Constructor:
    """What a class's constructor, or that of a base class in the same file, asks for.

    Raises `UsageError` on a parameter that lab cannot fill and that has no default.
    """
    classes = _classes(source)
    node: ast.ClassDef | None = classes[source.class_name]
    seen: set[str] = set()
    while node is not None and node.name not in seen:
        seen.add(node.name)
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                return _asked(source, statement)
        bases = [classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
        node = bases[0] if bases else None
    return Constructor()


def _asked(source: OwnSource, function: ast.FunctionDef) -> Constructor:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    given = dict(zip([each.arg for each in positional[::-1]], arguments.defaults[::-1], strict=False))
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    given |= {each.arg: default for each, default in pairs if default is not None}
    asked, defaults = {}, {}
    for parameter in [each.arg for each in (*positional[1:], *arguments.kwonlyargs)]:
        name = _field_for(parameter)
        if name is None and parameter not in given:
            raise UsageError(
                f"{source.file_name}:{function.lineno}: {source.class_name}'s constructor asks for '{parameter}', "
                f"which lab does not know: give it a default, or ask for {VOCABULARY_SIZE}, {CONFIG}, or a field of "
                "the config such as context_length"
            )
        if name is not None:
            asked[parameter] = name
            if parameter in given and isinstance(given[parameter], ast.Constant | ast.UnaryOp):
                defaults[parameter] = ast.literal_eval(given[parameter])
    return Constructor(asked, defaults, frozenset(given))


def _field_for(parameter: str) -> str | None:
    """The field of a config that a parameter of that name is given; None where there is none."""
    if parameter in _VOCABULARY_NAMES:
        return VOCABULARY_SIZE
    name = SYNONYMS.get(parameter.lower(), parameter)
    return name if name == CONFIG or name in RunConfig.model_fields else None
