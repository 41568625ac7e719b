"""Centre loss: pull features towards a centre of their class; the centres follow the features of their classes."""

import keras
from keras import ops

from keras_ser.checks import check_least
from keras_ser.errors import UserError
from keras_ser.features.configured import Configured


@keras.saving.register_keras_serializable(package="keras_ser")
class CenterLoss(Configured):
    """Half the squared distance between a feature and the centre of each class.

        d_i,c = 1/2 || f_i - c_c ||^2

    The layer owns the centres and needs no labels: compiled with `keras_ser.losses.TrueClass`, which picks d_i,y_i, its
    output gives the centre loss 1/2 mean ||f_i - c_y_i||^2, sample weights included; the output is dropped at
    inference time.

    The features follow the gradient of the loss. In each training step the centres move by the paper's rule instead:

        delta_c = sum_{y_i = c} (c_c - f_i) / (1 + n_c),    c_c <- c_c - rate delta_c,    n_c = number of i with y_i = c

    so that their steps depend neither on the loss's weight nor on the batch size. Examples of sample weight 0 are ignored, and
    the centre of an absent class does not move. The labels are read off the upstream gradient, which is nonzero only for d_i,y_i.
    The layer returns the moved centres in place of their gradient, and the optimizer assigns them
    (`Variable.overwrite_with_gradient`): learning rate, moments, clipping and weight decay do not affect them. Under a
    MirroredStrategy the new centres are the mean of those that each replica computes from its part of the batch.

    Args:
        classes: number of classes; an integer >= 1.
        rate: step size of the centres (alpha of the paper), in (0, 1]. Default 0.5, the paper's.

    Input shape: (batch, units).
    Output shape: (batch, classes), float32 whatever the dtype policy.

    Raises:
        UserError: `classes` under 1, a `rate` out of range, or an input of another rank.

    Reference:
        Wen et al., *A Discriminative Feature Learning Approach for Deep Face Recognition*, ECCV 2016.
    """

    def __init__(self, classes: int, rate: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        self.keep(locals())
        check_least(self, 1, "classes")
        if not 0 < rate <= 1:
            raise UserError(f"`rate` must be over 0, up to 1. Received: rate={rate}.")

    def build(self, input_shape):
        if len(input_shape) != 2:
            raise UserError(f"expected features (batch, units). Received: shape {tuple(input_shape)}.")
        self.centers = self.add_weight(
            shape=(self.classes, input_shape[-1]),
            initializer="zeros",
            name="centers",
            dtype="float32",
            autocast=False,
            aggregation="mean",  # over the replicas of a strategy, whose centres would drift apart otherwise
        )
        self.centers.overwrite_with_gradient = True

    def call(self, features):
        # pass the centres as a tensor, since TensorFlow's custom gradient treats variables differently
        centers = ops.reshape(self.centers, self.centers.shape)
        return ops.custom_gradient(self._distances)(ops.cast(features, "float32"), centers)

    def _distances(self, features, centers):
        """Return the distances, (batch, units), (classes, units) -> (batch, classes), and their gradient function."""

        def found(*args, upstream=None):
            (upstream,) = args if upstream is None else (upstream,)  # (batch, classes); torch passes it by name
            gradient = ops.sum(upstream, axis=1, keepdims=True) * features - ops.matmul(upstream, centers)
            own = ops.cast(ops.not_equal(upstream, 0.0), "float32")  # (batch, classes): y_i = c
            count = ops.expand_dims(ops.sum(own, axis=0), axis=1)  # (classes, 1)
            delta = (count * centers - ops.matmul(ops.transpose(own), features)) / (1.0 + count)
            return gradient, centers - self.rate * delta

        difference = ops.expand_dims(features, axis=1) - centers  # (batch, classes, units)
        return 0.5 * ops.sum(ops.square(difference), axis=-1), found

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.classes)

    def compute_output_spec(self, features):
        return keras.KerasTensor(self.compute_output_shape(features.shape), dtype="float32")
