"""A made-up predictions table with what makes scoring hard: several seeds, speakers of unequal size, rare classes."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

from keras_ser.tasks import Task

EMOTION = Task("emotion", ("anger", "fear", "joy", "sadness"))
GENDER = Task("gender_task", ("female", "male"))
AROUSAL = Task("arousal", low=-1.0, high=1.0)


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@functools.cache
def _made(
    seeds: Sequence[int] = (0, 1, 2),
    speakers: int = 8,
    per_fold: int = 2,
    protocols: Sequence[str] = ("disjoint",),
    streams: Sequence[str] = ("clean",),
    skill: float = 1.0,
    draw: int = 0,
    clips: int = 1,
) -> pd.DataFrame:
    truth, noise = np.random.default_rng(99), np.random.default_rng(draw)
    facts = []
    for speaker in range(speakers):
        bias = truth.normal(0, 0.5, 4)
        for clip in range(clips * (5 + 3 * (speaker % 4))):
            emotion = truth.choice(4, p=[0.4, 0.3, 0.2, 0.1])
            facts.append((speaker, clip, emotion, bias, truth.uniform(-1, 1)))
    rows = []
    for protocol in protocols:
        for stream in streams:
            for seed in seeds:
                for speaker, clip, emotion, bias, arousal in facts:
                    z = bias + noise.normal(0, 1, 4)
                    z[emotion] += skill
                    p = _softmax(z)
                    female = speaker % 2 == 0
                    q = _softmax(np.array([skill if female else -skill, 0]) + noise.normal(0, 1, 2))
                    rows.append(
                        {
                            "protocol": protocol,
                            "fold": speaker // per_fold,
                            "seed": seed,
                            "stream": stream,
                            "id": f"s{speaker:02d}/c{clip:02d}",
                            "speaker": f"s{speaker:02d}",
                            "gender": "female" if female else "male",
                            "group": f"s{speaker:02d}",
                            "emotion": EMOTION.labels[emotion],
                            "emotion/prediction": EMOTION.labels[p.argmax()],
                            **{f"emotion/{label}": p[i] for i, label in enumerate(EMOTION.labels)},
                            "gender_task": "female" if female else "male",
                            "gender_task/prediction": GENDER.labels[q.argmax()],
                            **{f"gender_task/{label}": q[i] for i, label in enumerate(GENDER.labels)},
                            "arousal": arousal,
                            "arousal/prediction": 0.6 * arousal + 0.1 + noise.normal(0, 0.3),
                        }
                    )
    return pd.DataFrame(rows)


def table(**options) -> pd.DataFrame:
    """A copy of the table with these options, which is made once."""
    return _made(**options).copy()


@pytest.fixture
def make_table() -> Callable[..., pd.DataFrame]:
    return table


@pytest.fixture
def emotion() -> Task:
    return EMOTION


@pytest.fixture
def gender() -> Task:
    return GENDER


@pytest.fixture
def arousal() -> Task:
    return AROUSAL


def _name(table: pd.DataFrame, task: Task, chosen: np.ndarray, label: str) -> None:
    """Make the model name `label` with certainty for the chosen rows, in place."""
    table.loc[chosen, f"{task.name}/prediction"] = label
    for other in task.labels:
        table.loc[chosen, f"{task.name}/{other}"] = float(other == label)


@pytest.fixture
def name_label() -> Callable[..., None]:
    return _name
