"""Models of a person's own: read without being run, trained like a rung, and told where they break the contract."""

from __future__ import annotations

import json
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from lab.cli.app import app, parser, run
from lab.config.experiment_files import read_experiment
from lab.config.ladder import stage_config
from lab.config.own_config import own_config
from lab.config.own_model import OwnSource, constructor_of, read_own_model
from lab.datasets.dataset import load_dataset
from lab.errors import BundleError, ConfigError, LabError, OwnModelError, UsageError
from lab.inference.client import InferenceClient
from lab.inference.stored import read_stored_checkpoint
from lab.models.build import build_model
from lab.models.contract import check_contract, looks_ahead
from lab.models.own import explained, let_in
from lab.packaged import packaged_folder
from lab.queue.experiment_requests import DatasetReader, compose_experiment
from lab.queue.forecast import speed_request
from lab.queue.requests import RunRequest, compose
from lab.reports.run_bundle import write_bundle
from lab.reports.run_import import import_bundle
from lab.store.checkpoints import choose_checkpoint
from lab.store.model_sources import is_trusted, stored_source, trust, trust_path
from lab.store.run_store import NewRun, RunRow, RunStore
from lab.training.batches import Batches
from lab.training.first_step import compare_first_steps

SHIPPED = packaged_folder("experiments") / "my_model.py"
STEPS = ("--steps", "3", "--set", "eval_every=3", "--set", "eval_examples=4")


@pytest.fixture(autouse=True)
def own_config_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody has let anything in yet."""
    folder = tmp_path_factory.mktemp("config")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.setenv("LAB_DEVICE", "cpu")
    return folder


def source(body: str, *, init: str = "self, vocabulary_size", name: str = "Mine") -> OwnSource:
    """A model of one linear layer over an embedding, its forward's body given."""
    text = f"""\
import torch
from torch import nn
from torch.nn import functional as F

class {name}(nn.Module):
    def __init__({init}):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, 8)
        self.head = nn.Linear(8, vocabulary_size)

    def forward(self, idx, targets=None):
        x = self.head(self.embedding(idx))
{textwrap.indent(textwrap.dedent(body).strip(), " " * 8)}
"""
    return OwnSource("mine.py", name, text)


GOOD = """
if targets is None:
    return x, None
return x, F.cross_entropy(x.view(-1, x.shape[-1]), targets.view(-1))
"""


def built(own: OwnSource, **settings: Any) -> Any:
    """The model of a source and what its contract is checked with."""
    config = own_config(own, dataset="shakespeare", dataset_as="stream", settings=settings)
    dataset = load_dataset("shakespeare")
    let_in(own)
    with explained(own):
        model = build_model(config, dataset.vocabulary_size)
    return model, config, dataset.vocabulary_size, *Batches(config, dataset, torch.device("cpu")).batch(1)


def complaint(own: OwnSource) -> str:
    with pytest.raises(OwnModelError) as error, explained(own):
        check_contract(*built(own))
    assert "\n" not in str(error.value), "one line"
    return str(error.value)


# Reading a file


def test_the_shipped_one_says_what_it_asks_for() -> None:
    own = read_own_model(f"{SHIPPED}:MyModel")
    constructor = constructor_of(own)
    assert set(constructor.asked.values()) == {"vocabulary_size", "context_length", "embedding_dim", "dropout"}
    config = own_config(own, dataset="shakespeare", dataset_as="stream", settings={"embedding_dim": "64"})
    assert (config.stage, config.context_length, config.embedding_dim) == ("MyModel", 16, 64)
    assert config.source_sha256 == own.sha256
    check_contract(*built(own))


def test_reading_runs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "evil.py"
    file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Mine: pass\n")
    constructor_of(read_own_model(f"{file}:Mine"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "word", "said"),
    [
        ("class Mine: pass", "none.py:Mine", "cannot be read: No such file"),
        ("class Mine: pass", "mine.py:Mime", "no class 'Mime': did you mean 'Mine'"),
        ("class Mine: pass", "mine.py", "name the class too: "),
        ("x = 1", "mine.py:Mine", "holds no class"),
        ("class Mine:\n  def", "mine.py:Mine", "mine.py:2:"),
        ("class bigram: pass", "mine.py:bigram", "as the rung of the ladder is"),
        ("class Mine:\n  def __init__(self, size): pass", "mine.py:Mine", "asks for 'size', which lab does not know"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_clear_line(text: str, word: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UsageError) as error:
        constructor_of(read_own_model(str(tmp_path / word)))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_people_s_own_names_for_the_parameters_are_understood() -> None:
    constructor = constructor_of(source(GOOD, init="self, vocab_size, block_size, n_embd=24, *, extra=3"))
    assert constructor.asked == {
        "vocab_size": "vocabulary_size", "block_size": "context_length", "n_embd": "embedding_dim",
    }  # fmt: skip
    assert constructor.defaults == {"n_embd": 24}


def test_a_setting_that_the_constructor_does_not_ask_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="layers is set, and Mine's constructor does not ask for it"):
        own_config(source(GOOD), dataset="shakespeare", dataset_as="stream", settings={"layers": 2})
    asked = source(GOOD, init="self, vocabulary_size, config=None")
    assert own_config(asked, dataset="shakespeare", dataset_as="stream", settings={"layers": 2}).layers == 2
    with pytest.raises(ConfigError, match="source_sha256 cannot be set"):
        own_config(source(GOOD), dataset="shakespeare", dataset_as="stream", settings={"source_sha256": "0" * 64})
    with pytest.raises(ConfigError, match="model=own needs the file of a model"):
        stage_config("bigram", settings={"model": "own"})


def test_another_text_is_another_config_and_old_hashes_stay() -> None:
    one, other = (
        own_config(source(body), dataset="shakespeare", dataset_as="stream") for body in (GOOD, GOOD + "# more\n")
    )
    assert one.hash("text") != other.hash("text")
    assert one.group_hash("text") == one.replace(seed=5).group_hash("text")
    assert one.weights_layout != other.weights_layout


# The contract


def test_a_model_as_in_the_lecture_and_one_as_in_nanogpt_are_taken() -> None:
    check_contract(*built(source(GOOD)))
    flat = "x = x.view(-1, x.shape[-1]) if targets is not None else x\n"
    check_contract(
        *built(source(flat + "return x, F.cross_entropy(x, targets.view(-1)) if targets is not None else None"))
    )
    last = "if targets is None:\n    return x[:, [-1], :], None\n"
    check_contract(*built(source(last + "return x, F.cross_entropy(x.flatten(0, 1), targets.flatten())")))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return x", "must return (logits, loss), and returns a tensor (32, 8, 63)"),
        ("return x, None, None", "must return (logits, loss), and returns 3 values"),
        ("return None, x.mean()", "must return logits first, a tensor (B, T, V), and returns None"),
        ("return x[:, :, :5], x.mean()", "logits with targets are (32, 8, 5), wanted (32, 8, 63)"),
        ("return x, None", "returns None as the loss"),
        ("return x, 2.0", "loss is a float, wanted a tensor of one number"),
        ("return x, x.mean(dim=-1)", "loss is (32, 8), wanted ()"),
        ("return x, x.mean().detach()", "does not depend on its parameters"),
        ("return x, torch.ones((), requires_grad=True)", "does not depend on its parameters"),
        ("return (x, x.mean()) if targets is not None else (x[0], None)", "without targets are (8, 63)"),
        (
            "return (x, x.mean()) if targets is not None else (x.expand(32, 8, 63), None)",
            "logits of 1 of 8 tokens are (32, 8, 63), wanted (1, 1, 63)",
        ),
        ("raise ValueError('oh\\nno')", "mine.py:13: ValueError: oh"),
        ("exit(3)", "mine.py:13: it ends the program"),
        ("return x @ x, x.mean()", "mine.py:13: RuntimeError: "),
    ],
)
def test_what_breaks_the_contract_is_named_with_the_shapes(body: str, said: str) -> None:
    assert said in complaint(source(body))


def test_what_is_no_module_or_has_nothing_to_train_is_said() -> None:
    none = OwnSource("mine.py", "Mine", "class Mine:\n    def __init__(self):\n        pass\n")
    assert "is no torch.nn.Module" in complaint(none)
    empty = OwnSource("mine.py", "Mine", "from torch import nn\nclass Mine(nn.Module):\n    pass\n")
    assert "has no parameters to train" in complaint(empty)
    raises = OwnSource("mine.py", "Mine", "import nothing_of_that_name\nclass Mine: pass\n")
    assert "mine.py:1: ModuleNotFoundError" in complaint(raises)


def test_a_model_that_looks_ahead_is_found_out() -> None:
    ahead = source("x = x + x.flip(1)\n" + GOOD)
    model, _, v, tokens, targets = built(ahead)
    assert looks_ahead(model, v, tokens, targets)
    model, _, v, tokens, targets = built(source(GOOD))
    assert not looks_ahead(model, v, tokens, targets)


def test_nothing_is_run_that_was_not_let_in() -> None:
    own = source(GOOD, name="NeverLetIn")
    config = own_config(own, dataset="shakespeare", dataset_as="stream")
    with pytest.raises(OwnModelError, match="not let in"):
        build_model(config, 63)


# The first step


def test_a_rung_rebuilt_agrees_with_it_to_the_last_digits() -> None:
    text = """\
from torch import nn
from torch.nn import functional as F

class Rebuilt(nn.Module):
    def __init__(self, vocabulary_size, embedding_dim):
        super().__init__()
        self.table = nn.Embedding(vocabulary_size, embedding_dim)
        self.head = nn.Linear(embedding_dim, vocabulary_size)

    def forward(self, idx, targets=None):
        x = self.head(self.table(idx))
        return x, None if targets is None else F.cross_entropy(x.flatten(0, 1), targets.flatten())
"""
    own = OwnSource("mine.py", "Rebuilt", text)
    let_in(own)
    config = own_config(own, dataset="shakespeare", dataset_as="stream")
    found = compare_first_steps(config, stage_config("linear"), load_dataset("shakespeare"))
    assert found.parameters == found.reference_parameters
    assert [(each.name, each.reference, each.found_by) for each in found.tensors] == [
        ("table.weight", "token_embedding.weight", "shape"),
        ("head.weight", "head.weight", "name"),
        ("head.bias", "head.bias", "name"),
    ]
    assert found.same_weights_loss == pytest.approx(found.reference_loss, abs=1e-6)
    assert max(each.gap for each in found.tensors if each.gap is not None) < 1e-7
    other = compare_first_steps(config, stage_config("residual"), load_dataset("shakespeare"))
    assert other.same_weights_loss is None
    assert "position_embedding.weight" in other.unmatched


# As a run


def lab(database: Path, *words: str) -> Any:
    parser()  # gives the app its commands
    return CliRunner().invoke(app, [*words, "--db", str(database)])


def write(folder: Path, body: str = GOOD, **more: str) -> str:
    file = folder / "mine.py"
    file.write_text(source(body, **more).text)
    return f"{file}:Mine"


def test_it_trains_is_diagnosed_sampled_tested_continued_and_compared_like_a_rung(tmp_path: Path) -> None:
    database = tmp_path / "runs.db"
    word = write(tmp_path, "print('hello', targets is None)\n" + GOOD)
    done = lab(database, "train", word, *STEPS, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (document["name"], document["stage"], document["status"]) == ("Mine-1", "Mine", "finished")
    store = RunStore.open(database)
    run = store.resolve("Mine-1")
    assert stored_source(store, run).text == (tmp_path / "mine.py").read_text()
    assert any("printed: hello" in event.text for event in store.events(run.id)), "what it prints is in its log"
    assert store.samples(run.id)
    from lab.store.histograms import read_histograms

    assert {"activations", "gradients", "weights", "updates"} <= {each.kind for each in read_histograms(store, run.id)}
    (tmp_path / "mine.py").unlink()  # the run needs it no more
    sampled = lab(database, "sample", "Mine-1", "--tokens", "5", "--json")
    assert json.loads(sampled.stdout)["samples"][0]["tokens"] == 5
    child = lab(database, "continue", "Mine-1", "--steps", "2", "--set", "lr=1e-4")
    assert child.exit_code == 0, child.output
    assert store.resolve("Mine-2").parent_id == run.id
    assert stored_source(store, store.resolve("Mine-2")) == stored_source(store, run)
    assert lab(database, "train", "linear", *STEPS).exit_code == 0
    compared = lab(database, "compare", "Mine-1", "linear", "--alone", "--json")
    assert len(json.loads(compared.stdout)["groups"]) == 2
    store.close()


EXPERIMENT = """
title = "Mine against the linear one"
seeds = [1, 2]
exclude = ["stage = Mine and lr > 0.1"]

[base]
steps = 3
eval_every = 3
eval_examples = 4

[grid]
stage = ["linear", "mine.py:Mine"]
lr = [0.01, 0.2]
"""


def test_an_experiment_names_it_by_a_file_beside_its_own_and_trains_it_once_it_is_trusted(tmp_path: Path) -> None:
    database, file = tmp_path / "runs.db", tmp_path / "experiments" / "mine.toml"
    file.parent.mkdir()
    word = write(file.parent, f"open({str(tmp_path / 'ran')!r}, 'w').close()\n" + GOOD)
    file.write_text(EXPERIMENT)
    asked = lab(database, "queue", "add", "-f", str(file), "--dry-run", "--json")
    assert [(each["name"], each["stage"]) for each in json.loads(asked.stdout)["runs"]][:3] == [
        ("linear/lr=0.01/seed=1", "linear"),
        ("linear/lr=0.2/seed=1", "linear"),
        ("Mine/lr=0.01/seed=1", "Mine"),
    ]
    refused = lab(database, "queue", "add", "-f", str(file))
    assert isinstance(refused.exception, OwnModelError)
    assert f"never been run here as it is now. Read it with: lab trust {word}" in str(refused.exception)
    assert not (tmp_path / "ran").exists()
    assert lab(database, "trust", word, "--yes").exit_code == 0
    assert lab(database, "queue", "add", "-f", str(file)).exit_code == 0
    assert lab(database, "worker", "--until-empty").exit_code == 0
    store = RunStore.open(database)
    combinations = ("linear/lr=0.01", "linear/lr=0.2", "Mine/lr=0.01")
    assert {run.name for run in store.runs()} == {f"{name}/seed={seed}" for name in combinations for seed in (1, 2)}
    assert {run.error for run in store.runs()} == {None}
    assert {run.status for run in store.runs()} == {"finished"}
    assert (tmp_path / "ran").exists()
    again = lab(database, "queue", "add", "-f", str(file), "--dry-run", "--json")
    assert json.loads(again.stdout)["to_queue"] == 0, "known by the file's text"
    write(file.parent, GOOD)
    changed = lab(database, "queue", "add", "-f", str(file), "--dry-run", "--json")
    assert json.loads(changed.stdout)["to_queue"] == 2, "another text is another model"
    store.close()


def test_two_versions_of_one_class_are_told_apart_by_their_files(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(source(GOOD).text)
    (tmp_path / "two.py").write_text(source("x = 2 * x\n" + GOOD).text)
    file = tmp_path / "versions.toml"
    file.write_text('title = "x"\n[grid]\nstage = ["one.py:Mine", "two.py:Mine"]\n')
    read = DatasetReader(tmp_path / "runs.db")
    runs = compose_experiment(read_experiment(file), read)
    assert [run.name for run in runs] == ["one.py:Mine", "two.py:Mine"]
    assert [run.source.file_name for run in runs if run.source] == ["one.py", "two.py"]


def test_how_long_it_takes_is_measured_only_where_it_is_trusted(tmp_path: Path) -> None:
    own = read_own_model(write(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w').close()\n" + GOOD))
    (new,) = compose(RunRequest(str(own.word)), tmp_path / "runs.db")
    with closing(InferenceClient()) as client:
        with pytest.raises(LabError, match="has never been run here"):
            client.measured(speed_request(new, tmp_path / "runs.db"))
        assert not (tmp_path / "ran").exists()
        trust(own)
        assert client.measured(speed_request(new, tmp_path / "runs.db")).chars_per_second > 0


def test_on_words_padding_stays_out_of_its_loss_unasked(tmp_path: Path) -> None:
    done = lab(tmp_path / "runs.db", "train", write(tmp_path), "--dataset", "names", *STEPS, "--json")
    assert done.exit_code == 0, done.output
    assert 2 < json.loads(done.stdout)["val_loss"] < 5


def test_what_it_keeps_beside_its_parameters_is_in_the_checkpoint(tmp_path: Path) -> None:
    body = "x = self.norm(x.transpose(1, 2)).transpose(1, 2).contiguous()\n" + GOOD
    own = source(body)
    text = own.text.replace("self.head =", "self.norm = nn.BatchNorm1d(vocabulary_size)\n        self.head =")
    (tmp_path / "mine.py").write_text(text)
    database = tmp_path / "runs.db"
    assert lab(database, "train", f"{tmp_path / 'mine.py'}:Mine", *STEPS).exit_code == 0
    store = RunStore.open(database)
    run = store.resolve("Mine-1")
    checkpoint = read_stored_checkpoint(store, choose_checkpoint(store, run, "last"))
    kept = checkpoint.sections["model"]["norm.running_mean"]
    assert kept.abs().sum() > 0
    assert torch.equal(dict(checkpoint.model().named_buffers())["norm.running_mean"], kept)
    assert int(checkpoint.sections["model"]["norm.num_batches_tracked"]) == 3
    store.close()


def test_frozen_parameters_stay_as_they_are(tmp_path: Path) -> None:
    text = source(GOOD).text.replace("self.head =", "self.embedding.requires_grad_(False)\n        self.head =")
    (tmp_path / "mine.py").write_text(text)
    done = lab(tmp_path / "runs.db", "train", f"{tmp_path / 'mine.py'}:Mine", *STEPS)
    assert done.exit_code == 0, done.output


def test_one_that_raises_fails_with_its_line_and_leaves_the_traceback_in_the_log(tmp_path: Path) -> None:
    body = "self.calls = getattr(self, 'calls', 0) + 1\nif self.calls > 7:\n    raise ValueError('too often')\n" + GOOD
    database = tmp_path / "runs.db"
    done = lab(database, "train", write(tmp_path, body), *STEPS)
    assert isinstance(done.exception, OwnModelError)
    assert str(done.exception) == "mine.py:15: ValueError: too often"
    store = RunStore.open(database)
    failed = store.resolve("Mine-1")
    assert (failed.status, failed.error) == ("failed", "mine.py:15: ValueError: too often")
    log = [event.text for event in store.events(failed.id)]
    assert any("raise ValueError('too often')" in line for line in log), "with the line of code"
    store.close()


def test_a_broken_contract_is_said_in_one_line_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["train", write(tmp_path, "return x, x"), *STEPS, "--db", str(tmp_path / "runs.db"), "--json"])
    captured = capsys.readouterr()
    assert status == 1
    assert captured.err.strip().splitlines()[-1] == (
        "lab: Mine's loss is (32, 8, 63), wanted (): one number, the mean over all positions"
    )


# From elsewhere


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A run of somebody's own model, as a file."""
    (tmp_path / "there").mkdir()
    database = tmp_path / "there" / "runs.db"
    word = write(tmp_path / "there", f"open({str(tmp_path / 'ran')!r}, 'w').close()\n" + GOOD)
    assert lab(database, "train", word, *STEPS).exit_code == 0
    store = RunStore.open(database)
    path = tmp_path / "mine.labrun"
    write_bundle(store, store.resolve("Mine-1"), path)
    store.close()
    (tmp_path / "ran").unlink()
    trust_path().unlink()
    return path


def test_code_from_elsewhere_runs_only_after_the_user_has_said_so(bundle: Path, tmp_path: Path) -> None:
    from lab.models import own as own_models

    own_models._let_in.clear()
    database = tmp_path / "runs.db"
    assert lab(database, "import", str(bundle)).exit_code == 0
    for words in (("sample", "Mine-1"), ("continue", "Mine-1", "--steps", "2")):
        refused = lab(database, *words)
        assert "has never been run here" in str(refused.exception)
        assert "lab trust" in str(refused.exception)
    refused = lab(database, "break", "Mine-1", "lr-x10")
    assert "has never been run here" in str(refused.exception)
    assert len(json.loads(lab(database, "runs", "--json").stdout)) == 1, "nothing was queued that could only fail"
    asked = lab(database, "trust", "Mine-1")
    assert "class Mine(nn.Module):" in asked.stdout, "it is shown"
    assert "--yes" in str(asked.exception)
    assert not (tmp_path / "ran").exists()
    assert lab(database, "trust", "Mine-1", "--yes").exit_code == 0
    assert trust_path().stat().st_mode & 0o077 == 0
    assert lab(database, "sample", "Mine-1", "--tokens", "3").exit_code == 0
    assert (tmp_path / "ran").exists()


def test_the_file_at_hand_lets_the_same_text_in(bundle: Path, tmp_path: Path) -> None:
    store = RunStore.open(tmp_path / "runs.db")
    imported = import_bundle(store, bundle)
    assert not is_trusted(imported.config.source_sha256 or "")
    assert lab(tmp_path / "runs.db", "trust", f"{tmp_path / 'there' / 'mine.py'}:Mine", "--yes").exit_code == 0
    assert is_trusted(imported.config.source_sha256 or "")
    store.close()


def test_what_others_may_write_says_nothing_of_trust(bundle: Path, tmp_path: Path) -> None:
    own = source(GOOD)
    trust(own)
    assert is_trusted(own.sha256)
    trust_path().chmod(0o666)
    assert not is_trusted(own.sha256)


def test_a_run_whose_file_was_changed_is_not_taken_in_and_not_run(bundle: Path, tmp_path: Path) -> None:
    store = RunStore.open(tmp_path / "runs.db")
    imported = import_bundle(store, bundle)
    with store.database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE model_source SET text = text || '# more'")
    with pytest.raises(OwnModelError, match="not the one that it was trained with"):
        stored_source(store, imported)
    path = tmp_path / "changed.labrun"
    write_bundle(store, imported, path)
    other = RunStore.open(tmp_path / "other.db")
    with pytest.raises(BundleError, match="the file of its model is not the one"):
        import_bundle(other, path)
    with store.database.writer.begin() as connection:
        connection.exec_driver_sql("DELETE FROM model_source")
    write_bundle(store, imported, path)
    with pytest.raises(BundleError, match="lacks the one that it needs"):
        import_bundle(other, path)
    store.close()
    other.close()


def test_a_dry_run_lets_nothing_in_and_a_queued_one_keeps_the_file(tmp_path: Path) -> None:
    database, word = tmp_path / "runs.db", write(tmp_path)
    assert lab(database, "queue", "add", word, "--steps", "3", "--dry-run").exit_code == 0
    assert not trust_path().exists()
    assert lab(database, "queue", "add", word, "--steps", "3", "--seeds", "2").exit_code == 0
    store = RunStore.open(database)
    runs: list[RunRow] = store.runs()
    assert [row.name for row in runs] == ["Mine-1", "Mine-2"]
    assert stored_source(store, runs[1]).class_name == "Mine"
    assert is_trusted(runs[0].config.source_sha256 or "")
    facts = compose(RunRequest(word), database)[0].dataset
    stranger = own_config(source(GOOD + "# other\n"), dataset="shakespeare", dataset_as="stream")
    with pytest.raises(UsageError, match="the file of Mine is not here"):
        store.add_runs([NewRun(stranger, facts)])
    store.close()
