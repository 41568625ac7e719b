"""The error for files that cannot be used."""

from keras_ser.errors import UserError


class AudioError(UserError):
    """A file that can't be used as audio; the message is one line and names the file.

    Args:
        message: what was expected, what was received, and the way out.
        kind: "missing", "empty" (no samples), "non-finite" (samples that are NaN, infinite or absurdly large), or "unreadable":
            everything else.
    """

    def __init__(self, message: str, kind: str = "unreadable"):
        super().__init__(message)
        self.kind = kind
