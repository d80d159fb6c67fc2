"""The tables of runs.db."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA_VERSION = 2
APPLICATION_ID = 0x6C616231
"""`lab1`: SQLite's mark of whose file this is."""

LARGEST_POINT_COUNT = 5000
"""Points kept of a metric, whatever the run's length; a longer one is kept in buckets of several steps."""


class Base(DeclarativeBase):
    """What all tables share."""


class Run(Base):
    """One config, trained or to be trained. Lists read this table alone; times are seconds since the epoch."""

    __tablename__ = "run"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(default="training")
    name: Mapped[str]
    stage: Mapped[str]
    dataset: Mapped[str]
    dataset_kind: Mapped[str]
    dataset_sha256: Mapped[str]
    config_json: Mapped[str]
    config_hash: Mapped[str] = mapped_column(index=True)
    group_hash: Mapped[str] = mapped_column(index=True)
    seed: Mapped[int]
    experiment: Mapped[str | None]
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("run.id", ondelete="SET NULL"))
    parent_step: Mapped[int | None]

    status: Mapped[str]
    queue_position: Mapped[float | None]
    wish: Mapped[str | None]
    trained_by: Mapped[str] = mapped_column(default="worker")
    attempt: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]

    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int]
    parameters: Mapped[int | None]
    train_loss: Mapped[float | None]
    val_loss: Mapped[float | None]
    best_val_loss: Mapped[float | None]
    best_step: Mapped[int | None]
    chars_per_second: Mapped[float | None]
    seconds: Mapped[float] = mapped_column(default=0.0)

    device: Mapped[str | None]
    precision: Mapped[str | None]
    threads: Mapped[int | None]
    torch_version: Mapped[str | None]
    lab_version: Mapped[str]

    created_at: Mapped[float]
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    trashed_at: Mapped[float | None]
    tags_json: Mapped[str] = mapped_column(default="[]")
    notes: Mapped[str] = mapped_column(default="")

    __table_args__ = (Index("run_waiting", "status", "queue_position"),)


class Dataset(Base):
    """What must be known of a dataset to decode a run's samples after its file is gone."""

    __tablename__ = "dataset"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    path: Mapped[str]
    characters: Mapped[int]
    vocabulary_json: Mapped[str]
    counting_loss: Mapped[float]


class Metric(Base):
    """One number over the steps of a run, kept in buckets of `bucket_width` steps."""

    __tablename__ = "metric"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    name: Mapped[str]
    bucket_width: Mapped[int]

    __table_args__ = (UniqueConstraint("run_id", "name"),)


class Point(Base):
    """One bucket of a metric: its last step, and mean, low and high of the finite values (NULL where none was)."""

    __tablename__ = "point"

    metric_id: Mapped[int] = mapped_column(ForeignKey("metric.id", ondelete="CASCADE"), primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[int]
    value: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    nonfinite: Mapped[int]

    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (as SQLAlchemy documents it)


class Tensor(Base):
    """A tensor of a run's model that diagnostics look at: its name, what of it is kept, and the edges of its bins."""

    __tablename__ = "tensor"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    name: Mapped[str]
    kind: Mapped[str]
    edges: Mapped[str]

    __table_args__ = (UniqueConstraint("run_id", "name", "kind"),)


class Histogram(Base):
    """How a tensor's values were spread at one snapshot of the diagnostics, or at several neighbours, merged.

    The edges of the bins are fixed, so that neighbours add up exactly; `step` is the last of those in it.
    """

    __tablename__ = "histogram"

    tensor_id: Mapped[int] = mapped_column(ForeignKey("tensor.id", ondelete="CASCADE"), primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[int]
    first_step: Mapped[int]
    snapshots: Mapped[int]
    bins: Mapped[bytes] = mapped_column(LargeBinary)
    mean: Mapped[float | None]
    std: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    saturated: Mapped[float | None]
    dead: Mapped[float | None]
    log10_ratio: Mapped[float | None]

    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 (as SQLAlchemy documents it)


class LRSweep(Base):
    """What a run of kind `lr-sweep` was asked to try, and what came of it."""

    __tablename__ = "lr_sweep"

    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    spec_json: Mapped[str]
    result_json: Mapped[str | None]


class ModelSource(Base):
    """The file of a person's own model, as it was when the run was made."""

    __tablename__ = "model_source"

    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    file_name: Mapped[str]
    class_name: Mapped[str]
    sha256: Mapped[str]
    text: Mapped[str]


class TestLook(Base):
    """One look at a run's loss on the test split; all are kept, since each makes the next mean less."""

    __tablename__ = "test_look"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), index=True)
    at: Mapped[float]
    step: Mapped[int]
    loss: Mapped[float]


class Inspection(Base):
    """What was computed of a checkpoint for one view, kept because it took a while."""

    __tablename__ = "inspection"

    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    checkpoint_sha256: Mapped[str] = mapped_column(primary_key=True)
    view: Mapped[str] = mapped_column(primary_key=True)
    result_json: Mapped[str]
    created_at: Mapped[float]


class Setting(Base):
    """A fact about the whole database, by its name."""

    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Sample(Base):
    """Text that the model wrote at a step of its training."""

    __tablename__ = "sample"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"))
    step: Mapped[int]
    text: Mapped[str]

    __table_args__ = (UniqueConstraint("run_id", "step"),)


class Checkpoint(Base):
    """A file that holds a model: `complete` to go on from, `best` and `milestone` the weights alone."""

    __tablename__ = "checkpoint"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), index=True)
    step: Mapped[int]
    kind: Mapped[str]
    path: Mapped[str]
    sha256: Mapped[str]
    size: Mapped[int]
    created_at: Mapped[float]


class Event(Base):
    """A line of a run's log."""

    __tablename__ = "event"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), index=True)
    at: Mapped[float]
    step: Mapped[int]
    level: Mapped[str]
    text: Mapped[str]
