"""Errors that are reported to users."""


class UserError(ValueError):
    """An input, setting or file that a user can put right.

    The message is one line: what was expected, what was received, and the way out. Commands print it and exit with 2; any other
    exception is a fault of this package and keeps its traceback. Subclasses name the kind: `CorpusError`, `LeakageError`,
    `AudioError`, `RunError`, ..
    """


class UnknownKeyError(UserError, KeyError):
    """A name that is not among those there are."""

    __str__ = Exception.__str__  # KeyError would print the message in quotes


class DivergenceError(UserError, FloatingPointError):
    """A loss or a weight is not finite."""


class RunError(UserError):
    """A run's or an experiment's folder is not what it should be."""


class DiskError(UserError):
    """A file that cannot be written: the disk is full or read-only, or permission is missing."""


class MissingModelError(UserError):
    """The model that a recipe names is not installed here.

    Args:
        message: see `UserError`.
        model: its name.
    """

    def __init__(self, message: str, model: str = ""):
        super().__init__(message)
        self.model = model
