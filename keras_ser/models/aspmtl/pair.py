"""Requirements of the two models of a cascade, and the cascade's flags. No TensorFlow."""

import dataclasses
from typing import Any

from keras_ser.checks import shown
from keras_ser.errors import UserError
from keras_ser.models.paper import Flag
from keras_ser.settings import CLEAN, FrontendConfig, of_stream

FLAGS = {
    "emptied": Flag(
        "Model 1 would have dropped every segment of {count} of {clips} tested clips; in these, the least noisy segment "
        "was classified (column `emptied`).",
        "all noise",
    )
}
# changes to a recipe that gets an auxiliary corpus, so that there are sources to distinguish
AUXILIARY = {"config.adversary": "source"}


def check_pair(second: Any, first: Any) -> None:
    """Refuse two models that cannot form a cascade.

    Args:
        second, first: their recipes.

    Raises:
        UserError: the first model does not locate noise, the front ends are incompatible, or a model has several front ends or
            cuts stretches.
    """
    for name, recipe in (("", second), ("first.", first)):
        if recipe.frontends or recipe.sampling.seconds:
            raise UserError(f"the models of a cascade need one front end each, and no {name}sampling.seconds.")
    if second.discard == "mask":
        if not getattr(first.config, "mask_bins", 0):
            raise UserError("discard='mask' needs a first model that estimates a mask: set first.config.mask_bins.")
        rates = first.frontend.sample_rate, second.frontend.sample_rate
        if rates[0] != rates[1]:
            raise UserError(f"both models of a cascade need one sample rate. Received: {rates[0]} and {rates[1]} Hz.")
        return
    noise = next((task for task in first.tasks if of_stream(task)), None)
    if noise is None or CLEAN not in (*noise.labels, *dict(noise.merge)):
        raise UserError(
            "the first model of a cascade needs a task 'noise' with the class 'clean' to drop segments by. Received: "
            f"{', '.join(task.name for task in first.tasks)}{'' if noise is None else f'; noise: {shown(noise.labels)}'}."
        )
    if first.sampling.kind != "segments":
        raise UserError(
            "the first model of a cascade drops segments, so it must be trained on segments: set "
            f"first.sampling.kind=segments, or discard=mask. Received: {first.sampling.kind}."
        )
    for name in (each.name for each in dataclasses.fields(FrontendConfig)):
        one, two = getattr(first.frontend, name), getattr(second.frontend, name)
        if one != two:
            raise UserError(
                f"both models of a cascade need the same frontend. Received: first.frontend.{name}={one!r}, "
                f"frontend.{name}={two!r}. Set frontend.{name} only: the first model's then follows."
            )
