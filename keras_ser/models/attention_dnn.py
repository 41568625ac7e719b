"""MT-A-DNN: a deep network on acoustic statistics of a clip, with feature attention for each task.

    68 numbers (mean and variance of 34 short-term features) -> dense 128, SELU, shared
      -> for each task: FeatureAttention -> softmax

The loss is the sum of the tasks' cross-entropies, each times `Task.weight`. Without attention (`DNN`) it is the DNN that the paper
compares with. With two shared layers of 256 ReLU units and no attention (`DNN_MTL`) it is the network of Parthasarathy and Busso,
reference [25] of the ASP-MTL paper, which trains it with dropout 0.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_ser.checks import check_choice, check_least, check_share
from keras_ser.errors import UserError
from keras_ser.models.paper import Inputs, Network, given, joined
from keras_ser.tasks import Task
from keras_ser.values import settle

ATTENTIONS = ("vector", "scalar", None)
ACTIVATIONS = ("selu", "relu")


@dataclass(frozen=True)
class Config:
    """Settings of MT-A-DNN; the defaults are the paper's, except `attention`.

    Args:
        units: widths of the shared dense layers.
        activation: their activation, "selu" (LeCun normal initial weights) or "relu" (He uniform).
        attention: "vector" (one weight per feature; ours), "scalar" (one weight, as in the paper) or None (no attention).
        dropout: rate after each shared layer, in [0, 1) (paper: none).
    """

    units: tuple[int, ...] = (128,)
    activation: str = "selu"
    attention: str | None = "vector"
    dropout: float = 0.0

    def __post_init__(self):
        settle(self)
        if not self.units:
            raise UserError("`units` must be widths of at least one layer. Received: none.")
        check_least(self, 1, "units")
        check_choice(self, "activation", ACTIVATIONS)
        check_choice(self, "attention", ATTENTIONS)
        check_share(self, "dropout")


DNN = Config(attention=None)
DNN_MTL = Config(units=(256, 256), activation="relu", attention=None)


def build(config: Config, inputs: Inputs, tasks: Sequence[Task], **_: Any) -> Network:
    """Build the network from features to logits; its loss is the weighted sum of the tasks' cross-entropies.

    Args:
        config: the settings.
        inputs: feature -> (frames, bins), in the order in which they are joined; the paper's: {"short_term": (1, 68)}. Several
            frames are averaged.
        tasks: one output each, (batch, classes) logits. The embedding is the last shared layer, (batch, units).

    Returns:
        Network.

    Raises:
        UserError: the features are of several front ends.
    """
    import keras

    from keras_ser.features import FeatureNormalization
    from keras_ser.layers import FeatureAttention, MeanPooling
    from keras_ser.models.heads import head, task_outputs

    inside, normalization = given(inputs), FeatureNormalization(name="normalization")
    x = normalization(joined(inside, tuple(inputs)), inside["mask"])
    x = MeanPooling(name="clip")(x, mask=inside["mask"])  # (batch, bins)
    initial = "lecun_normal" if config.activation == "selu" else "he_uniform"
    for i, units in enumerate(config.units):
        x = keras.layers.Dense(units, activation=config.activation, kernel_initializer=initial, name=f"shared_{i + 1}")(
            x
        )
        embedding = x
        if config.dropout:
            x = keras.layers.Dropout(config.dropout, name=f"dropout_{i + 1}")(x)
    outputs = {}
    for task in tasks:
        scalar = config.attention == "scalar"
        seen = FeatureAttention(scalar, name=f"attention_{task.name}")(x) if config.attention else x
        outputs[task.name] = head(seen, task, 0)
    model = keras.Model(inside, outputs, name="attention_dnn")
    return Network(model, task_outputs(tasks), embedding, {tuple(inputs): normalization})
