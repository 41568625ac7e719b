"""Errors that are reported to users."""


class UserError(ValueError):
    """Error in an input, setting or file that the user can correct.

    The message is one line: what was expected, what was received, and how to fix it. Commands print it and exit with status 2; any
    other exception is a bug in this package and keeps its traceback. Subclasses name the kind: `CorpusError`, `LeakageError`,
    `AudioError`, `RunError`, ..
    """


class UnknownKeyError(UserError, KeyError):
    """A name is not among the known ones."""

    __str__ = Exception.__str__  # KeyError would print the message in quotes


class DivergenceError(UserError, FloatingPointError):
    """A loss or a weight is not finite."""


class RunError(UserError):
    """The folder of a run or an experiment is missing, damaged or belongs to another one."""


class DiskError(UserError):
    """A file cannot be written: the disk is full or read-only, or permission is missing."""


class MissingModelError(UserError):
    """The model that a recipe names is not installed, cannot be imported, or is another module of that name.

    Args:
        message: see `UserError`.
        model: name of the model. Default "".
        reason: clause that says what is there instead. Default: that nothing is.
    """

    def __init__(self, message: str, model: str = "", reason: str = "which is not installed here"):
        super().__init__(message)
        self.model, self.reason = model, reason


class FieldsError(UserError):
    """Settings have other fields, or values of other types, than the class that they are read as.

    Args:
        message: see `UserError`.
        module: module of the class. Default "".
    """

    def __init__(self, message: str, module: str = ""):
        super().__init__(message)
        self.module = module
