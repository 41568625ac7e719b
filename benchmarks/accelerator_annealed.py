"""Trainings at a learning rate that falls to 0, on stored examples (JAX): several folds of a recipe at once by `jax.vmap`, and
as many such groups as there are, one after another, by the same compiled program.

`accelerator_parts` has the training step. Against `keras_ser.training.fit`, initial weights, dropout, the prior's samples and the
order of the examples come from other generators, and a last batch that would not be full is filled with further examples of the
epoch.
"""

import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
from accelerator_clips import SIDES, Choice, Replica, side_uar
from accelerator_examples import Examples, corpora, training
from accelerator_parts import Parts
from accelerator_replicas import Trained
from jax import numpy as jnp

from keras_ser.models.paper import Label, Reconstruction
from keras_ser.pipelines.batching import stream_sizes
from keras_ser.recipe import Recipe
from keras_ser.settings import mask_of

CHUNK = 128  # examples of each replica that are judged at once


def _stacked(*values: np.ndarray) -> np.ndarray:
    return np.stack(values)


class Annealed:
    """The trainings of a recipe.

    Args:
        recipe: what to train; its `seeds` are not used.
        examples: the corpus.
        seeds: of the trainings.
        together: how many are trained at once.

    Attributes:
        replicas, choices, kept, logs, seconds: what was trained up to now; see `Trained`.
    """

    def __init__(self, recipe: Recipe, examples: Examples, seeds: Sequence[int], together: int):
        examples.check(recipe)
        self.recipe, self.examples, self.together = recipe, examples, together
        self.parts = {seed: Parts.built(recipe, examples, seed, together > 1) for seed in seeds}
        self.first = self.parts[seeds[0]]
        self.network = self.first.network
        labels, weights = examples.encoded(recipe)
        own = examples.streams == ""  # they come first
        self.own = int(own.sum())
        self.clips = SimpleNamespace(  # as `Trained` reads it
            about=examples.about,
            sides=examples.sides[:, own],
            labels={name: values[own] for name, values in labels.items()},
            **{name: getattr(examples, name)[own] for name in ("ids", "speakers", "genders")},
        )
        self.sizes = stream_sizes([stream.share for stream in recipe.streams], recipe.batch_size)
        folds = range(len(examples.sides))
        self.pools = {(f, k): training(examples, f, name) for f in folds for k, name in enumerate(corpora(recipe))}
        # as `TrainingData` counts them
        self.steps = [max(1, int(len(self.pools[f, 0]) / self.sizes[0] + 0.5)) for f in folds]
        self.judged = np.flatnonzero(own[examples.clip])
        self.data = {"x": examples.x, "valid": examples.valid, "clip": examples.clip}
        self.data |= {"labels": labels, "weights": weights}
        self.replicas: list[Replica] = []
        self.choices: list[Choice] = []
        self.kept: list[np.ndarray] = []
        self.logs: list[dict] = []
        self.seconds = 0.0

    def plan(self, replica: Replica, epoch: int) -> dict[str, np.ndarray]:
        """The examples (steps, batch) of an epoch, the factor of each step's learning rate, and whether there is such a step."""
        steps, most = self.steps[replica.fold], max(self.steps)
        index = np.zeros((most, sum(self.sizes)), "int32")
        begin = 0
        for k, size in enumerate(self.sizes):
            pool, wanted = self.pools[replica.fold, k], steps * size
            rng = np.random.default_rng([replica.seed, replica.fold, k] + ([epoch] if k == 0 else []))
            order = rng.permutation(len(pool))
            if k:  # in rotation
                order = np.sort(order[np.arange(epoch * wanted, (epoch + 1) * wanted) % len(pool)])
                order = np.random.default_rng([replica.seed, replica.fold, k, epoch]).permutation(order)
            index[:steps, begin : begin + size] = pool[np.resize(order, wanted)].reshape(steps, size)
            begin += size
        at, end = epoch * steps + np.arange(most), self.recipe.epochs * steps
        return {
            "index": index,
            "factor": self._factors(at, steps, end).astype("float32"),
            "active": np.arange(most) < steps,
            "number": at.astype("int32"),
        }

    def _factors(self, at: np.ndarray, steps: int, end: int) -> np.ndarray:
        """The cosine schedule of `keras_ser.training.network.optimizer`, over its peak."""
        warmup = min(int(self.recipe.optimizer.warmup_epochs * steps), end // 2)
        falls = 0.5 * (1 + np.cos(np.pi * np.clip((at - warmup) / max(1, end - warmup), 0, 1)))
        return np.where(at < warmup, 0.1 + 0.9 * at / max(1, warmup), falls)

    def _inputs(self, data: dict, rows: Any) -> dict[str, Any]:
        found = {}
        for name, x in data["x"].items():
            found[name] = x[rows].astype("float32")
            found[mask_of(name)] = jnp.arange(x.shape[1]) < data["valid"][name][rows][:, None]
        return {name: value for name, value in found.items() if name in self.network.model.input}

    def _targets(self, data: dict, rows: Any, x: dict, scales: dict) -> tuple[dict, dict]:
        clip, y, w = data["clip"][rows], {}, {}
        for name, output in self.network.outputs.items():
            target = output.target
            if isinstance(target, Label):
                y[name], w[name] = data["labels"][target.task][clip], data["weights"][target.task][clip]
            else:
                mask = x[mask_of(target.feature)]
                mean, variance = scales[target.feature]
                y[name] = jnp.where(
                    mask[..., None],
                    (x[target.feature] - mean) / jnp.sqrt(variance + self._epsilon(target.feature)),
                    0.0,
                )
                w[name] = mask.astype("float32")
        return y, w

    def _epsilon(self, feature: str) -> float:
        return next(layer.epsilon for names, layer in self.network.normalizations.items() if feature in names)

    def epoch(self, state: dict, plan: dict, scales: dict, key: Any, data: dict) -> tuple[dict, dict]:
        """One replica's epoch: its state, and means of its logs."""
        images = [
            output.target.feature
            for output in self.network.outputs.values()
            if isinstance(output.target, Reconstruction)
        ]

        def step(state, batch):
            x = self._inputs(data, batch["index"])
            y, w = self._targets(data, batch["index"], x, scales)
            new, logs = self.first.step(state, x, y, w, batch["factor"], jax.random.fold_in(key, batch["number"]))
            if images:
                rows = y["reconstruction"] * w["reconstruction"][..., None]
                logs |= {
                    "frames": w["reconstruction"].sum(),
                    "sums": rows.sum((0, 1)),
                    "squares": (rows**2).sum((0, 1)),
                }
            new = jax.tree.map(lambda a, b: jnp.where(batch["active"], a, b).astype(b.dtype), new, state)
            return new, jax.tree.map(lambda value: jnp.where(batch["active"], value, 0.0), logs)

        state, logs = jax.lax.scan(step, state, plan)
        logs = {name: value.sum(0) for name, value in logs.items()}
        if images:
            mean, square = (logs.pop(name) / logs["frames"] for name in ("sums", "squares"))
            logs["mean_frame_error"] = jnp.mean(square - mean**2)
            logs.pop("frames")
        steps = plan["active"].sum()
        return state, {name: value if name == "mean_frame_error" else value / steps for name, value in logs.items()}

    def judge(self, state: dict, data: dict) -> Any:
        """One replica's posteriors of the main task for the clips of its own corpus, (clips, classes)."""
        rows = np.resize(self.judged, -(-len(self.judged) // CHUNK) * CHUNK)
        fresh = (np.arange(len(rows)) < len(self.judged)).astype("float32")
        found = jax.lax.map(
            lambda part: self.first.posteriors(state, self._inputs(data, part)), rows.reshape(-1, CHUNK)
        )
        found = found.reshape(len(rows), -1)
        weight = fresh * data["valid"][self.recipe.inputs[0]][rows]
        clip = data["clip"][rows]
        total = jnp.zeros(self.own).at[clip].add(weight)
        return jnp.zeros((self.own, found.shape[-1])).at[clip].add(found * weight[:, None]) / total[:, None]

    def _group(self, group: Sequence[Replica]) -> tuple[dict, dict, Any]:
        """State, statistics and random keys of a group, (together, ..) each."""
        most = int(len(self.recipe.streams) > 1)
        states, scales = [], []
        for r in group:
            moments = {name: values[most, r.fold] for name, values in self.examples.moments.items()}
            states.append(self.parts[r.seed].state(moments))
            scales.append(moments)
        keys = jnp.stack([jax.random.fold_in(jax.random.key(r.seed), r.fold) for r in group])
        return jax.tree.map(_stacked, *states), jax.tree.map(_stacked, *scales), keys

    def _mapped(self, compute: Callable) -> Callable:
        """`compute` for a group: over the first axis of all arguments but the last. One alone has no grouped convolutions."""

        def alone(*given):
            found = compute(*jax.tree.map(lambda value: value[0], given[:-1]), given[-1])
            return jax.tree.map(lambda value: value[None], found)

        def several(*given):
            return jax.vmap(compute, in_axes=(*(0,) * (len(given) - 1), None))(*given)

        return alone if self.together == 1 else several

    def _plans(self, group: Sequence[Replica], epoch: int) -> dict:
        return jax.tree.map(_stacked, *(self.plan(r, epoch) for r in group))

    def lowered(self) -> tuple[Any, Any]:
        """The programs of a group: `epoch` and `judge`, to be compiled."""
        group = [Replica(0, min(self.parts))] * self.together
        state, scales, keys = self._group(group)
        epoch = jax.jit(self._mapped(self.epoch), donate_argnums=0)
        judge = jax.jit(self._mapped(self.judge))
        return epoch.lower(state, self._plans(group, 0), scales, keys, self.data), judge.lower(state, self.data)

    def train(self, replicas: Sequence[Replica], epoch: Callable, judge: Callable, data: dict) -> None:
        """Train replicas, in groups of `together`, the last of which is filled up.

        Args:
            replicas: what to train.
            epoch, judge: the compiled programs of `lowered`.
            data: `self.data` on the device.
        """
        start, truth = time.perf_counter(), self.clips.labels[self.recipe.tasks[0].name]
        for begin in range(0, len(replicas), self.together):
            group = list(replicas[begin : begin + self.together])
            count = len(group)
            group += group[:1] * (self.together - count)
            state, scales, keys = jax.device_put(self._group(group))
            choices = [Choice(self.recipe, self.steps[r.fold]) for r in group[:count]]
            for number in range(self.recipe.epochs):
                state, found = epoch(state, self._plans(group, number), scales, keys, data)
                posteriors = np.asarray(judge(state, data))
                found = {name: np.asarray(value) for name, value in found.items()}
                for i, (choice, r) in enumerate(zip(choices, group[:count], strict=True)):
                    sides = self.clips.sides[r.fold]
                    scores = {side: side_uar(posteriors[i], truth, sides == k) for k, side in enumerate(SIDES[:2])}
                    choice.add(scores["validation"], scores["train"], float(found["loss"][i]))
                    row = {"seed": r.seed, "fold": self.clips.about["folds"][r.fold], "epoch": number + 1}
                    row |= {f"{side}_uar": score for side, score in scores.items()}
                    self.logs.append(row | {name: float(value[i]) for name, value in found.items()})
            for choice in choices:  # a rate that ends at 0 keeps its last epoch
                choice.epoch = self.recipe.epochs
            self.replicas += group[:count]
            self.choices += choices
            self.kept += list(posteriors[:count])
        self.seconds += time.perf_counter() - start

    @property
    def trained(self) -> Trained:
        """What was trained up to now."""
        return Trained(self, self.choices, np.array(self.kept), self.seconds)
