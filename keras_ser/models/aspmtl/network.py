"""ASP-MTL: adversarial shared-private multi-task learning (Liu & Zhang, IEEE Access).

There is one shared encoder, and one private encoder for each task. The main head takes shared and private features (eq. 14-15),
an auxiliary head its own private features (eq. 16). A discriminator takes the shared features through a gradient reversal
layer (eq. 11-12), and shared and private features are kept orthogonal (eq. 13):

    L = alpha L_main + beta L_aux + gamma L_adv + mu L_diff                                                          (eq. 19)

The auxiliary task is noise in the paper's model 1 and gender in model 2; `keras_ser.models.aspmtl.cascade` runs one after the
other. With `mask_bins`, model 1 also estimates the ideal ratio mask of every frame from its private noise features. The encoder is
the paper's stack of LSTM layers (`encoder="lstm"`), or convolutional blocks in its place (`"conv"`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keras_ser.checks import check_blocks, check_choice, check_least, check_share
from keras_ser.errors import UserError
from keras_ser.models.paper import Frames, Inputs, Label, Network, Output, StreamNumber, given, joined
from keras_ser.settings import FrontendConfig
from keras_ser.tasks import Task
from keras_ser.values import settle

# weights of the losses relative to the main one
SPACE = ("config.beta=0.01:10:log", "config.gamma=0.01:10:log", "config.mu=0.01:10:log")
AUXILIARY_WEIGHTS = ("config.beta", "config.gamma", "config.mu")


@dataclass(frozen=True)
class Config:
    """ASP-MTL's settings. "paper": given by the paper; "ours": the paper is silent.

    Args:
        encoder: "lstm" (paper) or "conv" (ours).
        units: width of every LSTM layer (paper: 32).
        layers: LSTM layers of an encoder (ours: L = 2); with "conv", LSTM layers after the blocks (0 = none).
        dropout: rate between LSTM layers and before every output (paper: 0.5).
        pooling: how a sequence becomes a vector: "mean" over the valid frames (ours), "attention", or "statistics" (mean and
            standard deviation).
        dense: width of the dense layer before each output; 0 = none (Fig. 5 shows one; the width is ours).
        alpha, beta, gamma, mu: weights of main, auxiliary, adversarial and orthogonality loss (eq. 19; values ours).
        adversary: what the discriminator predicts: "source" (the stream of an example, eq. 12), "label" (the auxiliary class) or
            None (no discriminator).
        reversal: rate of the gradient reversal layer.
        normalize: compute orthogonality per example and independently of the sizes (ours); False = eq. 13 as printed.
        label_smoothing: label smoothing of the main task's cross-entropy (paper: none).
        filters, kernels, pools: channels, square kernel sizes and pooled (frames, bins) of the convolutional blocks ("conv").
        projection: width of the dense ReLU layer that joins bins and channels of the last block in each frame.
        stride: stride of the first convolution over frames; 2 halves the total cost.
        pool_first: pool before the normalisation: a fifth cheaper.
        stem: number of first blocks that all encoders share.
        block_dropout: rate of the spatial dropout after each block.
        frame_level: auxiliary heads classify every frame, and the mean of their posteriors over the valid frames is the
            prediction (ours, for model 1).
        mask_bins: width of a sigmoid on the first auxiliary task's private features that learns the ideal ratio mask of
            every frame (ours, for model 1): fft // 2 + 1 of the front end; 0 = none.
        mask_weight: weight of its squared error beside eq. 19.
        mask_loudness: bins are weighted in it by their magnitude to this power: 0 = equally, 2 = as in the waveform's error.
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
        check_least(self, 1, "units", "projection", "stride")
        if self.encoder == "conv" and (self.frame_level or self.mask_bins):
            raise UserError("`frame_level` and `mask_bins` need every frame, which encoder='conv' pools: use 'lstm'.")
        if self.encoder == "lstm" and self.layers < 1:
            raise UserError(f"the LSTM encoder needs at least one layer. Received: layers={self.layers}.")
        check_blocks(self)
        if not 0 <= self.stem < len(self.filters):
            raise UserError(
                f"`stem` must leave a block to each encoder: under {len(self.filters)}. Received: stem={self.stem}."
            )


def speed(config: Config) -> float:
    """Return the seconds of speech that one core of a 2.6 GHz server trains on per second, as measured."""
    return {"conv": 300.0, "lstm": 500.0}[config.encoder]


def build(
    config: Config,
    inputs: Inputs,
    tasks: Sequence[Task],
    streams: int = 1,
    frontend: FrontendConfig | None = None,
) -> Network:
    """Build the network from features to logits; its losses are those of eq. 19.

    Args:
        config: the settings.
        inputs: feature -> (frames, bins), in the order in which they are joined; the network takes any number of frames.
        tasks: the main task first. With one task this is the single-task baseline: one encoder, no adversary.
        streams: number of streams in a batch, the classes of `adversary="source"`.
        frontend: settings by which the frames of the ratio mask are computed, with `mask_bins`.

    Returns:
        Network. Outputs: {task: (batch, classes) logits}, with an adversary "adversary" (batch, classes) logits, and with
        `mask_bins` "gain" (batch, frames, mask_bins). The embedding is the pooled shared features s; in the single-task baseline,
        the pooled features of its only encoder.

    Raises:
        UserError: the adversary has no classes to distinguish, or the mask lacks an auxiliary task or differs in bins from the
            front end.
    """
    import keras

    from keras_ser.features import FeatureNormalization
    from keras_ser.layers import GradientReversal, LogMeanPosterior, MeanPooling, OrthogonalityLoss
    from keras_ser.losses import FrameSquaredError
    from keras_ser.models.heads import class_output, head, task_outputs

    main, auxiliary = tasks[0], tuple(tasks[1:])
    adversary = config.adversary if auxiliary else None
    _check(config, auxiliary, adversary, streams, frontend)
    inside = given({name: (None, bins) for name, (_, bins) in inputs.items()})
    mask = inside["mask"]
    normalization = FeatureNormalization(name="normalization")
    normalizations = {tuple(inputs): normalization}
    x = normalization(joined(inside, tuple(inputs)), mask)  # (batch, frames, bins)
    learns = task_outputs(tasks, label_smoothing={main.name: config.label_smoothing})
    learns = {
        name: replace(output, weight=output.weight * (config.alpha if name == main.name else config.beta))
        for name, output in learns.items()
    }
    if config.encoder == "conv" and config.stem:
        x, mask = _blocks(config, slice(0, config.stem), "stem")(x, mask=mask)

    private = {task.name: _encode(config, x, mask, f"private_{task.name}") for task in tasks}
    if not auxiliary:
        h = _pool(config, *private[main.name], "pool_private")
        outputs = {main.name: head(h, main, config.dense, config.dropout)}
        return Network(keras.Model(inside, outputs, name="single_task"), learns, h, normalizations)

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
    both = keras.layers.Concatenate(name="shared_and_private")([s, h[main.name]])  # eq. 14
    outputs = {main.name: head(both, main, config.dense, config.dropout)}  # eq. 15
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
        target = ratio_mask(config, frontend, auxiliary[0].name)
        learns["gain"] = Output(target, FrameSquaredError(), config.mask_weight, kept=True)
    if adversary:
        classes = streams if adversary == "source" else auxiliary[0].size
        turned = GradientReversal(rate=config.reversal, name="gradient_reversal")(s)
        # eq. 11
        outputs["adversary"] = keras.layers.Dense(classes, dtype="float32", name="adversary")(turned)
        learns["adversary"] = class_output(
            StreamNumber() if adversary == "source" else Label(auxiliary[0].name), config.gamma
        )
    return Network(keras.Model(inside, outputs, name="aspmtl"), learns, s, normalizations)


def _check(config: Config, auxiliary: Sequence[Task], adversary: str | None, streams: int, frontend) -> None:
    """Refuse settings that the network cannot be built with; see `build`."""
    if adversary == "source" and streams < 2:
        raise UserError(
            "adversary='source' tells streams apart, but there is only one: add a stream of another distribution "
            "(noise, another corpus), or choose adversary='label' or None."
        )
    if adversary == "label" and auxiliary[0].continuous:
        raise UserError(f"adversary='label' needs classes, and the auxiliary task {auxiliary[0].name!r} is continuous.")
    if config.mask_bins and not auxiliary:
        raise UserError("`mask_bins` needs an auxiliary task, whose private features the mask is read from.")
    if config.mask_bins and frontend is not None and config.mask_bins != frontend.fft // 2 + 1:
        raise UserError(
            f"the ratio mask has the bins of the front end: set config.mask_bins={frontend.fft // 2 + 1}. Received: "
            f"mask_bins={config.mask_bins}."
        )


def ratio_mask(config: Config, frontend: FrontendConfig | None, task: str) -> Frames:
    """Return the target of the ratio mask: the ideal mask of every frame and bin, then the weights of its squared error.

    `task` is the auxiliary task, the noise; without a `frontend`, the sizes are those of `FrontendConfig()`.
    """
    frontend = frontend or FrontendConfig()
    sizes = (frontend.window, frontend.hop, frontend.fft)

    def compute(waves):
        from keras import ops

        from keras_ser.features import ideal_ratio_mask, loudness_weights

        mask = ideal_ratio_mask(waves["clean"], waves["waveform"], waves["length"], *sizes)
        weights = loudness_weights(waves["waveform"], waves["length"], *sizes, exponent=config.mask_loudness)
        return ops.concatenate([mask, weights], axis=-1)

    return Frames(compute, 2 * config.mask_bins, task)


def _encode(config: Config, x, mask, name: str):
    """Encode (batch, frames, bins) as a sequence (batch, frames', units) with its mask."""
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
