"""What every mode of lab shares: the actions that mean the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events, on

from lab.tui.screens.taking_along import TakingAlong
from lab.tui.theme import theme_colours
from lab.tui.widgets.bars import ActionClicked, BarFacts, StatusBar
from lab.tui.widgets.run_columns import Look

if TYPE_CHECKING:
    from lab.tui.app import LabApp
    from lab.tui.snapshot import Wanted


SINGLE_PANE_BELOW = (100, 30)
SMALLEST = (60, 16)


class LabScreen(TakingAlong):
    """A mode of lab, or a screen opened from one; a `StatusBar` with the id `status` stands at its top."""

    MODE: ClassVar[str] = ""
    """By this name the actions say which screens they are for."""

    too_small = f"lab needs {SMALLEST[0]}×{SMALLEST[1]}: make the window larger"
    _stale = False
    _composed = 0
    _restored = False

    def __init__(self) -> None:
        super().__init__()
        # Its widgets get their styles as they come; else Textual would style all that is shown anew, twice.
        self._css_update_count = self.app._css_update_count

    @property
    def lab(self) -> LabApp:
        """The application, by its own type."""
        return cast("LabApp", self.app)

    # Following the application

    def follow(self, *more: str) -> None:
        """Has `show_app` called when what is known has changed, and when the screen comes back after such a change."""
        for name in ("snapshot", "loaded", "problem", "worker", *more):
            self.watch(self.app, name, self._app_changed, init=False)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._app_changed())
        self._stale = True
        self.note_composed()

    def note_composed(self) -> None:
        """Notes how many widgets there are when all of them are there; to be called when it is mounted."""
        self._composed = len(self.walk_children(with_self=False))

    @property
    def is_whole(self) -> bool:
        """Whether all its widgets are there: not before it is mounted, nor while lab ends and they go one by one."""
        return self.app.is_running and 0 < self._composed <= len(self.walk_children(with_self=False))

    @property
    def is_foremost(self) -> bool:
        """Whether it is the one that one sees, if behind a window: no other mode, and nothing opened from this one.

        Textual's `is_current` is true of the screen beneath as well, as that may shine through.
        """
        seen = [screen for screen in self.app.screen_stack if isinstance(screen, LabScreen)]  # of the current mode
        return bool(seen) and seen[-1] is self

    def want(self, wanted: Wanted) -> None:
        """Says what is to be read, unless another screen is over this one and says it."""
        if self.is_foremost:
            self.lab.reader.want(wanted)

    def show_app(self) -> None:
        """Shows what is known now."""

    # How the screen was left, remembered with the database

    def layout_values(self) -> dict[str, Any]:
        """What of the screen is to be remembered: plain values, as JSON has them."""
        return {}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Takes over what was remembered, as far as it still makes sense; called once, when the runs are known."""

    def restore_once(self) -> None:
        """Takes over what was remembered, the first time that the runs are known."""
        if self.lab.loaded and not self._restored:
            self._restored = True
            self.restore(self.lab.remembered.group(self.MODE))

    def _app_changed(self) -> None:
        self._stale = not self.is_foremost
        if not self._stale and self.is_whole:
            self.restore_once()
            self.show_app()

    @on(events.ScreenResume)
    def _keep_styles(self, event: events.ScreenResume) -> None:
        """Textual would style every widget anew, at a first visit twice.

        A theme that came meanwhile is the application's to see to, and classes and focus are seen to as they change.
        """
        event.refresh_styles = False

    def on_screen_resume(self) -> None:
        """Catches up with what has changed meanwhile."""
        if self._stale and self.is_whole:
            self._stale = False
            self.restore_once()
            self.show_app()

    @property
    def single(self) -> bool:
        """Whether there is room for one pane only."""
        width, height = self.app.size
        return width < SINGLE_PANE_BELOW[0] or height < SINGLE_PANE_BELOW[1]

    @property
    def in_large(self) -> bool:
        """Whether the numbers that matter are shown in large figures: to a room, where there is the room."""
        return self.lab.presenting and not self.single

    def show_size(self) -> None:
        """Says so where the window is too small."""
        width, height = self.app.size
        self.set_class(width < SMALLEST[0] or height < SMALLEST[1], "-tiny")

    def set_alone(self, panes: Iterable[str], alone: bool) -> None:
        """Gives panes the class of one that fills the screen; they alone are styled by it, not what they hold."""
        widgets = [self.query_one(f"#{pane}") for pane in panes]
        changed = [widget for widget in widgets if widget.has_class("-alone") != alone]
        for widget in changed:
            widget.set_class(alone, "-alone", update=False)
        self.app.stylesheet.update_nodes(changed)

    def look_of_app(self) -> Look:
        """What the cells of every table depend on."""
        snapshot = self.lab.snapshot
        return Look(
            now=self.lab.clock(),
            dark=self.app.current_theme.dark,
            colours=theme_colours(self.app.theme_variables),
            slots=snapshot.slots,
            places=snapshot.places,
        )

    def show_status(self) -> None:
        """Fills the line at the top, and has remembered how the screen looks now."""
        lab = self.lab
        if self._restored:
            lab.remember(self.MODE, self.layout_values())
        facts = BarFacts(
            lab.database,
            lab.snapshot,
            theme_colours(lab.theme_variables),
            loaded=lab.loaded,
            worker=lab.worker is not None,
            problem=lab.problem,
            said=lab.said,
            mode=lab.current_mode,
        )
        self.query_one(StatusBar).show(facts)

    @on(ActionClicked)
    async def _action_clicked(self, event: ActionClicked) -> None:
        await self.run_action(event.action)

    # What can be done everywhere

    def action_mode_ladder(self) -> None:
        """Goes to the ladder."""
        self.app.switch_mode("ladder")

    def action_mode_runs(self) -> None:
        """Goes to the runs."""
        self.app.switch_mode("runs")

    def action_mode_compare(self) -> None:
        """Goes to comparing."""
        self.app.switch_mode("compare")

    def action_mode_lr_finder(self) -> None:
        """Goes to the LR finder."""
        self.app.switch_mode("lr_finder")

    def action_mode_sample(self) -> None:
        """Goes to sampling."""
        self.app.switch_mode("sample")

    def action_mode_inspect(self) -> None:
        """Goes to inspecting."""
        self.app.switch_mode("inspect")

    async def inspect(self, run_id: str | None = None, view: str = "") -> None:
        """Goes to inspecting: a run, where one is named, by a view."""
        from lab.tui.screens.inspect import InspectScreen

        if run_id is not None:
            self.lab.selected = run_id
        await self.app.switch_mode("inspect")
        screen = self.app.screen
        if isinstance(screen, InspectScreen):
            screen.open_on(run_id, view)

    async def action_find_lr(self) -> None:
        """Goes to the LR finder and opens its composer."""
        await self.app.switch_mode("lr_finder")
        await self.app.screen.run_action("new_sweep")

    def open_run(self, run_id: str) -> None:
        """Opens the run view over this screen."""
        from lab.tui.screens.run_view import RunView

        self.app.push_screen(RunView(run_id))

    def compose_stage(self, stage: str) -> None:
        """Opens the composer with a stage."""
        from lab.tui.drafts import Draft
        from lab.tui.screens.composer import ComposerScreen

        self.app.push_screen(ComposerScreen(Draft(stage)), lambda said: self.lab.minder.retry_now() if said else None)

    def ask_experiment(self, path: Path) -> None:
        """Opens an experiment: what it asks, how many runs it needs; from there it is queued."""
        from lab.tui.screens.experiment import ExperimentScreen

        self.app.push_screen(ExperimentScreen(path))

    def action_help(self) -> None:
        """Says what the keys do and what the words under the cursor mean."""
        from lab.tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self.MODE, self.pointed_at(), self.in_view()))

    def pointed_at(self) -> list[str]:
        """The terms under the cursor, for the help; those of `lab/tui/glossary.py`."""
        return []

    def in_view(self) -> list[str]:
        """The other terms that stand on the screen."""
        return []

    def action_command_palette(self) -> None:
        """Opens the palette."""
        self.app.action_command_palette()

    def action_change_theme(self) -> None:
        """Lets one choose a theme."""
        self.app.action_change_theme()

    def action_quit(self) -> None:
        """Leaves lab; asks first where runs are active."""
        from lab.tui.screens.confirm import ConfirmScreen

        snapshot = self.lab.snapshot
        training, waiting = len(snapshot.training), snapshot.waiting
        if not training and not waiting:
            self.app.exit()
            return
        parts = [f"{training} training" if training else "", f"{waiting} waiting" if waiting else ""]
        said = f"{' and '.join(part for part in parts if part)}: the work goes on in the background."

        def leave(sure: bool | None) -> None:
            if sure:
                self.app.exit()

        self.app.push_screen(ConfirmScreen("Quit lab?", said, yes="quit", key="q"), leave)

    def action_stop_worker(self) -> None:
        """Ends the background worker."""
        self.lab.stop_worker()
