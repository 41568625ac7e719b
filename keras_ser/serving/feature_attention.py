"""Explain which input features drive each task's prediction, by the attention of MT-A-DNN.

The attention a_j of a task weighs the J units of the last shared layer. Two measures relate it to the features x_i (mean 0 and
variance 1 over the training set):

* contribution, signed: integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365, eq. 1) of the logarithm of the
  predicted class's probability, from the mean of the training set to the clip,

      c_i = x_i integral_0^1 d log p(t x) / d x_i dt,    sum_i c_i = log p(x) - log p(0)

* attention: each unit's weight divided among its inputs by their share of its sum (without the bias), layer by layer,

      r_i = sum_j a_j |w_ij x_i| / sum_k |w_kj x_k|,    sum_i r_i = 1

  Every unit receives every feature, so r mostly shows which features of the clip are unusual, whatever the attention. The
  attention's own effect is the ratio r_i / r'_i to a uniform attention (a_j = 1 / J): above 1 for features it favours.

Tables and bars are sorted by the absolute contribution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import entropy

from keras_ser.models.whole_model import inner_network
from keras_ser.recipe import Recipe
from keras_ser.reports import pictures
from keras_ser.reports.render import aligned
from keras_ser.serving.attribution import about, heading, output, outputs, signed
from keras_ser.serving.integrated_gradients import midpoints, slopes

STEPS = 256  # midpoints of the integral
TOP = 10  # default number of features shown


@dataclass(frozen=True)
class TaskAttention:
    """One task's prediction and what it depends on."""

    task: str  # name of the task
    label: str  # the predicted class, or "value" for a continuous task
    probability: float  # probability of that class, or the value
    # A row per feature, the largest absolute contribution first, with the columns "feature", "value" (standard deviations
    # from the training set's mean), "contribution" (to log p(label)), "attention" (share r) and "even" (share r' of a
    # uniform attention)
    features: pd.DataFrame
    units: np.ndarray  # (units,) attention over the last shared layer

    @property
    def effective_units(self) -> float:
        """exp of the attention's entropy: the number of units that it is spread over."""
        return float(np.exp(entropy(self.units)))


@dataclass(frozen=True)
class AttentionExplanation:
    """The explanations of one file, one per task."""

    path: Path
    tasks: tuple[TaskAttention, ...]
    problems: tuple[str, ...] = ()  # of its audio; see `keras_ser.audio.problems`

    def lines(self, top: int = TOP) -> list[str]:
        text = heading(self.path, self.problems)
        for each in self.tasks:
            rows = [["feature", "value", "contribution", "attention %", "of uniform"]]
            for name, value, contribution, attention, even in each.features.head(top).itertuples(index=False):
                ratio = attention / even if even > 0 else 1.0
                rows.append([name, f"{value:+.2f}", f"{contribution:+.3f}", f"{100 * attention:.1f}", f"x {ratio:.2f}"])
            rest = each.features[top:]
            if len(rest):
                sums = f"{rest['contribution'].sum():+.3f}", f"{100 * rest['attention'].sum():.1f}"
                rows.append([f"{len(rest)} others", "", *sums, ""])
            spread = f"attention on {each.effective_units:.1f} of {len(each.units)} units"
            text += ["", f"{each.task}: {each.label} ({each.probability:.3f}); {spread}", *aligned(rows)]
        return [
            *text,
            "",
            f"value: standard deviations from the training mean; contribution: to {outputs(self.tasks)};",
            "attention: the units' weights divided among the features, and their ratio to those of a uniform attention.",
        ]

    def to_dict(self) -> dict[str, Any]:
        found = {}
        for each in self.tasks:
            answer = {"label": each.label, "probability": each.probability}
            found[each.task] = answer | {"features": each.features.to_dict("records"), "units": each.units.tolist()}
        return about(self.path, self.problems) | {"tasks": found}

    def figure(self, top: int = TOP):
        """Draw a matplotlib Figure: a row per task, signed bars of contributions, and attention beside a uniform one."""
        top = min(top, len(self.tasks[0].features))
        figure = pictures.new(10, len(self.tasks) * (0.24 * top + 1.0) + 0.6)
        grid = figure.subplots(len(self.tasks), 2, squeeze=False)
        for (left, right), each in zip(grid, self.tasks, strict=True):
            shown, rows = each.features.head(top), range(top)
            contributions = shown["contribution"]
            bar = {"height": 0.7, "edgecolor": "black", "linewidth": 0.4}
            left.barh(rows, contributions, color=signed(contributions), **bar)
            left.axvline(0, color="black", linewidth=0.8)
            left.set_yticks(rows, shown["feature"].str.replace("_", " "), fontsize=8)
            left.set_title(f"{each.task}: {each.label} ({each.probability:.2f})", fontsize=10, loc="left")
            left.set_xlabel(f"contribution to {output(each.label)}", fontsize=8)
            right.barh(rows, 100 * shown["attention"], color=pictures.GREY, height=0.7, label="attention")
            right.plot(100 * shown["even"], rows, "|", color="black", markersize=9, mew=1.5, label="uniform attention")
            right.set_yticks(rows, [""] * top)
            right.set_xlabel("attention, %", fontsize=8)
            for axes in (left, right):
                axes.invert_yaxis()
                pictures.tidy(axes, "x")
        handles, names = grid[0, 1].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower right", ncols=2, fontsize=8, frameon=False)
        figure.suptitle(pictures.file_title(self.path), fontsize=10)
        return figure


def attends(recipe: Recipe, whole: Any) -> bool:
    """Return whether a whole model has what `AttentionExplainer` explains: the attention of each task over a whole clip."""
    from keras_ser.layers import FeatureAttention

    layers = {layer.name: layer for layer in inner_network(whole).layers}
    attentions = (layers.get(f"attention_{task.name}") for task in recipe.tasks)
    return (
        not recipe.sampling.seconds
        and {"clip", "shared_1"} <= set(layers)
        and all(isinstance(layer, FeatureAttention) for layer in attentions)
    )


class AttentionExplainer:
    """Explains the predictions of a whole model of a network with a `FeatureAttention` per task after shared dense layers."""

    def __init__(self, recipe: Recipe, whole: Any):
        import keras

        network = inner_network(whole)
        shared = [layer for layer in network.layers if layer.name.startswith("shared_")]
        self.tasks, self.network = recipe.tasks, network
        self.extract = whole.get_layer("extractor")
        frontend = self.extract.get_layer("frontend")
        self.features = tuple(name for names in frontend.names.values() for name in names)
        self.attentions = {task.name: network.get_layer(f"attention_{task.name}") for task in self.tasks}
        self.kernels = [np.asarray(layer.kernel) for layer in shared]
        outputs = {layer.name: layer.output for layer in [network.get_layer("clip"), *shared]}
        self.inner = keras.Model(network.input, outputs)
        # from the clip's features on, for the integrated gradients
        clip = network.get_layer("clip").output
        self.judge = keras.Model(clip, {task.name: network.output[task.name] for task in self.tasks})
        self._slopes = slopes(lambda given, training: self.judge(given["clip"], training=training), self.tasks)

    def __call__(self, waveform: np.ndarray, path: Path | str = "waveform") -> AttentionExplanation:
        """Explain the predictions to one clip, (samples,) at the model's rate; `path` names it."""
        given = {"waveform": waveform[None].astype("float32"), "length": np.array([len(waveform)], "int32")}
        found = self.extract(given, training=False)
        found = self.inner({name: found[name] for name in self.network.input}, training=False)
        # the clip's features, then each shared layer
        layers = [np.asarray(value[0], "float64") for value in found.values()]
        x, explained = layers[0], []
        answers = {name: np.asarray(p[0]) for name, p in self.judge(x[None].astype("float32")).items()}
        best = {name: int(answer.argmax()) for name, answer in answers.items()}
        clip, zeros = {"clip": x[None]}, {"clip": np.zeros((1, len(x)))}
        gradients = self._slopes({}, zeros, clip, midpoints(STEPS), best)
        for task in self.tasks:
            units = np.asarray(self.attentions[task.name].attention(layers[-1][None].astype("float32"))[0], "float64")
            shares = {"attention": units, "even": np.full(len(units), 1 / len(units))}
            contribution = x * gradients[task.name]["clip"][0] / STEPS
            features = pd.DataFrame({"feature": self.features, "value": x, "contribution": contribution})
            features = features.assign(**{k: shared_out(v, self.kernels, layers[:-1]) for k, v in shares.items()})
            order = np.argsort(-features["contribution"].abs().to_numpy(), kind="stable")
            label = "value" if task.continuous else task.labels[best[task.name]]
            probability = float(answers[task.name][best[task.name]])
            explained.append(TaskAttention(task.name, label, probability, features.iloc[order], units))
        return AttentionExplanation(Path(path), tuple(explained))


def shared_out(weights: np.ndarray, kernels: Sequence[np.ndarray], inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Divide the weights of the last layer's units, (units,), among the inputs of the first layer, (inputs,), keeping their sum.

    `kernels` and `inputs` are those of each dense layer, the first layer first. A unit whose inputs are all 0 is divided equally.
    """
    for kernel, x in zip(reversed(kernels), reversed(inputs), strict=True):
        parts = np.abs(kernel * x[:, None])  # (inputs, units)
        sums = parts.sum(axis=0)
        shares = np.where(sums > 0, parts / np.maximum(sums, 1e-300), 1 / len(x))
        weights = shares @ weights
    return weights
