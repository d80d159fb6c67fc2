"""`python -m tests.benchmarks [NAME…] [--json]`: ours against the baseline, in turns, as ratios measured in one run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping

from tests.benchmarks import (
    beside,
    charts,
    compare_mode,
    growth,
    inspecting,
    large,
    measure,
    running,
    sampling,
    screen,
    storage,
    training,
)
from tests.benchmarks.measure import Comparison, Figure, machine

BENCHMARKS: Mapping[str, Callable[[], Comparison | list[Figure]]] = {
    "bigram": lambda: training.one_run("bigram", 2000, "≥ 2×", repetitions=5, within=0.1),
    "mlp": lambda: training.one_run("mlp", 10_000, "≥ 1.3×", repetitions=5, within=0.15),
    "layernorm": lambda: training.one_run("layernorm", 500, "≥ 2.5×", repetitions=5, within=0.1),
    "ladder": lambda: training.small_ladder(part=5),
    "scaled": lambda: large.scaled(repetitions=2),
    "modern": lambda: large.modern(repetitions=1),
    "sample-scaled": lambda: sampling.scaled_text(repetitions=3),
    "sample-names": lambda: sampling.many_names(repetitions=5),
    "lr-find": lambda: training.lr_find(repetitions=5),
    "recording": lambda: running.recording("layernorm", repetitions=3),
    "recording-cpu": lambda: running.recording("scaled-cpu", repetitions=3, steps=320),
    "first-step": lambda: running.first_step(repetitions=5),
    "diagnostics": lambda: training.diagnostics("layernorm", repetitions=5),
    "diagnostics-cpu": lambda: training.diagnostics("scaled-cpu", repetitions=5),
    "open": lambda: storage.open_large_database(repetitions=5),
    "log": lambda: storage.log_points(repetitions=5),
    "screen": screen.figures,
    "compare": compare_mode.figures,
    "beside-screen": lambda: beside.training_beside_the_screen(repetitions=3),
    "growth": growth.figures,
    "views": inspecting.figures,
    "redraw": lambda: charts.draw_again(repetitions=9),
    "zoom": lambda: charts.zoom(repetitions=9),
    "load-and-draw": lambda: charts.load_and_draw(repetitions=5),
}

LONG: Mapping[str, Callable[[], Comparison | list[Figure]]] = {
    "modern-minutes": large.modern_minutes,
    "modern-minutes-first-tenth": large.modern_minutes_first_tenth,
}
"""Those that take many minutes: run where they are named."""


def main() -> None:
    """Runs the benchmarks that are named, or all, and prints their table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*BENCHMARKS, *LONG]))
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--repetitions", type=int, default=measure.most_repetitions, help="at most so many of each")
    arguments = parser.parse_args()
    measure.most_repetitions = max(1, arguments.repetitions)
    known = {**BENCHMARKS, **LONG}
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"no benchmark '{unknown[0]}'; there are {', '.join(known)}")
    measured = [known[name]() for name in arguments.names or BENCHMARKS]
    comparisons = [each.document() for each in measured if isinstance(each, Comparison)]
    figures = [figure.document() for each in measured if isinstance(each, list) for figure in each]
    if arguments.json:
        document = {"machine": machine(), "benchmarks": comparisons, "figures": figures}
        print(json.dumps(document, indent=2, ensure_ascii=False))
        return
    print(machine())
    if comparisons:
        print(f"{'':18}{'ours':>10}{'baseline':>10}{'ratio':>8}  {'(min–max)':14}{'by CPU':>8}  {'target':20}note")
    for row in comparisons:
        by_cpu = f"{row['cpu_ratio']:.2f}×" if row["cpu_ratio"] else ""
        spread = f"({row['ratio_min']:.2f}–{row['ratio_max']:.2f})"
        print(
            f"{row['name']:18}{row['ours_seconds']:9.3f}s{row['baseline_seconds']:9.3f}s{row['ratio']:7.2f}×  "
            f"{spread:14}{by_cpu:>8}  {row['target']:20}{row['note']}"
        )
    if figures:
        print(f"{'':18}{'measured':>12}{'limit':>12}   note")
    for row in figures:
        value = "never" if row["value"] is None else f"{row['value']:.3g} {row['unit']}"
        limit = f"{row['limit']:g} {row['unit']}"
        print(f"{row['name']:18}{value:>12}{limit:>12}   {'' if row['met'] else 'MISSED; '}{row['note']}")


if __name__ == "__main__":
    main()
