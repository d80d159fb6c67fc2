"""The lines of model code that a rung turns on, read from lab's own source as text: the screen imports no torch.

A rung is a config, and its switches are fields of it. The lines of a switch are those that read the field, those that
read what its class keeps of it, and the parts that are built only because of it; where the source branches, the branch
that the rung's config takes.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lab.config.ladder import find_stage, stage_config
from lab.config.run_config import RunConfig

_MODELS = Path(__file__).parents[1] / "models"
_FILES = {"bigram": ("bigram.py",), "mlp": ("mlp.py",), "transformer": ("transformer.py", "layers.py")}
_ROOTS = {"bigram": "Bigram", "mlp": "MLP", "transformer": "Transformer"}
_SIZES = {"embedding_dim", "context_length", "hidden_dim", "head_dim"}
"""Fields that are read all over; a change of them alone turns no line on."""
_NEW_LAYERS = {"Embedding", "Linear"}


@dataclass(frozen=True)
class Excerpt:
    """A statement of a model's source."""

    file: str
    function: str
    """`Block.forward`."""
    line: int
    """The number of its first line."""
    code: str


@cache
def stage_code(name: str) -> tuple[Excerpt, ...]:
    """What a stage's switches turn on in the models' source, in the order of the source; empty for sizes alone."""
    stage = find_stage(name)
    config = stage_config(name)
    below = stage_config(stage.stands_on) if stage.stands_on else None
    walk = _Walk(config)
    if below is None or below.model != config.model:
        walk.take_family()
    else:
        changed = [field for field in RunConfig.model_fields if getattr(below, field) != getattr(config, field)]
        for field in changed:
            if field not in _SIZES:
                walk.take_switch(field, below)
    return walk.excerpts()


class _Unknown:
    """Stands for whatever is not known without running the model: it is something, and not None."""

    def __getattr__(self, name: str) -> _Unknown:
        return self

    def __call__(self, *_: object, **__: object) -> _Unknown:
        return self

    def __getitem__(self, key: object) -> _Unknown:
        return self

    def __iter__(self) -> Iterator[_Unknown]:
        return iter((self,))


class _Names(dict[str, Any]):
    """What names stand for while a condition of the source is evaluated."""

    def __missing__(self, name: str) -> _Unknown:
        return _Unknown()


_Condition = Callable[[Iterable[ast.AST]], bool]


@dataclass(frozen=True)
class _Reading:
    """Whether nodes read a field of the config, or an attribute that was set from it."""

    field: str
    kept: frozenset[str]

    def is_in(self, nodes: Iterable[ast.AST]) -> bool:
        """Looks through the nodes."""
        nodes = list(nodes)
        return self.field in _of_config(nodes) or bool(self.kept & _of_self(nodes))


class _Walk:
    """The models' source as one config runs through it."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self._source: dict[str, list[str]] = {}
        self._units: dict[str, tuple[str, ast.ClassDef | ast.FunctionDef]] = {}
        self._tables: dict[str, dict[str, str]] = {}
        for file in _FILES[config.model]:
            text = (_MODELS / file).read_text(encoding="utf-8")
            self._source[file] = text.splitlines()
            for node in ast.parse(text).body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef):
                    self._units[node.name] = file, node
                elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
                    self._tables.update(_table(node))
        self._states: dict[str, Mapping[str, Any]] = {}
        self._taken: dict[tuple[int, int], Excerpt] = {}

    def excerpts(self) -> tuple[Excerpt, ...]:
        """What was taken, from the model down to its parts, in the order of the source."""
        return tuple(self._taken[key] for key in sorted(self._taken))

    # What is taken

    def take_family(self) -> None:
        """A model of another kind: its layers, and all that its forward pass does."""
        root = _ROOTS[self.config.model]
        for statement in self._live(root, "__init__"):
            if isinstance(statement, ast.Assign) and _called(statement.value) & _NEW_LAYERS:
                self._take(root, "__init__", statement)
        self._take_forward(root)

    def take_switch(self, field: str, below: RunConfig) -> None:
        """The lines that read a field of the config, or what a class keeps of it, and parts that are new by it."""
        before, was_off = _Walk(below), not getattr(below, field)
        for name in self._units:
            kept = self._kept_of(name, field)
            for method in [*{"__init__"} & self._methods(name).keys(), *self._reachable(name)]:
                found = _Reading(field, kept if method != "__init__" else frozenset())
                for statement in self._live(name, method, found.is_in):
                    if found.is_in(self._alive(name, statement)):
                        self._take(name, method, statement)
                        self._take_new_parts(name, statement, before, was_off=was_off)

    def _take_new_parts(self, name: str, statement: ast.stmt, before: _Walk, *, was_off: bool) -> None:
        new = self._parts(name, statement)
        if not was_off:
            new -= before._parts(name, statement)
        for part in new:
            self._take_part(part)

    def _take_part(self, name: str) -> None:
        """A part that was not there before: its forward pass, and that of the parts it is made of."""
        self._take_forward(name)
        for statement in self._live(name, "__init__"):
            for part in self._parts(name, statement) - {name}:
                self._take_part(part)

    def _parts(self, name: str, statement: ast.stmt) -> set[str]:
        """The classes of the models that a statement names, or looks up in a table by a field of the config."""
        named = set()
        for node in self._alive(name, statement):
            if isinstance(node, ast.Name):
                named.add(node.id)
            elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in self._tables:
                for field in _of_config(ast.walk(node.slice)):
                    named.add(self._tables[node.value.id].get(getattr(self.config, field), ""))
        return {each for each in named if each in self._units and isinstance(self._units[each][1], ast.ClassDef)}

    def _take_forward(self, name: str) -> None:
        for method in self._reachable(name):
            for statement in self._live(name, method):
                self._take(name, method, statement)

    def _take(self, name: str, method: str, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Return) and isinstance(statement.value, ast.Name):
            return  # it says nothing
        file = self._units[name][0]
        lines = self._source[file][statement.lineno - 1 : statement.end_lineno]
        code = textwrap.dedent("\n".join(lines))
        place = _FILES[self.config.model].index(file), statement.lineno
        self._taken[place] = Excerpt(file, f"{name}.{method}" if method else name, statement.lineno, code)

    # What the config makes of the source

    def _methods(self, name: str) -> dict[str, ast.FunctionDef]:
        """The methods of a class; a function that belongs to none is its own, without a name."""
        unit = self._units[name][1]
        if isinstance(unit, ast.FunctionDef):
            return {"": unit}
        return {node.name: node for node in unit.body if isinstance(node, ast.FunctionDef)}

    def _live(self, name: str, method: str, whole: _Condition = lambda _: False) -> Iterator[ast.stmt]:
        """The statements of a method that run; an `if` as one where its test is `whole`, else what it runs."""
        function = self._methods(name).get(method)
        yield from self._running(name, function.body if function else [], whole)

    def _running(self, name: str, body: list[ast.stmt], whole: _Condition) -> Iterator[ast.stmt]:
        for statement in body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue  # a docstring
            if isinstance(statement, ast.If):
                is_on = self._is_on(name, statement.test)
                if is_on and not statement.orelse and whole(ast.walk(statement.test)):
                    yield statement
                else:
                    yield from self._running(name, statement.body if is_on else statement.orelse, whole)
                if is_on and any(isinstance(each, ast.Return) for each in statement.body):
                    return
            elif isinstance(statement, ast.For):
                yield from self._running(name, statement.body, whole)
            else:
                yield statement

    def _alive(self, name: str, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes below one, of a conditional expression only the branch that the config takes."""
        yield node
        if isinstance(node, ast.IfExp):
            yield from self._alive(name, node.test)
            yield from self._alive(name, node.body if self._is_on(name, node.test) else node.orelse)
            return
        for child in ast.iter_child_nodes(node):
            yield from self._alive(name, child)

    def _is_on(self, name: str, test: ast.expr) -> bool:
        return bool(self._value(test, self._state(name)))

    def _value(self, expression: ast.expr, names: Mapping[str, Any]) -> Any:
        """What an expression of lab's own source comes to; what cannot be known without torch is something."""
        try:
            return eval(compile(ast.Expression(expression), "models", "eval"), {}, names)
        except (TypeError, NameError, KeyError):
            return _Unknown()

    def _state(self, name: str) -> Mapping[str, Any]:
        """What `self` and `config` are in a class, as far as it follows from the config."""
        if name in self._states:
            return self._states[name]
        this = _Unknown()
        names = _Names(config=self.config, self=this)
        function = self._methods(name).get("__init__")
        for node in ast.walk(function) if function else ():
            if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Attribute):
                setattr(this, target.attr, self._value(node.value, names))
        self._states[name] = names
        return names

    def _kept_of(self, name: str, field: str) -> frozenset[str]:
        """The attributes that a class sets from a field."""
        kept: set[str] = set()
        for statement in self._live(name, "__init__"):
            if isinstance(statement, ast.Assign) and field in _of_config(ast.walk(statement.value)):
                kept |= {target.attr for target in statement.targets if isinstance(target, ast.Attribute)}
        return frozenset(kept)

    def _reachable(self, name: str) -> list[str]:
        """`forward`, and the methods of its own that it calls."""
        reached: list[str] = [method for method in ("forward", "") if method in self._methods(name)]
        for method in reached:
            for statement in self._live(name, method):
                called = _of_self(self._alive(name, statement)) & self._methods(name).keys()
                reached += [each for each in called if each not in reached]
        return reached


def _of_config(nodes: Iterable[ast.AST]) -> set[str]:
    return _attributes(nodes, "config")


def _of_self(nodes: Iterable[ast.AST]) -> set[str]:
    return _attributes(nodes, "self")


def _attributes(nodes: Iterable[ast.AST], of: str) -> set[str]:
    return {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == of
    }


def _table(node: ast.Assign | ast.AnnAssign) -> dict[str, dict[str, str]]:
    """A dictionary of the source by its name: what each of its keys names."""
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    assert isinstance(target, ast.Name)
    assert isinstance(node.value, ast.Dict)
    pairs = zip(node.value.keys, node.value.values, strict=True)
    return {
        target.id: {str(k.value): v.id for k, v in pairs if isinstance(k, ast.Constant) and isinstance(v, ast.Name)}
    }


def _called(node: ast.expr) -> set[str]:
    return {node.func.attr} if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else set()
