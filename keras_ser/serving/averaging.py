"""Average several runs into one model: the mean of their probabilities, over seeds or folds of a recipe, or over recipes.

A front end shared by several runs computes its features once. A clip has the flags of any of the runs; the embedding
concatenates those of all runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_ser.errors import UserError
from keras_ser.models.whole_model import frames_joined

if TYPE_CHECKING:
    from keras_ser.training.run import Run


def check_together(runs: Sequence[Run]) -> None:
    """Check that runs have the same tasks, classes, clusters and sample rate.

    Raises:
        UserError: tasks, classes, the centres of clusters or the sample rate differ from the first run's.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.folder.resolve() == first.folder.resolve():
            raise UserError(f"each run must be given once. Received: {run.folder} twice.")
        for what, a, b in (
            ("tasks", [t.name for t in first.recipe.tasks], [t.name for t in run.recipe.tasks]),
            *(
                each
                for one, two in zip(first.recipe.tasks, run.recipe.tasks, strict=False)
                for each in (
                    (f"classes of {one.name!r}", *(list(task.labels) or [task.low, task.high] for task in (one, two))),
                    (f"clusters of {one.name!r}", list(one.centres), list(two.centres)),
                )
            ),
            ("sample rate", [first.recipe.frontend.sample_rate], [run.recipe.frontend.sample_rate]),
        ):
            if a != b:
                raise UserError(
                    f"averaged runs must have the same {what}. Received: {', '.join(map(str, a))} in {first.folder}, "
                    f"{', '.join(map(str, b))} in {run.folder}."
                )


def averaged(runs: Sequence[Run], models: Sequence[Any]) -> Callable:
    """Return a function {"waveform", "length"} -> {task: (batch, classes)}, means over models, and flags.

    Args:
        runs: finished runs of networks, see `check_together`.
        models: the complete model of each run.
    """
    from keras import ops

    groups: dict[Any, Any] = {}  # front end -> the model whose front end is used for all with the same one
    keys = [_frontend(run, model, number) for number, (run, model) in enumerate(zip(runs, models, strict=True))]
    for key, model in zip(keys, models, strict=True):
        groups.setdefault(key, model.get_layer("extractor"))
    tasks = [task.name for task in runs[0].recipe.tasks]

    def score(given: Mapping[str, Any]) -> dict[str, Any]:
        features = {key: extract(given, training=False) for key, extract in groups.items()}
        found = []
        for key, model in zip(keys, models, strict=True):
            scorer = model.get_layer("scorer")
            found.append(scorer({name: features[key][name] for name in scorer.input}, training=False))
        outputs = {name: mean([each[name] for each in found]) for name in tasks}
        flags: dict[str, list] = {}
        for each in features.values():
            for name, value in each.items():
                if len(value.shape) == 1:
                    flags.setdefault(name, []).append(value)
        return outputs | {name: ops.any(ops.stack(values), axis=0) for name, values in flags.items()}

    return score


def embeddings(runs: Sequence[Run], models: Sequence[Any]) -> Callable:
    """Return a function {"waveform", "length"} -> (batch, units of all models)."""
    from keras import ops

    from keras_ser.models.whole_model import recipe_embedder

    embedders = [recipe_embedder(run.recipe, model) for run, model in zip(runs, models, strict=True)]
    return lambda given: ops.concatenate(
        [ops.cast(embed(given, training=False), "float32") for embed in embedders], axis=-1
    )


def mean(values: Sequence[Any]) -> Any:
    """Return the mean of tensors of one shape, in float32."""
    from keras import ops

    return sum(ops.cast(value, "float32") for value in values) / len(values)


def _frontend(run: Run, model: Any, number: int) -> Any:
    """Return a key that is equal for runs with the same front end; one with a first model or frozen layers before it is unique."""
    recipe = run.recipe
    alone = recipe.first is not None or frames_joined(model.get_layer("extractor"))
    return number if alone else (recipe.every_frontend, recipe.sampling.seconds)
