"""ASP-MTL: adversarial shared-private multi-task learning (Liu & Zhang, IEEE Access).

One shared encoder and one private encoder for each task. The main head sees shared and private features (eq. 14-15), an
auxiliary head its own private features (eq. 16). A discriminator looks at the shared features through a gradient reversal
layer (eq. 11-12), and shared and private features are held orthogonal (eq. 13):

    L = alpha L_main + beta L_aux + gamma L_adv + mu L_diff                                                          (eq. 19)

The paper's model 1 takes noise as the auxiliary task, model 2 gender; `keras_ser.models.cascade` puts one before the other.
With `mask_bins`, model 1 also estimates the ideal ratio mask of every frame from its private noise features.
The encoder is the paper's stack of LSTM layers (`encoder="lstm"`), or convolutional blocks inside the same frame (`"conv"`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keras_ser.checks import check_choice, check_least, check_share
from keras_ser.errors import UserError
from keras_ser.tasks import Task
from keras_ser.values import settle

# the losses' weights against the main one's
SPACE = ("config.beta=0.01:10:log", "config.gamma=0.01:10:log", "config.mu=0.01:10:log")


@dataclass(frozen=True)
class Config:
    """ASP-MTL's settings. "paper": given by the paper; "ours": the paper is silent.

    Args:
        encoder: "lstm" (paper) or "conv" (ours).
        units: width of every LSTM layer (paper: 32).
        layers: LSTM layers of an encoder (ours: L = 2); with "conv", LSTM layers after the blocks (0 = none).
        dropout: between LSTM layers and before every output (paper: 0.5).
        pooling: from a sequence to a vector: "mean" over the valid frames (ours), "attention", or "statistics" (mean and
            standard deviation).
        dense: width of the dense layer before each output (Fig. 5 shows one; the width is ours).
        alpha, beta, gamma, mu: weights of main, auxiliary, adversarial and orthogonality loss (eq. 19; values ours).
        adversary: "source" (which stream an example came from, eq. 12), "label" (the auxiliary class) or None.
        reversal: rate of the gradient reversal layer.
        normalize: orthogonality per example and independent of the sizes (ours); False = the letter of eq. 13.
        label_smoothing: of the main task's cross-entropy (paper: none).
        filters, kernels, pools: of the convolutional blocks ("conv"): channels, square kernel sizes, pooled (frames, bins).
        projection: width of the dense ReLU layer that joins the last block's bins and channels, frame by frame.
        stride: over frames, of the first convolution: 2 halves the cost of everything.
        pool_first: pool before the normalisation: a fifth cheaper.
        stem: how many of the first blocks serve all encoders in common.
        block_dropout: spatial dropout after each block.
        frame_level: auxiliary heads judge frame by frame, and the mean of their posteriors over the valid frames is the
            answer (ours, for model 1).
        mask_bins: width of a sigmoid on the first auxiliary task's private features that learns the ideal ratio mask of
            every frame (ours, for model 1): fft // 2 + 1 of the front end; 0 = none.
        mask_weight: weight of its squared error beside eq. 19.
        mask_loudness: bins count in it as their magnitude to this power: 0 = alike, 2 = as in the waveform's error.
    """

    encoder: str = "lstm"
    units: int = 32
    layers: int = 2
    dropout: float = 0.5
    pooling: str = "mean"
    dense: int = 32
    alpha: float = 1.0
    beta: float = 0.5
    gamma: float = 0.1
    mu: float = 0.1
    adversary: str | None = "source"
    reversal: float = 1.0
    normalize: bool = True
    label_smoothing: float = 0.0
    filters: tuple[int, ...] = (24, 48, 64, 96)
    kernels: tuple[int, ...] = (5, 3, 3, 3)
    pools: tuple[tuple[int, int], ...] = ((2, 2), (2, 2), (2, 2), (1, 1))
    projection: int = 96
    stride: int = 1
    pool_first: bool = False
    stem: int = 2
    block_dropout: float = 0.1
    frame_level: bool = False
    mask_bins: int = 0
    mask_weight: float = 1.0
    mask_loudness: float = 1.0

    def __post_init__(self):
        settle(self)
        check_choice(self, "encoder", ("lstm", "conv"))
        check_choice(self, "pooling", ("mean", "attention", "statistics"))
        check_choice(self, "adversary", ("source", "label", None))
        check_least(self, 0, "alpha", "beta", "gamma", "mu", "reversal", "mask_weight", "mask_loudness")
        check_share(self, "dropout", "label_smoothing", "block_dropout")
        check_least(self, 0, "layers", "dense", "mask_bins")
        check_least(self, 1, "units", "projection", "stride", "filters", "kernels")
        if self.encoder == "conv" and (self.frame_level or self.mask_bins):
            raise UserError("`frame_level` and `mask_bins` need every frame, which encoder='conv' pools: use 'lstm'.")
        if self.encoder == "lstm" and self.layers < 1:
            raise UserError(f"the LSTM encoder needs at least one layer. Received: layers={self.layers}.")
        if not len(self.filters) == len(self.kernels) == len(self.pools):
            raise UserError(
                "`filters`, `kernels` and `pools` must have one entry a block. "
                f"Received: {len(self.filters)}, {len(self.kernels)}, {len(self.pools)}."
            )
        if any(pooled < 1 for pool in self.pools for pooled in pool):
            raise UserError(f"`pools` must be pairs (frames, bins) of numbers from 1 on. Received: {self.pools}.")
        if not 0 <= self.stem < len(self.filters):
            raise UserError(
                f"`stem` must leave a block to each encoder: under {len(self.filters)}. Received: stem={self.stem}."
            )


def check(
    config: Config, inputs: Mapping[str, int], tasks: Sequence[Task], streams: int = 1, frames: int | None = None
) -> None:
    """Refuse what `build` cannot build; see there.

    Raises:
        UserError: an adversary that has nothing to tell apart, a mask without an auxiliary task.
    """
    auxiliary = tasks[1:]
    adversary = config.adversary if auxiliary else None
    if adversary == "source" and streams < 2:
        raise UserError(
            "adversary='source' tells streams apart, and there is only one: add a stream of another distribution "
            "(noise, another corpus), or choose adversary='label' or None."
        )
    if adversary == "label" and auxiliary[0].continuous:
        raise UserError(f"adversary='label' needs classes, and the auxiliary task {auxiliary[0].name!r} is continuous.")
    if config.mask_bins and not auxiliary:
        raise UserError("`mask_bins` needs an auxiliary task, whose private features the mask is read from.")


def build(
    config: Config, inputs: Mapping[str, int], tasks: Sequence[Task], streams: int = 1, frames: int | None = None
):
    """The network, features in, logits out.

    Args:
        config: the settings.
        inputs: feature name -> bins, in the order in which they are joined.
        tasks: the main task first. With one task this is the single-task baseline: one encoder, no adversary.
        streams: how many sources a batch mixes (the classes of `adversary="source"`).
        frames: of every clip, where all have as many; any number is right here.

    Returns:
        keras.Model: inputs {name: (batch, frames, bins), "mask": (batch, frames)}; outputs {task: (batch, classes)
        logits}, with an adversary "adversary" (batch, classes) logits, and with `mask_bins` "gain" (batch, frames, mask_bins).

    Raises:
        ValueError: an adversary that has nothing to tell apart.
    """
    import keras

    from keras_ser.features import FeatureNormalization
    from keras_ser.layers import GradientReversal, LogMeanPosterior, MeanPooling, OrthogonalityLoss
    from keras_ser.models.heads import head

    check(config, inputs, tasks, streams, frames)
    main, auxiliary = tasks[0], tuple(tasks[1:])
    adversary = config.adversary if auxiliary else None
    given = {name: keras.Input((None, bins), name=name) for name, bins in inputs.items()}
    mask = given["mask"] = keras.Input((None,), dtype="bool", name="mask")
    x = [given[name] for name in inputs]
    x = keras.layers.Concatenate(name="features", dtype="float32")(x) if len(x) > 1 else x[0]
    x = FeatureNormalization(name="normalization")(x, mask)  # (batch, frames, bins)
    if config.encoder == "conv" and config.stem:
        x, mask = _blocks(config, slice(0, config.stem), "stem")(x, mask=mask)

    private = {task.name: _encode(config, x, mask, f"private_{task.name}") for task in tasks}
    if not auxiliary:
        h = _pool(config, *private[main.name], "pool_private")
        outputs = {main.name: head(h, main, config.dense, config.dropout)}
        return keras.Model(given, outputs, name="single_task")

    shared, valid = _encode(config, x, mask, "shared")
    apart = OrthogonalityLoss(weight=config.mu, normalize=config.normalize, name="orthogonality")
    shared, *kept = apart([shared, *(h for h, _ in private.values())], mask=valid)  # eq. 13
    s = _pool(config, shared, valid, "pool_shared")
    sequences = dict(zip(private, kept, strict=True))
    h = {
        name: _pool(config, k, valid, f"pool_{name}")
        for name, k in sequences.items()
        if name == main.name or not config.frame_level
    }
    joined = keras.layers.Concatenate(name="shared_and_private")([s, h[main.name]])  # eq. 14
    outputs = {main.name: head(joined, main, config.dense, config.dropout)}  # eq. 15
    for task in auxiliary:  # eq. 16
        if config.frame_level:
            frames = head(sequences[task.name], task, config.dense, config.dropout, name=f"{task.name}_frames")
            mean = MeanPooling if task.continuous else LogMeanPosterior
            outputs[task.name] = mean(name=task.name, dtype="float32")(frames, mask=valid)
        else:
            outputs[task.name] = head(h[task.name], task, config.dense, config.dropout)
    if config.mask_bins:
        sigmoid = keras.layers.Dense(config.mask_bins, activation="sigmoid", dtype="float32", name="gain")
        outputs["gain"] = sigmoid(sequences[auxiliary[0].name])
    if adversary:
        classes = streams if adversary == "source" else auxiliary[0].size
        turned = GradientReversal(rate=config.reversal, name="gradient_reversal")(s)
        # eq. 11
        outputs["adversary"] = keras.layers.Dense(classes, dtype="float32", name="adversary")(turned)
    return keras.Model(given, outputs, name="aspmtl")


def losses(config: Config, tasks: Sequence[Task]):
    """({output: loss}, {output: weight}) of eq. 19; the orthogonality loss is added by its own layer."""
    from keras_ser.losses import FrameSquaredError, SparseCrossentropy
    from keras_ser.models.heads import task_losses

    main, auxiliary = tasks[0], tasks[1:]
    by_output, _ = task_losses(tasks)
    if not main.continuous:
        by_output[main.name] = SparseCrossentropy(label_smoothing=config.label_smoothing)
    by_output["adversary"] = SparseCrossentropy()
    by_output["gain"] = FrameSquaredError()
    weights = {main.name: config.alpha * main.weight, "adversary": config.gamma, "gain": config.mask_weight}
    return by_output, weights | {task.name: config.beta * task.weight for task in auxiliary}


def targets(config: Config, tasks: Sequence[Task]) -> dict[str, str]:
    """Which target an output learns that is no task: the adversary's stream ("source") or auxiliary label; the mask."""
    return {"adversary": tasks[1].name if config.adversary == "label" and len(tasks) > 1 else "source", "gain": "irm"}


def embedding(network):
    """The pooled shared features s of a built network; of the single-task baseline, those of its one encoder."""
    names = {layer.name for layer in network.layers}
    return network.get_layer("pool_shared" if "pool_shared" in names else "pool_private").output


def _encode(config: Config, x, mask, name: str):
    """(batch, frames, bins) -> the encoder's sequence (batch, frames', units) and its mask."""
    import keras

    from keras_ser.layers import StackedLSTM

    if config.encoder == "conv":
        x, mask = _blocks(config, slice(config.stem, None), name)(x, mask=mask)
        # (batch, frames', bins' channels) -> (batch, frames', projection)
        x = keras.layers.Dense(config.projection, activation="relu", name=f"{name}_projection")(x)
    if config.layers:
        suffix = "_lstm" if config.encoder == "conv" else ""
        x = StackedLSTM(config.units, config.layers, dropout=config.dropout, name=name + suffix)(x, mask=mask)
    return x, mask


def _blocks(config: Config, which: slice, name: str):
    from keras_ser.layers import ConvEncoder

    return ConvEncoder(
        filters=config.filters[which],
        kernels=config.kernels[which],
        pools=config.pools[which],
        dropout=config.block_dropout,
        stride=config.stride if not which.start else 1,
        pool_first=config.pool_first,
        keep_bins=which.stop is not None,
        name=name,
    )


def _pool(config: Config, x, mask, name: str):
    from keras_ser.layers import AttentionPooling, MeanPooling, StatisticsPooling

    kinds = {"mean": MeanPooling, "attention": AttentionPooling, "statistics": StatisticsPooling}
    return kinds[config.pooling](name=name)(x, mask=mask)
