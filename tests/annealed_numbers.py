"""An epoch of two trainings of AAE-MTL at once by `benchmarks/accelerator_annealed.py` (JAX), and all that is needed to train the
second again under another backend: into an .npz file."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from accelerator_clips import Replica
from accelerator_examples import Examples, about

from keras_ser.models.aae_mtl import Config
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling, Stream
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

FEATURE, FRAMES, BINS = "linear_bands", 16, 8
TASKS = (
    Task("emotion", ("anger", "neutral", "sadness")),
    Task("gender", ("female", "male")),
    Task("speaker", ("a/1", "a/2", "b/1"), identity=True),
)


def recipe(kind: str = "aae") -> Recipe:
    """No dropout: each backend would draw other units. An auxiliary corpus without emotions makes up half of each batch."""
    small = {"filters": (4, 3), "kernels": (3, 3), "pools": ((2, 2), (2, 1)), "head_filters": 3, "dense": (6, 5)}
    return Recipe(
        "tiny",
        "a",
        TASKS,
        (Protocol("speakers", "leave-one-out", by="speaker"),),
        model="aae_mtl",
        config=Config(kind, dropout=0.0, discriminator_rate=0.5, adversary=0.7, **small),
        frontend=FrontendConfig(features=(FEATURE,), bins=BINS),
        streams=(Stream("clips"), Stream("more", corpus="b")),
        sampling=Sampling("segments", frames=FRAMES, hop=FRAMES, balance=False),
        optimizer=OptimizerConfig("adam", 1e-2, schedule="cosine"),
        batch_size=8,
        epochs=3,
        patience=0,
    )


def examples() -> Examples:
    """Random features of clips of one or two segments, of which each fold trains others, and features of another scale."""
    rng = np.random.default_rng(5)
    clip = np.repeat(np.arange(14), [1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1])
    streams = np.array([""] * 9 + ["b"] * 5)
    valid = rng.integers(9, FRAMES + 1, len(clip))
    x = rng.normal(3.0, 2.0, (len(clip), FRAMES, BINS)) * (np.arange(FRAMES) < valid[:, None])[..., None]
    sides = np.stack([np.where(streams == "b", 3, rng.permutation([0] * 6 + [2] * 3 + [0] * 5)) for _ in range(2)])
    emotions = rng.choice(TASKS[0].labels, len(streams))
    return Examples(
        about={**about(recipe()), "folds": [0, 1]},
        x={FEATURE: x.astype("float32")},
        valid={FEATURE: valid.astype("int32")},
        clip=clip.astype("int32"),
        trains=np.ones(len(clip), bool),
        ids=np.array([f"c{i}" for i in range(len(streams))]),
        speakers=np.array(["1"] * len(streams)),
        genders=np.array(["male"] * len(streams)),
        streams=streams,
        names={
            "emotion": np.where(streams == "b", "", emotions),
            "gender": rng.choice([*TASKS[1].labels, ""], len(streams)),
            "speaker": np.where(streams == "b", "b/1", rng.choice(["a/1", "a/2"], len(streams))),
        },
        sides=sides.astype("int8"),
        moments={FEATURE: rng.uniform(1.0, 3.0, (2, 2, 2, BINS)).astype("float32")},
    )


def noise(shape) -> np.ndarray:
    """What both backends take as samples of the prior."""
    return np.sin(1.7 * np.arange(np.prod(shape))).reshape(shape).astype("float32")


def numbers(kind: str) -> dict[str, np.ndarray]:
    import accelerator_parts
    from accelerator_annealed import Annealed

    accelerator_parts.prior = lambda key, number, shape: noise(shape)
    found = {}
    for name, replicas in {"both": [Replica(0, 0), Replica(1, 0)], "alone": [Replica(1, 0)]}.items():
        made = Annealed(recipe(kind), examples(), [0], len(replicas))
        epoch, judge = (program.compile() for program in made.lowered())
        state, scales, keys = made._group(replicas)
        plans = made._plans(replicas, 0)
        parts = made.first.models
        paths = {part: [v.path for v in model.trainable_variables] for part, model in parts.items()}
        for part, own in paths.items():
            found |= {f"initial/{part}/{p}": v[-1] for p, v in zip(own, state["weights"][part], strict=True)}
        state, logs = epoch(state, plans, scales, keys, made.data)
        for part, own in paths.items():
            found |= {f"{name}/{part}/{p}": np.asarray(v)[-1] for p, v in zip(own, state["weights"][part], strict=True)}
        found |= {f"{name} log {key}": np.asarray(value)[-1] for key, value in logs.items()}
        found[f"{name} posteriors"] = np.asarray(judge(state, made.data))[-1]
    steps = int(plans["active"][-1].sum())
    found |= {"rows": plans["index"][-1][:steps], "rates": plans["factor"][-1][:steps]}
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **numbers(sys.argv[2]))
