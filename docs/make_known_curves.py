"""Makes the table of the stages' known curves from a database that holds a whole ladder:

    lab ladder --db ladder.db && python docs/make_known_curves.py ladder.db

Of each stage, the last finished run of exactly its shipped config, whatever the seed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import lab.analysis.known_curves as known_curves
from lab.config.ladder import STAGES, stage_config
from lab.store.run_store import RunStore


def main() -> None:
    """Writes the table beside the module that reads it, and says of which stages."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    path = Path(known_curves.__file__).with_name(known_curves.FILE_NAME)
    table = json.loads(path.read_text()) if path.exists() else {}
    store = RunStore.open(Path(sys.argv[1]))
    for run in store.runs():
        known = {stage.name for stage in STAGES}
        if run.status != "finished" or run.stage not in known or run.parent_id:
            continue
        shipped = stage_config(run.stage, dataset_as=run.config.dataset_as)
        if shipped.group_hash(run.dataset_sha256) != run.group_hash:
            continue
        val = store.points(run.id, "val/loss")
        table[run.stage] = {
            "dataset_sha256": run.dataset_sha256,
            "steps": val.steps.tolist(),
            "val_loss": [round(float(value), 4) for value in val.values],
        }
        print(f"{run.stage}: {len(val)} evaluations of run {run.id}")
    store.close()
    lines = ",\n".join(f"  {json.dumps(stage)}: {json.dumps(known)}" for stage, known in table.items())
    path.write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
