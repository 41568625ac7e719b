"""Stochastic gradient descent with coupled weight decay, and the learning rate of any optimizer as a number."""

import keras
from keras import ops

from keras_ser.checks import check_least


def learning_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """Return an optimizer's learning rate, also of one whose variables are mirrored on several devices."""
    return float(ops.convert_to_numpy(optimizer.learning_rate))


@keras.saving.register_keras_serializable(package="keras_ser")
class CoupledSGD(keras.optimizers.SGD):
    """SGD with momentum and weight decay that is added to the gradients of kernels:

        v <- momentum v - rate (g + decay w),    w <- w + v

    This is the weight decay of papers before AdamW, and of Caffe, MatConvNet and PyTorch (which also decays biases and
    normalisations, unless they are in a parameter group of their own). `keras.optimizers.SGD(weight_decay=..)` instead
    subtracts rate decay w independently of the momentum, which with momentum 0.9 is a tenth of the effect.

    Args:
        learning_rate: a number or a schedule. Default 0.01.
        momentum: in [0, 1). Default 0.
        decay: weight decay of variables with "kernel" in their name; a finite number >= 0. Default 0.
        **kwargs: further arguments of `keras.optimizers.SGD`.

    Raises:
        UserError: `decay` is negative or not finite.
    """

    def __init__(
        self, learning_rate=0.01, momentum: float = 0.0, decay: float = 0.0, name: str = "coupled_sgd", **kwargs
    ):
        super().__init__(learning_rate=learning_rate, momentum=momentum, name=name, **kwargs)
        self.decay = decay
        check_least(self, 0, "decay")

    def update_step(self, gradient, variable, learning_rate):
        if self.decay and "kernel" in variable.name and self._use_weight_decay(variable):
            gradient = ops.add(
                gradient, ops.multiply(ops.cast(self.decay, gradient.dtype), ops.cast(variable, gradient.dtype))
            )
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "decay": self.decay}
