"""The Sample mode: what is asked of the torch helper, and what is shown of its answers."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from sample_helpers import add_checkpoints, in_sample, sample_app, token
from tui_helpers import HOSTILE, lab_app, named, on_screen, opened, until

from lab.cli.app import run as run_lab
from lab.inference.protocol import Token
from lab.tui.remembered import screen_path
from lab.tui.sample_draft import SampleDraft, check_draft
from lab.tui.widgets.next_character import next_character_bars
from lab.tui.widgets.run_table import RunTable
from lab.tui.widgets.written_text import SURPRISE_WORDS, surprise_class, surprise_styles
from lab.tui.writing import Writing

LARGE, SMALL = (160, 45), (80, 24)
COLOURS = dict.fromkeys(("foreground", "text-muted", "primary", "secondary", "accent", "error", "warning"), "#808080")


@pytest.fixture
def sampled(database: Path) -> Path:
    """The database, with checkpoints of three runs."""
    add_checkpoints(database, residual_1=(1, 20, 400), bigram_1=(1, 300), mlp_1=(50, 400))
    return database


def options(screen: Any, name: str) -> list[str]:
    return [str(option.prompt).strip() for option in screen.query_one(f"#{name}").options]


# What is chosen


async def test_it_opens_with_the_run_under_the_cursor_of_runs(sampled: Path) -> None:
    app, _ = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_sample(pilot)
        assert [re.sub(r"\W+", " ", said).strip().split()[0] for said in options(screen, "models")] == [
            "residual", "mlp", "bigram",
        ]  # fmt: skip
        assert [re.sub(r" +", " ", said) for said in options(screen, "checkpoints")] == [
            "best step 400", "last step 400", "step 400", "step 20", "step 1",
        ]  # fmt: skip
        assert "residual-1 · best" in on_screen(app)
        assert "enter  writes a text" in on_screen(app)
        await pilot.press("2", "g", "5")
        assert screen.run.name == "residual-1", "bigger changes in Runs come along only where the run can write"


async def test_any_checkpoint_of_any_run_can_be_asked(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_sample(pilot)
        await pilot.press("tab", "tab", "tab")  # form, lists …
        screen.query_one("#checkpoints").focus()
        await pilot.press("G", "enter")
        assert client.request.checkpoint == "1"
        assert client.request.run_id == named(app, "residual-1").id
        assert client.request.database == str(sampled)
        assert "residual-1 · step 1" in on_screen(app)
        client.finish()
        await until(pilot, lambda: not screen.active)
        await pilot.click("#models", offset=(5, 2))
        await until(pilot, lambda: screen.run.name == "mlp-1")
        assert len(client.asked) == 1, "a click chooses, and no more"
        screen.query_one("#models").focus()
        await pilot.press("G")
        await until(pilot, lambda: screen.choices.run_id == named(app, "bigram-1").id)
        await until(pilot, lambda: "300" in options(screen, "checkpoints")[0])
        await pilot.press("enter")
        assert (client.request.run_id, client.request.checkpoint) == (named(app, "bigram-1").id, "best")


async def test_without_a_checkpoint_it_says_what_to_press(database: Path) -> None:
    app, client = sample_app(database)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("5")
        await until(pilot, lambda: "No run has a checkpoint yet. n in Runs" in on_screen(app))
        await pilot.press("enter", "right", "r", "space", "escape", "left", "tab", "tab", "shift+tab")
        assert client.asked == []


async def test_a_first_checkpoint_is_seen_when_it_comes(database: Path) -> None:
    app, _ = sample_app(database)
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("5")
        await until(pilot, lambda: "No run has a checkpoint" in on_screen(app))
        add_checkpoints(database, residual_1=(1, 400))
        await until(pilot, lambda: "residual-1 · best" in on_screen(app))


# What is written


@pytest.mark.parametrize("size", [LARGE, SMALL], ids=["160x45", "80x24"])
async def test_text_streams_in_and_what_comes_before_it_is_said(sampled: Path, size: tuple[int, int]) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=size) as pilot:
        screen = await in_sample(pilot)
        await pilot.press("enter")
        assert "loading torch…" in on_screen(app)
        client.start()
        await until(pilot, lambda: "reading the checkpoint…" in on_screen(app))
        client.say("Now is")
        await until(pilot, lambda: "Now is" in on_screen(app))
        assert "writing 6" in on_screen(app)
        client.say(" the winter")
        client.finish()
        await until(pilot, lambda: "Now is the winter" in on_screen(app))
        assert "17 characters" in on_screen(app)
        assert not screen.active
        assert not screen._ticks._active.is_set(), "at rest nothing is redrawn"


async def test_a_warm_helper_loads_nothing(sampled: Path) -> None:
    app, client = sample_app(sampled)
    client.warm = True
    async with app.run_test(size=LARGE) as pilot:
        await in_sample(pilot)
        await pilot.press("enter")
        assert "loading torch" not in on_screen(app)
        assert "reading the checkpoint…" in on_screen(app)


@pytest.mark.parametrize("key", ["enter", "escape"])
async def test_it_can_be_stopped(sampled: Path, key: str) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_sample(pilot)
        await pilot.press("enter")
        client.say("Now is")
        await until(pilot, lambda: "Now is" in on_screen(app))
        await pilot.press(key)
        assert client.cancelled == [1]
        client.say(" never shown")
        client.finish()
        await pilot.pause()
        assert "residual-1 · best · stopped" in on_screen(app)
        assert "never shown" not in on_screen(app)
        await pilot.press("enter")
        assert len(client.asked) == 2
        assert screen.active


async def test_what_goes_wrong_stands_where_the_text_would(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=SMALL) as pilot:
        await in_sample(pilot)
        await pilot.press("enter")
        client.say("To be")
        client.fail("checkpoint [red]x[/red] is gone")
        await until(pilot, lambda: "✗ checkpoint [red]x[/red] is gone" in on_screen(app))
        assert "To be" in on_screen(app)
        await pilot.press("enter")
        assert len(client.asked) == 2


async def test_a_hostile_text_is_shown_as_it_is(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        await in_sample(pilot)
        await pilot.press("enter")
        client.say(HOSTILE)
        client.finish()
        await until(pilot, lambda: "[bold]x[/bold]\\x1b[31m" in on_screen(app))


async def test_bars_show_the_model_before_and_after_truncation(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_sample(pilot)
        screen.query_one("#sample-top-k").value = "1"
        await until(pilot, lambda: screen.checked.settings.get("top_k") == 1)
        await pilot.press("enter")
        client.say("ab", surprise=0.5)
        client.finish()
        await until(pilot, lambda: "Character 2 · 0.50 nats" in on_screen(app))
        said = on_screen(app)
        assert re.search(r"▸ b .*60\.7%.*63\.7%", said)
        assert re.search(r"# .*39\.3% cut off", said)
        await pilot.press("left")
        assert re.search(r"▸ a .*60\.7%", on_screen(app))


async def test_without_truncation_one_bar_is_enough(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        await in_sample(pilot)
        await pilot.press("enter")
        client.say("ab")
        await until(pilot, lambda: "▸ b" in on_screen(app))
        assert "as it is drawn from" not in on_screen(app)


# Step by step


async def test_one_key_is_one_character(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_sample(pilot)
        await pilot.press("right")
        client.say("WXYZ")
        await until(pilot, lambda: len(screen.writing.tokens) == 4)
        assert "step by step" in on_screen(app)
        assert "▸ W" in on_screen(app)
        assert "WX" not in on_screen(app)
        await pilot.press("right", "right")
        assert "WXY" in on_screen(app)
        assert "WXYZ" not in on_screen(app)
        assert "▸ Y" in on_screen(app)
        await pilot.press("left")
        assert "▸ X" in on_screen(app)
        assert "WXY" in on_screen(app)
        await pilot.press("right", "right", "right")  # beyond what has come
        await until(pilot, lambda: "▸ Z" in on_screen(app))
        client.say("V")
        await until(pilot, lambda: "▸ V" in on_screen(app))
        client.say("UT")
        await until(pilot, lambda: len(screen.writing.tokens) == 7)
        assert "WXYZVU" not in on_screen(app)
        await pilot.press("enter")
        assert "WXYZVUT" in on_screen(app)
        assert len(client.asked) == 1


async def test_far_steps(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_sample(pilot)
        await pilot.press("enter")
        client.say("abcdefghijklmnopqrstuvwxyz")
        client.finish()
        await until(pilot, lambda: not screen.active)
        await pilot.press("shift+left", "shift+left", "shift+right", "right")
        assert screen.writing.looked_at == 25 - 20 + 10 + 1
        await pilot.press("shift+left", "shift+left", "shift+left")
        assert screen.writing.looked_at == 0
        await pilot.press("shift+right", "shift+right", "shift+right")
        assert screen.writing.cursor is None


# The form


async def test_foreign_characters_are_named_as_one_types(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_sample(pilot)
        await pilot.press("i", "O", "ż", "5", "q")
        assert screen.query_one("#prompt").text == "Oż5q", "keys type here"
        await until(pilot, lambda: "the run has never seen 5 ż: its text has 63 characters" in on_screen(app))
        await pilot.press("enter")
        assert client.asked == []
        await pilot.press("backspace", "backspace", "backspace")
        await until(pilot, lambda: "never seen" not in on_screen(app))
        await pilot.press("ctrl+j", "A", "enter")
        assert client.request.prompt == "O\nA"
        assert app.focused.id == "first-text"


async def test_every_field_reaches_the_request_and_nonsense_is_named(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        await in_sample(pilot)
        await pilot.press("i", "tab", *"0.5", "tab", *"9", "tab", *"0.9", "tab", *"33", "tab", *"7", "enter")
        request = client.request
        assert (request.temperature, request.top_k, request.top_p) == (0.5, 9, 0.9)
        assert (request.tokens, request.seed, request.count) == (33, 7, 1)
        await pilot.press("escape", "i", "tab", "tab", *"x", "enter")
        await until(pilot, lambda: "top-k must be a whole number from 1" in on_screen(app))
        assert len(client.asked) == 1


@pytest.mark.parametrize(
    ("name", "typed"),
    [("temp", "-1"), ("temp", "nan"), ("temp", "hot"), ("top-k", "0"), ("top-k", "1.5"), ("top-p", "0"),
     ("top-p", "1.1"), ("length", "0"), ("length", "9999999"), ("seed", "-1"), ("seed", "x"), ("count", "0")],
)  # fmt: skip
def test_a_draft_with_nonsense_is_no_request(name: str, typed: str) -> None:
    checked = check_draft(SampleDraft().with_value(name, typed), ("a",), words=True)
    assert list(checked.errors) == [name]
    assert checked.errors[name].startswith(f"{name} must be")


def test_an_empty_draft_means_what_its_placeholders_say() -> None:
    request = check_draft(SampleDraft(), ("a",), words=False).request("runs.db", "x", "last")
    assert (request.temperature, request.top_k, request.top_p) == (1.0, None, None)
    assert (request.tokens, request.seed, request.count) == (500, 1337, 1)
    assert check_draft(SampleDraft(), (), words=True).settings["count"] == 20


def test_a_newline_cannot_begin_a_word() -> None:
    assert "a newline ends a word" in check_draft(SampleDraft("a\n"), ("\n", "a"), words=True).errors["prompt"]


async def test_another_seed_writes_another_text(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        await in_sample(pilot)
        await pilot.press("enter")
        await pilot.press("r")
        await until(pilot, lambda: len(client.asked) == 2)
        assert [request.seed for request, _ in client.asked] == [1337, 1338]
        assert client.cancelled == [1]


async def test_several_texts_stand_under_each_other(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_sample(pilot)
        screen.query_one("#sample-count").value = "2"
        await until(pilot, lambda: screen.checked.settings.get("count") == 2)
        await pilot.press("i", "O", "enter")
        assert client.request.count == 2
        client.say("ne", number=0)
        client.say("ther", number=1)
        client.finish()
        await until(pilot, lambda: "Other" in on_screen(app))
        shown = [line.split("│")[-2].strip() for line in on_screen(app).splitlines()[2:5]]
        assert shown == ["One", "── 2 of 2 · seed 1338 ──", "Other"]
        assert screen.writing.text == "One\n\nOther\n"


# How it was left


async def test_what_was_chosen_and_filled_in_is_remembered(sampled: Path) -> None:
    app, _ = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_sample(pilot)
        screen.query_one("#checkpoints").focus()
        await pilot.press("G", "space")
        screen.query_one("#models").focus()
        await pilot.press("G")
        await until(pilot, lambda: screen.run.name == "bigram-1")
        await pilot.press("i", "T", "o", "tab", *"0.5")
        await until(pilot, lambda: app.remembered.group("sample").get("fields", {}).get("temp") == "0.5")
        bigram, residual = named(app, "bigram-1").id, named(app, "residual-1").id
    again, client = sample_app(sampled)
    async with again.run_test(size=LARGE) as pilot:
        await opened(pilot)
        pilot.app.screen.query_one(RunTable).move_to(residual)
        await until(pilot, lambda: again.selected == residual)
        await pilot.press("5")
        await until(pilot, lambda: again.screen.MODE == "sample" and again.screen.run is not None)
        screen = again.screen
        await until(pilot, lambda: screen.run.id == bigram and screen.choices.run_id == bigram)
        assert screen.beside == (residual, "1")
        screen.query_one("#first-text").focus()
        await pilot.press("enter")
        (first, _), (second, _) = client.asked
        assert (first.run_id, first.prompt, first.temperature) == (bigram, "To", 0.5)
        assert (second.run_id, second.checkpoint) == (residual, "1")


async def test_remembered_nonsense_is_left_out(sampled: Path) -> None:
    path = screen_path(sampled)
    path.parent.mkdir(exist_ok=True)
    odd = {"page": 7, "prompt": ["x"], "fields": {"temp": 3, "top-k": "9"}, "model": ["gone", "best"], "beside": "x"}
    path.write_text(json.dumps({"sample": odd}))
    app, _ = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_sample(pilot)
        draft = screen.query_one("#sample-form").draft
        assert (screen.page, screen.beside, draft.prompt) == ("text", None, "")
        assert (draft.value("temp"), draft.value("top-k")) == ("", "9")


async def test_a_run_without_a_checkpoint_is_said_to_have_none(sampled: Path) -> None:
    app, _ = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        await opened(pilot)
        app.screen.query_one(RunTable).move_to(named(app, "blocks-1").id)
        await until(pilot, lambda: app.selected == named(app, "blocks-1").id)
        await pilot.press("5")
        await until(pilot, lambda: "blocks-1 has none" in on_screen(app))
        app.selected = named(app, "linear-1").id  # one that waits
        app.screen.show()
        await until(pilot, lambda: "linear-1: none yet" in on_screen(app))


# Names


async def test_names_are_a_list_each_marked_as_new_or_not(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_sample(pilot, "mlp-1")
        await until(pilot, lambda: any(screen.words.values()))
        await pilot.press("enter")
        assert client.request.count == 20
        for number, name in enumerate(("emma", "xqzzla", "oliv")):
            client.say(name + ("\n" if name != "oliv" else ""), number=number)
        await until(pilot, lambda: "oliv" in on_screen(app))
        said = on_screen(app)
        assert re.search(r"emma +⏎? +?= in the training set", said)
        assert re.search(r"xqzzla +\+ new", said)
        assert "1 of 2 names new" in said
        assert not re.search(r"oliv +[=+]", said), "an unfinished one is neither"


async def test_names_whose_text_is_gone_are_not_marked(sampled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.errors import DatasetError
    from lab.queue import requests

    def gone(*_: object) -> None:
        raise DatasetError("the text is gone")

    monkeypatch.setattr(requests, "dataset_of", gone)
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        await in_sample(pilot, "mlp-1")
        await pilot.press("enter")
        client.say("emma\n")
        await until(pilot, lambda: "emma" in on_screen(app))
        assert "training set" not in on_screen(app)
        assert "names new" not in on_screen(app)


# Two beside each other


async def test_a_second_model_writes_beside_the_first_with_the_same_prompt_and_seed(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_sample(pilot)
        screen.query_one("#checkpoints").focus()
        await pilot.press("G", "space", "g")
        await pilot.press("i", "O", "enter")
        (first, _), (second, _) = client.asked
        assert (first.checkpoint, second.checkpoint) == ("best", "1")
        assert (first.prompt, first.seed) == (second.prompt, second.seed) == ("O", 1337)
        client.say("trained", which=0)
        client.say("xxxxxxx", which=1)
        await until(pilot, lambda: "trained" in on_screen(app) and "xxxxxxx" in on_screen(app))
        line = next(line for line in on_screen(app).splitlines() if "residual-1 · best" in line)
        assert "residual-1 · step 1 " in line
        await pilot.press("escape")
        assert client.cancelled == [1, 2]
        screen.query_one("#checkpoints").focus()
        await pilot.press("G", "space")
        await until(pilot, lambda: "xxxxxxx" not in on_screen(app))


# Small screens


async def test_at_80x24_one_page_at_a_time(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=SMALL) as pilot:
        screen = await in_sample(pilot)
        assert "Prompt" in on_screen(app)
        assert "Runs with a checkpoint" not in on_screen(app)
        await pilot.press("enter")
        client.say("hello")
        client.finish()
        await until(pilot, lambda: not screen.active)
        pages = []
        for _ in range(11):
            await pilot.press("tab")
            pages.append((screen.page, app.focused.id))
        assert {page for page, _ in pages} == {"model", "text", "next"}
        assert pages[-1] == ("text", "first-text"), "once round"
        await pilot.press("shift+tab", "shift+tab")
        assert "Runs with a checkpoint" in on_screen(app)
        assert "hello" not in on_screen(app)
        await pilot.press("shift+tab")
        assert "▸ o" in on_screen(app)
        assert "Prompt" not in on_screen(app)
        await pilot.resize_terminal(*LARGE)
        await until(pilot, lambda: "Runs with a checkpoint" in on_screen(app) and "Prompt" in on_screen(app))
        await pilot.resize_terminal(50, 10)
        await until(pilot, lambda: "make the window larger" in on_screen(app))


async def test_at_80x24_pages_are_turned_and_the_bars_follow_each_step(sampled: Path) -> None:
    app, client = sample_app(sampled)
    async with app.run_test(size=SMALL) as pilot:
        screen = await in_sample(pilot)
        await pilot.press("]")
        assert screen.page == "next"
        await pilot.press("]")
        assert (screen.page, app.focused.id) == ("model", "models")
        await pilot.press("[", "[")
        assert (screen.page, app.focused.id) == ("text", "first-text")
        await pilot.press("right")
        client.say("XY")
        await until(pilot, lambda: "▸ X" in on_screen(app))
        await pilot.press("right")
        assert "▸ Y" in on_screen(app)
        await pilot.press("escape", "escape")
        assert screen.page == "text"


# The parts


def test_the_drawn_character_has_a_row_even_where_it_is_unlikely() -> None:
    unlikely = Token("q", 6.0, tuple(token("e").likeliest))
    said = next_character_bars(unlikely, COLOURS, 80, 12, changed=True).plain
    assert re.search(r"▸ q .*0\.2%", said)
    crowded = Token("z", 3.0, tuple(token(c).likeliest[0] for c in "abcdefghijz"))
    assert "▸ z" in next_character_bars(crowded, COLOURS, 80, 4, changed=False).plain


def test_surprise_is_told_by_more_than_colour() -> None:
    assert [surprise_class(nats) for nats in (0.0, 1.5, 3.0, 9.0)] == [0, 1, 2, 3]
    assert len(surprise_styles(COLOURS)) == len(SURPRISE_WORDS)
    assert "underline" in surprise_styles(COLOURS)[-1]


def test_a_writing_that_has_nothing_has_nothing_to_step_through() -> None:
    writing = Writing(run=None, request=None)  # type: ignore[arg-type]
    writing.step(-1)
    assert writing.looked_at is None
    writing.revealed = 1
    writing.step(1)
    assert writing.looked_at is None
    assert writing.revealed == 1, "nothing has come yet: one at a time"


# With the process itself


async def test_a_real_run_writes_through_the_real_helper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker_starts: list[Path]
) -> None:
    (tmp_path / "prose.txt").write_text("To be, or not to be: that is the question.\n" * 60)
    database = tmp_path / "runs.db"
    monkeypatch.setenv("LAB_DEVICE", "cpu")
    monkeypatch.setattr("sys.stdout", io.StringIO())
    command = ["train", "bigram", "--dataset", str(tmp_path / "prose.txt"), "--steps", "20", "--set", "eval_every=10"]
    assert run_lab([*command, "--db", str(database), "--json"]) == 0
    app = lab_app(database)
    async with app.run_test(size=LARGE) as pilot:
        screen = await in_sample(pilot, "bigram-1")
        await pilot.press("enter")
        await until(pilot, lambda: screen.writing.state in ("done", "failed"), 60)
        assert screen.writing.problem == ""
        assert len(screen.writing.tokens) == 500
        assert "500 characters" in on_screen(app)
        first = [each.character for each in screen.writing.tokens]
        screen.query_one("#checkpoints").focus()
        await pilot.press("G", "enter")
        await until(pilot, lambda: screen.writing.state in ("done", "failed"), 60)
        assert [each.character for each in screen.writing.tokens] != first
    assert app.inference._helper is None, "it ends with lab"
