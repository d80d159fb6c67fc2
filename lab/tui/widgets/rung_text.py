"""What is told of one rung, and the samples of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lab import text
from lab.queue.rungs import RungState
from lab.tui.snapshot import CountedBigram
from lab.tui.widgets.ladder_table import COUNTED, EVENLY, UNTRAINED, delta_text, state_text
from lab.tui.widgets.run_columns import Look, shown_value

if TYPE_CHECKING:
    from lab.config.ladder import Stage
    from lab.tui.model_code import Excerpt

_NAME_WIDTH = 14
SAMPLE_LINES = 8
"""Lines of each sample in the samples ladder."""


def rung_text(state: RungState, look: Look) -> tuple[Text, list[tuple[str, Text]]]:
    """A rung's name and lesson; and, each with its name, what it adds, also changed and bought, and what to look at."""
    stage, muted = state.stage, look.colour("text-muted")
    head = Text()
    head.append(stage.name, "bold")
    if stage.stands_in_for:
        head.append(f"  stands in for {stage.stands_in_for}, which needs a GPU", muted)
    head.append(f"\n\n{stage.lesson}\n")
    facts = [("adds", Text(stage.adds))]
    if stage.also_changed:
        facts.append(("also changed", Text(stage.also_changed, look.colour("warning"))))
    facts.append(("the switch", _switch(stage, look)))
    facts.append(("look at", Text(f"{stage.look_at}\n")))
    facts.append(("published", _published(stage, look)))
    facts.append(("yours", _yours(state, look)))
    if state.on_request and state.last is None:
        facts.append(("to train it", Text("enter or n: climbing leaves this rung out", look.colour("accent"))))
    if state.below is not None:
        facts.append((f"Δ {state.below.stage.name}", _delta(state, look)))
    return head, facts


def code_text(code: Sequence[Excerpt] | None, look: Look) -> Text:
    """The lines of model code, each part under the name of its file and function."""
    muted = look.colour("text-muted")
    said = Text()
    if code is None:
        return said.append("reading the source…", muted)
    if not code:
        return said.append("the same code, other sizes", muted)
    place = ("", "")
    for excerpt in code:
        if (excerpt.file, excerpt.function) != place:
            place = (excerpt.file, excerpt.function)
            said.append(f"{'' if not said else chr(10)}{excerpt.file} · {excerpt.function}\n", muted)
        for number, line in enumerate(excerpt.code.splitlines(), excerpt.line):
            said.append(f"{number:>4} ", muted)
            code_part, hash_sign, comment = line.partition("  # ")
            said.append(code_part)
            said.append(f"{hash_sign}{comment}\n", muted)
    said.rstrip()
    return said


def _delta(state: RungState, look: Look) -> Text:
    muted = look.colour("text-muted")
    if state.delta is None:
        return Text("known once both are trained", muted)
    said = delta_text(state, replace(look, narrow=False))
    said.justify = "left"
    how = f"  95 % interval over {text.plural(state.delta.count, 'seed')}" if state.delta.half_width is not None else ""
    return said.append(how or "  of one seed: scatter unknown", muted)


def laid_out(head: Text, facts: Sequence[tuple[str, Text]], code: Text, look: Look) -> Group:
    """The text over a list of names and values, each value wrapped beside its name; the code below."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=_NAME_WIDTH, no_wrap=True, style=look.colour("text-muted"))
    table.add_column(ratio=1)
    for name, value in facts:
        table.add_row(text.clip(name, _NAME_WIDTH), value)
    return Group(head, table, Text("\nthe code it turns on", look.colour("text-muted")), code)


def _published(stage: Stage, look: Look) -> Text:
    muted = look.colour("text-muted")
    if stage.published_val_loss is None:
        return Text(text.NOTHING, muted)
    said = Text(f"{stage.published_val_loss:g} · {text.choices(stage.published_val_loss)} choices")
    took = f" in {stage.lecture_time}" if stage.lecture_time else ""
    return said.append(f"  the lecture's{took}, on its own copy of the text, from sampled batches", muted)


def _yours(state: RungState, look: Look) -> Text:
    muted = look.colour("text-muted")
    said = state_text(state, look)
    said.no_wrap = None
    best = state.best
    if best is None or state.val_loss is None:
        return said
    said.append(f"  val {text.interval(state.interval)}", "bold")
    if len(state.losses) > 1:
        said.append(f" over {len(state.losses)} seeds")
    said.append(f" · {text.choices(state.val_loss)} choices")
    facts = [f"{text.si(best.parameters)} parameters" if best.parameters else ""]
    facts.append(text.duration(state.seconds or 0) + (f" on {text.literal(best.device)}" if best.device else ""))
    return said.append("  " + " · ".join(fact for fact in facts if fact), muted)


def _switch(stage: Stage, look: Look) -> Text:
    """The fields of the config that differ from those of the rung it stands on."""
    changes = stage_switch(stage.name)
    said = Text()
    for i, (key, before, after) in enumerate(changes):
        said.append("\n" if i else "")
        said.append(f"{key} = ", look.colour("text-muted"))
        if before is not None:
            said.append(f"{before} → ")
        said.append(after, f"bold {look.colour('accent')}")
    return said


@cache
def stage_switch(name: str) -> tuple[tuple[str, str | None, str], ...]:
    """Key, old and new value of what a stage sets otherwise than the one it stands on; the foot has no old values."""
    from lab.config.ladder import find_stage, stage_config

    stage = find_stage(name)
    config = stage_config(name)
    if stage.stands_on is None:
        return tuple((key, None, shown_value(getattr(config, key))) for key in stage.changes)
    below = stage_config(stage.stands_on)
    return tuple(
        (key, shown_value(getattr(below, key)), shown_value(getattr(config, key)))
        for key in type(config).model_fields
        if key != "stage" and getattr(below, key) != getattr(config, key)
    )


def figures_of(rung: RungState | str | None, untrained: CountedBigram | None) -> list[tuple[str, str]]:
    """Val, choices and Δ of a rung, or of a model that needs no training, for large figures; none where untrained."""
    delta = None
    if isinstance(rung, RungState):
        value, delta = rung.val_loss, rung.delta
    elif untrained is not None and rung in UNTRAINED:
        value = untrained.guessing_evenly if rung == EVENLY else untrained.counting
    else:
        value = None
    if value is None:
        return []
    figures = [("val", text.loss(value)), ("choices", text.choices(value))]
    return figures + ([("Δ", f"{delta.mean:+.3f}")] if delta is not None else [])


def untrained_text(name: str, untrained: CountedBigram | None, look: Look) -> Text:
    """What guessing evenly and counting are, and why they stand at the foot."""
    said = Text()
    said.append(f"{name}\n\n", "bold")
    size = untrained.vocabulary_size if untrained else 0
    if name == EVENLY:
        said.append("Every character equally likely: the loss of a model that knows nothing, ln V. ")
        said.append(f"The text has {size} characters, so it is as unsure as choosing among {size}." if size else "")
    else:
        said.append("Count which character follows which in the training text, add one to every pair, divide. ")
        said.append("No gradient, no steps. Hardly anything that sees one character back does better.")
    said.append(
        "\n\nval is the loss on text that was held back, in nats a character; choices is e^loss. A model is worth what "
        "it takes off these two lines.",
        look.colour("text-muted"),
    )
    return said


def samples_text(
    states: Sequence[RungState],
    seed: int | None,
    untrained: CountedBigram | None,
    samples: Mapping[str, str],
    look: Look,
) -> Text:
    """What every rung writes, from the foot up: from the same start and, where there is one, with the same seed."""
    said = Text()
    if untrained is not None:
        _sample(said, EVENLY, untrained.guessing_evenly, untrained.even_sample, look.colour("secondary"), look)
        _sample(said, COUNTED, untrained.counting, untrained.counted_sample, look.colour("secondary"), look)
    for state in states:
        run = state.sampled(seed)
        if run is not None:
            name = state.stage.name + (f" (seed {run.seed})" if run.seed != seed else "")
            _sample(said, name, run.val_loss, samples.get(run.id), look.colour_of(run.id), look)
    if not any(state.best for state in states):
        said.append("What each rung writes stands here once it is trained.", look.colour("text-muted"))
    return said


def _sample(said: Text, name: str, value: float | None, written: str | None, colour: str, look: Look) -> None:
    muted = look.colour("text-muted")
    said.append(name, f"bold {colour}")
    said.append(f"  val {text.loss(value)} · {text.choices(value)} choices\n", muted)
    if written is None:
        said.append("reading…", muted)
    else:
        lines = [line for line in text.literal(written, lines=True).strip("\n").split("\n") if line.strip()]
        said.append("\n".join(lines[:SAMPLE_LINES]) if lines else "it wrote nothing", "" if lines else muted)
    said.append("\n\n")
