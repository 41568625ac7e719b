"""The three phases in the training step of an adversarial autoencoder (see `keras_ser.models.aae_mtl`)."""

import keras
from keras import ops

from keras_ser.machine import replicas
from keras_ser.models.parts import log_loss

ACTIVE = 0.01  # variance over a batch above which a unit of the code is active


@keras.saving.register_keras_serializable(package="keras_ser")
class ThreePhases(keras.Model):
    """Functional model, features -> {task: logits, "reconstruction": image}, trained in phases with an optimizer each.

    The weights alpha and `adversary` are factors on the learning rates of their phases (see `build`); 0 turns a phase's loss off.

    Logged beside the outputs' losses: the error of the mean frame (`MeanFrameError`), loss (2 log 2 at chance) and accuracy of the
    discriminator (a constant 0.5 or 1.0 is a failure), the encoder's loss against it, mean and standard deviation of the code (0
    and 1 for its prior), its distance from the prior (`prior_distance`), and the share of its active units.
    """

    scales_losses = True

    def assemble(self, encoder, decoder, classifiers, critic, image: str, difference, config) -> None:
        """Set the parts, which share the layers of the functional model.

        Args:
            encoder: features -> z. decoder: z -> image. classifiers: z -> {task: logits}.
            critic: z -> (batch, 2) logits, class 1 for the prior and 0 for a code; None = no second phase.
            image: name of the decoder's output.
            difference: its loss, eq. 3.
            config: `keras_ser.models.aae_mtl.Config`.
        """
        self.encoder, self.decoder, self.classifiers, self.critic = encoder, decoder, classifiers, critic
        self.image, self.difference, self.settings = image, difference, config
        self.prior = keras.random.SeedGenerator()
        names = ["code_mean", "code_deviation", "code_mmd", "code_active"]
        names += ["discriminator_loss", "discriminator_right", "generator_loss"] if critic is not None else []
        self.logged = [keras.metrics.Mean(name=name) for name in names]
        self.mean_frame = MeanFrameError(decoder.output.shape[-1], name="mean_frame_error")

    def train_step(self, batch):
        x, y, w = batch
        image = self._reconstruct(x, y, w)
        logs = self._regularise(x) if self.critic is not None else {}
        z, found = self._classify(x, y, w, image)
        z = ops.cast(z, "float32")
        logs |= {"code_mean": ops.mean(z), "code_deviation": ops.std(z)}
        logs["code_mmd"] = prior_distance(z, keras.random.normal(ops.shape(z), seed=self.prior))
        logs["code_active"] = ops.mean(ops.cast(ops.var(z, axis=0) > ACTIVE, "float32"))
        for metric in self.logged:
            metric.update_state(logs[metric.name])
        self.mean_frame.update_state(y[self.image], w[self.image])
        return self.compute_metrics(x, y, found, w)

    def _reconstruct(self, x, y, w):
        """Phase 1: encoder and decoder."""
        import tensorflow as tf

        variables = [*self.encoder.trainable_variables, *self.decoder.trainable_variables]
        with tf.GradientTape() as tape:
            image = self.decoder(self.encoder(x, training=True), training=True)
            loss = float(self.settings.alpha > 0) * self.difference(y[self.image], image, sample_weight=w[self.image])
            if self.settings.error == "sum":
                # entries of a clip, on average
                entries = image.shape[-1] * ops.mean(ops.sum(w[self.image], axis=-1))
                loss *= ops.cast(entries, loss.dtype)
            scaled = self.optimizers["reconstruct"].scale_loss(loss)
        self._apply(self.optimizers["reconstruct"], tape, scaled, variables)
        return ops.stop_gradient(image)

    def _regularise(self, x) -> dict:
        """Phase 2: the discriminator, then the encoder against it."""
        import tensorflow as tf

        theirs, own = self.critic.trainable_variables, self.encoder.trainable_variables
        with tf.GradientTape() as outer:
            z = self.encoder(x, training=True)
            code = ops.cast(z, "float32")
            real = keras.random.normal(ops.shape(code), seed=self.prior)
            with tf.GradientTape() as tape:
                logits = self.critic(ops.concatenate([real, ops.stop_gradient(code)], 0), training=True)
                half = ops.shape(logits)[0] // 2
                truth = ops.concatenate([ops.ones((half,), "int32"), ops.zeros((half,), "int32")], 0)
                # a sum of two means, as in eq. 4: one mean over real and fake would halve it, and with SGD the learning rate
                told = 2 * ops.mean(_crossentropy(truth, logits))
                scaled = self.optimizers["discriminate"].scale_loss(told / replicas())
            self._apply(self.optimizers["discriminate"], tape, scaled, theirs)
            judged = self.critic(code, training=True)
            if self.settings.saturating:  # minimise log(1 - D(z))
                deceived = -ops.mean(_crossentropy(ops.zeros((half,), "int32"), judged))
            else:
                deceived = ops.mean(_crossentropy(ops.ones((half,), "int32"), judged))
            loss = float(self.settings.adversary > 0) * deceived / replicas()
            scaled = self.optimizers["regularise"].scale_loss(loss)
        self._apply(self.optimizers["regularise"], outer, scaled, own)
        right = ops.mean(ops.cast(ops.equal(ops.cast(ops.argmax(logits, -1), "int32"), truth), "float32"))
        return {"discriminator_loss": told, "discriminator_right": right, "generator_loss": deceived}

    def _classify(self, x, y, w, image):
        """Phase 3: encoder and classifiers. The image from phase 1 is only logged here."""
        import tensorflow as tf

        variables = [*self.encoder.trainable_variables, *self.classifiers.trainable_variables]
        with tf.GradientTape() as tape:
            z = self.encoder(x, training=True)
            found = {**self.classifiers(z, training=True), self.image: image}
            loss = self.compute_loss(x, y, found, w)
            scaled = self.optimizer.scale_loss(loss)
        log_loss(self, loss)
        self._apply(self.optimizer, tape, scaled, variables)
        return z, found

    def _apply(self, optimizer, tape, loss, variables) -> None:
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)


class MeanFrameError(keras.metrics.Metric):
    """Mean squared error of the best constant frame, the mean of an epoch's valid frames; a decoder that ignores its code has it.

    It is 1 for standardised frames, but the statistics that standardise count each frame of all streams once, and batches contain
    the streams in other shares.

    Args:
        bins: number of values of a frame.
        name: name of the log.
    """

    def __init__(self, bins: int, name: str):
        super().__init__(name=name)
        self.frames = self.add_weight(shape=(), initializer="zeros", name="frames")
        self.sums = self.add_weight(shape=(bins,), initializer="zeros", name="sums")
        self.squares = self.add_weight(shape=(bins,), initializer="zeros", name="squares")

    def update_state(self, x, valid):
        """Add a batch of frames, (batch, frames, bins), of which those with valid = 1, (batch, frames), count."""
        valid = ops.cast(valid, "float32")
        x = ops.cast(x, "float32") * valid[..., None]
        self.frames.assign_add(ops.sum(valid))
        self.sums.assign_add(ops.sum(x, axis=(0, 1)))
        self.squares.assign_add(ops.sum(ops.square(x), axis=(0, 1)))

    def result(self):
        mean, square = (ops.divide_no_nan(total, self.frames) for total in (self.sums, self.squares))
        return ops.mean(square - ops.square(mean))


def _crossentropy(truth, logits):
    return ops.sparse_categorical_crossentropy(truth, logits, from_logits=True)


def prior_distance(z, prior):
    """Estimate the squared maximum mean discrepancy (MMD) of codes from the prior: 0 on average if their distributions are equal.

    With the inverse multiquadratic kernel k(a, b) = c / (c + ||a - b||^2), c = 2 units, of Tolstikhin et al. (2018), "Wasserstein
    Auto-Encoders", whose estimator this is. Normalisation gives each unit of a code the moments of its prior; the distance also
    shows dependence between units.

    Args:
        z, prior: codes (batch, ..), and as many samples of the prior.
    """
    z, prior = (ops.reshape(x, (ops.shape(x)[0], -1)) for x in (z, prior))
    batch, units = ops.cast(ops.shape(z)[0], z.dtype), ops.cast(ops.shape(z)[1], z.dtype)

    def kernel(a, b):
        squares = ops.sum(ops.square(a), -1)[:, None] + ops.sum(ops.square(b), -1)[None] - 2 * a @ ops.transpose(b)
        return ops.divide(2 * units, 2 * units + ops.maximum(squares, 0.0))

    def others(a):  # the mean over pairs of different samples, whose kernel with themselves is 1
        return ops.divide_no_nan(ops.sum(kernel(a, a)) - batch, batch * (batch - 1))

    return others(z) + others(prior) - 2 * ops.mean(kernel(z, prior))
