"""Explain any network's answers to a clip: which frames and bins of its features speak for the predicted class.

Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365, eq. 1) of the logarithm of the predicted class's probability (of a
continuous task: of its value), from a baseline x' to the clip's features x,

    c_i = (x_i - x'_i) integral_0^1 d log p(x' + t (x - x')) / d x_i dt,    sum_i c_i = log p(x) - log p(x')

The baseline is the mean frame of the training side, where the network standardises its features by it, and else 0, which is the
mean of a clip that the front end standardised; of a raw waveform it is white noise of its level, since networks that normalise
their activations answer alike however quiet it is. The integral is a sum of midpoints, with more of them until the sum over all
frames and bins is the difference of the outputs within 1 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.errors import UserError
from keras_ser.reports import pictures
from keras_ser.reports.render import aligned
from keras_ser.settings import mask_of
from keras_ser.tasks import Task
from keras_ser.training.run import Run

STEPS, MOST_STEPS = 32, 1024
CLOSE, FLOOR = 0.01, 2e-3  # of the difference, and of log p
ROOM = 20_000  # frames that are computed at once
STRETCHES = 10  # that a table shows a clip in
SPECTRA = ("log_mel", "linear_bands", "spectrogram", "magnitude")


@dataclass(frozen=True)
class TaskAttribution:
    """One task's answer and what it depends on.

    Args:
        task: name of the task.
        label: the predicted class, or "value" of a continuous task.
        probability: of that class, or the value.
        difference: log p(x) - log p(x'), or the difference of the values.
        contributions: feature -> (frames, bins); together they sum to `difference`.
    """

    task: str
    label: str
    probability: float
    difference: float
    contributions: Mapping[str, np.ndarray]

    @property
    def output(self) -> str:
        """What the contributions are to."""
        return "the value" if self.label == "value" else f"log p({self.label})"

    @property
    def total(self) -> float:
        return float(sum(values.sum() for values in self.contributions.values()))

    def gap(self) -> str:
        """A sentence where the contributions are far from complete, as of a network that stops gradients; else ""."""
        if abs(self.total - self.difference) <= 2 * (CLOSE * abs(self.difference) + FLOOR):
            return ""
        return f"{self.task}: the outputs differ by {self.difference:+.3f}, so part of it is not explained by these contributions."


@dataclass(frozen=True)
class Attribution:
    """The explanation of one file.

    Args:
        path: the file.
        tasks: a `TaskAttribution` for each task.
        features: feature -> (frames, bins), the clip's own valid frames.
        times: feature -> (frames,), the second in which each frame begins.
        cut: whether the front end drops frames, so that times count what it keeps.
        against: what the clip is compared with.
    """

    path: Path
    tasks: tuple[TaskAttribution, ...]
    features: Mapping[str, np.ndarray]
    times: Mapping[str, np.ndarray]
    cut: bool = False
    against: str = "0"

    @property
    def seconds(self) -> float:
        """The end of the last frame's hop, over all features."""
        return max(float(t[-1] + (t[1] - t[0] if len(t) > 1 else 0.01)) for t in self.times.values())

    def by_time(self, task: TaskAttribution, edges: np.ndarray) -> np.ndarray:
        """(stretches,) sums of a task's contributions of the frames that begin between two `edges` (seconds)."""
        found = np.zeros(len(edges) - 1)
        for name, values in task.contributions.items():
            place = np.clip(np.searchsorted(edges, self.times[name], side="right") - 1, 0, len(found) - 1)
            np.add.at(found, place, values.sum(axis=1))
        return found

    def lines(self, top: int = STRETCHES) -> list[str]:
        """A table: a row for each of `top` stretches of equal length, a column for each task."""
        edges = np.linspace(0, self.seconds, top + 1)
        header = ["seconds", *(f"{each.task}: {each.label} ({each.probability:.3f})" for each in self.tasks)]
        sums = [self.by_time(each, edges) for each in self.tasks]
        rows = [[f"{edges[i]:.2f} - {edges[i + 1]:.2f}", *(f"{s[i]:+.3f}" for s in sums)] for i in range(top)]
        for name in self.features if len(self.features) > 1 else ():
            rows.append([f"all {name}", *(f"{each.contributions[name].sum():+.3f}" for each in self.tasks)])
        rows.append(["sum", *(f"{each.total:+.3f}" for each in self.tasks)])
        where = "; seconds of what the front end keeps" if self.cut else ""
        return [
            str(self.path),
            "",
            *aligned([header, *rows]),
            "",
            f"Contribution to {outputs(self.tasks)}, against {self.against}{where}.",
            *(each.gap() for each in self.tasks if each.gap()),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the contribution of each frame, summed over bins, and of each bin, summed over frames."""
        found = {}
        for each in self.tasks:
            features = {
                name: {"frames": values.sum(axis=1).tolist(), "bins": values.sum(axis=0).tolist()}
                for name, values in each.contributions.items()
            }
            answer = {"label": each.label, "probability": each.probability, "difference": each.difference}
            found[each.task] = answer | {"features": features}
        times = {name: values.tolist() for name, values in self.times.items()}
        return {"file": str(self.path), "seconds": times, "cut": self.cut, "tasks": found}

    def _pictured(self) -> tuple[str, np.ndarray]:
        """The first spectrum as it is; without one the first feature, each bin standardised over the clip."""
        for name, values in self.features.items():
            if name.rpartition(".")[2] in SPECTRA:
                return name, values
        name, values = next(iter(self.features.items()))
        return f"{name}, standardised", (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6)

    def figure(self, top: int = STRETCHES):
        """Draw a matplotlib Figure: the first feature over time, and each task's contributions below it."""
        figure = pictures.new(8, 2.3 + 1.5 * len(self.tasks))
        first, *rows = figure.subplots(1 + len(self.tasks), 1, sharex=True, height_ratios=[1.6] + [1] * len(self.tasks))
        name, shown = self._pictured()
        low, high = np.percentile(shown, (1, 99))
        extent = (0, self.seconds, -0.5, shown.shape[1] - 0.5)
        first.imshow(shown.T, origin="lower", aspect="auto", cmap="Greys", extent=extent, vmin=low, vmax=high)
        first.set_ylabel("bin", fontsize=8)
        first.tick_params(labelsize=8)
        first.set_title(f"{self.path.name}: {name.replace('_', ' ')}", fontsize=10, loc="left")
        edges = np.linspace(0, self.seconds, min(60, max(len(t) for t in self.times.values())) + 1)
        for axes, each in zip(rows, self.tasks, strict=True):
            sums = self.by_time(each, edges)
            colours = np.where(sums > 0, "#1b3a5c", "#d9a066")
            axes.bar(edges[:-1], sums, np.diff(edges), align="edge", color=colours, edgecolor="black", linewidth=0.3)
            axes.axhline(0, color="black", linewidth=0.8)
            axes.set_title(f"{each.task}: {each.label} ({each.probability:.2f})", fontsize=10, loc="left")
            axes.set_ylabel(f"contribution to\n{each.output}", fontsize=8)
            pictures.tidy(axes)
        rows[-1].set_xlabel("seconds that the front end keeps" if self.cut else "seconds", fontsize=8)
        return figure


class Attributor:
    """Explains a run's answers by integrated gradients; raises UserError for a baseline, which has no gradients."""

    def __init__(self, run: Run):
        if run.kind != "network":
            raise UserError(f"{run.folder} is a baseline ({run.recipe.model}), which has no gradients: name a network.")
        self.recipe, self.whole = run.recipe, run.model()
        self.extract, self.score = self.whole.get_layer("extractor"), self.whole.get_layer("scorer")
        self.baselines, self.standardised = baselines(run.recipe, self.whole)
        self._slopes = slopes(self.score, self.recipe.tasks)

    def __call__(self, waveform: np.ndarray, path: Path | str = "waveform") -> Attribution:
        """Explain the answers to one clip, (samples,) at the model's rate; `path` names it."""
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
        """Names the baselines, with their features where there are several kinds."""
        kinds: dict[str, list[str]] = {}
        for name in features:
            noise = "white noise of the clip's level" if _is_waveform(name) else "0"
            kinds.setdefault("the mean frame of the training side" if name in self.standardised else noise, []).append(
                name
            )
        return ", ".join(f"{kind} ({', '.join(names)})" if len(kinds) > 1 else kind for kind, names in kinds.items())

    def _start(self, name: str, x: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The baseline of a feature, of its shape; padding stays as it is."""
        base = np.broadcast_to(self.baselines[name], x.shape)
        if _is_waveform(name):
            level = np.sqrt(np.mean(np.square(x[mask]))) if mask.any() else 0.0
            base = level * np.random.default_rng(0).standard_normal(x.shape)
        return np.where(mask[..., None], base, x).astype("float32")

    def _times(self, name: str, mask: np.ndarray) -> np.ndarray:
        """(frames,) the second in which each valid frame begins."""
        config = next(each for each in self.recipe.every_frontend if name in each.inputs)
        stretch = self.recipe.sampling.seconds if len(mask) > 1 else 0.0
        row, frame = np.nonzero(mask)
        return row * stretch + frame * config.hop / config.sample_rate

    def _integrated(self, inputs, start, features, chosen, difference) -> dict[str, dict[str, np.ndarray]]:
        """Task -> feature -> contributions, of the feature's shape, with as many midpoints as the sum needs."""
        frames = sum(x.shape[0] * x.shape[1] for x in features.values())
        at_once = 2 ** max(0, min(5, (ROOM // frames).bit_length() - 1))
        steps, found = STEPS, {}
        while True:
            sums = {task: {name: 0.0 for name in features} for task in chosen}
            places = (np.arange(steps) + 0.5) / steps
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


def outputs(tasks: Sequence[Any]) -> str:
    """What the contributions of several explained tasks are to."""
    kinds = {each.label == "value" for each in tasks}
    if kinds == {True}:
        return "the value"
    return f"log p of the predicted class{' (of a continuous task: to the value)' * (True in kinds)}"


def _is_waveform(name: str) -> bool:
    return name.rpartition(".")[2] == "waveform"


def _output(answers: Mapping[str, np.ndarray], task: Task, chosen: Mapping[str, int]) -> float:
    value = answers[task.name][chosen[task.name]]
    return value if task.continuous else np.log(max(value, 1e-30))


def baselines(recipe, whole) -> tuple[dict[str, np.ndarray], set[str]]:
    """Feature -> (bins,), where the integral begins: the mean that the network standardises it by, or 0.

    Also the names of the features that it standardises.
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
    """(inputs, start, features, places (steps,), chosen) -> task -> feature -> the sum over `places` of the gradients there.

    The inputs that are no features (masks, lengths of stretches) stay as they are.
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
