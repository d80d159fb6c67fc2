"""What is wrong with a command line, in one line of lab's own: the thing, the rule, and where to look."""

from __future__ import annotations

import difflib
import re
from typing import Any

import typer

_NEAR = 0.7
"""How alike two names are of which one may be meant by the other, from 0 to 1."""
_STRAY_SETTING = re.compile(r"extra argument\S* \((\w+=[^ )]*)")
"""A setting that was given without the option that it belongs to."""


def said_plainly(error: typer.TyperException) -> str:
    """The parser's complaint as `lab` says things: no capital, no full stop, the value named, a remedy at the end."""
    said = error.format_message().strip().rstrip(".")
    message = _bad_value(error) or said[:1].lower() + said[1:]
    if ". Did you mean" in message:
        return message.replace(". Did you mean", ": did you mean")
    message = message.partition(" (Possible")[0]
    options = getattr(error, "possibilities", None) or ()
    near = difflib.get_close_matches(getattr(error, "option_name", ""), options, 1, _NEAR)
    if near:
        return f"{message}: did you mean {near[0]}?"
    context: Any = getattr(error, "ctx", None)
    if context is None:
        return message
    setting = _STRAY_SETTING.search(message)
    if setting and any("--set" in parameter.opts for parameter in context.command.params):
        return f"{message}: did you mean --set {setting[1]}?"
    return f"{message} (see: {context.command_path} --help)"


def _bad_value(error: Any) -> str | None:
    """`--steps abc: must be a valid integer`, where a value was refused; the parser's own line lacks it."""
    parameter, refused = getattr(error, "param", None), getattr(error.__cause__, "errors", None)
    if parameter is None or refused is None:
        return None
    detail = refused()[0]
    rule = str(detail["msg"]).partition(",")[0].removeprefix("Input should ").removeprefix("be ")
    is_option = parameter.param_type_name == "option"
    name = max(parameter.opts, key=len) if is_option else parameter.metavar or parameter.name
    return f"{name} {detail['input']}: must be {rule}"
