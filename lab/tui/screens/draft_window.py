"""A window whose fields are checked as one types, and queued by enter; both on a thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from textual import on
from textual.binding import Binding
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, OptionList

from lab.errors import LabError, reason_of
from lab.tui.screens.window import Window

CHECK_AFTER = 0.08
"""Seconds without a key before a draft is checked."""


class DraftCheck(Protocol):
    """What a draft comes to, or what is wrong with which field."""

    @property
    def draft(self) -> Any:
        """The draft that was checked."""
        ...


DraftType = TypeVar("DraftType")
CheckType = TypeVar("CheckType", bound=DraftCheck)


class DraftWindow(Window[str], Generic[DraftType, CheckType]):
    """Holds what was typed as a draft; says `drafted` whenever it has become another."""

    BINDINGS = [  # noqa: RUF012 (Textual's own form)
        Binding("escape", "close", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    @dataclass
    class Checked(Message):
        """A draft has been checked."""

        check: Any

    @dataclass
    class Queued(Message):
        """What a draft describes has been queued, or could not be, and then the result is empty."""

        result: str = ""
        said: str = ""

    def __init__(self, draft: DraftType) -> None:
        super().__init__()
        self.draft = draft
        self.checked: CheckType | None = None
        self._check_timer: Timer | None = None
        self._queueing = False

    # What a window does its own way

    def check(self, draft: DraftType) -> CheckType:
        """Checks a draft; on a thread. Raises `LabError` or SQLAlchemy's errors where it cannot be checked."""
        raise NotImplementedError

    def unchecked(self, draft: DraftType, said: str) -> CheckType:
        """What to show of a draft that could not be checked."""
        raise NotImplementedError

    async def show_check(self, check: CheckType) -> None:
        """Shows what the draft as it stands comes to."""
        raise NotImplementedError

    def enqueue(self, draft: DraftType) -> Queued:
        """Queues what a draft describes; on a thread. Raises `LabError` or SQLAlchemy's errors where it cannot."""
        raise NotImplementedError

    # Checking

    def drafted(self) -> None:
        """Has the draft checked as soon as no key comes for a moment."""
        if self._check_timer is not None:
            self._check_timer.stop()
        self._check_timer = self.set_timer(CHECK_AFTER, self._check)

    def _check(self) -> None:
        draft = self.draft

        def work() -> None:
            from sqlalchemy.exc import SQLAlchemyError

            try:
                checked = self.check(draft)
            except (LabError, SQLAlchemyError) as error:
                checked = self.unchecked(draft, reason_of(error))
            self.post_message(self.Checked(checked))

        self.run_worker(work, thread=True, exclusive=True, group="check", exit_on_error=False)

    @on(Checked)
    async def _draft_checked(self, event: Checked) -> None:
        if event.check.draft == self.draft:
            self.checked = event.check
            await self.show_check(event.check)

    # Queueing

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.action_queue()

    def action_queue(self) -> None:
        """Queues what the fields say, unless something is wrong with them."""
        self.queue(self.enqueue)

    def queue(self, enqueue: Callable[[DraftType], Queued]) -> None:
        """Queues the draft as it stands, once, and closes the window where that succeeds."""
        if self._queueing:
            return
        self._queueing = True
        draft = self.draft

        def work() -> None:
            from sqlalchemy.exc import SQLAlchemyError

            try:
                queued = enqueue(draft)
            except (LabError, SQLAlchemyError) as error:
                queued = self.Queued(said=f"not queued: {reason_of(error)}")
            self.post_message(queued)

        self.run_worker(work, thread=True, group="queue", exit_on_error=False)

    def refused(self, check: CheckType) -> Queued:
        """Of a draft that is wrong: the fields say how."""
        self.post_message(self.Checked(check))
        return self.Queued()

    @on(Queued)
    def _draft_queued(self, event: Queued) -> None:
        self._queueing = False
        if event.said:
            severity = cast("Any", "information" if event.result else "warning")
            self.app.notify(event.said, markup=False, severity=severity, timeout=4)
        if event.result:
            self.dismiss(event.result)

    def action_close(self) -> None:
        """Leaves without queueing."""
        self.dismiss()


class StagedDraftWindow(DraftWindow[DraftType, CheckType]):
    """A window with a list of stages beside its fields."""

    BINDINGS = [  # noqa: RUF012 (Textual's own form)
        Binding("j", "stage(1)", show=False),
        Binding("k", "stage(-1)", show=False),
    ]

    @property
    def stages(self) -> OptionList:
        """The list."""
        return self.query_one("#stages", OptionList)

    def choose_stage(self, stage: str) -> None:
        """Puts the list's cursor on a stage; on its first where it has none such."""
        places = [place for place, option in enumerate(self.stages.options) if option.id == stage]
        self.stages.highlighted = next(iter(places), 0)

    def action_stage(self, step: int) -> None:
        """Chooses the next stage, or the one before."""
        (self.stages.action_cursor_down if step > 0 else self.stages.action_cursor_up)()
