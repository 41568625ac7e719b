"""Centre loss: features are drawn to a learned centre of their class."""

import keras
from keras import ops

from keras_ser.errors import UserError
from keras_ser.features.configured import Configured


@keras.saving.register_keras_serializable(package="keras_ser")
class CenterLoss(Configured):
    """Half the squared distance of a feature to the centre of every class.

        d_i,c = 1/2 || f_i - c_c ||^2

    The layer owns the centres and needs no labels: compiled with `keras_ser.losses.TrueClass`, which picks d_i,y_i, its
    output gives the centre loss 1/2 mean ||f_i - c_y_i||^2, sample weights included; the output is dropped at
    inference time. The centres descend the same loss as the features (Wen et al. move them by a rule of their own).

    Args:
        classes: number of classes; an integer >= 1.

    Input shape: (batch, units).
    Output shape: (batch, classes), float32 whatever the dtype policy.

    Raises:
        UserError: `classes` under 1.

    Reference:
        Wen et al., *A Discriminative Feature Learning Approach for Deep Face Recognition*, ECCV 2016.
    """

    def __init__(self, classes: int, **kwargs):
        super().__init__(**kwargs)
        if classes < 1:
            raise UserError(f"`classes` must be >= 1. Received: classes={classes}.")
        self.classes = classes

    def build(self, input_shape):
        self.centers = self.add_weight(
            shape=(self.classes, input_shape[-1]), initializer="zeros", name="centers", autocast=False
        )

    def call(self, features):
        features = ops.expand_dims(ops.cast(features, "float32"), axis=1)  # (batch, 1, units)
        return 0.5 * ops.sum(ops.square(features - ops.cast(self.centers, "float32")), axis=-1)  # (batch, classes)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.classes)

    def compute_output_spec(self, features):
        return keras.KerasTensor(self.compute_output_shape(features.shape), dtype="float32")
