"""`benchmarks/accelerator.py` trains what `keras_ser.training` trains."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_ser.models.paper import build_network
from keras_ser.training.loop import EpochEnd
from keras_ser.training.network import compiled
from keras_ser.training.targets import standardised_as
from tests import accelerator_numbers as tiny
from tests import annealed_numbers as small
from tests.layers.test_backends import numbers_on


@pytest.mark.parametrize("smoothing", [1, 3])
@pytest.mark.parametrize("patience", [0, 2, 4])
def test_the_epoch_is_chosen_as_in_training(rng, patience, smoothing):
    from accelerator_clips import Choice

    for steps, least in ((1, 0), (3, 10)):
        recipe = tiny.recipe().replace(epochs=12, patience=patience, patience_steps=least, smoothing=smoothing)
        scores = [*rng.integers(0, 5, 11) / 5, 0.9]
        scores[2] = float("nan")
        left, model = iter(scores), SimpleNamespace(weights=[], variables=[], stop_training=False)
        kept = EpochEnd(recipe, steps, lambda left=left: {"emotion_uar": next(left)}, [], None, lambda *_: None, "")
        kept.set_model(model)
        choice = Choice(recipe, steps)
        for epoch, score in enumerate(scores):
            kept.on_epoch_end(epoch, {"loss": 1.0})
            choice.add(score)
            assert choice.epoch == kept.best["epoch"]
            np.testing.assert_equal(choice.value, kept.best["value"])
            assert choice.ended == bool(model.stop_training or epoch + 1 == recipe.epochs)
            if choice.ended:
                break


@pytest.mark.slow
def test_replicas_train_as_tensorflow_does(tmp_path):
    """From the same weights, the same batches end in the same weights and posteriors, one of two replicas at once."""
    found = numbers_on("jax", "tests.accelerator_numbers", tmp_path / "numbers.npz")
    clips, recipe = tiny.clips(), tiny.recipe()
    network = build_network(recipe, {name: (12, bins) for name, bins in tiny.BINS.items()})
    score, model = compiled(recipe, network), network.model
    (layer,) = network.normalizations.values()
    layer.set_statistics(clips.mean[1], clips.variance[1])
    for variable in model.trainable_variables:
        variable.assign(found[f"initial/{variable.path}"])
    losses = []
    for step in range(sum(name.startswith("clip ") for name in found)):
        weight = found[f"w {step}"]
        whole = weight > 0  # as training has it; repeated examples only fill the batch
        x = {name: found[f"x {step}/{name}"][whole] for name in model.input}
        y = {n: clips.labels[o.target.task][found[f"clip {step}"]][whole] for n, o in network.outputs.items()}
        logs = model.train_on_batch(x, y, dict.fromkeys(y, weight[whole]), return_dict=True)
        losses.append(float(logs["loss"]))
        assert step == 2 or weight.all()
    assert not weight.all(), "the last batch is not full"
    assert keras.backend.backend() == "tensorflow"
    for kind in ("both", "alone"):
        for variable in model.trainable_variables:
            value, before = found[f"{kind}/{variable.path}"], found[f"initial/{variable.path}"]
            np.testing.assert_allclose(value, variable.numpy(), rtol=1e-4, atol=1e-4, err_msg=variable.path)
            assert np.abs(value - before).max() > 1e-3
        for clip, posteriors in enumerate(found[f"{kind} posteriors"]):
            rows = clips.frames[clips.ends[clip] : clips.ends[clip + 1]][None]
            x = {"mfcc": rows[..., :39], "energy": rows[..., 39:], "mask": np.ones(rows.shape[:2], bool)}
            np.testing.assert_allclose(posteriors, score(x)["emotion"][0], atol=1e-4)
        # of an epoch, the mean over its steps
        np.testing.assert_allclose(found[f"{kind} loss"], np.mean(losses), rtol=1e-4)


def test_a_replica_has_the_verdict_of_a_run():
    """One learns while its validation set stays, the other never rises."""
    from accelerator_clips import Choice, Replica, verdicts

    recipe = tiny.recipe().replace(epochs=10, patience=0, smoothing=1)
    choices = [Choice(recipe, 3) for _ in range(2)]
    for epoch in range(10):
        choices[0].add(0.5, 0.7 + epoch / 40)
        choices[1].add(0.4 + epoch / 100, 0.4)
    choices[0].epoch = 10
    learned, underfit = verdicts(choices, "speakers", [Replica(0, 0), Replica(1, 0)])
    assert learned == "learned" and underfit.startswith("underfit: 40.0 on the training set, nearer to chance")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["aae", "cnn"])
def test_annealed_trainings_are_those_of_tensorflow(tmp_path, monkeypatch, kind):
    """The three phases under JAX: from the same weights, prior samples and batches, the same weights, logs and posteriors."""
    found = numbers_on("jax", "tests.annealed_numbers", tmp_path / "numbers.npz", kind)
    recipe, examples = small.recipe(kind), small.examples()
    monkeypatch.setattr(keras.random, "normal", lambda shape, seed: keras.ops.convert_to_tensor(small.noise(shape)))
    network = build_network(recipe, {small.FEATURE: (small.FRAMES, small.BINS)})
    compiled(recipe, network, len(found["rows"]))
    model = network.model
    (layer,) = network.normalizations.values()
    layer.set_statistics(*examples.moments[small.FEATURE][1, 1])
    parts = {"whole": model}
    if kind == "aae":
        parts = {name: getattr(model, name) for name in ("encoder", "decoder", "classifiers", "critic")}
    weights = [(f"{part}/{v.path}", v) for part, own in parts.items() for v in own.trainable_variables]
    for name, variable in weights:
        variable.assign(found[f"initial/{name}"])
    labels, known = examples.encoded(recipe)
    standardised, rates, logs, frames = standardised_as(network), [], [], []
    for rows in found["rows"]:
        rates.append(float(model.optimizer.learning_rate) / recipe.optimizer.learning_rate)
        clip, mask = examples.clip[rows], np.arange(small.FRAMES) < examples.valid[small.FEATURE][rows][:, None]
        x = {small.FEATURE: examples.x[small.FEATURE][rows], "mask": mask}
        y, w = ({task.name: values[task.name][clip] for task in small.TASKS} for values in (labels, known))
        assert w["emotion"].sum() == 4 and 0 < w["gender"].sum() < 8
        if kind == "aae":
            y["reconstruction"] = standardised(small.FEATURE, x[small.FEATURE], mask)
            w["reconstruction"] = mask.astype("float32")
        logs.append(model.train_on_batch(x, y, w, return_dict=True))
        frames += [] if kind == "cnn" else [np.asarray(y["reconstruction"])[mask]]
    np.testing.assert_allclose(found["rates"], rates, rtol=1e-5)
    assert min(rates) < 0.95
    for kind_of in ("both", "alone"):
        for name, variable in weights:
            value, before = found[f"{kind_of}/{name}"], found[f"initial/{name}"]
            np.testing.assert_allclose(value, variable.numpy(), rtol=1e-3, atol=2e-4, err_msg=name)
            assert np.abs(value - before).max() > 2e-3, name
        for clip, posteriors in enumerate(found[f"{kind_of} posteriors"]):
            own = np.flatnonzero(examples.clip == clip)
            each = examples.valid[small.FEATURE][own]
            x = {small.FEATURE: examples.x[small.FEATURE][own], "mask": np.arange(small.FRAMES) < each[:, None]}
            parts_of = keras.ops.softmax(model(x, training=False)["emotion"])
            np.testing.assert_allclose(posteriors, np.average(parts_of, axis=0, weights=each), atol=2e-3)
        known_logs = [key for key in found.files if key.startswith(f"{kind_of} log ") and kind == "aae"]
        for key in known_logs:
            name = key.rpartition(" ")[2]
            expected = np.mean([float(row[name]) for row in logs])
            if name == "loss":  # of the classifiers alone
                expected -= recipe.config.alpha * np.mean([float(row["reconstruction_loss"]) for row in logs])
            if name == "mean_frame_error":  # of all frames of the epoch
                expected = np.concatenate(frames).var(axis=0).mean()
            np.testing.assert_allclose(found[key], expected, rtol=2e-3, atol=1e-4, err_msg=name)
        assert len(known_logs) == (10 if kind == "aae" else 0)
