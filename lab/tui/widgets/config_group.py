"""A group of a config's fields: folded, one line that says what differs from the stage; unfolded, a line for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Static

from lab import text
from lab.text import shown_value
from lab.tui.widgets.run_columns import Look

KEY_WIDTH = 22


class GroupHeader(Static, can_focus=True):
    """The line that folds and unfolds a group: enter, space, or a click."""

    @dataclass
    class Toggled(Message):
        """The group is to be folded, or unfolded."""

    def on_key(self, event: events.Key) -> None:
        """Folds and unfolds."""
        if event.key in ("enter", "space"):
            event.stop()
            self.post_message(self.Toggled())

    def on_click(self) -> None:
        """Folds and unfolds."""
        self.post_message(self.Toggled())


class ConfigGroup(Vertical):
    """Some fields of a config. An empty field means as the stage has it; that value stands dimmed in it."""

    @dataclass
    class Changed(Message):
        """A field was typed into."""

        key: str
        value: str

    def __init__(self, name: str) -> None:
        super().__init__(id=f"group-{name}", classes="config-group")
        self.group = name
        self.is_open = False
        self._keys: tuple[str, ...] = ()
        self._usual: Mapping[str, object] = {}
        self._typed: Mapping[str, str] = {}
        self._errors: Mapping[str, str] = {}
        self._look = Look()

    def compose(self) -> ComposeResult:
        """The header; the fields come when it is unfolded."""
        yield GroupHeader(markup=False, classes="group-header")

    async def show(
        self,
        keys: Sequence[str],
        usual: Mapping[str, object],
        typed: Mapping[str, str],
        errors: Mapping[str, str],
        look: Look,
    ) -> None:
        """Shows what is typed for the fields, and what is wrong with it."""
        rebuild = tuple(keys) != self._keys
        typed = {key: typed[key] for key in keys if key in typed}
        errors = {key: errors[key] for key in keys if key in errors}
        if not rebuild and (usual, typed, errors, look) == (self._usual, self._typed, self._errors, self._look):
            return
        self._keys, self._usual, self._typed, self._errors, self._look = tuple(keys), usual, typed, errors, look
        self.display = bool(keys)
        if rebuild and self.is_open:
            await self._unfold()
        self._update()

    @on(GroupHeader.Toggled)
    async def _toggle(self, event: GroupHeader.Toggled) -> None:
        event.stop()
        self.is_open = not self.is_open
        if self.is_open:
            await self._unfold()
        else:
            await self.query(".setting").remove()
        self._update()

    async def _unfold(self) -> None:
        await self.query(".setting").remove()
        await self.mount_all(self._row(key) for key in self._keys)

    def _row(self, key: str) -> Horizontal:
        typed = Input(self._typed.get(key, ""), id=f"set-{key}", compact=True, select_on_focus=False)
        return Horizontal(
            Static(key, classes="setting-key", markup=False),
            typed,
            Static(id=f"rule-{key}", classes="setting-rule", markup=False),
            classes="setting",
        )

    @on(Input.Changed)
    def _typed_into(self, event: Input.Changed) -> None:
        event.stop()
        key = (event.input.id or "").removeprefix("set-")
        if event.value.strip() != self._typed.get(key, ""):
            self.post_message(self.Changed(key, event.value))

    def _update(self) -> None:
        self.query_one(GroupHeader).update(self._header(), layout=False)
        if not self.is_open:
            return
        from lab.config.fields import field_rule
        from lab.config.run_config import RunConfig

        for key in self._keys:
            for field in self.query(f"#set-{key}").results(Input):
                field.placeholder = shown_value(self._usual.get(key))
                field.set_class(key in self._typed, "-changed")
                if field.value.strip() != self._typed.get(key, "") and not field.has_focus:
                    field.value = self._typed.get(key, "")
            said = Text(no_wrap=True, overflow="ellipsis")
            if key in self._errors:
                said.append(text.literal(self._errors[key]), self._look.colour("error"))
            else:
                said.append(field_rule(key), self._look.colour("text"))
                said.append(f" · {RunConfig.model_fields[key].description}", self._look.colour("text-muted"))
            self.query_one(f"#rule-{key}", Static).update(said, layout=False)

    def _header(self) -> Text:
        """The group's name, what is changed in it, and, folded, what else there is."""
        muted, accent = self._look.colour("text-muted"), self._look.colour("accent")
        said = Text(f"{'▾' if self.is_open else '▸'} {self.group:<11}", no_wrap=True, overflow="ellipsis")
        changed = [key for key in self._keys if key in self._typed]
        for key in changed:
            wrong = key in self._errors
            colour = self._look.colour("error") if wrong else accent
            said.append(f"{key}={text.literal(self._typed[key])}  ", f"bold {colour}")
        if not self.is_open:
            others = [key for key in self._keys if key not in self._typed]
            said.append("  ".join(f"{key} {shown_value(self._usual.get(key))}" for key in others), muted)
        return said
