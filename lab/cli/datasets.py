"""`lab dataset`: what there is to train on, and how the model sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli import options
from lab.errors import UsageError

if TYPE_CHECKING:
    from lab.datasets.dataset import Dataset

dataset = typer.Typer(help="Datasets: what there is to train on.")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(dataset, name="dataset")


@dataset.command("list")
def list_datasets(as_json: options.AsJson = False, database: options.Database = None) -> None:
    """The datasets that come with lab, and those that were added."""
    from lab.cli.output import WRAPPED, print_json, print_table
    from lab.datasets.dataset import SHIPPED, added_datasets
    from lab.packaged import packaged_folder
    from lab.store.location import dataset_library, find_database

    found = [(name, kind, packaged_folder("data") / f"{name}.txt") for name, kind in SHIPPED.items()]
    found += added_datasets(dataset_library(find_database(database)))
    if as_json:
        print_json([{"name": name, "kind": kind, "path": str(path)} for name, kind, path in found])
        return
    rows = [[name, kind, f"{path.stat().st_size:,}", str(path)] for name, kind, path in found]
    print_table([("name", "left"), ("as", "left"), ("bytes", "right"), ("path", WRAPPED)], rows)


@dataset.command("add")
def add(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A UTF-8 text file; it is copied.")],
    dataset_as: options.DatasetAs = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="The file's name unless given.")] = "",
    database: options.Database = None,
) -> None:
    """Add a text to the datasets of this database."""
    from lab.datasets.dataset import add_dataset
    from lab.store.location import dataset_library, find_database

    if dataset_as not in (None, "stream", "words"):
        raise UsageError(f"--as {dataset_as}: must be 'stream' or 'words'")
    library = dataset_library(find_database(database))
    added = add_dataset(path, dataset_as or "stream", library, name or None)  # type: ignore[arg-type]
    print(f"{added.name}: {added.characters:,} characters, {added.vocabulary_size} distinct, as {added.kind}")


@dataset.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A dataset's name, or a text file.")],
    dataset_as: options.DatasetAs = None,
    context_length: Annotated[int, typer.Option("--context", metavar="T", min=1, help="Of the batch shown.")] = 8,
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Show a dataset as a model sees it.

    Its vocabulary, counts, splits and overlaps, and one example unrolled.
    """
    from lab.cli.output import print_json
    from lab.queue.requests import read_dataset
    from lab.store.location import find_database

    if dataset_as not in (None, "stream", "words"):
        raise UsageError(f"--as {dataset_as}: must be 'stream' or 'words'")
    found = read_dataset(name, dataset_as, find_database(database))  # type: ignore[arg-type]
    found.check_fits(context_length, every_position=False)
    document = _document(found, context_length)
    if as_json:
        print_json(document)
    else:
        _print(document)


def _document(found: Dataset, context_length: int) -> dict[str, Any]:
    import numpy as np

    from lab.datasets.counting import counting_loss, guessing_evenly
    from lab.datasets.overlap import overlaps

    counts = sum(np.bincount(ids, minlength=found.vocabulary_size) for ids in found.splits.values())
    return {
        "name": found.name,
        "as": found.kind,
        "path": str(found.path),
        "sha256": found.sha256,
        "characters": found.characters,
        "vocabulary": [
            {"id": i, "character": character, "count": int(np.atleast_1d(counts)[i])}
            for i, character in enumerate(found.tokenizer.vocabulary)
        ],
        "splits": {split: len(ids) for split, ids in found.splits.items()},
        "overlaps": overlaps(found),
        "guessing_evenly": guessing_evenly(found.vocabulary_size),
        "bigram_by_counting": counting_loss(found),
        "batch": _unrolled(found, context_length),
    }


def _unrolled(found: Dataset, context_length: int) -> list[dict[str, str]]:
    """The first example of the train split, one line for each context that it holds."""
    decode = found.tokenizer.decode
    if found.kind == "stream":
        ids = found.splits["train"][: context_length + 1].tolist()
        return [{"context": decode(ids[:t]), "target": decode(ids[t : t + 1])} for t in range(1, len(ids))]
    windows = found.examples("train", context_length, every_position=False)
    first_word = windows[: int((windows[:, -1] == found.tokenizer.start_id).argmax()) + 1].tolist()
    return [{"context": decode(row[:-1]), "target": decode(row[-1:])} for row in first_word]


def _print(document: dict[str, Any]) -> None:
    from lab.datasets.tokenizer import visible
    from lab.text import literal

    def shown(text: str) -> str:
        if document["as"] == "words":
            return literal(text.replace("\n", "."))
        return "".join(visible(character) for character in text)

    print(f"{literal(document['name'])}, as {document['as']}: {document['characters']:,} characters")
    print(f"{literal(document['path'])}\nSHA-256 {document['sha256']}\n")
    vocabulary = document["vocabulary"]
    print(f"vocabulary: {len(vocabulary)} characters (id, character, count)")
    cells = [f"{entry['id']:>3} {shown(entry['character'])} {entry['count']:>9,}" for entry in vocabulary]
    for row in range(0, len(cells), 6):
        print("  " + "   ".join(cells[row : row + 6]))
    print("\nsplits")
    whole = sum(document["splits"].values())
    for split, size in document["splits"].items():
        print(f"  {split:5} {size:>11,} characters  {size / whole:.1%}")
    for line in document["overlaps"]:
        print(f"  {line}")
    print(
        f"\nguessing evenly {document['guessing_evenly']:.4f}, bigram by counting {document['bigram_by_counting']:.4f}"
    )
    print("\none example, unrolled: context → target")
    width = max(len(shown(line["context"])) for line in document["batch"])
    for line in document["batch"]:
        print(f"  {shown(line['context']):>{width}} → {shown(line['target'])}")
