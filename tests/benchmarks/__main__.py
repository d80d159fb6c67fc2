"""`python -m tests.benchmarks [NAME…] [--json]`: ours against the baseline, in turns, as ratios measured in one run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping

from tests.benchmarks import storage, training
from tests.benchmarks.measure import Comparison, machine

BENCHMARKS: Mapping[str, Callable[[], Comparison]] = {
    "bigram": lambda: training.one_run("bigram", 2000, "≥ 2×", repetitions=5),
    "mlp": lambda: training.one_run("mlp", 10_000, "≥ 1.3×", repetitions=5),
    "layernorm": lambda: training.one_run("layernorm", 500, "≥ 2.5×", repetitions=5),
    "ladder": lambda: training.small_ladder(repetitions=1),
    "diagnostics": lambda: training.diagnostics("layernorm", repetitions=5),
    "diagnostics-cpu": lambda: training.diagnostics("scaled-cpu", repetitions=5),
    "open": lambda: storage.open_large_database(repetitions=5),
    "log": lambda: storage.log_points(repetitions=5),
}


def main() -> None:
    """Runs the benchmarks that are named, or all, and prints their table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark '{unknown[0]}'; there are {', '.join(BENCHMARKS)}")
    documents = [BENCHMARKS[name]().document() for name in arguments.names or BENCHMARKS]
    if arguments.json:
        print(json.dumps({"machine": machine(), "benchmarks": documents}, indent=2, ensure_ascii=False))
        return
    print(machine())
    print(f"{'':18}{'ours':>10}{'baseline':>10}{'ratio':>8}  {'(min–max)':14}{'target':20}note")
    for row in documents:
        spread = f"({row['ratio_min']:.2f}–{row['ratio_max']:.2f})"
        print(
            f"{row['name']:18}{row['ours_seconds']:9.3f}s{row['baseline_seconds']:9.3f}s{row['ratio']:7.2f}×  "
            f"{spread:14}{row['target']:20}{row['note']}"
        )


if __name__ == "__main__":
    main()
