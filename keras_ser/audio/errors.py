"""What is raised where a file can't be used."""


class AudioError(ValueError):
    """A file that can't be used as audio; the message is one line and names the file."""
