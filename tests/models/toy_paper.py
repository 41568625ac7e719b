"""A paper that has what no other here has: nothing outside this file knows it.

Two front ends of different hop and the raw waveform, stretches of 0.5 s, a reconstruction, an adversary with an optimizer and a
`train_step` of its own, and persons of two corpora, of which one has no emotions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from keras_ser.models.paper import Inputs, Network, Optimized, Output, Reconstruction, given
from keras_ser.recipe import FrontendConfig, OptimizerConfig, Recipe, Sampling, Stream
from keras_ser.splits import Protocol
from keras_ser.tasks import Task
from keras_ser.values import settle

SPACE = ("config.critic=0.01:1:log",)


@dataclass(frozen=True)
class Config:
    """Settings.

    Args:
        units: of every hidden layer.
        critic: how much the encoder weighs what the critic finds.
    """

    units: int = 6
    critic: float = 0.1

    def __post_init__(self):
        settle(self)


class Adversarial(keras.Model):
    """The critic tells the latent code from normal noise; the encoder learns to deceive it."""

    critic: keras.Model
    code: keras.Model
    weight: float

    def train_step(self, batch):
        x, y, w = batch
        with tf.GradientTape() as tape:
            found = self(x, training=True)
            loss = self.compute_loss(x, y, found, w)
            code = self.code(x, training=True)
            real = tf.ones((tf.shape(code)[0], 1))
            deceived = keras.losses.binary_crossentropy(real, self.critic(code), from_logits=True)
            loss += self.weight * tf.reduce_mean(deceived)
        own = [v for v in self.trainable_variables if v.path not in {c.path for c in self.critic.trainable_variables}]
        self.optimizer.apply(tape.gradient(loss, [v.value for v in own]), own)
        theirs = self.critic.trainable_variables
        with tf.GradientTape() as tape:
            prior = keras.random.normal(tf.shape(code), seed=self.prior)
            told = self.critic(tf.concat([prior, tf.stop_gradient(code)], 0))
            told = keras.losses.binary_crossentropy(tf.concat([real, 0 * real], 0), told, from_logits=True)
        self.optimizers["critic"].apply(tape.gradient(told, [v.value for v in theirs]), theirs)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
        return self.compute_metrics(x, y, found, w)


def build(config: Config, inputs: Inputs, tasks: Sequence[Task], **_) -> Network:
    from keras_ser.features import FeatureNormalization
    from keras_ser.layers import MeanPooling
    from keras_ser.models.heads import head, task_outputs

    inside, pooled, normalizations = given(inputs), [], {}
    for name in ("log_mel", "slow.mfcc"):
        layer = FeatureNormalization(name=f"{name}_normalization")
        normalizations[name,] = layer
        mask = inside[name.replace("log_mel", "mask").replace("mfcc", "mask")]
        x = keras.layers.Dense(config.units, "tanh", name=f"{name}_encoder")(layer(inside[name], mask))
        pooled.append(MeanPooling(name=f"{name}_mean")(x, mask=mask))
    raw = keras.layers.Conv1D(config.units, 5, activation="relu", name="raw_encoder")(inside["raw.waveform"])
    pooled.append(keras.layers.GlobalMaxPooling1D(name="raw_max")(raw))
    x = keras.layers.Concatenate(name="levels")(pooled)
    code = keras.layers.Dense(config.units, name="code")(keras.layers.Dropout(0.2, name="levels_dropout")(x))
    outputs = {task.name: head(code, task, 4) for task in tasks}
    frames, bins = inputs["log_mel"]
    image = keras.layers.Dense(frames * bins, dtype="float32", name="decoder")(code)
    outputs["image"] = keras.layers.Reshape((frames, bins), dtype="float32", name="image")(image)
    model = Adversarial(inside, outputs, name="toy")
    model.critic = keras.Sequential([keras.Input((config.units,)), keras.layers.Dense(1, name="critic")], name="critic")
    model.code = keras.Model(inside, code, name="encoder")
    model.weight, model.prior = config.critic, keras.random.SeedGenerator(7)
    learns = task_outputs(tasks)
    learns["image"] = Output(Reconstruction("log_mel"), keras.losses.MeanSquaredError(), 0.5)
    critic = Optimized(model.critic.trainable_variables, OptimizerConfig("sgd", 0.05))
    return Network(model, learns, code, normalizations, {"critic": critic})


EMOTION = Task("emotion", ("anger", "neutral", "sadness"))


def recipe() -> Recipe:
    """The model must be registered."""
    return Recipe(
        name="toy",
        corpus="demo",
        tasks=(EMOTION, Task("speaker", identity=True)),
        protocols=(Protocol("clips", test=0.3, validation=0.2),),
        model="tests.models.toy_paper",
        frontend=FrontendConfig(features=("log_mel",), bins=8, endpoint=False),
        frontends=(
            FrontendConfig(features=("mfcc",), hop=400, endpoint=False, name="slow"),
            FrontendConfig(features=("waveform",), window=80, hop=80, endpoint=False, name="raw"),
        ),
        streams=(Stream("clips"), Stream("readers", corpus="manifest", share=0.5)),
        sampling=Sampling("segments", seconds=0.5, balance=False),
        optimizer=OptimizerConfig("adam", 1e-2),
        batch_size=8,
        epochs=3,
        patience=0,
        seeds=(0,),
    )
