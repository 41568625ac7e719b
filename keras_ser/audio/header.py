"""The header of an audio file, the range of samples between two times, and the error for unusable files."""

from dataclasses import dataclass
from pathlib import Path

from keras_ser.errors import UserError

SLACK_SECONDS = 0.01  # label files round times: an `end` this far beyond the last sample means the last sample
RATES = (1000, 1_000_000)  # Hz; a damaged header may hold any number, and resampling from 1 Hz would exhaust memory


class AudioError(UserError):
    """A file that can't be used as audio; the message is one line and names the file.

    Its `kind` is "missing", "empty" (no samples), "non-finite" (samples that are NaN, infinite or absurdly large) or "unreadable"
    (everything else).
    """

    def __init__(self, message: str, kind: str = "unreadable"):
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Info:
    """The header of an audio file.

    Args:
        sample_rate: Hz.
        channels: number of channels.
        seconds: duration; 0 if unknown.
        subtype: libsndfile's name of the encoding ("PCM_16", "FLOAT", ..), or FFmpeg's codec ("aac").
        samples: samples per channel; 0 if unknown or approximate.
    """

    sample_rate: int
    channels: int
    seconds: float
    subtype: str
    samples: int = 0


def check_rate(path: Path, rate: int) -> None:
    """Raise AudioError for a sample rate outside `RATES`."""
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioError(
            f"{path}: corrupt: expected a sample rate of {RATES[0]} to {RATES[1]} Hz, its header says {rate}."
        )


def span(path: Path, frames: int, rate: int, start: float | None, end: float | None) -> tuple[int, int]:
    """Convert times in seconds to (first sample, one past the last) of a file of `frames` samples, or raise AudioError."""
    if frames <= 0:
        raise AudioError(f"{path}: the file holds no samples.", "empty")
    first = 0 if start is None else round(start * rate)
    last = frames if end is None else round(end * rate)
    if first >= frames or last > frames + SLACK_SECONDS * rate:
        raise AudioError(f"{path}: expected times within {frames / rate:.3f} s. Received: start={start}, end={end}.")
    return first, max(min(last, frames), first + 1)
