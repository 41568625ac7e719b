"""ASP-MTL: equations 9-19 against NumPy, who sees what, and the properties that every configuration must have."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_ser.layers import ConvEncoder
from keras_ser.models import aspmtl
from keras_ser.models.aspmtl import Config
from keras_ser.models.paper import Label, StreamNumber
from keras_ser.models.whole_model import scorer
from keras_ser.settings import FrontendConfig
from tests.models.rows import AROUSAL, CONV, EMOTION, GENDER, INPUTS, ROWS, STREAMS, by_name, features, outputs

LENGTHS = (9, 1, 7, 4, 8)
MANY = [by_name(name) for name in ("lstm two auxiliary", "lstm mask frame level", "conv lstm source")]
ASPMTL = [row for row in ROWS if len(row.tasks) > 1 and row.settings.pooling == "mean"]


def each(rows):
    return pytest.mark.parametrize("row", rows, ids=[row.name for row in rows])


def inner(network, x, *names):
    """What layers put out for `x`; of a layer with (sequence, mask), both."""
    probe = keras.Model(network.input, {name: network.get_layer(name).output for name in names})
    found = keras.tree.map_structure(np.asarray, probe(dict(x), training=False))
    return [found[name] for name in names] if len(names) > 1 else found[names[0]]


def labels(network, tasks, rng, batch):
    """Random targets and weights, every third label missing; a missing one holds a wrong class on purpose."""
    sizes = {task.name: task.size for task in tasks}
    sizes["adversary"] = int(network.output["adversary"].shape[-1]) if "adversary" in network.output else 0
    y, w = {}, {}
    for name in network.output:
        if name == "gain":
            # values, then the weights of each
            y[name] = rng.uniform(0, 1, (batch, max(LENGTHS), 2 * network.output[name].shape[-1])).astype("float32")
            w[name] = (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]).astype("float32")
            continue
        continuous = any(task.name == name and task.continuous for task in tasks)
        y[name] = rng.uniform(-1, 1, batch).astype("float32") if continuous else rng.integers(0, sizes[name], batch)
        w[name] = (rng.permutation(batch) % 3 > 0).astype("float32") * rng.uniform(0.5, 2, batch).astype("float32")
    return y, w


def numpy_losses(config, tasks, network, x, y, w):
    """L_main, L_aux .., L_adv and L_diff from the encoders' sequences, in float64 and loops (equations 11, 13-18)."""
    encoders = ["shared", *(f"private_{task.name}" for task in tasks)]
    if config.encoder == "conv":
        _, mask = inner(network, x, "shared")
        ends = [f"{name}_projection" for name in encoders]
        sequences = dict(zip(encoders, inner(network, x, *ends), strict=True))
    else:
        sequences, mask = dict(zip(encoders, inner(network, x, *encoders), strict=True)), x["mask"]
    real = [{name: s[i, mask[i]].astype("float64") for name, s in sequences.items()} for i in range(len(mask))]
    weights = {layer.name: [np.asarray(v, "float64") for v in layer.get_weights()] for layer in network.layers}

    def dense(name, vector):
        kernel, bias = weights[name]
        return vector @ kernel + bias

    def softmax(z):
        return np.exp(z - z.max()) / np.exp(z - z.max()).sum()

    def cost(name, i, vector, smoothing=0.0):
        task = next((task for task in tasks if task.name == name), None)
        if config.frame_level and task in tasks[1:]:
            hidden = np.maximum(dense(f"{name}_dense", vector), 0)
            p = np.mean([softmax(z) for z in dense(f"{name}_frames", hidden)], 0)
            return -np.log(p[y[name][i]])
        if config.dense and task:
            vector = np.maximum(dense(f"{name}_dense", vector), 0)
        z = dense(name, vector)
        if task and task.continuous:
            return (z[0] - y[name][i]) ** 2
        p = softmax(z)
        q = np.full(len(p), smoothing / len(p))
        q[y[name][i]] += 1 - smoothing
        return -(q * np.log(p)).sum()

    parts = {name: 0.0 for name in network.output}
    difference = 0.0
    for i, example in enumerate(real):
        s = example["shared"].mean(0)
        h = {task.name: example[f"private_{task.name}"] for task in tasks}
        h = {name: k if config.frame_level and name != tasks[0].name else k.mean(0) for name, k in h.items()}
        main = tasks[0].name
        costs = {main: cost(main, i, np.concatenate([s, h[main]]), config.label_smoothing)}
        costs |= {task.name: cost(task.name, i, h[task.name]) for task in tasks[1:]}
        if "adversary" in parts:
            costs["adversary"] = cost("adversary", i, s)
        if "gain" in parts:
            g = 1 / (1 + np.exp(-dense("gain", example[f"private_{tasks[1].name}"])))
            frames = sum(LENGTHS)
            value, weight = np.split(y["gain"][i, : len(g)], 2, axis=1)
            parts["gain"] += (weight * (g - value) ** 2).mean(1).sum() / frames
        for name, value in costs.items():
            parts[name] += w[name][i] * value / w[name].sum()
        for task in tasks:
            product = example["shared"].T @ example[f"private_{task.name}"]
            if config.normalize:
                product = product / len(example["shared"])
                difference += (product**2).mean() / len(real)
            else:
                difference += (product**2).sum()
    return parts, difference


def compiled(row, network, **options):
    outputs = row.network().outputs
    network.compile(
        "sgd",
        loss={name: output.loss for name, output in outputs.items()},
        loss_weights={name: output.weight for name, output in outputs.items()},
        **{"run_eagerly": True, **options},
    )
    return network


@each(ASPMTL)
def test_total_loss_is_equation_19(row, rng):
    config, network = row.settings, row.build()
    x = features(rng, LENGTHS)
    y, w = labels(network, row.tasks, rng, len(LENGTHS))
    parts, difference = numpy_losses(config, row.tasks, network, x, y, w)
    logs = compiled(row, network).evaluate(x, y, sample_weight=w, batch_size=len(LENGTHS), verbose=0, return_dict=True)
    for name, value in parts.items():
        assert logs[f"{name}_loss"] == pytest.approx(value, rel=1e-4)
    assert logs["orthogonality"] == pytest.approx(difference, rel=1e-4)
    main, *auxiliary = row.tasks
    total = config.alpha * main.weight * parts[main.name] + config.mu * difference
    total += sum(config.beta * task.weight * parts[task.name] for task in auxiliary)
    total += config.gamma * parts.get("adversary", 0.0) + config.mask_weight * parts.get("gain", 0.0)
    assert logs["loss"] == pytest.approx(total, rel=1e-4)


def test_a_batch_without_any_label_of_a_task_costs_nothing(rng):
    row = by_name("conv without stem")
    network = row.build()
    x = features(rng, LENGTHS)
    y, w = labels(network, row.tasks, rng, len(LENGTHS))
    w["gender"][:] = 0
    logs = compiled(row, network).evaluate(x, y, sample_weight=w, batch_size=len(LENGTHS), verbose=0, return_dict=True)
    assert logs["gender_loss"] == 0
    assert np.isfinite(logs["loss"])


def gradients(network, loss):
    with tf.GradientTape() as tape:
        value = loss()
    return dict(
        zip(
            [v.path for v in network.trainable_variables],
            tape.gradient(value, network.trainable_variables),
            strict=True,
        )
    )


@pytest.mark.parametrize("name", ["lstm source", "conv label"])
def test_the_adversary_is_reversed_for_the_encoder_and_plain_for_the_discriminator(name, rng):
    row = by_name(name)
    config, network = row.settings, compiled(row, row.build())
    x = {key: ops.convert_to_tensor(value) for key, value in features(rng, LENGTHS).items()}
    y, w = labels(network, row.tasks, rng, len(LENGTHS))

    def total():
        return network.compute_loss(x=x, y=y, y_pred=network(x, training=False), sample_weight=w)

    pooled = keras.Model(network.input, network.get_layer("pool_shared").output)
    discriminator = network.get_layer("adversary")

    def adversarial(logits):
        p = tf.nn.softmax(logits)
        cost = -tf.math.log(tf.gather(p, y["adversary"], axis=1, batch_dims=1))
        return config.gamma * tf.reduce_sum(cost * w["adversary"]) / tf.reduce_sum(w["adversary"])

    together = gradients(network, total)
    # gamma L_adv without the reversal layer, and everything but gamma L_adv
    alone = gradients(network, lambda: adversarial(discriminator(pooled(x, training=False))))
    others = gradients(network, lambda: total() - adversarial(network(x, training=False)["adversary"]))
    seen = set()
    for path, gradient in together.items():
        other = 0.0 if others[path] is None else others[path].numpy()
        if alone[path] is None:
            np.testing.assert_allclose(gradient, other, rtol=1e-3, atol=1e-5)
        elif path.startswith("adversary/"):
            np.testing.assert_allclose(gradient, alone[path], rtol=1e-3, atol=1e-6)
            seen.add("discriminator")
        else:
            assert np.abs(alone[path]).max() > 1e-5
            scale = float(np.abs(gradient).max())
            np.testing.assert_allclose(gradient - other, -config.reversal * alone[path], atol=1e-5 * (1 + 10 * scale))
            assert path.startswith(("shared", "stem")), path
            seen.add("encoder")
    assert seen == {"discriminator", "encoder"}


def test_each_head_sees_what_it_should(rng):
    """Main task and adversary, the shared features; each task, its own private ones; the mask, the first auxiliary task's."""
    row = by_name("lstm mask frame level")
    network = row.build()
    x = features(rng, LENGTHS)
    before = outputs(network, x)
    touched = {}
    for encoder in ("shared", "private_emotion", "private_noise", "private_gender"):
        kept = [np.array(v) for v in network.get_layer(encoder).get_weights()]
        network.get_layer(encoder).set_weights([v + rng.normal(size=v.shape) for v in kept])
        after = outputs(network, x)
        touched[encoder] = {name for name in before if not np.array_equal(before[name], after[name])}
        network.get_layer(encoder).set_weights(kept)
    assert touched == {
        "shared": {"emotion", "adversary"},
        "private_emotion": {"emotion"},
        "private_noise": {"noise", "gain"},
        "private_gender": {"gender"},
    }


def test_single_task_has_one_encoder_and_no_game():
    for name in ("lstm single statistics", "conv single"):
        network = by_name(name).build()
        encoders = [layer.name for layer in network.layers if layer.name.startswith(("shared", "private"))]
        assert [name for name in encoders if not name.endswith("_projection")] == ["private_emotion"]
        assert set(network.output) == {"emotion"}
        assert not network.losses


def test_conv_branches_go_on_from_the_stem(rng):
    """Stem and branch are one encoder cut in two: feature maps with bins and channels are handed over."""
    row = by_name("conv label")
    network, x = row.build(), features(rng, LENGTHS)
    config = row.settings
    assert network.get_layer("stem").output[0].shape == (None, None, 2, config.filters[1])
    whole = ConvEncoder(config.filters, config.kernels, config.pools, stride=config.stride, pool_first=True)
    normalized = inner(network, x, "normalization")
    whole(normalized, mask=ops.convert_to_tensor(x["mask"]))
    for branch in ("shared", "private_emotion", "private_gender"):
        stem, rest = network.get_layer("stem"), network.get_layer(branch)
        for i, (a, b) in enumerate(zip(whole.convolutions, [*stem.convolutions, *rest.convolutions], strict=True)):
            a.set_weights(b.get_weights())
            whole.normalizations[i].set_weights([*stem.normalizations, *rest.normalizations][i].get_weights())
        expected, mask = whole(normalized, mask=ops.convert_to_tensor(x["mask"]))
        got, valid = inner(network, x, branch)
        np.testing.assert_allclose(got, expected, atol=1e-5)
        np.testing.assert_array_equal(valid, mask)
        assert got.shape[-1] == 2 * config.filters[-1], "two bins are left, and no mean over them"
    assert by_name("conv without stem").build().get_layer("shared").stride == 3


def test_the_mask_to_learn_is_0_without_speech(rng):
    noise = rng.normal(size=(1, 1600)).astype("float32")
    target = aspmtl.network.ratio_mask(aspmtl.Config(mask_bins=257), None, "noise")
    found = target.compute({"clean": 0 * noise, "waveform": noise, "length": np.array([1600], "int32")})
    assert np.abs(np.asarray(found)[..., :257]).max() < 1e-3


def test_features_are_joined_in_the_order_given(rng):
    """Statistics belong to the columns in the order of `inputs`, not to that of the names."""
    network = by_name("lstm single statistics").build()
    x = features(rng, LENGTHS)
    layer = network.get_layer("normalization")
    joined = np.concatenate([x[name] for name in INPUTS], -1)
    expected = (joined - layer.mean.numpy()) / np.sqrt(layer.variance.numpy() + layer.epsilon) * x["mask"][..., None]
    np.testing.assert_allclose(inner(network, x, "normalization"), expected, atol=1e-5)


@each(ROWS)
def test_outputs_are_logits_in_float32_whose_softmax_the_scorer_takes(row, rng):
    x, network = features(rng, LENGTHS), row.network()
    found, scored = outputs(network.model, x), outputs(scorer(network, row.tasks), x)
    assert set(scored) == {task.name for task in row.tasks}
    assert set(found) - {"adversary", "gain"} == {task.name for task in row.tasks}
    for task in row.tasks:
        assert found[task.name].shape == (len(LENGTHS), task.size)
        if task.continuous:
            np.testing.assert_array_equal(scored[task.name], found[task.name])
            continue
        e = np.exp(found[task.name].astype("float64"))
        np.testing.assert_allclose(scored[task.name], e / e.sum(-1, keepdims=True), atol=1e-6)
        assert scored[task.name].dtype == "float32"
        assert scored[task.name].std(0).max() > 1e-3, "the clips differ, and their probabilities should"
    if "adversary" in found:
        classes = STREAMS if row.settings.adversary == "source" else row.tasks[1].size
        assert found["adversary"].shape == (len(LENGTHS), classes)
    if "gain" in found:
        assert found["gain"].shape == (len(LENGTHS), max(LENGTHS), row.settings.mask_bins)
        assert 0 < found["gain"].min() < found["gain"].max() < 1


@each(MANY)
def test_alone_in_a_batch_or_padded_with_garbage(row, rng):
    network, lengths, frames = row.build(), LENGTHS[1:4], 11
    x = features(rng, lengths, frames=frames)
    together = outputs(network, x)
    for name in INPUTS:
        x[name][~x["mask"]] = 1e4
    padded = outputs(network, x)
    for i, length in enumerate(lengths):
        alone = outputs(network, {name: value[i : i + 1, :length] for name, value in x.items()})
        for name, value in alone.items():
            valid = slice(length) if name == "gain" else slice(None)
            np.testing.assert_allclose(value[0], together[name][i][valid], atol=1e-5)
            np.testing.assert_allclose(value[0], padded[name][i][valid], atol=1e-5)


@each(MANY)
def test_every_variable_learns(row, rng):
    network = compiled(row, row.build())
    x = {key: ops.convert_to_tensor(value) for key, value in features(rng, LENGTHS).items()}
    y, w = labels(network, row.tasks, rng, len(LENGTHS))
    w = {name: np.maximum(value, 0.5) for name, value in w.items()}

    def total():
        return network.compute_loss(x=x, y=y, y_pred=network(x, training=False), sample_weight=w)

    for path, gradient in gradients(network, total).items():
        assert gradient is not None, path
        assert np.isfinite(gradient).all(), path
        assert np.abs(gradient).max() > 0, path


def test_targets_of_outputs_that_are_no_task():
    tasks = (EMOTION, GENDER)
    label = aspmtl.build(Config(adversary="label"), INPUTS, tasks).outputs
    assert label["adversary"].target == Label("gender") and set(label) == {"emotion", "gender", "adversary"}
    masked = aspmtl.build(Config(adversary="source", mask_bins=257), INPUTS, tasks, STREAMS, FrontendConfig()).outputs
    assert masked["adversary"].target == StreamNumber()
    assert (masked["gain"].target.values, masked["gain"].target.task, masked["gain"].kept) == (514, "gender", True)


@pytest.mark.parametrize(
    ("config", "tasks", "streams", "words"),
    [
        ({"adversary": "source"}, (EMOTION, GENDER), 1, "add a stream of another distribution"),
        ({"adversary": "label"}, (EMOTION, AROUSAL), 2, "'arousal' is continuous"),
        ({"mask_bins": 6}, (EMOTION,), 2, "`mask_bins` needs an auxiliary task"),
    ],
)
def test_what_the_tasks_and_streams_do_not_allow_is_refused(config, tasks, streams, words):
    with pytest.raises(ValueError, match=words):
        aspmtl.build(Config(**config), INPUTS, tasks, streams)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"encoder": "gru"}, "`encoder` must be one of .*'gru'"),
        ({"layers": 0}, "at least one layer"),
        ({"gamma": -0.1}, "`gamma` must be at least 0 and finite. Received: gamma=-0.1"),
        ({**CONV, "mask_bins": 6}, "need every frame, which encoder='conv' pools"),
        ({"beta": float("nan")}, "`beta` must be at least 0 and finite"),
        ({"filters": (8, 8)}, "one entry per block"),
        ({**CONV, "stem": 3}, "`stem` must leave a block"),
        ({"units": -3}, "`units` must be"),
        ({"dropout": 1.0}, "`dropout` must be"),
        ({"label_smoothing": 2}, "`label_smoothing` must be"),
    ],
)
def test_bad_settings(config, words):
    with pytest.raises(ValueError, match=words):
        Config(**config)
