"""`lab sample`: text from any stored run."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli import options
from lab.errors import UsageError

_NAMES_UNLESS_GIVEN = 10


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("sample")(sample)


def sample(
    run_name: options.RunName,
    prompt: Annotated[str, typer.Option("--prompt", metavar="S", help="Text to go on from.")] = "",
    tokens: Annotated[int, typer.Option("--tokens", metavar="N", help="Characters to write.")] = 500,
    count: Annotated[int | None, typer.Option("--count", metavar="N", help="Samples; 1, or 10 words.")] = None,
    temperature: Annotated[float, typer.Option("--temperature", metavar="T", help="0 takes the likeliest.")] = 1.0,
    top_k: Annotated[int | None, typer.Option("--top-k", metavar="K", help="Draw from the likeliest K.")] = None,
    top_p: Annotated[
        float | None, typer.Option("--top-p", metavar="P", help="Draw from the likeliest that reach P.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same seed writes the same.")] = 1337,
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", metavar="best|last|STEP", help="Which of the run's models.")
    ] = "best",
    as_json: options.AsJson = False,
    database: options.Database = None,
) -> None:
    """Sample from a stored run. An empty prompt starts as the lecture does."""
    if tokens < 1 or (count is not None and count < 1):
        raise UsageError(f"--tokens {tokens} --count {count or 1}: both must be at least 1")
    if not 0 <= seed < 2**63:
        raise UsageError(f"--seed {seed}: must be from 0 to 2^63 - 1")
    import time

    from lab.cli.output import say
    from lab.cli.stored import stored_runs

    with stored_runs(database) as store:
        run = store.resolve(run_name)
        from lab.inference.sampling import SamplingOptions, sample_texts
        from lab.inference.stored import read_stored_checkpoint
        from lab.store.checkpoints import sound_checkpoint

        options_ = SamplingOptions(temperature, top_k, top_p, seed)
        row, damage = sound_checkpoint(store, run, checkpoint)
        if damage:
            say(damage)
        stored = read_stored_checkpoint(store, row)
    from lab.cli.output import say
    from lab.datasets.tokenizer import CharacterTokenizer
    from lab.models.own import explained_where_own, prints_told

    words = stored.config.dataset_as == "words"
    with prints_told(say), explained_where_own(stored.config):
        model = stored.model()
        began = time.perf_counter()
        texts = sample_texts(
            model,
            stored.config,
            CharacterTokenizer(stored.vocabulary),
            prompt=prompt,
            tokens=tokens,
            count=count or (_NAMES_UNLESS_GIVEN if words else 1),
            options=options_,
        )
    seconds = time.perf_counter() - began
    if as_json:
        _print_json(run.id, row.step, texts, len(prompt), seconds)
    else:
        _print(texts, words)


def _print_json(run_id: str, step: int, texts: list[str], prompt_length: int, seconds: float) -> None:
    from lab.cli.output import print_json

    written = [len(text) - prompt_length for text in texts]
    samples = [{"text": text, "tokens": number} for text, number in zip(texts, written, strict=True)]
    print_json({"run": run_id, "step": step, "samples": samples, "tokens_per_second": sum(written) / seconds})


def _print(texts: list[str], words: bool) -> None:
    from lab.text import literal

    for i, text in enumerate(texts):
        if i and not words:
            print("─" * 40)
        print(literal(text, lines=not words))
