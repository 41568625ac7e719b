"""A model that needs no training: its answers are simple functions of the samples, so that a test knows what is right."""

import numpy as np

from keras_ser.serving import Predictor
from keras_ser.tasks import Task

EMOTION = Task("emotion", ("low", "middle", "high"))
AROUSAL = Task("arousal", low=-1.0, high=1.0)
RATE = 8000


def answers(waveform: np.ndarray) -> tuple[np.ndarray, float]:
    """Of one clip without padding: probabilities by its zero crossings, and its mean magnitude."""
    crossings = np.mean(np.diff(np.signbit(waveform)) != 0) if len(waveform) > 1 else 0.0
    scores = -(((crossings - np.array([0.05, 0.25, 0.6])) / 0.2) ** 2)
    e = np.exp(scores - scores.max())
    return e / e.sum(), float(np.abs(waveform).mean())


def predictor(max_seconds: float = 20.0, tasks=(EMOTION, AROUSAL), calls: list | None = None) -> Predictor:
    """`calls` collects the sizes (clips, samples) of every batch that was scored."""

    def score(waveform, lengths):
        if calls is not None:
            calls.append(waveform.shape)
        rows = [answers(x[:n]) for x, n in zip(waveform, lengths, strict=True)]
        return {
            "emotion/probabilities": np.array([p for p, _ in rows]),
            "arousal/value": np.array([v for _, v in rows]),
        }

    return Predictor("stand-in", tuple(tasks), RATE, max_seconds, score)
