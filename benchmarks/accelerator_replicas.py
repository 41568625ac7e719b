"""Many trainings of one network at once, by `jax.vmap`: each fold and seed of a recipe is a replica with weights, dropout,
statistics and batches of its own.

The step is Keras's own (`Model.train_step` of its JAX backend), so that losses, their weights and the optimizer are those that
`keras_ser.training.network.compiled` gives the network. All matrix products are in full float32. Against
`keras_ser.training.fit`, initial weights, dropout and the order of the examples come from other generators; and the last batch of
an epoch, where it is not full, repeats examples of its own with weight 0, which the orthogonality loss alone counts.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import keras
import numpy as np
import pandas as pd
from accelerator_clips import SIDES, Choice, Clips, Replica, side_uar, verdicts
from accelerator_networks import with_metrics
from jax import numpy as jnp

from keras_ser.errors import UserError
from keras_ser.models.paper import Label, Network, build_network
from keras_ser.recipe import Recipe
from keras_ser.training.network import compiled

CHUNK = 256  # segments of each replica that are judged at once


def built(recipe: Recipe, clips: Clips, seed: int) -> Network:
    """A recipe's network with the initial weights of a seed, compiled. Its LSTMs are loops: vmap knows no cuDNN."""
    keras.utils.set_random_seed(seed)
    network = build_network(recipe, {name: (recipe.sampling.frames, bins) for name, bins in clips.inputs.items()})
    if not all(isinstance(output.target, Label) for output in network.outputs.values()):
        raise UserError(
            "this trains outputs that learn labels alone: set config.adversary=label and config.mask_bins=0."
        )
    for layer in network.model.layers:
        for lstm in getattr(layer, "lstms", ()):
            lstm.use_cudnn = False
    compiled(recipe, network)
    with_metrics(network)
    return network


class Replicas:
    """The trainings of a recipe.

    Args:
        recipe: what to train; its `seeds` are not used.
        clips: the corpus.
        replicas: the trainings.
    """

    def __init__(self, recipe: Recipe, clips: Clips, replicas: Sequence[Replica]):
        clips.check(recipe)
        self.recipe, self.clips, self.replicas = recipe, clips, tuple(replicas)
        self.sizes = np.array([len(clips.segments[r.fold]) for r in self.replicas])
        self.steps = -(-self.sizes // recipe.batch_size)  # of each replica's epoch
        networks = {seed: built(recipe, clips, seed) for seed in sorted({r.seed for r in self.replicas})}
        self.network = networks[self.replicas[0].seed]
        self.state, self.labels, self.data = self._state(networks), self._labels(), self._data()

    def _state(self, networks: dict[int, Network]) -> tuple[list, ...]:
        """Trainable variables, others, the optimizer's and the metrics', (replicas, ..) each."""
        model, states = self.network.model, []
        ((_, layer),) = self.network.normalizations.items()
        place = {id(variable): i for i, variable in enumerate(model.non_trainable_variables)}
        for r in self.replicas:
            own = networks[r.seed].model
            groups = (
                own.trainable_variables,
                own.non_trainable_variables,
                own.optimizer.variables,
                own.metrics_variables,
            )
            state = [[np.asarray(variable) for variable in group] for group in groups]
            state[1][place[id(layer.mean)]] = self.clips.mean[r.fold]
            state[1][place[id(layer.variance)]] = self.clips.variance[r.fold]
            states.append(state)
        return tuple([np.stack(values) for values in zip(*group, strict=True)] for group in zip(*states, strict=True))

    def _labels(self) -> dict[str, np.ndarray]:
        """Task -> (replicas, clips) class indices."""
        found = {}
        for i, task in enumerate(self.recipe.tasks):
            values = [self.clips.labels[task.name]] * len(self.replicas)
            if task.name in self.recipe.shuffle:
                if i != 1:
                    raise UserError("labels of the second task alone are stored in random order.")
                values = [self.clips.shuffled[r.fold, r.seed] for r in self.replicas]
            found[task.name] = np.array(values, "int32")
        return found

    def _data(self) -> dict[str, np.ndarray]:
        """What all replicas share: frames, the segments that train, and those that are judged."""
        clips, frames = self.clips, self.recipe.sampling.frames
        cuts = np.array([(i, a) for i, n in enumerate(clips.lengths) for a in range(0, max(n, 1), frames)], "int32")
        weight = np.minimum(clips.lengths[cuts[:, 0]] - cuts[:, 1], frames).astype("float32")
        padding = -len(cuts) % CHUNK
        return {
            "frames": clips.frames,
            "ends": clips.ends,
            "segments": np.concatenate(clips.segments),
            "judged": np.pad(cuts, ((0, padding), (0, 0))).reshape(-1, CHUNK, 2),
            "weight": np.pad(weight, (0, padding)).reshape(-1, CHUNK),
        }

    def plan(self, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the steps of an epoch take: segments (replicas, steps, batch), their weights, and (replicas, steps) whether there
        is a step at all; folds of fewer segments have fewer."""
        batch, most = self.recipe.batch_size, int(self.steps.max())
        index = np.zeros((len(self.replicas), most, batch), "int32")
        weight = np.zeros(index.shape, "float32")
        begin = np.cumsum([0, *map(len, self.clips.segments)])
        for i, r in enumerate(self.replicas):
            size, steps = self.sizes[i], self.steps[i]
            order = np.random.default_rng([r.seed, epoch, r.fold]).permutation(size)
            last = order[(steps - 1) * batch :]
            filled = np.concatenate([order, np.resize(last, steps * batch - size)])
            index[i, :steps] = begin[r.fold] + filled.reshape(steps, batch)
            weight[i, :steps] = (np.arange(steps * batch) < size).reshape(steps, batch)
        return index, weight, np.arange(most) < self.steps[:, None]

    def _cut(self, data: dict[str, Any], segments: Any) -> dict[str, Any]:
        """Segments (batch, 2) -> the network's inputs."""
        clip, start = segments[:, 0], segments[:, 1]
        first, length = data["ends"][clip], data["ends"][clip + 1] - data["ends"][clip]
        at = start[:, None] + jnp.arange(self.recipe.sampling.frames)  # (batch, frames)
        mask = at < length[:, None]
        rows = data["frames"][first[:, None] + jnp.minimum(at, length[:, None] - 1)]
        rows = jnp.where(mask[..., None], rows, 0.0)
        ends = np.cumsum(list(self.clips.inputs.values()))[:-1]
        return {**dict(zip(self.clips.inputs, jnp.split(rows, ends, axis=-1), strict=True)), "mask": mask}

    def epoch(self, state: tuple, plan: tuple, labels: dict[str, Any], data: dict[str, Any]) -> tuple[tuple, Any]:
        """One replica's epoch: (state, its loss)."""
        model, outputs = self.network.model, self.network.outputs

        def step(state, batch):
            index, weight, active = batch
            segments = data["segments"][index]
            y = {name: labels[output.target.task][segments[:, 0]] for name, output in outputs.items()}
            logs, new = model.train_step(state, (self._cut(data, segments), y, dict.fromkeys(y, weight)))
            new = tuple(map(list, new))
            return jax.tree.map(lambda a, b: jnp.where(active, a, b), new, state), logs["loss"]

        state = (*state[:3], jax.tree.map(jnp.zeros_like, state[3]))
        state, losses = jax.lax.scan(step, state, plan)
        return state, losses[jnp.sum(plan[2]) - 1]  # the mean of all steps before

    def judge(self, trained: list, others: list, data: dict[str, Any]) -> Any:
        """One replica's posteriors of the main task for every clip, (clips, classes): the mean over its segments."""
        task, count = self.recipe.tasks[0], len(self.clips.ids)

        def chunk(part):
            segments, weight = part
            found, _ = self.network.model.stateless_call(trained, others, self._cut(data, segments), training=False)
            return jax.nn.softmax(found[task.name].astype("float32")) * weight[:, None]

        found = jax.lax.map(chunk, (data["judged"], data["weight"])).reshape(-1, task.size)
        clip, weight = data["judged"][..., 0].reshape(-1), data["weight"].reshape(-1)
        total = jnp.zeros(count).at[clip].add(weight)
        return jnp.zeros((count, task.size)).at[clip].add(found) / total[:, None]

    def lowered(self) -> tuple[Any, Any]:
        """The programs of all replicas: `epoch` and `judge`, to be compiled."""
        with jax.default_matmul_precision("highest"):
            epoch = jax.jit(jax.vmap(self.epoch, in_axes=(0, 0, 0, None)), donate_argnums=0)
            judge = jax.jit(jax.vmap(self.judge, in_axes=(0, 0, None)))
            epoch = epoch.lower(self.state, self.plan(0), self.labels, self.data)
            return epoch, judge.lower(self.state[0], self.state[1], self.data)

    def train(self, epoch: Callable, judge: Callable, seconds: float, report: Callable = print) -> "Trained":
        """Train until every replica's patience has ended, or for so many seconds.

        Args:
            epoch, judge: the compiled programs of `lowered`.
            report: called with a line after each epoch.
        """
        start, task, state = time.perf_counter(), self.recipe.tasks[0], jax.device_put(self.state)
        labels, data = jax.device_put((self.labels, self.data))
        choices = [Choice(self.recipe, int(steps)) for steps in self.steps]
        kept = np.zeros((len(choices), len(self.clips.ids), task.size), "float32")
        truth = self.clips.labels[task.name]
        for number in range(self.recipe.epochs):
            state, loss = epoch(state, self.plan(number), labels, data)
            found, loss = np.asarray(judge(state[0], state[1], data)), np.asarray(loss)
            for i, (choice, r) in enumerate(zip(choices, self.replicas, strict=True)):
                if not choice.ended:
                    training, validation = (side_uar(found[i], truth, self.clips.sides[r.fold] == k) for k in (0, 1))
                    if choice.add(validation, training, float(loss[i])):
                        kept[i] = found[i]
            left, spent = sum(not choice.ended for choice in choices), time.perf_counter() - start
            report(f"epoch {number + 1}: loss {np.nanmean(loss):.3f}, {left} go on, {spent:.0f} s")
            if not left or spent > seconds:
                break
        return Trained(self, choices, kept, time.perf_counter() - start)


@dataclass(frozen=True)
class Trained:
    """What was trained.

    Args:
        made: the replicas.
        choices: of each replica, its scores and kept epoch.
        kept: (replicas, clips, classes) posteriors at the kept epoch.
        seconds: wall time without compilation.
    """

    made: Replicas
    choices: list[Choice]
    kept: np.ndarray
    seconds: float

    @property
    def whole(self) -> bool:
        """Whether every replica came to its end, with finite losses."""
        return all(choice.ended for choice in self.choices) and not self.diverged

    @property
    def diverged(self) -> int:
        """Replicas whose loss was not finite in an epoch that they trained."""
        return sum(not np.isfinite(choice.losses).all() for choice in self.choices)

    def epochs(self) -> pd.DataFrame:
        """One row for each replica and epoch: the loss, and the UAR of the training and validation sets."""
        folds = self.made.clips.about["folds"]
        rows = [
            {"seed": r.seed, "fold": folds[r.fold], "epoch": epoch + 1, "loss": loss}
            | {"train_uar": training, "validation_uar": validation}
            for r, choice in zip(self.made.replicas, self.choices, strict=True)
            for epoch, (loss, training, validation) in enumerate(
                zip(choice.losses, choice.training, choice.scores, strict=True)
            )
        ]
        return pd.DataFrame(rows).sort_values(["seed", "fold", "epoch"])

    def history(self) -> pd.DataFrame:
        """One row a replica: kept epoch, epochs, steps, the UAR of each side at the kept epoch, and the verdict."""
        rows, clips, truth = [], self.made.clips, self.made.clips.labels[self.made.recipe.tasks[0].name]
        found = verdicts(self.choices, clips.about["protocol"], self.made.replicas)
        for i, (r, choice) in enumerate(zip(self.made.replicas, self.choices, strict=True)):
            row = {"seed": r.seed, "fold": clips.about["folds"][r.fold], "kept_epoch": choice.epoch}
            row |= {"epochs": len(choice.scores), "epoch_steps": choice.steps, "kept_step": choice.epoch * choice.steps}
            row |= {"loss": choice.losses[choice.epoch - 1], "ended": choice.ended}
            for k, side in enumerate(SIDES):
                row[f"{side}_uar"] = side_uar(self.kept[i], truth, clips.sides[r.fold] == k)
            rows.append(row | {"verdict": found[i]})
        return pd.DataFrame(rows).sort_values(["seed", "fold"])

    def predictions(self) -> pd.DataFrame:
        """The package's table of predictions: a row for each tested clip of each replica."""
        task, clips, tables = self.made.recipe.tasks[0], self.made.clips, []
        names = np.array(task.labels)
        for r, posteriors in sorted(
            zip(self.made.replicas, self.kept, strict=True), key=lambda x: (x[0].seed, x[0].fold)
        ):
            tested = clips.sides[r.fold] == SIDES.index("test")
            tables.append(
                pd.DataFrame(
                    {
                        "protocol": clips.about["protocol"],
                        "fold": clips.about["folds"][r.fold],
                        "seed": r.seed,
                        "stream": self.made.recipe.streams[0].name,
                        "id": clips.ids[tested],
                        "speaker": clips.speakers[tested],
                        "gender": clips.genders[tested],
                        "group": clips.speakers[tested],
                        task.name: names[clips.labels[task.name][tested]],
                        f"{task.name}/prediction": names[posteriors[tested].argmax(-1)],
                        **{f"{task.name}/{label}": posteriors[tested, i] for i, label in enumerate(task.labels)},
                    }
                )
            )
        return pd.concat(tables, ignore_index=True)
