"""MT-A-DNN: a deep network on a clip's acoustic statistics, in which each task attends to features of its own.

    68 numbers (mean and variance of 34 short-term features) -> dense 128, SELU, shared
      -> for each task: FeatureAttention -> softmax

The loss is the weighted sum of the tasks' cross-entropies; the tasks' own weights are those of the sum. Without attention it is the
DNN that the paper compares with; with two shared layers of 256 ReLU (`DNN_MTL`) that of Kim et al. which the ASP-MTL paper
compares with as its [25].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keras_ser.checks import check_choice, check_least, check_share
from keras_ser.errors import UserError
from keras_ser.tasks import Task
from keras_ser.values import settle

ATTENTIONS = ("vector", "scalar", None)
ACTIVATIONS = ("selu", "relu")


@dataclass(frozen=True)
class Config:
    """Settings; defaults: the paper's.

    Args:
        units: widths of the shared dense layers.
        activation: of these, "selu" (with its LeCun normal initial weights) or "relu".
        attention: "vector" (a weight for each feature; ours), "scalar" (one, as printed) or None (the DNN without).
        dropout: after each shared layer (paper: none).
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


def build(
    config: Config, inputs: Mapping[str, int], tasks: Sequence[Task], streams: int = 1, frames: int | None = None
):
    """The network, features in, logits out.

    Args:
        config: the settings.
        inputs: feature name -> bins, in the order in which they are joined; the paper's: {"short_term": 68}.
        tasks: one output each, the main task first.
        streams: of a batch; the network does not tell them apart.
        frames: of every clip: 1, the front end's statistics; of more the mean is taken.

    Returns:
        keras.Model: inputs {name: (batch, frames, bins), "mask": (batch, frames)}; outputs {task: (batch, classes)
        logits}.
    """
    import keras

    from keras_ser.features import FeatureNormalization
    from keras_ser.layers import FeatureAttention, MeanPooling
    from keras_ser.models.heads import head

    given = {name: keras.Input((frames, bins), name=name) for name, bins in inputs.items()}
    mask = given["mask"] = keras.Input((frames,), dtype="bool", name="mask")
    x = [given[name] for name in inputs]
    x = keras.layers.Concatenate(name="features", dtype="float32")(x) if len(x) > 1 else x[0]
    x = FeatureNormalization(name="normalization")(x, mask)
    x = MeanPooling(name="clip")(x, mask=mask)  # (batch, bins)
    initial = "lecun_normal" if config.activation == "selu" else "he_uniform"
    for i, units in enumerate(config.units):
        x = keras.layers.Dense(units, activation=config.activation, kernel_initializer=initial, name=f"shared_{i + 1}")(
            x
        )
        if config.dropout:
            x = keras.layers.Dropout(config.dropout, name=f"dropout_{i + 1}")(x)
    outputs = {}
    for task in tasks:
        scalar = config.attention == "scalar"
        seen = FeatureAttention(scalar, name=f"attention_{task.name}")(x) if config.attention else x
        outputs[task.name] = head(seen, task, 0)
    return keras.Model(given, outputs, name="attention_dnn")


def losses(config: Config, tasks: Sequence[Task]):
    """({output: loss}, {output: weight}) of the weighted sum."""
    from keras_ser.models.heads import task_losses

    return task_losses(tasks)


def targets(config: Config, tasks: Sequence[Task]) -> dict[str, str]:
    """Every output learns its own task."""
    return {}


def embedding(network):
    """What the tasks share: the last shared layer, (batch, units)."""
    names = [layer.name for layer in network.layers if layer.name.startswith("shared_")]
    return network.get_layer(names[-1]).output
