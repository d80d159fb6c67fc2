"""Models of a person's own: their class, made from the text of their file, and what is said when it raises.

Nothing is run that was not let in by `let_in`; who calls that has made sure that this machine's user wants it.
"""

from __future__ import annotations

import contextlib
import inspect
import linecache
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.config.own_model import CONFIG, VOCABULARY_SIZE, OwnSource, constructor_of
from lab.config.run_config import RunConfig
from lab.errors import LabError, OwnModelError
from lab.models.layers import PADDING_TARGET

MOST_TRACE_LINES = 60
MOST_PRINTED_LINES = 100

_let_in: dict[tuple[str, str], OwnSource] = {}
_made: dict[tuple[str, str], type[nn.Module]] = {}


def let_in(source: OwnSource) -> None:
    """Lets the class of a source be run in this process."""
    _let_in[source.sha256, source.class_name] = source


def build_own(config: RunConfig, vocabulary_size: int) -> nn.Module:
    """The model of a config whose source was let in.

    Raises `OwnModelError` where it was not, and where its file or its constructor raises.
    """
    source = _let_in.get((config.source_sha256 or "", config.stage))
    if source is None:
        raise OwnModelError(f"{config.stage} is a model of somebody's own: its code was not let in to be run")
    with explained(source):
        model = _class_of(source)(**_arguments(source, config, vocabulary_size))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise OwnModelError(f"{source.class_name} has no parameters to train")
    _pads_as_torch_does(model)
    return model


def _class_of(source: OwnSource) -> type[nn.Module]:
    """The class, its file run once a process."""
    key = (source.sha256, source.class_name)
    if key not in _made:
        module = types.ModuleType(f"lab_own_{source.sha256[:12]}")
        module.__file__ = source.file_name
        sys.modules[module.__name__] = module  # dataclasses look themselves up there
        lines = source.text.splitlines(keepends=True)
        linecache.cache[source.file_name] = (len(source.text), None, lines, source.file_name)
        exec(compile(source.text, source.file_name, "exec"), module.__dict__)
        found = getattr(module, source.class_name, None)
        if not (isinstance(found, type) and issubclass(found, nn.Module)):
            raise OwnModelError(f"{source.class_name} in {source.file_name} is no torch.nn.Module: derive it from one")
        _made[key] = found
    return _made[key]


def _arguments(source: OwnSource, config: RunConfig, vocabulary_size: int) -> dict[str, Any]:
    """What the constructor asks for, by name."""
    constructor = constructor_of(source)
    values = {VOCABULARY_SIZE: vocabulary_size, CONFIG: config}
    return {
        parameter: values[name] if name in values else getattr(config, name)
        for parameter, name in constructor.asked.items()
        # A default that lab could not read, such as an expression, stays what it is.
        if not (parameter in constructor.optional and parameter not in constructor.defaults and name not in values)
    }


def _pads_as_torch_does(model: nn.Module) -> None:
    """Marks padding by the target that `F.cross_entropy` leaves out unasked, so that words need no special loss."""
    ignored = inspect.signature(F.cross_entropy).parameters["ignore_index"].default

    def translate(_model: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if len(arguments) < 2 or not isinstance(arguments[1], Tensor):
            return None
        tokens, targets, *more = arguments
        return (tokens, torch.where(targets == PADDING_TARGET, ignored, targets), *more)

    model.register_forward_pre_hook(translate)


# What is said of what it does


@contextlib.contextmanager
def explained(source: OwnSource) -> Iterator[None]:
    """Whatever the source's code raises within becomes an `OwnModelError` of one line, with file, line and message."""
    try:
        yield
    except LabError:
        raise
    except (Exception, SystemExit) as error:
        places = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == source.file_name]
        broken = isinstance(error, SyntaxError) and error.filename == source.file_name
        if not places and not broken:
            raise
        where = f"{source.file_name}:{error.lineno if isinstance(error, SyntaxError) and broken else places[-1].lineno}"
        lines = "".join(traceback.format_exception(error)).splitlines()[-MOST_TRACE_LINES:]
        raise OwnModelError(f"{where}: {_said(error)}", tuple(lines)) from error


def explained_where_own(config: RunConfig) -> contextlib.AbstractContextManager[None]:
    """`explained` for the source of a config, where its model is one's own and was let in."""
    source = _let_in.get((config.source_sha256 or "", config.stage))
    return explained(source) if source is not None else contextlib.nullcontext()


def _said(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    if isinstance(error, SystemExit):
        return "it ends the program (SystemExit): a model must not"
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


class _Told:
    """A text stream that hands on what is written to it, line by line, and not for ever."""

    encoding = "utf-8"

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._rest, self._lines = tell, "", 0

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        self._rest = self._rest[:10_000]
        for line in lines:
            self._lines += 1
            if self._lines <= MOST_PRINTED_LINES:
                self._tell(line)
            elif self._lines == MOST_PRINTED_LINES + 1:
                self._tell(f"and more: {MOST_PRINTED_LINES} lines are kept")
        return len(text)

    def flush(self) -> None:
        """Lines are handed on as they come."""

    def isatty(self) -> bool:
        return False


@contextlib.contextmanager
def prints_told(tell: Callable[[str], None]) -> Iterator[None]:
    """What is printed within is told, a line at a time, and does not reach standard output."""
    with contextlib.redirect_stdout(_Told(tell)):
        yield
