"""A GRU over the frames, its mean over time, and one dense layer for each task."""

from dataclasses import dataclass

from keras_ser.models.paper import Network, given, joined
from keras_ser.settings import mask_of
from keras_ser.values import settle

SPACE = ("config.units=16,32,64",)


@dataclass(frozen=True)
class Config:
    """Settings: width of the GRU and of the dense layers, dropout before the outputs."""

    units: int = 32
    dropout: float = 0.2

    def __post_init__(self):
        settle(self)  # values from JSON or the command line get the fields' types


def build(config, inputs, tasks, **_):
    import keras

    from keras_ser.features import FeatureNormalization
    from keras_ser.layers import MeanPooling
    from keras_ser.models.heads import head, task_outputs

    inside, names = given(inputs), tuple(inputs)
    mask = inside[mask_of(names[0])]  # (batch, frames)
    normalization = FeatureNormalization(name="normalization")
    x = normalization(joined(inside, names), mask)  # (batch, frames, bins)
    x = keras.layers.GRU(config.units, return_sequences=True, name="gru")(x)
    embedding = MeanPooling(name="mean")(x, mask=mask)  # (batch, units)
    outputs = {task.name: head(embedding, task, config.units, config.dropout) for task in tasks}
    model = keras.Model(inside, outputs, name="gru")
    return Network(model, task_outputs(tasks), embedding, {names: normalization})
