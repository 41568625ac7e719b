"""A training step with an optimizer for each part of a network, e.g. a smaller learning rate for pretrained layers."""

import keras

from keras_ser.machine import replicas


@keras.saving.register_keras_serializable(package="keras_ser")
class Parts(keras.Model):
    """A functional model in which `optimizers[name]` trains the variables `parts[name]`, and `optimizer` all others.

    All optimizers use the same gradient of a single loss, clipped as a whole to the norm `clip_norm` (0 = no clipping); see
    `keras_ser.models.paper.Optimized` for their learning rates.
    """

    clips_together = True
    clip_norm = 0.0

    def train_step(self, batch):
        import tensorflow as tf

        x, y, w = batch
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            found = self(x, training=True)
            loss = self.compute_loss(x, y, found, w)
        gradients = tape.gradient(loss, [v.value for v in variables])
        if self.clip_norm:
            # in place of a gradient, some variables (the centres of `CenterLoss`) have their new value
            clipped = [i for i, v in enumerate(variables) if not v.overwrite_with_gradient]
            for i, value in zip(
                clipped, tf.clip_by_global_norm([gradients[i] for i in clipped], self.clip_norm)[0], strict=True
            ):
                gradients[i] = value
        by_id = dict(zip(map(id, variables), gradients, strict=True))
        parts = {name: [v for v in own if id(v) in by_id] for name, own in self.parts.items()}
        taken = {id(v) for own in parts.values() for v in own}
        for optimizer, own in (
            (self.optimizer, [v for v in variables if id(v) not in taken]),
            *((self.optimizers[name], own) for name, own in parts.items()),
        ):
            optimizer.apply([by_id[id(v)] for v in own], own)
        log_loss(self, loss)
        return self.compute_metrics(x, y, found, w)


def log_loss(model: keras.Model, loss) -> None:
    """Log the total loss of a step, undoing its division by the number of devices, whose gradients are summed."""
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(loss * replicas())
