"""What lab says when something cannot be done: one line that names the thing and the remedy."""


class LabError(Exception):
    """The work failed; the message is shown as it is and the command exits with 1."""

    exit_status = 1


class UsageError(LabError):
    """The request was wrong; nothing was written and the command exits with 2."""

    exit_status = 2


class ConfigError(UsageError):
    """A config breaks a rule; the message names the field, the value and the rule."""


class ExperimentError(ConfigError):
    """An experiment's file cannot be read, or is wrong; the message names the file, the line and the column."""


class GridTooLargeError(ConfigError):
    """A grid has more combinations than a person can have meant; none of them has been made."""

    def __init__(self, count: int, most: int, *, final: bool, conditions: bool) -> None:
        before = " before its conditions" if conditions else ""
        self.said = f"the grid comes to {count:,} runs{before}"
        meant = f"give fewer values, or confirm that more than {most:,} are meant (--yes)"
        super().__init__(f"{self.said}: {'give fewer values' if final else meant}")
        self.final = final


class DatasetError(UsageError):
    """A dataset cannot be read or does not fit the config."""


class PromptError(UsageError):
    """A prompt holds characters that the model's vocabulary lacks."""


class StoreError(LabError):
    """The database cannot be used: unwritable, foreign, corrupt, or of a newer lab."""


class DamagedDatabaseError(StoreError):
    """The database is not whole: it is not written to any more; `lab doctor --repair` saves what can be saved."""


class NotADatabaseError(StoreError):
    """The file is no SQLite database, or its very head is damaged."""


class StorageError(StoreError):
    """The disk is full, read-only or failing: what is stored is whole, and more is when there is room."""


class DatabaseLockedError(StoreError):
    """Another program has held the database for longer than a person would wait; who trains goes on waiting."""


class RunNotFoundError(UsageError):
    """No run, or more than one, goes by that id or name."""


class CheckpointError(LabError):
    """A checkpoint is missing, damaged, or does not fit the model."""


class OwnModelError(LabError):
    """A model of one's own breaks the contract, raises, or may not be run here; the message names what and where.

    `trace` holds the lines of the traceback, where it raised.
    """

    def __init__(self, message: str, trace: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.trace = trace


class AttemptLostError(LabError):
    """Another attempt has taken over the run: this trainer must write nothing more."""


class WorkerError(LabError):
    """The background worker cannot be started, found or stopped."""


class BundleError(UsageError):
    """A .labrun file cannot be taken in: it is cut short, changed, hostile, or of a newer lab; nothing was written."""


def reason_of(error: Exception) -> str:
    """What an error says; of a database's own, without the statement that met it."""
    return str(getattr(error, "orig", None) or error)
