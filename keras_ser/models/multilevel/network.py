"""Multilevel: fusion of three levels of a stretch of speech, with gender as a prior, tasks per level and a centre loss.

| level | extractor | vector |
| --- | --- | --- |
| MFCC (frames, 40) | two bidirectional LSTM layers of 256, with dropout 0.5 in between | flatten, dense 128 ReLU |
| spectrogram (frames, 200), resized to 256 x 384 x 3 | AlexNet's features, 6 x 6 x 256 | flatten, dense 128 ReLU |
| waveform | wav2vec 2.0, (149, 768) | co-attention by the other two vectors, dense 128 ReLU |

The vectors are concatenated and pass through two dense layers of 128 ReLU units, which give the fused features f, and a dense
layer to the classes, with dropout 0.1 before each dense layer. To this base network ("SER") are added

* MF: a gender head on f; its posterior is concatenated to the input of the main task's head;
* MTL: a classifier on each level's vector beside the one on f, L = L_f + w sum_l L_l;
* CR: the centre loss on f, 1/2 mean ||f_i - c_y_i||^2 (`keras_ser.layers.CenterLoss`).

Inputs are standardised by the training set's statistics. For the spectrogram, the base network's code instead scales it to 0..1 in
8 bits and applies ImageNet's mean and deviation. As in that code, low frequencies are at the bottom, and the three channels are
equal. The posterior of a clip is the mean of the posteriors of its segments (in that code, of their scores).

References:
    *Multilevel emotion recognition of audio features based on multitask* (in Chinese).
    Zou, Si, Chen, Rajan and Chng, *Speech emotion recognition with co-attention based multi-level acoustic information*, ICASSP
    2022 (the base network).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keras_ser.errors import UserError
from keras_ser.models.multilevel.config import LEVELS, Config
from keras_ser.models.multilevel.pretrained import ONE_LENGTH
from keras_ser.models.paper import Inputs, Label, Network, Optimized, Output, given
from keras_ser.settings import mask_of
from keras_ser.tasks import Task

CENTER = "center"


def build(config: Config, inputs: Inputs, tasks: Sequence[Task], **_: Any) -> Network:
    """Build the network from features of a stretch to logits.

    Args:
        config: the settings.
        inputs: {input: (frames, bins)}. Levels are matched to inputs by the name of the feature, of any front end: "mfcc",
            "spectrogram", "waveform".
        tasks: the main task first; (batch, classes) logits each. The embedding is f.

    Returns:
        Network.

    Raises:
        UserError: levels and features do not match, stretches differ in length, `gender_prior` is set without a gender task, or
            `center` with a continuous main task.
    """
    import keras

    from keras_ser.features import FeatureNormalization
    from keras_ser.layers import CenterLoss
    from keras_ser.losses import TrueClass
    from keras_ser.models.heads import head, task_outputs
    from keras_ser.models.multilevel.levels import DetachedPosterior, level_vectors

    named, main = _inputs(config, inputs), tasks[0]
    prior = _prior(config, tasks)
    inside, normalizations, x = given(inputs), {}, {}
    for level in config.levels:
        name = named[level]
        x[level] = inside[name], inside[mask_of(name)]
        if level != "wav2vec2":  # its layer normalises the waveform itself
            layer = FeatureNormalization(name=f"{level}_normalization")
            normalizations[name,] = layer
            x[level] = layer(*x[level]), x[level][1]
    vectors, initialise = level_vectors(config, x)

    fused = keras.layers.Concatenate(name="levels")(list(vectors.values())) if len(vectors) > 1 else vectors[level]
    for i in (1, 2):
        fused = keras.layers.Dropout(config.dropout, name=f"fused_{i}_dropout")(fused)
        fused = keras.layers.Dense(config.dense, activation="relu", name=f"fused_{i}")(fused)
    outputs = {task.name: head(fused, task, 0, config.dropout) for task in tasks if task is not main}
    seen, priors = fused, {}
    if prior:
        posterior = priors[prior.name] = DetachedPosterior(name="prior")(outputs[prior.name])
        seen = keras.layers.Concatenate(name="fused_and_prior")([fused, posterior])
    outputs = {main.name: head(seen, main, 0, config.dropout), **outputs}
    learns = task_outputs(tasks)
    if config.level_heads:
        for level, vector in vectors.items():
            name = f"level_{level}"
            vector = keras.layers.Dropout(config.dropout, name=f"{name}_dropout")(vector)
            outputs[name] = head(vector, main, 0, name=name)
            learned = task_outputs([main])[main.name]
            learns[name] = replace(learned, weight=learned.weight * config.level_heads)
    if config.center:
        if main.continuous:
            raise UserError(f"`center` needs classes, and {main.name!r} has none: set config.center=0.")
        outputs[CENTER] = CenterLoss(main.size, config.center_rate, name=CENTER)(fused)
        learns[CENTER] = Output(Label(main.name), TrueClass(), config.center)
    own, frozen = {}, []
    if "wav2vec2" in config.levels and config.wav2vec2_tuned and config.wav2vec2_rate != 1:
        from keras_ser.models.parts import Parts

        model = Parts(inside, outputs, name="multilevel")
        layer = model.get_layer("wav2vec2")
        added = {id(v) for v in (layer.weighting.variables if layer.weighting else ())}  # not the checkpoint's
        model.parts = {"wav2vec2": [v for v in layer.trainable_variables if id(v) not in added]}
        own["wav2vec2"] = Optimized(model.parts["wav2vec2"], rate=config.wav2vec2_rate)
    else:
        model = keras.Model(inside, outputs, name="multilevel")
    # the convolutions of a checkpoint, or random weights that are not tuned, which the run's seed determines
    if "wav2vec2" in config.levels and config.has_checkpoint == config.wav2vec2_tuned:
        held = model.get_layer("wav2vec2").non_trainable_weights
        frozen = [v for v in held if "seed_generator" not in v.path]
    return Network(model, learns, fused, normalizations, own, priors, initialise=initialise, frozen=frozen)


def _inputs(config: Config, inputs: Inputs) -> dict[str, str]:
    """Return level -> name of its input; raises as `build` does."""
    by_feature = {name.rpartition(".")[2]: name for name in inputs}
    wanted = {level: LEVELS[level] for level in config.levels}
    if set(by_feature) != set(wanted.values()) or len(by_feature) != len(inputs):
        raise UserError(
            f"the levels {', '.join(config.levels)} take the features {', '.join(wanted.values())}, one of each. "
            f"Received: {', '.join(inputs)}."
        )
    if any(frames is None for frames, _ in inputs.values()):
        raise UserError(ONE_LENGTH)
    return {level: by_feature[feature] for level, feature in wanted.items()}


def _prior(config: Config, tasks: Sequence[Task]) -> Task | None:
    """Return the task whose posterior is an input of the main task's head, or None."""
    if not config.gender_prior:
        return None
    for task in tasks[1:]:
        if task.column == "gender":
            return task
    raise UserError(
        "`gender_prior` needs a task of the column 'gender' after the main task. Received: tasks "
        f"{', '.join(task.name for task in tasks)}."
    )
