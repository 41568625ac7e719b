"""Gradient reversal, for adversarial training in one backward pass."""

import keras
from keras import ops

from keras_ser.checks import check_least
from keras_ser.features.configured import Configured


@keras.saving.register_keras_serializable(package="keras_ser")
class GradientReversal(Configured):
    """Identity in the forward pass; multiplies the gradient by `-rate` in the backward pass.

    Placed between the shared encoder and the discriminator (equations 11-12 of ASP-MTL), it lets the discriminator
    descend its own cross-entropy while the encoder ascends it, in one backward pass:

        y = sg(x) + rate (sg(x) - x),    sg = stop_gradient,    so that y = x exactly and dy/dx = -rate.

    Args:
        rate: strength of the reversed gradient; a finite number >= 0 (0 cuts the gradient). Default 1. It is independent of
            the weight of the loss (gamma of equation 19), which scales the gradients of discriminator and encoder alike.

    Input shape: any. Output shape: that of the input.

    Raises:
        UserError: `rate` is negative or not finite.

    Reference:
        Ganin et al., *Domain-Adversarial Training of Neural Networks*, JMLR 17 (2016);
        Liu and Zhang, *Design of Efficient Speech Emotion Recognition Based on Multi Task Learning*, IEEE Access.
    """

    def __init__(self, rate: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.rate = float(rate)
        check_least(self, 0, "rate")

    def call(self, x):
        fixed = ops.stop_gradient(x)
        return fixed + self.rate * (fixed - x)

    def compute_output_shape(self, input_shape):
        return input_shape
