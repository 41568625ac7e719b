"""AAE-MTL: a semi-supervised adversarial autoencoder with heads for emotion, speaker and gender (Latif et al.).

An encoder E of three convolutions maps a spectrogram to a code z; a decoder D reconstructs the spectrogram from z; a discriminator
distinguishes z from the prior N(0, I); one classifier per task predicts from z. Each batch is trained on in three phases, in this
order:

1. reconstruct: E and D, alpha ||x - D(E(x))||^2                                                                      (eq. 3)
2. regularise: the discriminator on prior (real) and z (fake), then E against the updated discriminator                (eq. 4)
3. classify: E and the classifiers, L_c = beta L_E + (1 - beta) (L_G + L_S)                                            (eq. 2)

which together give L = alpha L_AE + L_c (eq. 1). The weights alpha and `adversary` are factors on the learning rates of their
phases, so that they have an effect with Adam as with the paper's SGD. Eq. 3 is a mean over the entries (a sum over 32,768 would
dominate the loss).
Missing labels have weight 0, so that recordings without emotions train speaker, gender, code and reconstruction.

`kind="ae"` omits phase 2 and `kind="cnn"` phases 1 and 2: the models that the paper compares. They share the encoder; the
paper's CNN has one convolution fewer.

Reference:
    Latif, Rana, Khalifa, Jurdak, Epps and Schuller, *Multi-task semi-supervised adversarial autoencoding for speech emotion
    recognition*, IEEE Transactions on Affective Computing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from keras_ser.checks import check_blocks, check_choice, check_least, check_positive, check_share
from keras_ser.errors import UserError
from keras_ser.models.paper import Inputs, Network, Optimized, Output, Reconstruction, given
from keras_ser.settings import mask_of
from keras_ser.tasks import Task
from keras_ser.values import settle

SPACE = ("config.alpha=0.1:1", "config.beta=0.1:0.9")
AUXILIARY_WEIGHTS = ("config.beta",)
KINDS = ("aae", "ae", "cnn")
IMAGE = "reconstruction"  # the only output that does not belong to a task


@dataclass(frozen=True)
class Config:
    """AAE-MTL's settings. "paper": given by the paper; "ours": the paper is silent.

    Args:
        kind: "aae", "ae" (no discriminator) or "cnn" (only classifiers).
        alpha: weight of the reconstruction (paper: 0.4 on IEMOCAP; "ae" 0.3).
        error: eq. 3 as the "mean" over the entries of a spectrogram (ours) or as their "sum" (the paper's letter), which is up to
            32,768 times as large: with SGD, as if alpha were; Adam hardly notices it.
        beta: weight of the main task's loss; the other tasks have 1 - beta (paper: 0.6; "ae" 0.7).
        adversary: weight of the encoder's loss against the discriminator (paper: 1); 0 = a control.
        filters: channels of the encoder's convolutions, the last those of z (paper: 32; the others ours).
        kernels: sizes of their square kernels (ours).
        pools: (frames, bins) of the pooling after each; the default maps 256 frames and 128 bins to 16 x 16 x 32 (the paper's z).
        code: "linear", the normalised last convolution without ReLU (ours: a non-negative code cannot match N(0, I)), or "relu"
            (as in the paper).
        head_filters, head_kernel, head_pool: convolution and pooling of each classifier and of the discriminator (ours).
        dense: widths of their two dense layers (ours).
        dropout: rate between the dense layers of a classifier (paper: 0.3).
        momentum: momentum of the moving averages of batch normalisation (ours: a small corpus has a dozen steps per epoch).
        discriminator_rate: factor on the learning rate of the discriminator (paper: 1); below 1 if the discriminator always wins.
        saturating: the encoder minimises log(1 - D(z)), as in eq. 5, instead of -log D(z), whose gradient does not vanish when the
            discriminator is certain. Default False.
    """

    kind: str = "aae"
    alpha: float = 0.4
    error: str = "mean"
    beta: float = 0.6
    adversary: float = 1.0
    filters: tuple[int, ...] = (16, 32, 32)
    kernels: tuple[int, ...] = (5, 3, 3)
    pools: tuple[tuple[int, int], ...] = ((2, 2), (2, 2), (4, 2))
    code: str = "linear"
    head_filters: int = 32
    head_kernel: int = 3
    head_pool: int = 4
    dense: tuple[int, int] = (128, 64)
    dropout: float = 0.3
    momentum: float = 0.9
    discriminator_rate: float = 1.0
    saturating: bool = False

    def __post_init__(self):
        settle(self)
        check_choice(self, "kind", KINDS)
        check_choice(self, "code", ("linear", "relu"))
        check_choice(self, "error", ("mean", "sum"))
        check_least(self, 0, "alpha", "adversary")
        check_positive(self, "discriminator_rate")
        check_share(self, "dropout", "momentum")
        check_share(self, "beta", closed=True)
        check_least(self, 1, "head_filters", "head_kernel", "head_pool", "dense")
        check_blocks(self)


def build(config: Config, inputs: Inputs, tasks: Sequence[Task], **_: Any) -> Network:
    """Build the network from a spectrogram to logits and the reconstructed spectrogram.

    Args:
        config: the settings.
        inputs: {feature: (frames, bins)}, one feature; the paper's: (256, 128).
        tasks: the main task first; (batch, classes) logits each. The embedding is the last dense layer of the classifier of the
            first identity task (d-vectors), or of the main task if there is none, before its ReLU, which may silence all units.

    Returns:
        Network.

    Raises:
        UserError: segments differ in length, there are several features, or the pools do not divide a size.
    """
    import keras

    from keras_ser.features import FeatureNormalization
    from keras_ser.models.heads import head, task_outputs

    frames, bins = _size(config, inputs)
    ((name, _),) = inputs.items()
    inside = given(inputs)
    normalization = FeatureNormalization(name="normalization")
    x = keras.layers.Reshape((frames, bins, 1), name="image")(normalization(inside[name], inside[mask_of(name)]))
    z = _encode(config, x)
    logits, vectors = {}, {}
    for task in tasks:
        vectors[task.name] = _judge(config, z, task.name, config.dropout)
        logits[task.name] = head(keras.layers.ReLU(name=f"{task.name}_relu")(vectors[task.name]), task, 0)
    learns = task_outputs(tasks)
    main = tasks[0].name
    learns = {
        n: replace(o, weight=o.weight * (config.beta if n == main else 1 - config.beta)) for n, o in learns.items()
    }
    embedding = vectors[next((task.name for task in tasks if task.identity), main)]
    if config.kind == "cnn":
        made = keras.Model(inside, logits, name="cnn")
        return Network(made, learns, embedding, {(name,): normalization}, views={"code": z})

    from keras_ser.models.aae_mtl.phases import ThreePhases

    image = _decode(config, z, frames, bins)
    difference = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    learns[IMAGE] = Output(Reconstruction(name), difference, config.alpha)
    model = ThreePhases(inside, {**logits, IMAGE: image}, name=config.kind)
    encoder = keras.Model(inside, z, name="encoder")
    decoder = keras.Model(z, image, name="decoder")
    critic = _discriminator(config, z.shape[1:]) if config.kind == "aae" else None
    model.assemble(encoder, decoder, keras.Model(z, logits, name="classifiers"), critic, IMAGE, difference, config)
    # A phase has an optimizer of its own, so that a weight of its loss is a factor on its learning rate: with SGD that is the same,
    # and Adam would not notice the former. An optimizer without a loss needs any rate.
    rates = [weight or 1.0 for weight in (config.alpha, config.adversary)]
    own = {"reconstruct": Optimized(decoder.trainable_variables, shared=encoder.trainable_variables, rate=rates[0])}
    if critic is not None:
        own["discriminate"] = Optimized(critic.trainable_variables, rate=config.discriminator_rate)
        own["regularise"] = Optimized((), shared=encoder.trainable_variables, rate=rates[1])
    return Network(model, learns, embedding, {(name,): normalization}, own, views={"code": z})


def _size(config: Config, inputs: Inputs) -> tuple[int, int]:
    """Return (frames, bins); raises as `build` does."""
    if len(inputs) != 1:
        raise UserError(f"this network takes one feature, a spectrogram. Received: {', '.join(inputs)}.")
    ((frames, bins),) = inputs.values()
    if frames is None:
        raise UserError(
            "this network takes segments of one length: set sampling.kind=segments (the paper: sampling.frames=256). "
            "Received: clips of any length."
        )
    for size, axis, what in ((frames, 0, "frames"), (bins, 1, "bins")):
        product = 1
        for pool in config.pools:
            product *= pool[axis]
        if size % product:
            raise UserError(f"the pools need a multiple of {product} {what}. Received: {size}.")
    return frames, bins


def _encode(config: Config, x):
    """Encode (batch, frames, bins, 1) to z (batch, frames', bins', channels)."""
    import keras

    last = len(config.filters) - 1
    for i, (filters, kernel, pool) in enumerate(zip(config.filters, config.kernels, config.pools, strict=True)):
        x = keras.layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=f"encoder_{i + 1}")(x)
        norm = keras.layers.BatchNormalization(momentum=config.momentum, name=f"encoder_{i + 1}_norm")
        if i == last and config.code == "linear":
            return norm(keras.layers.MaxPooling2D(pool, name=f"encoder_{i + 1}_pool")(x))
        x = keras.layers.ReLU(name=f"encoder_{i + 1}_relu")(norm(x))
        x = keras.layers.MaxPooling2D(pool, name="code" if i == last else f"encoder_{i + 1}_pool")(x)
    return x


def _decode(config: Config, z, frames: int, bins: int):
    """Decode z to (batch, frames, bins) by a mirrored encoder, with transposed convolutions for convolution and pooling."""
    import keras

    last = len(config.filters) - 1
    for i in range(last, -1, -1):
        filters = config.filters[i - 1] if i else 1
        # a kernel smaller than the stride would leave gaps
        kernel = [max(config.kernels[i], pool) for pool in config.pools[i]]
        z = keras.layers.Conv2DTranspose(
            filters, kernel, config.pools[i], padding="same", use_bias=not i, name=f"decoder_{i + 1}"
        )(z)
        if i:
            z = keras.layers.BatchNormalization(momentum=config.momentum, name=f"decoder_{i + 1}_norm")(z)
            z = keras.layers.ReLU(name=f"decoder_{i + 1}_relu")(z)
    return keras.layers.Reshape((frames, bins), dtype="float32", name=IMAGE)(z)


def _judge(config: Config, z, name: str, dropout: float):
    """Map z to (batch, units) by convolution, max pooling and two dense layers, the second before its ReLU."""
    import keras

    x = keras.layers.Conv2D(
        config.head_filters, config.head_kernel, padding="same", activation="relu", name=f"{name}_conv"
    )(z)
    pool = [min(config.head_pool, size) for size in z.shape[1:3]]
    x = keras.layers.MaxPooling2D(pool, name=f"{name}_pool")(x)
    x = keras.layers.Flatten(name=f"{name}_flat")(x)
    x = keras.layers.Dense(config.dense[0], activation="relu", name=f"{name}_dense_1")(x)
    x = keras.layers.Dropout(dropout, name=f"{name}_dropout")(x) if dropout else x
    return keras.layers.Dense(config.dense[1], name=f"{name}_dense_2")(x)


def _discriminator(config: Config, shape):
    """Build z -> (batch, 2) logits, without batch normalisation, since its statistics over both classes would reveal them."""
    import keras

    z = keras.Input(shape)
    x = keras.layers.ReLU(name="discriminator_relu")(_judge(config, z, "discriminator", 0.0))
    return keras.Model(z, keras.layers.Dense(2, dtype="float32", name="discriminator")(x), name="discriminator")
