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
from keras_ser.models.paper import Network, given, joined
from keras_ser.settings import FrontendConfig
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
    config: Config,
    inputs: Mapping[str, tuple[int | None, int]],
    tasks: Sequence[Task],
    streams: int = 1,
    frontend: FrontendConfig | None = None,
) -> Network:
    """The network, features in, logits out; its loss is the weighted sum of the tasks' cross-entropies.

    Args:
        config: the settings.
        inputs: feature -> (frames, bins), in the order in which they are joined; the paper's: {"short_term": (1, 68)}. Of more
            than one frame the mean is taken.
        tasks: one output each, (batch, classes) logits. The embedding is the last shared layer, (batch, units).
        streams, frontend: not used.
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
