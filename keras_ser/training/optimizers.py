"""Stochastic gradient descent with the weight decay of the literature."""

import keras
from keras import ops

from keras_ser.errors import UserError


@keras.saving.register_keras_serializable(package="keras_ser")
class CoupledSGD(keras.optimizers.SGD):
    """SGD with momentum whose weight decay is added to the gradient, of kernels only:

        v <- momentum v - rate (g + decay w),    w <- w + v

    This is what papers before AdamW, Caffe, MatConvNet and PyTorch mean by weight decay (PyTorch decays biases and normalisations
    too, unless they are put into a group of their own). `keras.optimizers.SGD(weight_decay=..)`
    takes rate decay w off the weights apart from the momentum, which with momentum 0.9 is a tenth of it.

    Args:
        learning_rate: a number or a schedule.
        momentum: in [0, 1).
        decay: of the variables called "kernel"; biases and normalisations have none.
        **kwargs: of `keras.optimizers.SGD`.
    """

    def __init__(
        self, learning_rate=0.01, momentum: float = 0.0, decay: float = 0.0, name: str = "coupled_sgd", **kwargs
    ):
        super().__init__(learning_rate=learning_rate, momentum=momentum, name=name, **kwargs)
        if not 0 <= decay < float("inf"):
            raise UserError(f"`decay` must be a finite number >= 0. Received: decay={decay}.")
        self.decay = decay

    def update_step(self, gradient, variable, learning_rate):
        if self.decay and "kernel" in variable.name:
            gradient = ops.add(
                gradient, ops.multiply(ops.cast(self.decay, gradient.dtype), ops.cast(variable, gradient.dtype))
            )
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "decay": self.decay}
