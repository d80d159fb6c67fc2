"""The Inspect mode: what is asked of the torch helper, what is shown of its answers, and reading that with a cursor."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from inspect_helpers import answer, in_inspect, on_view, page_for
from rich.text import Text
from sample_helpers import add_checkpoints, sample_app
from tui_helpers import lab_app, named, on_screen, opened, until

from lab.cli.app import run as run_lab
from lab.inference.protocol import InspectRequest
from lab.inference.views import VIEWS
from lab.tui.glossary import meanings
from lab.tui.palette import VIEW_SYNONYMS
from lab.tui.screens.inspect import InspectScreen
from lab.tui.theme import LIGHT
from lab.tui.widgets.page_view import PageView

LARGE, SMALL = (160, 45), (80, 24)
BOTH = pytest.mark.parametrize("size", [LARGE, SMALL], ids=["160x45", "80x24"])


@pytest.fixture
def stored(database: Path) -> Path:
    """The database, with checkpoints of three runs."""
    add_checkpoints(database, residual_1=(1, 20, 400), bigram_1=(1, 300), mlp_1=(50, 400))
    return database


def first(screen: Any) -> PageView:
    view = screen.query_one("#page-first", PageView)
    assert isinstance(view, PageView)
    return view


def last(app: Any) -> InspectRequest:
    request = app.inference.inspected[-1][0]
    assert isinstance(request, InspectRequest)
    return request


# What is asked


@BOTH
async def test_the_run_under_the_cursor_of_runs_is_looked_into(stored: Path, size: tuple[int, int]) -> None:
    app, client = sample_app(stored)
    async with app.run_test(size=size) as pilot:
        screen = await in_inspect(pilot)
        await until(pilot, lambda: client.inspected)
        request = last(app)
        assert (request.run_id, request.view) == (named(app, "residual-1").id, VIEWS[0].name)
        assert request.database == str(stored)
        await pilot.press("enter")
        assert "loading torch…" in on_screen(app)
        client.inspected[-1][1].started()
        await until(pilot, lambda: "computing…" in on_screen(app))
        answer(client)
        await until(pilot, lambda: "here one sees the first thing" in on_screen(app))
        assert "the vocabulary" in on_screen(app)
        assert not screen.active
        await until(pilot, lambda: not screen._ticks._active.is_set())  # at rest nothing is redrawn


async def test_going_down_the_views_asks_for_the_last_alone_and_ends_what_was_asked(stored: Path) -> None:
    app, client = sample_app(stored)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot)
        await until(pilot, lambda: client.inspected)
        for _ in VIEWS[1:]:
            app.simulate_key("j")
        await until(pilot, lambda: last(app).view == VIEWS[-1].name)
        assert len(client.inspected) < len(VIEWS)
        assert 20_001 in client.cancelled
        answer(client, 0)
        await pilot.pause()
        assert first(screen).page is None, "what arrives late is not shown"
        answer(client)
        await until(pilot, lambda: first(screen).page is not None and first(screen).page.view == VIEWS[-1].name)


async def test_what_came_once_is_there_at_once(stored: Path) -> None:
    app, client = sample_app(stored)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot)
        await on_view(pilot, screen, "bigram")
        await on_view(pilot, screen, "attention")
        asked = len(client.inspected)
        screen.open_on(None, "bigram")
        await until(pilot, lambda: first(screen).page is not None and first(screen).page.view == "bigram")
        assert len(client.inspected) == asked


@BOTH
async def test_keys_step_through_the_checkpoints_while_the_page_stays(stored: Path, size: tuple[int, int]) -> None:
    app, client = sample_app(stored)
    async with app.run_test(size=size) as pilot:
        screen = await in_inspect(pilot)
        page = await on_view(pilot, screen, "embeddings")
        await pilot.press("right")
        before, cursor = page.page, page.cursor
        await pilot.press("comma")
        await until(pilot, lambda: last(app).checkpoint == "20")
        assert page.page is before, "until the next is there"
        assert "computing…" in on_screen(app)
        answer(client)
        await until(pilot, lambda: page.page is not before)
        assert page.cursor == cursor
        assert page.page.step == 20
        await pilot.press("comma")
        await until(pilot, lambda: last(app).checkpoint == "1")
        asked = len(client.inspected)
        await pilot.press("comma")
        await pilot.press("full_stop")
        await until(pilot, lambda: page.page is not None and page.page.step == 20)
        assert len(client.inspected) == asked


async def test_a_page_that_goes_while_there_is_no_room_for_it_is_not_painted(stored: Path) -> None:
    app, _client = sample_app(stored)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot)
        page = await on_view(pilot, screen, "data")
        page.display = False
        await until(pilot, lambda: not page.size.width)
        page.show(None, Text("there is no such page"))
        page.render_line(0)
        page.display = True
        await until(pilot, lambda: "there is no such page" in on_screen(app))
        assert "the vocabulary" not in on_screen(app)


async def test_a_view_that_does_not_fit_says_why_and_which_one_does(stored: Path) -> None:
    app, client = sample_app(stored)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot, "bigram-1")
        screen.open_on(None, "attention")
        await until(pilot, lambda: "the stage 'bigram' has no attention: try the view" in on_screen(app))
        assert "– Attention" in on_screen(app)
        assert all(request.view != "attention" for request, _ in client.inspected)
        await pilot.press("enter", "right", "]", "z", "r", "plus", "i", "comma", "escape")
        assert all(request.view != "attention" for request, _ in client.inspected)


async def test_without_runs_it_says_what_to_press(empty_database: Path) -> None:
    app, client = sample_app(empty_database)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("6", "tab", "tab", "tab")
        await until(pilot, lambda: "No runs yet. n in Runs" in on_screen(app))
        await pilot.press("enter", "right", "space", "comma", "full_stop", "i", "plus", "minus", "o", "z", "escape")
        assert client.inspected == []


async def test_a_run_without_a_checkpoint_shows_its_data_and_says_so_of_the_rest(database: Path) -> None:
    app, client = sample_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot, "residual-1")
        await until(pilot, lambda: client.inspected and last(app).view == "data")
        answer(client)
        await until(pilot, lambda: "the vocabulary" in on_screen(app))
        screen.open_on(None, "attention")
        await until(pilot, lambda: "residual-1 has no checkpoint" in on_screen(app))
        add_checkpoints(database, residual_1=(1, 400))
        await until(pilot, lambda: last(app).view == "attention")


@BOTH
async def test_what_goes_wrong_is_one_line_with_what_to_do(stored: Path, size: tuple[int, int]) -> None:
    app, client = sample_app(stored)
    async with app.run_test(size=size) as pilot:
        await in_inspect(pilot)
        await until(pilot, lambda: client.inspected)
        await pilot.press("enter")
        client.inspected[-1][1].failed("checkpoint [red]x[/red] is gone")
        await until(pilot, lambda: "✗ checkpoint [red]x[/red] is gone" in on_screen(app))
        assert "r asks again" in on_screen(app)
        asked = len(client.inspected)
        await pilot.press("r")
        await until(pilot, lambda: len(client.inspected) == asked + 1)


@BOTH
async def test_long_work_shows_how_far_it_is_and_can_be_stopped(
    stored: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("lab.tui.inspecting.time", SimpleNamespace(monotonic=lambda: clock[0]))
    app, client = sample_app(stored)
    async with app.run_test(size=size) as pilot:
        screen = await in_inspect(pilot)
        screen.open_on(None, "knock-out")
        screen.turn_to("page")
        await until(pilot, lambda: client.inspected and last(app).view == "knock-out")
        listener = client.inspected[-1][1]
        listener.started()
        listener.progress(3, 12)
        await until(pilot, lambda: "3 of 12" in on_screen(app))
        assert " left" not in on_screen(app)
        clock[0] += 60.0
        listener.progress(6, 12)
        await until(pilot, lambda: "6 of 12 · 2m left" in on_screen(app))
        await pilot.press("escape")
        assert client.cancelled[-1] == 20_000 + len(client.inspected)
        await until(pilot, lambda: "stopped · r begins again" in on_screen(app))
        listener.page(page_for(last(app)))
        listener.done()
        await pilot.pause()
        assert first(screen).page is None


# What is shown


@BOTH
@pytest.mark.parametrize(
    "view",
    [
        view.name if view.name in ("embeddings", "attention") else pytest.param(view.name, marks=pytest.mark.full)
        for view in VIEWS
    ],
)
async def test_every_view_is_shown_and_read_with_the_cursor(stored: Path, view: str, size: tuple[int, int]) -> None:
    app, _ = sample_app(stored)
    async with app.run_test(size=size) as pilot:
        screen = await in_inspect(pilot)
        page = await on_view(pilot, screen, view)
        assert page.page is not None
        assert "here one sees the first thing" in on_screen(app)
        for number in range(len(page.page.figures)):
            assert page.current == number
            before = page.under.plain
            await pilot.press("right", "down", "shift+right", "left", "up")
            assert page.under.plain
            assert before
            await pilot.press("z")
            await until(pilot, lambda: page.alone)
            assert "here one sees the first thing" not in on_screen(app)
            await pilot.press("G", "g", "z")
            await until(pilot, lambda: not page.alone)
            await pilot.press("]")


async def test_of_attention_the_cursor_reads_whom_a_character_looks_at_in_all_heads(stored: Path) -> None:
    app, _ = sample_app(stored)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot)
        page = await on_view(pilot, screen, "attention")
        await pilot.press("g", "down", "down")
        await until(pilot, lambda: "R looks at" in on_screen(app))
        there = page.cursor
        await pilot.press("]")
        assert (page.current, page.cursor) == (1, there), "heads are compared in one place"
        assert "layer 2 head 4" in on_screen(app)


@BOTH
async def test_a_prompt_is_typed_and_foreign_characters_are_named(stored: Path, size: tuple[int, int]) -> None:
    app, client = sample_app(stored)
    async with app.run_test(size=size) as pilot:
        screen = await in_inspect(pilot)
        await on_view(pilot, screen, "attention")
        await pilot.press("i", "T", "ż")
        await until(pilot, lambda: "the run has never seen ż" in on_screen(app))
        asked = len(client.inspected)
        await pilot.press("enter")
        assert len(client.inspected) == asked
        await pilot.press("backspace", "o", "enter")
        await until(pilot, lambda: last(app).options.prompt == "To")
        answer(client)
        await until(pilot, lambda: len(first(screen).page.figures[0].rows) == 2)
        assert app.focused is first(screen)


async def test_two_checkpoints_stand_side_by_side(stored: Path) -> None:
    app, client = sample_app(stored)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot)
        await on_view(pilot, screen, "embeddings")
        await pilot.press("space", "comma")
        await until(pilot, lambda: {request.checkpoint for request, _ in client.inspected[-2:]} == {"best", "20"})
        for which in (-1, -2):
            answer(client, which)
        second = screen.query_one("#page-second", PageView)
        await until(pilot, lambda: second.page is not None and first(screen).page.step == 20)
        assert second.page.step == 400
        assert second.display
        await pilot.press("tab")
        assert screen.tab == "beside"
        await pilot.press("right")
        assert second.cursor != first(screen).cursor
        await pilot.press("full_stop", "full_stop", "full_stop")
        screen.lists().choose_checkpoint("best")
        await pilot.press("space")
        await until(pilot, lambda: screen.beside is None)
        assert not second.display or not screen.query_one("#second").display


async def test_a_view_that_compares_gets_the_second_run_itself(stored: Path) -> None:
    app, _ = sample_app(stored)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot)
        await on_view(pilot, screen, "loss-map")
        await pilot.press("space")
        await until(pilot, lambda: last(app).options.other == named(app, "residual-1").id)
        assert last(app).options.other_checkpoint == "best"
        assert not screen.query_one("#second").display


async def test_head_sizes_are_computed_anew_under_the_keys(stored: Path) -> None:
    app, client = sample_app(stored)
    async with app.run_test(size=SMALL) as pilot:
        screen = await in_inspect(pilot)
        page = await on_view(pilot, screen, "averaging")
        for size in ("32", "64"):
            await pilot.press("plus")
            await until(pilot, lambda size=size: last(app).options.head_size == int(size))
            answer(client)
            await until(pilot, lambda size=size: page.page.choices[0].chosen == size)
        asked = len(client.inspected)
        await pilot.press("plus")
        assert len(client.inspected) == asked, "there is no larger one"


async def test_the_mouse_chooses_views_and_cells(stored: Path) -> None:
    app, _ = sample_app(stored)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot)
        page = await on_view(pilot, screen, "attention")
        lines = on_screen(app).splitlines()
        row = next(i for i, line in enumerate(lines) if "layer 2 head 1" in line)
        await pilot.click(offset=(lines[row].index("layer 2 head 1") + 4, row + 3))
        assert page.current == 4
        await pilot.click("#views", offset=(5, 3))
        await until(pilot, lambda: screen.view.name == VIEWS[2].name)


async def test_figures_are_taken_along(stored: Path) -> None:
    app, _ = sample_app(stored)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot)
        await on_view(pilot, screen, "knock-out")
        shown = screen.shown()
        assert [each.label for each in shown[:4]] == [
            "figure (CSV)", "knock-out (CSV)", "knock-out (SVG)", "knock-out (text)",
        ]  # fmt: skip
        assert "layer 1 head 1" in shown[0].text()
        assert "one at a time" not in shown[0].text()
        assert "one at a time" in shown[1].text()
        assert shown[2].text().startswith("<svg")
        assert "layer 2 head 4" in shown[3].text()
        await pilot.press("w", "j", "j", "enter")
        await until(pilot, lambda: list(stored.parent.glob("*knock-out*.svg")))


async def test_it_is_left_as_it_was(stored: Path) -> None:
    app, _ = sample_app(stored)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot)
        await on_view(pilot, screen, "attention")
        screen.lists().choose_checkpoint("20")
        await until(pilot, lambda: app.remembered.group("inspect").get("model", [None, None])[1] == "20")
    again, client = sample_app(stored)
    async with again.run_test(size=LARGE) as pilot:
        await opened(pilot)
        again.selected = named(again, "residual-1").id
        await pilot.press("6")
        await until(pilot, lambda: client.inspected and last(again).view == "attention")
        await until(pilot, lambda: last(again).checkpoint == "20")


async def test_another_theme_colours_the_page_anew(stored: Path) -> None:
    app, _ = sample_app(stored)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot)
        page = await on_view(pilot, screen, "bigram")

        def painted() -> set[str]:
            strips = [page.render_line(y) for y in range(page.size.height)]
            return {str(segment.style.bgcolor) for strip in strips for segment in strip if segment.style}

        dark, own = painted(), page.rich_style
        app.theme = LIGHT.name
        await until(pilot, lambda: page.rich_style != own)
        assert str(own.bgcolor) in dark
        assert str(own.bgcolor) not in painted()
        assert str(page.rich_style.bgcolor) in painted()


async def test_sizes_come_and_go(stored: Path) -> None:
    app, _ = sample_app(stored)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot)
        await on_view(pilot, screen, "bigram")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: {"views", "model", "page"} <= set(on_screen(app).splitlines()[1].split()))
        assert "Runs" not in on_screen(app).splitlines()[2]
        await pilot.resize_terminal(240, 70)
        await until(pilot, lambda: "learned" in on_screen(app) and "counted" in on_screen(app))
        await pilot.resize_terminal(50, 12)
        await until(pilot, lambda: "make the window larger" in on_screen(app))


def test_every_view_has_synonyms_and_a_meaning_of_two_sentences() -> None:
    assert VIEW_SYNONYMS.keys() == {view.name for view in VIEWS}
    for view in VIEWS:
        said = meanings()[view.name].said
        assert said.endswith("."), view.name
        assert ". " in said, view.name


# With the process itself


async def test_a_real_run_is_looked_into_through_the_real_helper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker_starts: list[Path]
) -> None:
    (tmp_path / "prose.txt").write_text("To be, or not to be: that is the question.\n" * 60)
    database = tmp_path / "runs.db"
    monkeypatch.setenv("LAB_DEVICE", "cpu")
    monkeypatch.setattr("sys.stdout", io.StringIO())
    command = ["train", "single-head", "--dataset", str(tmp_path / "prose.txt"), "--steps", "20", "--json"]
    assert run_lab([*command, "--set", "eval_every=10", "--db", str(database)]) == 0
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_inspect(pilot, "single-head-1")
        assert isinstance(screen, InspectScreen)
        for view in VIEWS:
            screen.open_on(None, view.name)
            await until(pilot, lambda view=view: "page-first" in screen.asked and screen.view is view, 60)
            await until(pilot, lambda view=view: screen.asked["page-first"].request.view == view.name, 60)
            await until(pilot, lambda: not screen.active, 120)
            assert screen.asked["page-first"].problem == "", view.name
            page = first(screen).page
            assert page is not None
            assert page.view == view.name
            assert page.look_at.split()[0] in on_screen(app)
    assert app.inference._helper is None, "it ends with lab"
