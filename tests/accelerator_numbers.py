"""An epoch of two trainings at once by `benchmarks/accelerator_replicas.py` (JAX), and all that is needed to train the second again
under another backend: into an .npz file."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from accelerator_clips import Clips, Replica, _about

from keras_ser.models.aspmtl import Config
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

TASKS = (Task("emotion", ("anger", "neutral", "sadness")), Task("gender", ("female", "male")))
LENGTHS = (5, 30, 12, 23, 9, 17, 31, 14)
BINS = {"mfcc": 39, "energy": 1}


def recipe() -> Recipe:
    """No dropout: each backend would draw other units. Three batches an epoch, the last one not full."""
    return Recipe(
        "tiny",
        "demo",
        TASKS,
        (Protocol("speakers", "leave-one-out", by="speaker", validation=1),),
        config=Config(units=4, dense=5, layers=1, dropout=0.0, adversary="label", mu=0.0),
        frontend=FrontendConfig(features=tuple(BINS)),
        sampling=Sampling("segments", frames=12, hop=12, rare_hop=6),
        optimizer=OptimizerConfig("adam", 1e-2),
        batch_size=4,
    )


def clips() -> Clips:
    """Random features of clips of several lengths; of the second fold other clips train, and features have another scale."""
    rng = np.random.default_rng(3)
    ends, count = np.cumsum([0, *LENGTHS]).astype("int32"), len(LENGTHS)
    labels = {task.name: rng.integers(0, task.size, count).astype("int32") for task in TASKS}
    segments = [
        np.array([(i, a) for i in fold for a in range(0, LENGTHS[i], 12)], "int32")
        for fold in ((1, 3), (0, 1, 2, 4, 6))
    ]
    return Clips(
        about={
            **_about(recipe()),
            "inputs": BINS,
            "tasks": {t.name: list(t.labels) for t in TASKS},
            "protocol": "p",
            "folds": [0, 1],
        },
        frames=rng.normal(2.0, 3.0, size=(ends[-1], sum(BINS.values()))).astype("float32"),
        ends=ends,
        ids=np.array([f"c{i}" for i in range(count)]),
        speakers=np.array(["a"] * count),
        genders=np.array([""] * count),
        labels=labels,
        sides=np.zeros((2, count), "int8"),
        mean=rng.normal(2.0, 1.0, size=(2, 40)).astype("float32"),
        variance=rng.uniform(1.0, 9.0, size=(2, 40)).astype("float32"),
        segments=segments,
        shuffled=np.zeros((2, 1, count), "int8"),
    )


def numbers() -> dict[str, np.ndarray]:
    from accelerator_replicas import Replicas

    from keras_ser.layers import lstm

    found = {}
    for name, replicas in {"both": [Replica(0, 0), Replica(1, 0)], "alone": [Replica(1, 0)]}.items():
        lstm._gpu = lambda name=name: (
            name == "both"
        )  # the loop of JAX on a GPU, which any device can compute; else Keras's
        made = Replicas(recipe(), clips(), replicas)
        epoch, judge = (program.compile() for program in made.lowered())
        (index, weight, active), model = made.plan(0), made.network.model
        names = [variable.path for variable in model.trainable_variables]
        found |= {f"initial/{path}": values[-1] for path, values in zip(names, made.state[0], strict=True)}
        state, loss = epoch(made.state, (index, weight, active), made.labels, made.data)
        found |= {f"{name}/{path}": np.asarray(values)[-1] for path, values in zip(names, state[0], strict=True)}
        found[f"{name} loss"] = np.asarray(loss)[-1]
        found[f"{name} posteriors"] = np.asarray(judge(state[0], state[1], made.data))[-1]
    for step in range(int(made.steps[0])):
        segments = made.data["segments"][index[0, step]]
        x = made._cut(made.data, segments)
        found |= {f"x {step}/{key}": np.asarray(value) for key, value in x.items()}
        found[f"clip {step}"], found[f"w {step}"] = segments[:, 0], weight[0, step]
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **numbers())
