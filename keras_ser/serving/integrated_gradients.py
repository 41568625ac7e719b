"""Integrated gradients of any network: the frames and bins of a clip's features that support the predicted class.

Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365, eq. 1) of the logarithm of the predicted class's probability (of a
continuous task: of its value), from a baseline x' to the clip's features x,

    c_i = (x_i - x'_i) integral_0^1 d log p(x' + t (x - x')) / d x_i dt,    sum_i c_i = log p(x) - log p(x')

The baseline is the mean frame of the training set if the network standardises its features by it, otherwise 0: the mean of a clip
that its front end standardises, but only a point of reference for the frames of a frozen wav2vec 2.0. For a raw waveform it is
white noise of the same level, since networks that normalise their activations give the same prediction at any level. The integral
is a midpoint sum, refined until the sum over all frames and bins equals the difference of the outputs to 1 %.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.models.whole_model import frames_joined
from keras_ser.recipe import Recipe
from keras_ser.serving.attribution import CLOSE, FLOOR, Attribution, TaskAttribution
from keras_ser.settings import mask_of
from keras_ser.tasks import Task

STEPS, MOST_STEPS = 32, 1024
ROOM = 20_000  # number of frames computed at once


class Attributor:
    """Explains the predictions of a whole model by integrated gradients."""

    def __init__(self, recipe: Recipe, whole: Any):
        self.recipe = recipe
        self.extract, self.score = whole.get_layer("extractor"), whole.get_layer("scorer")
        self.joined = frames_joined(self.extract)
        self.baselines, self.standardised = baselines(recipe, whole)
        self._slopes = slopes(self.score, recipe.tasks)

    def __call__(self, waveform: np.ndarray, path: Path | str = "waveform") -> Attribution:
        """Explain the predictions to one clip, (samples,) at the model's rate; `path` names it."""
        given = {"waveform": waveform[None].astype("float32"), "length": np.array([len(waveform)], "int32")}
        every = {name: np.asarray(value) for name, value in self.extract(given, training=False).items()}
        inputs = {name: every[name] for name in self.score.input}
        features = {name: value for name, value in inputs.items() if value.ndim == 3 and value.dtype.kind == "f"}
        masks = {name: inputs[mask_of(name)].astype(bool) for name in features}
        start = {name: self._start(name, x, masks[name]) for name, x in features.items()}
        ends = [self.score({**inputs, **at}, training=False) for at in (start, features)]
        answers, before = ({name: np.asarray(v[0], "float64") for name, v in end.items()} for end in (ends[1], ends[0]))
        chosen = {task.name: 0 if task.continuous else int(answers[task.name].argmax()) for task in self.recipe.tasks}
        difference = {
            task.name: float(_output(answers, task, chosen) - _output(before, task, chosen))
            for task in self.recipe.tasks
        }
        found = self._integrated(inputs, start, features, chosen, difference)
        tasks = []
        for task in self.recipe.tasks:
            parts = {name: value[masks[name]] for name, value in found[task.name].items()}
            label = "value" if task.continuous else task.labels[chosen[task.name]]
            probability = float(answers[task.name][chosen[task.name]])
            tasks.append(TaskAttribution(task.name, label, probability, difference[task.name], parts))
        times = {name: self._times(name, masks[name]) for name in features}
        cut = self.recipe.first is not None or any(each.endpoint for each in self.recipe.every_frontend)
        shown = {name: x[masks[name]] for name, x in features.items()}
        return Attribution(Path(path), tuple(tasks), shown, times, cut, self._against(features))

    def _against(self, features: Sequence[str]) -> str:
        """Describe the baselines, naming their features if there are several kinds."""
        kinds: dict[str, list[str]] = {}
        for name in features:
            noise = "white noise of the clip's level" if self._is_waveform(name) else "0"
            kinds.setdefault("the mean frame of the training set" if name in self.standardised else noise, []).append(
                name
            )
        return ", ".join(f"{kind} ({', '.join(names)})" if len(kinds) > 1 else kind for kind, names in kinds.items())

    def _start(self, name: str, x: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return the baseline of a feature, in its shape; padding is unchanged."""
        base = np.broadcast_to(self.baselines[name], x.shape)
        if self._is_waveform(name):
            level = np.sqrt(np.mean(np.square(x[mask]))) if mask.any() else 0.0
            base = level * np.random.default_rng(0).standard_normal(x.shape)
        return np.where(mask[..., None], base, x).astype("float32")

    def _is_waveform(self, name: str) -> bool:
        return name.rpartition(".")[2] == "waveform" and name not in self.joined

    def _times(self, name: str, mask: np.ndarray) -> np.ndarray:
        """Return the start of each valid frame in seconds, (frames,)."""
        config = next(each for each in self.recipe.every_frontend if name in each.inputs)
        stretch = self.recipe.sampling.seconds if len(mask) > 1 else 0.0
        row, frame = np.nonzero(mask)
        return row * stretch + frame * config.hop * self.joined.get(name, 1) / config.sample_rate

    def _integrated(self, inputs, start, features, chosen, difference) -> dict[str, dict[str, np.ndarray]]:
        """Return task -> feature -> contributions, in the feature's shape, with as many midpoints as the sum needs."""
        frames = sum(x.shape[0] * x.shape[1] for x in features.values())
        at_once = 2 ** max(0, min(5, (ROOM // frames).bit_length() - 1))
        steps, found = STEPS, {}
        while True:
            sums = {task: {name: 0.0 for name in features} for task in chosen}
            places = midpoints(steps)
            for first in range(0, steps, at_once):
                slopes_ = self._slopes(inputs, start, features, places[first : first + at_once], chosen)
                for task, values in slopes_.items():
                    for name, value in values.items():
                        sums[task][name] = sums[task][name] + value
            found = {
                task: {name: (features[name] - start[name]) * value / steps for name, value in values.items()}
                for task, values in sums.items()
            }
            off = {t: abs(sum(v.sum() for v in values.values()) - difference[t]) for t, values in found.items()}
            if steps >= MOST_STEPS or all(off[t] <= CLOSE * abs(difference[t]) + FLOOR for t in off):
                return found
            steps *= 2


def midpoints(steps: int) -> np.ndarray:
    """Return the midpoints of equal steps from 0 to 1, (steps,)."""
    return (np.arange(steps) + 0.5) / steps


def _output(answers: Mapping[str, np.ndarray], task: Task, chosen: Mapping[str, int]) -> float:
    value = answers[task.name][chosen[task.name]]
    return value if task.continuous else np.log(max(value, 1e-30))


def baselines(recipe: Recipe, whole: Any) -> tuple[dict[str, np.ndarray], set[str]]:
    """Return feature -> (bins,), the start of the integral: the mean by which the network standardises it, or 0.

    Also return the names of the standardised features.
    """
    from keras_ser.models.whole_model import inner_network, network_again

    inner = inner_network(whole)
    shapes = {name: x.shape[1:] for name, x in inner.input.items() if len(x.shape) == 3}
    found = {name: np.zeros(shape[-1], "float32") for name, shape in shapes.items()}
    layers = network_again(recipe, whole).normalizations
    for names, layer in layers.items():
        mean = np.asarray(inner.get_layer(layer.name).mean)
        ends = np.cumsum([shapes[name][-1] for name in names])[:-1]
        found |= dict(zip(names, np.split(mean, ends), strict=True))
    return found, {name for names in layers for name in names}


def slopes(score, tasks: Sequence[Task]):
    """Return a function (inputs, start, features, places (steps,), chosen) -> task -> feature -> sum of gradients at `places`.

    Inputs other than features (masks, lengths of segments) are unchanged.
    """
    import tensorflow as tf

    continuous = {task.name: task.continuous for task in tasks}

    @tf.function(reduce_retracing=True)
    def gradients(given, at, chosen):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(at)
            found = score({**given, **at}, training=False)
            totals = {}
            for name, whether in continuous.items():
                value = tf.gather(found[name], chosen[name], axis=1)
                totals[name] = tf.reduce_sum(value if whether else tf.math.log(tf.maximum(value, 1e-30)))
        none = tf.UnconnectedGradients.ZERO
        return {name: tape.gradient(total, at, unconnected_gradients=none) for name, total in totals.items()}

    def summed(inputs, start, features, places, chosen):
        steps = len(places)
        given = {name: np.concatenate([value] * steps) for name, value in inputs.items()}
        at = {
            name: np.concatenate([start[name] + t * (x - start[name]) for t in places]).astype("float32")
            for name, x in features.items()
        }
        tensors = {name: tf.constant(value) for name, value in at.items()}
        rest = {name: tf.constant(value) for name, value in given.items() if name not in at}
        numbers = {name: tf.constant(value) for name, value in chosen.items()}
        found = gradients(rest, tensors, numbers)
        return {
            task: {
                name: np.asarray(value, "float64").reshape(steps, *features[name].shape).sum(axis=0)
                for name, value in parts.items()
            }
            for task, parts in found.items()
        }

    return summed
