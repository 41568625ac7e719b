"""What is raised where a file can't be used."""

from keras_ser.errors import UserError


class AudioError(UserError):
    """A file that can't be used as audio; the message is one line and names the file."""
