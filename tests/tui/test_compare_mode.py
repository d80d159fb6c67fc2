"""Compare on the screen: groups and verdicts, curves side by side, what differs, samples, insides, and every state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compare_helpers import add_seeds, in_compare, labels
from tui_helpers import HOSTILE, add_run, lab_app, named, on_screen, until

from lab.config.diagnostics import BINS
from lab.store.run_store import RunStore
from lab.tui import comparison_charts
from lab.tui.comparisons import MOST_GROUPS
from lab.tui.screens.compare import CompareScreen
from lab.tui.screens.composer import ComposerScreen
from lab.tui.screens.run_view import RunView
from lab.tui.widgets.compare_pages import _shares, superimposed
from lab.tui.widgets.loss_chart import LossChart

SIZES = [(80, 24), (160, 45)]


@pytest.mark.parametrize("size", SIZES)
async def test_with_nothing_marked_it_says_what_to_press(size: tuple[int, int], database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        await in_compare(pilot, database, marked=False)
        assert "Nothing is marked." in on_screen(app)
        assert "choose them here" in on_screen(app)
        await pilot.press("tab", "]", "z", "c", "v", "m", "space", "x", "right", "enter", "escape")
        assert "Nothing is marked." in on_screen(app), "no key does anything without runs"


async def test_without_any_runs_it_says_where_to_train_some(empty_database: Path) -> None:
    app = lab_app(empty_database)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("3")
        await until(pilot, lambda: "There is nothing to compare." in on_screen(app))
        await pilot.press("slash")
        assert isinstance(app.screen, CompareScreen), "there is nothing to choose from"


@pytest.mark.parametrize("size", SIZES)
async def test_groups_are_listed_with_their_verdicts_the_best_first(size: tuple[int, int], database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=size) as pilot:
        screen = await in_compare(pilot, database)
        assert labels(screen) == ["residual", "blocks", "bigram"]
        assert "Groups · 3 of 5 runs" in on_screen(app)
        assert "2.081 ±0.025" in on_screen(app)
        assert "too few seeds" in on_screen(app)
        assert screen.comparison.groups[screen.comparison.baseline].label == "blocks", "the first that was marked"
        await pilot.press("g", "*")
        await until(pilot, lambda: screen.comparison.baseline == 0)
        assert app.baseline == screen.comparison.groups[0].first.id


async def test_a_verdict_is_said_in_full_with_what_is_unfair(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        add_seeds(database, "blocks", {1: 2.33, 2: 2.34}, lr=3e-4)
        add_seeds(database, "blocks", {1: 2.10, 2: 2.11, 1337: 2.12}, lr=3e-4, layers=2)
        await until(pilot, lambda: len(app.snapshot.runs) == 14)
        app.marks = tuple(run.id for run in app.snapshot.runs if run.stage == "blocks")
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen) and len(app.screen.comparison.groups) == 2)
        assert labels(app.screen) == ["layers=2", "layers=3"]
        assert "better by 0.22 ± 0.0" in on_screen(app)
        await until(pilot, lambda: "run by run, same batches" in on_screen(app))
        assert "nothing unfair was found" in on_screen(app)
        await pilot.press("]")
        await until(pilot, lambda: "setting" in on_screen(app))
        page = app.screen.query_one("#beside").plain
        assert "layers" in page
        assert "lr" not in page.replace("layers", ""), "only what differs"


async def test_another_budget_is_said_beside_the_number_it_touches(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        add_seeds(database, "residual", {1337: 2.2}, steps=200)
        await until(pilot, lambda: len(app.snapshot.runs) == 10)
        app.marks = tuple(run.id for run in app.snapshot.runs if run.stage == "residual" and run.val_loss)
        app.marks = app.marks[-1:] + app.marks[:1]
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen) and len(app.screen.comparison.groups) == 2)
        await until(pilot, lambda: "another budget" in on_screen(app))
        assert "fair: train both on the same number of characters" in " ".join(on_screen(app).split())
        assert "!" in on_screen(app).split("Verdict")[0]


async def test_the_three_drawings_and_one_scale(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await in_compare(pilot, database)
        content = screen.chart.content
        assert (len(content.lines), len(content.bands)) == (2, 1)
        assert content.bands[0].label == "residual 2.081"
        await pilot.press("c")
        panels = list(screen.query("#multiples LossChart").results(LossChart))
        await until(pilot, lambda: sum(panel.display and bool(panel.content.all_lines) for panel in panels) == 3)
        assert len({panel.content.y_range for panel in panels[:3]}) == 1
        assert "residual" in str(panels[0].border_title)
        await pilot.press("c")
        await until(pilot, lambda: "not from zero" in on_screen(app))
        assert "2.081 ±0.025 n=3" in on_screen(app)
        await pilot.press("left", "left")
        await until(pilot, lambda: "at step" in on_screen(app))


async def test_the_cursor_goes_through_all_panels(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await in_compare(pilot, database)
        screen.page = "samples"
        screen.point_at(100.0)
        await until(pilot, lambda: "step 100" in on_screen(app) or "step 400" in on_screen(app))
        assert screen.chart.content.cursor == 100.0
        await pilot.press("c")
        await until(pilot, lambda: screen.query(LossChart)[1].content.cursor == 100.0)


async def test_samples_stand_side_by_side(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await in_compare(pilot, database)
        await pilot.press("]", "]")
        await until(pilot, lambda: screen.page == "samples" and on_screen(app).count("WARWICK") == 2)
        assert "each with its own seed" in on_screen(app) or "same seed" in on_screen(app)
        assert "[red]brother[/red]" in on_screen(app), "as it was written"


async def test_runs_without_diagnostics_say_so(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await in_compare(pilot, database)
        await pilot.press("[")
        await until(pilot, lambda: "nothing was recorded of the layers of" in on_screen(app))


async def test_runs_without_a_common_metric_say_so(database: Path) -> None:
    store = RunStore.open(database)
    with store.database.writer.begin() as connection:
        connection.exec_driver_sql("DELETE FROM point")
        connection.exec_driver_sql("DELETE FROM metric")
    store.close()
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: app.loaded)
        app.marks = (named(app, "bigram-1").id, named(app, "blocks-1").id)
        await pilot.press("3")
        await until(pilot, lambda: "no metric in common" in on_screen(app))
        await pilot.press("m")
        assert isinstance(app.screen, CompareScreen)


async def test_every_state_of_a_run_can_be_compared(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: app.loaded)
        app.marks = tuple(run.id for run in app.snapshot.runs)
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen) and app.screen.comparison.groups)
        await until(pilot, lambda: "waiting: nothing to compare yet" in on_screen(app))
        assert "not comparable with the baseline" in on_screen(app), "mlp is scored on names"
        assert "diverged" in on_screen(app)
        await pilot.press("v")
        await until(pilot, lambda: len(app.screen.comparison.groups) == 9)
        assert HOSTILE not in on_screen(app)
        assert "[bold]x[/bold]" in on_screen(app)


async def test_the_chooser_filters_marks_all_and_leaves_what_was(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(80, 24)) as pilot:
        await in_compare(pilot, database, marked=False)
        await pilot.press("slash", *"stage:residual", "ctrl+a")
        assert len(app.screen.marks) == 4
        await pilot.press("escape")
        assert app.marks == ()
        await pilot.press("slash", *"residual-1", "enter")
        await until(pilot, lambda: app.marks == (named(app, "residual-1").id,))


async def test_marks_are_shared_with_the_runs_and_remembered(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await in_compare(pilot, database)
        await pilot.press("G", "space", "c", "v", "2")
        await until(pilot, lambda: not isinstance(app.screen, CompareScreen))
        assert len(app.screen.marked) == 4
        assert (screen.kind, screen.by) == ("multiples", "run")
    again = lab_app(database)
    async with again.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: again.loaded)
        await pilot.press("3")
        await until(pilot, lambda: isinstance(again.screen, CompareScreen) and again.screen.comparison.groups)
        assert (again.screen.kind, again.screen.by, len(again.marks)) == ("multiples", "run", 4)


async def test_enter_opens_the_run_and_back_leads_here(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await in_compare(pilot, database)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunView))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        assert labels(screen) == ["residual", "blocks", "bigram"]


async def test_its_style_stays_its_own(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await in_compare(pilot, database)
        assert screen.query_one("#groups").region.y == 1, "right under the status"
        await pilot.press("2", "n")
        await until(pilot, lambda: isinstance(app.screen, ComposerScreen) and app.screen.checked)
        assert app.screen.query_one("#groups").styles.border_top[0] == ""


async def test_more_bands_than_can_be_told_apart_are_left_to_the_multiples(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison_charts, "MOST_BANDS", 0)
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await in_compare(pilot, database)
        assert (len(screen.chart.content.lines), len(screen.chart.content.bands)) == (3, 0)
        assert "mean (bands up to 0 groups)" in on_screen(app)
        await pilot.press("c")
        panels = list(screen.query("#multiples LossChart").results(LossChart))
        await until(pilot, lambda: sum(bool(panel.content.bands) for panel in panels) == 1)


async def test_more_groups_than_a_chart_can_show_are_said(database: Path) -> None:
    app = lab_app(database)
    store = RunStore.open(database)
    for place in range(MOST_GROUPS + 3):
        add_run(store, "bigram", 2.5 + place / 100, lr=1e-3 * (place + 1), steps=40)
    store.close()
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: app.loaded)
        app.marks = tuple(run.id for run in app.snapshot.runs if run.steps == 40)
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen) and app.screen.comparison.groups)
        await until(pilot, lambda: not app.screen.comparison.unread)
        assert len(app.screen.comparison.groups) == MOST_GROUPS + 3
        assert len(app.screen.chart.content.lines) == MOST_GROUPS
        assert f"the {MOST_GROUPS} best of {MOST_GROUPS + 3}" in on_screen(app)


def test_a_histogram_is_never_wider_than_the_pane() -> None:
    counts = np.arange(BINS)
    assert len(_shares(counts, 0, 200)) == BINS - 1
    narrow = _shares(counts, 0, 40)
    assert len(narrow) == 40
    assert narrow.sum() == pytest.approx(1)


def test_histograms_over_each_other_share_what_both_reach() -> None:
    picture = superimposed(np.array([1.0, 0.0, 0.5]), np.array([0.0, 1.0, 0.5]), ("red", "blue", "purple"), 2)
    rows = picture.plain.splitlines()
    assert rows[1] == "███"
    colours = {str(span.style) for span in picture.spans}
    assert colours == {"red", "blue", "purple"}


async def test_a_run_and_the_one_it_went_on_from_are_one_curve_with_the_branch_marked(database: Path) -> None:
    app = lab_app(database)
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: app.loaded)
        store = RunStore.open(database)
        parent = named(app, "residual-1")
        child = add_run(store, "residual", 2.0, name="child", steps=500, lr=1e-4)
        with store.database.writer.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE run SET parent_id = ?, parent_step = 200 WHERE id = ?", (parent.id, child.id)
            )
            connection.exec_driver_sql(
                "DELETE FROM point WHERE step <= 200 AND metric_id IN (SELECT id FROM metric WHERE run_id = ?)",
                (child.id,),
            )
        store.close()
        await until(pilot, lambda: child.id in app.snapshot.by_id and app.snapshot.by_id[child.id].parent_step == 200)
        app.marks = (parent.id, child.id)
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen) and len(app.screen.comparison.groups) == 2)
        await until(pilot, lambda: not app.screen.comparison.unread and len(app.screen.chart.content.lines) == 2)
        content = app.screen.chart.content
        assert all(line.x[0] == 0 for line in content.lines), "the child's begins where its parent began"
        (mark,) = content.marks
        assert (mark.kind, mark.x) == ("branch", 200.0)
        assert "┣" in on_screen(app)
