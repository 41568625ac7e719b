"""Which features of a clip carried weight, task by task: a look into the attention of MT-A-DNN.

The attention a_j of a task weighs the J units of the last shared layer. Two figures bring that back to the features x_i (mean 0 and
variance 1 over the training side):

* contribution, with a sign: integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365, eq. 1) of the logarithm of the
  named class's probability, from the mean of the training side to the clip,

      c_i = x_i integral_0^1 d log p(t x) / d x_i dt,    sum_i c_i = log p(x) - log p(0)

* attention: each unit's weight divided among its inputs by their part in its sum (its bias aside), layer by layer,

      r_i = sum_j a_j |w_ij x_i| / sum_k |w_kj x_k|,    sum_i r_i = 1

  Every unit hears every feature, so that r mostly shows which features of the clip are unusual, whatever the attention. What the
  attention adds is the ratio r_i / r_i' to an even one (a_j = 1 / J): over 1 where the task looks, under 1 where it looks away.

Tables and bars are ordered by the size of the contribution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ser.errors import UserError
from keras_ser.reports.render import aligned
from keras_ser.tasks import Task
from keras_ser.training.run import Run

STEPS = 256  # of the integral
TOP = 10  # features that are shown


@dataclass(frozen=True)
class TaskExplanation:
    """One task's answer and what it rests on.

    Args:
        task: its name.
        label: the class it names; probability: of that class. Of a continuous task "value", and the value.
        features: what the columns are called.
        values: (features,) the clip's, in standard deviations from the training side's mean.
        attention: (features,) shares r, which sum to 1.
        even: (features,) the shares r' of an even attention.
        contributions: (features,) to log p(label), against a clip at the mean.
        units: (units,) the attention itself, over the last shared layer.
    """

    task: str
    label: str
    probability: float
    features: tuple[str, ...]
    values: np.ndarray
    attention: np.ndarray
    even: np.ndarray
    contributions: np.ndarray
    units: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """The features by the size of their contribution, the largest first."""
        return np.argsort(-np.abs(self.contributions), kind="stable")

    @property
    def focus(self) -> np.ndarray:
        """(features,) attention over that of an even one; 1 where the clip tells nothing."""
        return np.where(self.even > 0, self.attention / np.maximum(self.even, 1e-300), 1.0)

    @property
    def effective_units(self) -> float:
        """2 to the entropy of the attention in bits: among how many units it is spread."""
        kept = self.units[self.units > 0]
        return float(np.exp(-(kept * np.log(kept)).sum()))


@dataclass(frozen=True)
class Explanation:
    """Of one file, each task."""

    path: Path
    tasks: tuple[TaskExplanation, ...]

    def lines(self, top: int = TOP) -> list[str]:
        text = [str(self.path)]
        for told in self.tasks:
            rows = [["feature", "value", "contribution", "attention %", "of an even one"]]
            for i in told.order[:top]:
                row = f"{told.values[i]:+.2f}", f"{told.contributions[i]:+.3f}", f"{100 * told.attention[i]:.1f}"
                rows.append([told.features[i], *row, f"x {told.focus[i]:.2f}"])
            rest = told.order[top:]
            if len(rest):
                share, sums = told.attention[rest].sum(), told.contributions[rest].sum()
                rows.append([f"{len(rest)} others", "", f"{sums:+.3f}", f"{100 * share:.1f}", ""])
            spread = f"attention on {told.effective_units:.1f} of {len(told.units)} units"
            text += ["", f"{told.task}: {told.label} ({told.probability:.3f}); {spread}", *aligned(rows)]
        return [
            *text,
            "",
            "value: standard deviations from the training mean; contribution: to log p of the class named; attention: the units'",
            "weights divided among the features, and that over what an even attention would give.",
        ]

    def to_dict(self) -> dict[str, Any]:
        return {"file": str(self.path), "tasks": {told.task: _plain(told) for told in self.tasks}}

    def figure(self, top: int = TOP):
        """A matplotlib Figure: a row a task, bars of contributions by sign, and of attention beside an even one's."""
        from matplotlib.figure import Figure

        top = min(top, len(self.tasks[0].features))
        figure = Figure(figsize=(10, len(self.tasks) * (0.24 * top + 1.0) + 0.3), layout="constrained")
        grid = figure.subplots(len(self.tasks), 2, squeeze=False)
        for (left, right), told in zip(grid, self.tasks, strict=True):
            chosen = told.order[:top]
            names = [told.features[i].replace("_", " ") for i in chosen]
            values = told.contributions[chosen]
            colours = ["#1b3a5c" if value > 0 else "#d9a066" for value in values]
            left.barh(range(top), values, color=colours, height=0.7, edgecolor="black", linewidth=0.4)
            left.axvline(0, color="black", linewidth=0.8)
            left.set_yticks(range(top), names, fontsize=8)
            left.set_title(f"{told.task}: {told.label} ({told.probability:.2f})", fontsize=10, loc="left")
            left.set_xlabel(f"contribution to log p({told.label})", fontsize=8)
            right.barh(range(top), 100 * told.attention[chosen], color="#8c9bab", height=0.7, label="attention")
            right.plot(
                100 * told.even[chosen], range(top), "|", color="black", markersize=9, mew=1.5, label="an even one"
            )
            right.set_yticks(range(top), [""] * top)
            right.set_xlabel("attention, %", fontsize=8)
            right.legend(fontsize=7, frameon=False, loc="lower right")
            for axes in (left, right):
                axes.invert_yaxis()
                axes.grid(axis="x", alpha=0.3)
                axes.set_axisbelow(True)
                for side in ("top", "right"):
                    axes.spines[side].set_visible(False)
        figure.suptitle(self.path.name, fontsize=10)
        return figure


def _plain(told: TaskExplanation) -> dict[str, Any]:
    columns = {
        "value": told.values,
        "contribution": told.contributions,
        "attention": told.attention,
        "even": told.even,
    }
    return {
        "label": told.label,
        "probability": told.probability,
        "features": [
            {"feature": told.features[i], **{name: float(column[i]) for name, column in columns.items()}}
            for i in told.order
        ],
        "units": [float(value) for value in told.units],
    }


class Explainer:
    """A run's attention, ready to be asked about waveforms.

    Args:
        run: of a network with a `FeatureAttention` for each task behind shared dense layers (`keras_ser.models.attention_dnn`).

    Raises:
        ValueError: another model.
    """

    def __init__(self, run: Run):
        import keras

        from keras_ser.layers import FeatureAttention
        from keras_ser.models.whole import inner_network

        refusal = (
            f"{run.folder} has no attention over features to explain (model {run.recipe.model!r}): train mt-a-dnn or a-dnn of "
            "recipes/mt_a_dnn.py."
        )
        if run.kind != "network":
            raise UserError(refusal)
        whole = run.model()
        network = inner_network(whole)
        attentions = {layer.name: layer for layer in network.layers if isinstance(layer, FeatureAttention)}
        shared = [layer for layer in network.layers if layer.name.startswith("shared_")]
        if not attentions or not shared:
            raise UserError(refusal)
        self.run, self.network = run, network
        self.extract = whole.get_layer("extractor")
        frontend = self.extract.get_layer("frontend")
        self.features = tuple(name for names in frontend.names.values() for name in names)
        self.attentions = {task.name: attentions[f"attention_{task.name}"] for task in run.recipe.tasks}
        self.kernels = [np.asarray(layer.kernel) for layer in shared]
        outputs = {layer.name: layer.output for layer in [network.get_layer("clip"), *shared]}
        self.inner = keras.Model(network.input, outputs)
        normalised = network.get_layer("clip").output
        # from the clip's features on: what integrated gradients differentiate
        self.judge = keras.Model(normalised, {task.name: network.output[task.name] for task in run.recipe.tasks})

    def __call__(self, waveform: np.ndarray, path: Path | str = "waveform") -> Explanation:
        """Explain the answers to one clip.

        Args:
            waveform: (samples,) float32 at the model's rate.
            path: what the clip is called.
        """
        given = {"waveform": waveform[None].astype("float32"), "length": np.array([len(waveform)], "int32")}
        found = self.extract(given, training=False)
        found = self.inner({name: found[name] for name in self.network.input}, training=False)
        layers = [
            np.asarray(value[0], "float64") for value in found.values()
        ]  # the clip's features, then each shared layer
        x, told = layers[0], []
        answers = {name: np.asarray(value[0]) for name, value in self.judge(x[None].astype("float32")).items()}
        for task in self.run.recipe.tasks:
            units = np.asarray(self.attentions[task.name].attention(layers[-1][None].astype("float32"))[0], "float64")
            best = int(answers[task.name].argmax())
            label = "value" if task.continuous else task.labels[best]
            told.append(
                TaskExplanation(
                    task=task.name,
                    label=label,
                    probability=float(answers[task.name][best]),
                    features=self.features,
                    values=x,
                    attention=shared_out(units, self.kernels, layers[:-1]),
                    even=shared_out(np.full(len(units), 1 / len(units)), self.kernels, layers[:-1]),
                    contributions=self._integrated(x, task, best),
                    units=units,
                )
            )
        return Explanation(Path(path), tuple(told))

    def _integrated(self, x: np.ndarray, task: Task, label: int) -> np.ndarray:
        """(features,) integrated gradients of log p(label), or of a continuous task's value, by the rule of midpoints."""
        import tensorflow as tf

        at = tf.constant((np.arange(STEPS) + 0.5)[:, None] / STEPS * x, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(at)
            found = self.judge(at)[task.name][:, label]
            total = tf.reduce_sum(found if task.continuous else tf.math.log(tf.maximum(found, 1e-30)))
        return x * np.asarray(tape.gradient(total, at), "float64").mean(axis=0)


def shared_out(weights: np.ndarray, kernels: Sequence[np.ndarray], inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Weights of the last layer's units, divided among the inputs of the first.

    Args:
        weights: (units,) of the last layer.
        kernels: of each dense layer, (inputs, units), the first first.
        inputs: of each dense layer, (inputs,).

    Returns:
        (inputs,), with the sum of `weights`; where all parts of a unit are 0 they get the same.
    """
    for kernel, x in zip(reversed(kernels), reversed(inputs), strict=True):
        parts = np.abs(kernel * x[:, None])  # (inputs, units)
        sums = parts.sum(axis=0)
        shares = np.where(sums > 0, parts / np.maximum(sums, 1e-300), 1 / len(x))
        weights = shares @ weights
    return weights


def explain(run: Run, path: Path | str) -> Explanation:
    """Explain a run's answers to one audio file.

    Raises:
        ValueError: the run has no attention over features.
        AudioError: the file can't be read, or is longer than what an export takes by default (60 s).
    """
    from keras_ser.serving.export import MAX_SECONDS
    from keras_ser.serving.predictor import read_clip

    waveform, _ = read_clip(Path(path), run.recipe.frontend.sample_rate, MAX_SECONDS)
    return Explainer(run)(waveform, path)
