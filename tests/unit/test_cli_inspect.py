"""`lab inspect` on stored runs, the helper that answers the screen, what is kept, and what cannot be looked into."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa

import lab
from lab.cli.app import run as run_lab
from lab.datasets.dataset import load_dataset
from lab.inference.figures import Page, page_of
from lab.inference.inspection.inspector import Inspector, nobody_asks
from lab.inference.inspection.knock_out import Bench
from lab.inference.inspection.pieces import pieces_of
from lab.inference.inspection.subject import Subject
from lab.inference.loaded import LoadedModels
from lab.inference.protocol import InspectRequest, encode, inspect_message
from lab.inference.server import Server
from lab.inference.views import VIEWS, InspectOptions, fits
from lab.packaged import packaged_folder
from lab.reports.figure_csv import COLUMNS, page_csv
from lab.reports.figure_svg import page_svg
from lab.reports.figure_text import PLAIN, page_lines
from lab.store.run_store import RunStore
from lab.store.schema import Inspection
from tests.unit.inspection_helpers import STAGES, page_for, subject_of
from tests.unit.test_figures import EVERY_KIND

pytestmark = pytest.mark.usefixtures("one_thread")

SVG = "{http://www.w3.org/2000/svg}"
SMALL = ["--steps", "20", "--set", "eval_every=10", "--json"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of several kinds: layernorm-1, residual-1, bigram-1, mlp-1 of words, a sweep, and one of another program."""
    folder = tmp_path_factory.mktemp("inspected")
    prose, names, database = folder / "prose.txt", folder / "few.txt", folder / "runs.db"
    prose.write_text("To be, or not to be: that is the question.\nHAMLET:\nWhether 'tis nobler\n" * 40)
    names.write_text("emma\nolivia\nava\nisabella\nsophia\nmia\n" * 10)
    tiny = ["--set", "embedding_dim=8", "--set", "heads=2", "--set", "layers=2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DEVICE", "cpu")
        patch.setenv("LAB_DB", str(database))
        for stage in ("layernorm", "residual"):
            assert run_lab(["train", stage, "--dataset", str(prose), *tiny, *SMALL]) == 0
        assert run_lab(["train", "bigram", "--dataset", str(prose), *SMALL]) == 0
        assert run_lab(["train", "mlp", "--dataset", str(names), "--as", "words", *SMALL]) == 0
        swept = ["lr-find", "bigram", "--dataset", str(prose), "--steps", "30", "--seeds", "1", "--json"]
        assert run_lab(swept) in (0, 1)
        with lab.run("elsewhere", config={"lr": 1}, steps=3, database=database) as run:
            run.log(1, loss=1.0)
    return database


@pytest.fixture
def inspect(
    database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs `lab inspect` and returns its status, output and complaints."""
    monkeypatch.setenv("LAB_DB", str(database))
    capsys.readouterr()

    def command(*arguments: str) -> tuple[int, str, str]:
        status = run_lab(["inspect", *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


Inspect = Callable[..., tuple[int, str, str]]


def test_every_view_is_printed_and_told_as_json(inspect: Inspect) -> None:
    for run, count in (("layernorm-1", 9), ("mlp-1", 7), ("bigram-1", 5)):
        status, out, _ = inspect(run, "--json")
        views = [each["view"] for each in json.loads(out)]
        assert status == 0
        assert len(views) == count
        for view in views:
            status, out, err = inspect(run, view)
            assert (status, err) == (0, "")
            assert page_title(out)
            document = json.loads(inspect(run, view, "--json")[1])
            page = page_of(document)
            assert page.run_name == run
            assert page_title(out) == page.title


def page_title(text: str) -> str:
    return text.splitlines()[0]


def test_views_that_do_not_fit_are_said_to(inspect: Inspect) -> None:
    status, out, err = inspect("bigram-1")
    assert status == 0
    assert "loss-map" in out
    assert "not attention: the stage 'bigram' has no attention: try the view bigram" in err


@pytest.mark.parametrize("ending", ["svg", "csv", "json", "txt"])
def test_a_page_is_written_to_a_file(ending: str, inspect: Inspect, tmp_path: Path) -> None:
    path = tmp_path / f"page.{ending}"
    status, out, _ = inspect("layernorm-1", "attention", "--prompt", "to be", "--to", str(path), "--json")
    assert status == 0
    assert json.loads(out) == {"path": str(path), "bytes": path.stat().st_size}
    text = path.read_text()
    if ending == "svg":
        assert ElementTree.fromstring(text).tag == f"{SVG}svg"
    elif ending == "csv":
        rows = list(csv.reader(io.StringIO(text)))
        assert tuple(rows[0]) == COLUMNS
        weights = [float(row[4]) for row in rows if row[0] == "layer 1 head 1"]
        assert len(weights) == 15
        assert sum(weights) == pytest.approx(5, rel=1e-4)
    elif ending == "json":
        assert page_of(json.loads(text)).view == "attention"
    else:
        assert text.splitlines()[0] == "Attention of layernorm-1 at step 20"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("layernorm-1", "atention"), "unknown view 'atention': did you mean 'attention'?"),
        (("mlp-1", "attention"), "attention of run mlp-1: the stage 'mlp' has no attention: try the view embeddings"),
        (("bigram-1", "embeddings"), "the stage 'bigram' has no embedding: try the view bigram"),
        (("bigram-1", "knock-out"), "the stage 'bigram' has no piece that could be knocked out"),
        (("mlp-1", "logit-lens"), "the stage 'mlp' has no blocks: try the view embeddings"),
        (("layernorm-1", "attention", "--prompt", "że"), "lacks 'ż'"),
        (("layernorm-1", "attention", "--layer", "7"), "run layernorm-1 has no layer 7: it has layers 1 to 2"),
        (("layernorm-1", "data", "--layer", "1"), "--layer does not apply to the view data, which takes no options"),
        (
            ("layernorm-1", "logit-lens", "--with", "x"),
            "--with does not apply to the view logit-lens, which takes --pr",
        ),
        (("layernorm-1", "attention", "--checkpoint", "17"), "has no checkpoint '17'; it has best, last and the steps"),
        (("layernorm-1", "attention", "--with", "nobody"), "no run 'nobody'; see: lab runs"),
        (("layernorm-1", "attention", "--with", "mlp-1"), "attention of run mlp-1: the stage 'mlp' has no attention"),
        (("layernorm-1", "loss-map", "--with", "mlp-1"), "were trained on different texts: compare runs on one"),
        (("layernorm-1", "data", "--to", "page.png"), "does not say its format: give it a name that ends in .svg, .cs"),
        (("bigram-lr-1", "loss-map"), "run bigram-lr-1 is an LR sweep, which keeps no model"),
        (("elsewhere", "data"), "run elsewhere was trained by another program: lab has no config of it"),
        (("elsewhere",), "run elsewhere was trained by another program: lab has no config of it"),
        (("nobody", "data"), "no run 'nobody'; see: lab runs"),
    ],
)
def test_what_cannot_be_looked_into_is_one_line(arguments: tuple[str, ...], said: str, inspect: Inspect) -> None:
    status, out, err = inspect(*arguments)
    assert status == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert said in err


def test_a_run_without_a_checkpoint_and_damaged_ones(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "runs.db"
    shutil.copy(database, copy)
    shutil.copytree(database.parent / "runs.db.files", tmp_path / "runs.db.files")
    monkeypatch.setenv("LAB_DB", str(copy))
    store = RunStore.open(copy)
    files = {name: [store.database.files / row.path for row in store.checkpoints(store.resolve(name).id)]
             for name in ("layernorm-1", "residual-1", "bigram-1")}  # fmt: skip
    store.close()
    for path in files["layernorm-1"]:
        path.unlink()
    for path in files["residual-1"]:
        path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    best = next(path for path in files["bigram-1"] if path.name.startswith("best"))
    best.unlink()
    assert run_lab(["queue", "add", "bigram", "--name", "waiting"]) == 0
    capsys.readouterr()
    for run, said in (
        ("layernorm-1", "is damaged or gone, and so is every one before it"),
        ("residual-1", "is damaged or gone, and so is every one before it"),
        ("waiting", "run waiting has no checkpoint yet"),
    ):
        assert run_lab(["inspect", run, "loss-map"]) == 1
        complaint = capsys.readouterr().err
        assert said in complaint
        assert len(complaint.splitlines()) == 1
        assert run_lab(["inspect", run, "data"]) == 0  # needs no checkpoint
        capsys.readouterr()
    assert run_lab(["inspect", "bigram-1", "loss-map", "--json"]) == 0
    note = json.loads(capsys.readouterr().out)["notes"][0]
    assert note.startswith("bigram-1: the best checkpoint at step 20 is damaged or gone")


# What is kept, and the helper


def request_for(database: Path, name: str, view: str, **options: Any) -> InspectRequest:
    store = RunStore.open(database)
    run = store.resolve(name)
    store.close()
    return InspectRequest(str(database), run.id, view, options=InspectOptions(**options))


def test_what_takes_long_is_computed_once_for_a_checkpoint_and_its_options(database: Path) -> None:
    request = request_for(database, "residual-1", "knock-out", pieces="dimensions")
    models = LoadedModels()
    told: list[tuple[int, int]] = []
    first = Inspector(models).page(request, lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)

    def never(done: int, total: int) -> None:
        raise AssertionError("it was computed again")

    assert Inspector(models).page(request, never) == first
    other = request_for(database, "residual-1", "knock-out", pieces="dimensions", replacement="mean")
    assert Inspector(models).page(other, nobody_asks) != first
    store = models.store(str(database))
    store.rename(request.run_id, "another")
    assert Inspector(models).page(request, nobody_asks).title == "Knock-out: dimensions of another at step 20"
    store.rename(request.run_id, "residual-1")
    with store.database.writer.begin() as connection:  # as another version would have left it
        connection.execute(sa.update(Inspection).values(result_json='{"figures": 3}'))
    assert Inspector(models).page(request, nobody_asks) == first
    models.close()


def answers(*messages: dict[str, Any], server: Callable[[Any, Any], Server] = Server) -> list[dict[str, Any]]:
    said = io.StringIO()
    server(io.StringIO("".join(encode(message) for message in messages)), said).serve()
    return [json.loads(line) for line in said.getvalue().splitlines()]


def test_the_helper_answers_with_progress_and_a_page(database: Path) -> None:
    heard = answers(
        inspect_message(1, request_for(database, "residual-1", "loss-map")),
        inspect_message(2, request_for(database, "mlp-1", "attention")),
        inspect_message(3, request_for(database, "mlp-1", "embeddings")),
    )
    first = [message for message in heard if message["id"] == 1]
    assert first[0] == {"id": 1, "started": True}
    assert "progress" in first[1]
    assert page_of(first[-2]["page"]).view == "loss-map"
    assert first[-1] == {"id": 1, "done": True}
    assert "has no attention: try the view embeddings" in next(m["error"] for m in heard if "error" in m)
    assert heard[-1] == {"id": 3, "done": True}


def test_a_cancelled_view_ends_and_the_next_is_answered(database: Path) -> None:
    class Impatient(Server):
        """Hears that the first request is to end, as soon as it is told how far it is."""

        def _answer(self, message: dict[str, Any]) -> None:
            super()._answer(message)
            if message.get("id") == 1 and "progress" in message:
                self._cancelled.add(1)

    heard = answers(
        inspect_message(1, request_for(database, "layernorm-1", "knock-out", pieces="positions")),
        inspect_message(2, request_for(database, "layernorm-1", "data")),
        server=Impatient,
    )
    first = [message for message in heard if message["id"] == 1]
    assert not [message for message in first if "page" in message]
    assert first[-1] == {"id": 1, "done": True}
    assert [message for message in heard if message["id"] == 2 and "page" in message]
    again = answers(inspect_message(1, request_for(database, "layernorm-1", "knock-out", pieces="positions")))
    assert [message for message in again if "page" in message]  # nothing half done was kept


# How figures are written


@pytest.fixture
def pages(prose: Any) -> list[Page]:
    """Every view of several stages, and one page of every kind of figure."""
    subjects = [subject_of(prose, stage) for stage in STAGES]
    return [EVERY_KIND] + [page_for(s, view.name) for s in subjects for view in VIEWS if fits(view, s.config)]


def test_every_page_is_written_in_every_form(pages: list[Page]) -> None:
    for page in pages:
        root = ElementTree.fromstring(page_svg(page))
        texts = {text.text for text in root.iter(f"{SVG}text")}
        assert page.title in texts
        rows = list(csv.reader(io.StringIO(page_csv(page))))
        assert {len(row) for row in rows} == {len(COLUMNS)}
        assert {row[0] for row in rows[1:]} <= {figure.title for figure in page.figures}
        plain = "\n".join(page_lines(page, 100, PLAIN))
        for figure in page.figures:
            assert figure.title in plain


def test_texts_stay_data() -> None:
    from dataclasses import replace

    from lab.inference.figures import Bars, Passage, Prose, Table

    bad = "<b>\x1b[31m&"
    figures = (Table(bad, ("a",), ((bad,),)), Bars("b", (bad,), (1.0,)), Prose("p", (Passage(bad, bad),)))
    page = replace(EVERY_KIND, title=bad, figures=figures)
    assert "\x1b" not in page_svg(page)
    ElementTree.fromstring(page_svg(page))
    assert "\x1b" not in "\n".join(page_lines(page))


def test_numbers_that_are_none_are_drawn_as_nothing() -> None:
    from dataclasses import replace

    from lab.inference.figures import Bars, Heatmap, Lines, Scatter

    none = (None, None)
    figures = (
        Heatmap("h", ("a",), ("a", "b"), (none,), 0.0, 1.0),
        Bars("b", ("a", "b"), none, none, none),
        Lines("l", ("x",), (1.0, 2.0), (none,), log_x=True, log_y=True),
        Scatter("s", ("a", "b"), none, none, ("vowel", "digit")),
    )
    page = replace(EVERY_KIND, figures=figures)
    ElementTree.fromstring(page_svg(page))
    assert "no point is a number" in "\n".join(page_lines(page))


# What the shipped datasets show


@pytest.mark.full
def test_knock_outs_say_of_skips_and_norms_what_retraining_says(tmp_path: Path) -> None:
    """The ladder that comes with lab: residual against blocks, layernorm against residual, and with each removed."""
    database = Path(shutil.copytree(packaged_folder("data") / "demo", tmp_path / "demo")) / "demo.db"
    models = LoadedModels()
    runs = {run.stage: run for run in models.store(str(database)).runs()}
    for with_it, without_it, kind in (("residual", "blocks", "skip"), ("layernorm", "residual", "norm")):
        retrained = (runs[without_it].val_loss or 0) - (runs[with_it].val_loss or 0)
        run = runs[with_it]
        loaded = models.model(str(database), run.id, "best")
        bench = Bench(Subject(str(database), run, run.config, loaded, models), False)
        [every] = [piece for piece in pieces_of(run.config, "parts") if piece.several and piece.kind == kind]
        baseline, [harm] = bench.harms([every], nobody_asks)
        assert baseline == pytest.approx(run.best_val_loss, abs=1e-3)
        assert retrained > 0
        assert harm.difference - harm.half_width > 0
    models.close()


@pytest.mark.full
def test_the_vowels_of_an_mlp_with_two_dimensions_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_DEVICE", "cpu")
    monkeypatch.setenv("LAB_DB", str(tmp_path / "runs.db"))
    small = ["--set", "embedding_dim=2", "--set", "hidden_dim=100", "--steps", "40000"]
    assert run_lab(["train", "mlp", "--dataset", "names", *small, "--json"]) == 0
    models = LoadedModels()
    page = Inspector(models).page(request_for(tmp_path / "runs.db", "mlp-1", "embeddings"))
    vowels = page.figures[1].rows[0]  # type: ignore[union-attr]
    assert vowels[0] == "vowel"
    assert vowels[2] < vowels[3]
    models.close()
    assert load_dataset("names").kind == "words"


def test_a_model_of_ones_own_is_looked_into_as_far_as_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], prose_file: Path
) -> None:
    monkeypatch.setenv("LAB_DEVICE", "cpu")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("LAB_DB", str(tmp_path / "runs.db"))
    mine = f"{packaged_folder('experiments') / 'my_model.py'}:MyModel"
    assert run_lab(["train", mine, "--dataset", str(prose_file), "--name", "mine", *SMALL]) == 0
    capsys.readouterr()
    assert run_lab(["inspect", "mine", "--json"]) == 0
    views = [each["view"] for each in json.loads(capsys.readouterr().out)]
    assert views == ["data", "anatomy", "bigram", "loss-map", "averaging"]
    for view in views:
        assert run_lab(["inspect", "mine", view, "--json"]) == 0
        assert page_of(json.loads(capsys.readouterr().out)).figures
    for view in ("embeddings", "attention", "logit-lens", "knock-out"):
        assert run_lab(["inspect", "mine", view]) == 2
        assert "lab does not know the inside of a model of one's own, MyModel" in capsys.readouterr().err
    (tmp_path / "config").rename(tmp_path / "elsewhere")  # as if somebody else had trained it
    for view in ("anatomy", "loss-map"):
        assert run_lab(["inspect", "mine", view]) != 0
        assert "lab trust" in capsys.readouterr().err
