"""A network in parts with an optimizer each, and its training step without side effects (JAX).

A network with one optimizer takes the gradient of its losses; `ThreePhases` its three phases, as `keras_ser.models.aae_mtl.phases`
computes them under TensorFlow.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import keras
import numpy as np
from accelerator_examples import Examples
from jax import numpy as jnp

from keras_ser.errors import UserError
from keras_ser.models.paper import Label, Network, Reconstruction, build_network
from keras_ser.recipe import Recipe
from keras_ser.training.network import optimizer

RATE = 1  # place of the learning rate among an optimizer's variables
SPLIT = {"reconstruct": ("encoder", "decoder"), "discriminate": ("critic",), "regularise": ("encoder",)}


def prior(key: Any, number: int, shape: Sequence[int]) -> Any:
    """Samples of N(0, I)."""
    return jax.random.normal(jax.random.fold_in(key, number), shape)


@dataclass(frozen=True)
class Parts:
    """A recipe's network in parts, and its optimizers.

    Args:
        recipe, network: the recipe and its network with the initial weights of a seed.
        models: name of a part -> keras.Model; "whole" where there is one optimizer.
        trained: name of an optimizer, "" for the main one -> the parts that it trains.
        optimizers: name -> Keras optimizer at a constant rate.
    """

    recipe: Recipe
    network: Network
    models: dict[str, Any]
    trained: dict[str, tuple[str, ...]]
    optimizers: dict[str, Any]

    @classmethod
    def built(cls, recipe: Recipe, examples: Examples, seed: int, loops: bool = False) -> "Parts":
        """Build a recipe's network with the initial weights of a seed, its LSTMs as loops if asked: vmap knows no cuDNN."""
        keras.utils.set_random_seed(seed)
        network = build_network(recipe, {name: x.shape[1:] for name, x in examples.x.items()})
        model = network.model
        three = all(hasattr(model, name) for name in ("encoder", "classifiers", "critic"))
        if not three and (network.optimizers or type(model).train_step is not keras.Model.train_step):
            raise UserError(f"this trains networks with Keras's own step, and AAE-MTL. Received: {recipe.model}.")
        if not all(isinstance(output.target, Label | Reconstruction) for output in network.outputs.values()):
            raise UserError("this trains outputs that learn labels, or reconstruct a feature.")
        for layer in model._flatten_layers() if loops else ():
            if hasattr(layer, "use_cudnn"):
                layer.use_cudnn = False
        models, trained = {"whole": model}, {"": ("whole",)}
        if three:
            models = {
                n: getattr(model, n) for n in ("encoder", "decoder", "classifiers", "critic") if getattr(model, n)
            }
            trained = {"": ("encoder", "classifiers")} | {n: SPLIT[n] for n in network.optimizers}
        settings, optimizers = dataclasses.replace(recipe.optimizer, schedule="constant", warmup_epochs=0.0), {}
        for name, parts in trained.items():
            rate = settings.learning_rate * (network.optimizers[name].rate if name else 1.0)
            made = optimizer(dataclasses.replace(settings, learning_rate=rate), 1, 1)
            made.build([v for part in parts for v in models[part].trainable_variables])
            if made.variables[RATE] is not made._learning_rate:
                raise UserError("this Keras keeps the learning rate elsewhere among an optimizer's variables.")
            optimizers[name] = made
        return cls(recipe, network, models, trained, optimizers)

    def state(self, moments: dict[str, np.ndarray]) -> dict[str, Any]:
        """The initial state, with the statistics {input: (2, bins)} of a fold."""
        others = {}
        scales = {}
        for names, layer in self.network.normalizations.items():
            mean, variance = (np.concatenate([moments[name][k] for name in names]) for k in (0, 1))
            scales |= {id(layer.mean): mean, id(layer.variance): variance}
        for name, model in self.models.items():
            others[name] = [scales.get(id(v), np.asarray(v)) for v in model.non_trainable_variables]
        weights = {n: [np.asarray(v) for v in model.trainable_variables] for n, model in self.models.items()}
        kept = {name: [np.asarray(v) for v in made.variables] for name, made in self.optimizers.items()}
        return {"weights": weights, "others": others, "optimizers": kept}

    def apply(self, state: dict, name: str, grads: Sequence[list], factor: Any) -> dict:
        """A step of an optimizer, its learning rate times `factor`."""
        parts, made = self.trained[name], self.optimizers[name]
        variables = list(state["optimizers"][name])
        base = variables[RATE]
        variables[RATE] = base * factor
        own = [w for part in parts for w in state["weights"][part]]
        found, variables = made.stateless_apply(variables, [g for part in grads for g in part], own)
        variables, weights, begin = list(variables), dict(state["weights"]), 0
        variables[RATE] = base
        for part in parts:
            end = begin + len(weights[part])
            weights[part], begin = list(found[begin:end]), end
        return {**state, "weights": weights, "optimizers": {**state["optimizers"], name: variables}}

    def call(self, part: str, weights: list, others: dict, x: Any) -> tuple[Any, dict]:
        """A part in training: its output, and all non-trainable variables afterwards."""
        found, own = self.models[part].stateless_call(weights, others[part], x, training=True)
        return found, {**others, part: list(own)}

    def step(self, state: dict, x: dict, y: dict, w: dict, factor: Any, key: Any) -> tuple[dict, dict]:
        """A training step: the new state, and what is logged."""
        if "whole" in self.models:
            return self._plain(state, x, y, w, factor)
        return self._phases(state, x, y, w, factor, key)

    def loss(self, found: dict, y: dict, w: dict) -> Any:
        """The weighted sum of the losses of the outputs in `found`."""
        chosen = {name: output for name, output in self.network.outputs.items() if name in found}
        return sum(o.weight * o.loss(y[name], found[name], sample_weight=w[name]) for name, o in chosen.items())

    def _plain(self, state, x, y, w, factor):
        model = self.models["whole"]

        def loss(weights, others):
            found, own, losses = model.stateless_call(weights, others["whole"], x, training=True, return_losses=True)
            return self.loss(found, y, w) + sum(losses), {"whole": list(own)}

        (value, others), grads = jax.value_and_grad(loss, has_aux=True)(state["weights"]["whole"], state["others"])
        return self.apply({**state, "others": others}, "", [grads], factor), {"loss": value}

    def _phases(self, state, x, y, w, factor, key):
        from keras_ser.models.aae_mtl.phases import ACTIVE, _crossentropy, prior_distance

        model, logs = self.network.model, {}
        settings, image = model.settings, model.image
        weights = state["weights"]

        def reconstruct(encoder, decoder, others):
            z, others = self.call("encoder", encoder, others, x)
            made, others = self.call("decoder", decoder, others, z)
            error = model.difference(y[image], made, sample_weight=w[image])
            entries = made.shape[-1] * jnp.mean(jnp.sum(w[image], axis=-1)) if settings.error == "sum" else 1.0
            return float(settings.alpha > 0) * entries * error, (error, others)

        given = weights["encoder"], weights["decoder"], state["others"]
        (_, (error, others)), grads = jax.value_and_grad(reconstruct, (0, 1), has_aux=True)(*given)
        state = self.apply({**state, "others": others}, "reconstruct", grads, factor)
        logs["reconstruction_loss"] = error
        if "critic" in self.models:
            weights = state["weights"]
            real = prior(key, 0, self._shape(weights, state["others"], x))
            z, _ = self.call("encoder", weights["encoder"], state["others"], x)
            codes = jnp.concatenate([real, jax.lax.stop_gradient(z)], 0)
            half = len(real)
            truth = jnp.concatenate([jnp.ones(half, "int32"), jnp.zeros(half, "int32")])

            def discriminate(critic, others):
                found, others = self.call("critic", critic, others, codes)
                return 2 * jnp.mean(_crossentropy(truth, found)), (found, others)

            (told, (found, others)), grads = jax.value_and_grad(discriminate, has_aux=True)(
                weights["critic"], state["others"]
            )
            state = self.apply({**state, "others": others}, "discriminate", [grads], factor)
            critic = state["weights"]["critic"]

            def deceive(encoder, others):
                z, others = self.call("encoder", encoder, others, x)
                judged, others = self.call("critic", critic, others, z)
                if settings.saturating:
                    value = -jnp.mean(_crossentropy(jnp.zeros(half, "int32"), judged))
                else:
                    value = jnp.mean(_crossentropy(jnp.ones(half, "int32"), judged))
                return float(settings.adversary > 0) * value, (value, others)

            (_, (deceived, others)), grads = jax.value_and_grad(deceive, has_aux=True)(
                state["weights"]["encoder"], state["others"]
            )
            state = self.apply({**state, "others": others}, "regularise", [grads], factor)
            logs["discriminator_right"] = jnp.mean((jnp.argmax(found, -1) == truth).astype("float32"))
            logs |= {"discriminator_loss": told, "generator_loss": deceived}

        def classify(encoder, classifiers, others):
            z, others = self.call("encoder", encoder, others, x)
            found, others = self.call("classifiers", classifiers, others, z)
            return self.loss(found, y, w), (z, others)

        given = state["weights"]["encoder"], state["weights"]["classifiers"], state["others"]
        (value, (z, others)), grads = jax.value_and_grad(classify, (0, 1), has_aux=True)(*given)
        state = self.apply({**state, "others": others}, "", grads, factor)
        logs |= {"loss": value, "code_mean": jnp.mean(z), "code_deviation": jnp.std(z)}
        logs |= {
            "code_mmd": prior_distance(z, prior(key, 1, z.shape)),
            "code_active": jnp.mean(jnp.var(z, axis=0) > ACTIVE),
        }
        return state, logs

    def _shape(self, weights, others, x):
        return jax.eval_shape(lambda: self.call("encoder", weights["encoder"], others, x)[0]).shape

    def posteriors(self, state: dict, x: dict) -> Any:
        """Posteriors of the main task, (batch, classes)."""
        weights, others, task = state["weights"], state["others"], self.recipe.tasks[0].name
        for part in ("whole",) if "whole" in self.models else ("encoder", "classifiers"):
            x, _ = self.models[part].stateless_call(weights[part], others[part], x, training=False)
        return jax.nn.softmax(x[task].astype("float32"))
