"""The layer itself: masks, files, precision, training, and what is frozen."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ser.errors import UserError
from keras_ser.layers import MeanPooling
from keras_ser.models.wav2vec2 import Wav2Vec2, Wav2Vec2Config, load
from tests import checks
from tests.models.wav2vec2.reference import GROUP, LAYER, SIZES, STORED, padded, waveforms

DETERMINISTIC = {
    **dict.fromkeys(
        ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "layerdrop"), 0.0
    ),
    "apply_spec_augment": False,
}
FORMS = {"group": GROUP, "layer": LAYER}


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


def config(form, **settings) -> Wav2Vec2Config:
    return Wav2Vec2Config(**{**SIZES, **FORMS[form], **settings})


def random_layer(form, settings=None, **options) -> Wav2Vec2:
    layer = Wav2Vec2(config(form, **(settings or {})), **options)
    layer.build((None, None))
    checks.randomize(layer, np.random.default_rng(4))
    return layer


def model_of(layer) -> keras.Model:
    waveform, mask = keras.Input((None,), name="waveform"), keras.Input((None,), dtype="bool", name="mask")
    return keras.Model({"waveform": waveform, "mask": mask}, layer(waveform, mask=mask))


def batch() -> dict[str, np.ndarray]:
    x, mask = padded(waveforms())
    return {"waveform": x, "mask": mask}


def test_masked_clip_gives_what_it_gives_alone(form):
    layer = load(STORED / form, states="all")
    x, mask = padded(waveforms())
    together = layer(x, mask=mask)
    for i, wave in enumerate(waveforms()):
        for state, alone in zip(together, layer(wave[None]), strict=True):
            assert alone.shape[1] == layer.frames(len(wave))
            np.testing.assert_allclose(np.array(state)[i : i + 1, : alone.shape[1]], alone, rtol=1e-5, atol=2e-5)
            assert not np.array(state)[i, alone.shape[1] :].any()


def test_padding_may_hold_anything_and_have_any_length(form):
    layer = load(STORED / form)
    x, mask = padded(waveforms())
    expected = np.array(layer(x, mask=mask))
    longer, dirty = np.pad(mask, ((0, 0), (0, 777))), np.pad(x, ((0, 0), (0, 777)))
    dirty[~longer] = np.nan
    found = np.array(layer(dirty, mask=longer))
    np.testing.assert_allclose(found[:, : expected.shape[1]], expected, rtol=1e-5, atol=2e-5)
    assert not found[:, expected.shape[1] :].any()


def test_gradients_of_weights_do_not_depend_on_padding(form):
    layer = random_layer(form, DETERMINISTIC)
    x, mask = padded(waveforms())
    weights = len(layer.trainable_variables)
    clean = checks.gradients(layer, x, mask, training=True)[1][-weights:]
    longer, dirty = np.pad(mask, ((0, 0), (0, 777))), np.pad(x, ((0, 0), (0, 777)))
    dirty[~longer] = np.nan
    for weight, a, b in zip(
        layer.trainable_variables,
        clean,
        checks.gradients(layer, dirty, longer, training=True)[1][-weights:],
        strict=True,
    ):
        assert np.isfinite(a).all()
        # a key's bias moves all scores of a query alike
        assert np.abs(a).max() > 1e-6 or "key/bias" in weight.path, weight.path
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * max(1.0, np.abs(a).max()), err_msg=weight.path)


def test_batch_of_one_length_gives_what_each_clip_gives_alone(form, rng):
    layer = load(STORED / form)
    x = rng.normal(size=(3, 2000)).astype("float32")
    together = np.array(layer(x))
    for i in range(3):
        np.testing.assert_allclose(np.array(layer(x[i : i + 1])), together[i : i + 1], rtol=1e-5, atol=2e-5)


def test_waveforms_are_standardized_unless_the_config_says_no(rng):
    form = "layer"  # the other form's group norm takes any level
    x = rng.normal(size=(2, 2000)).astype("float32")
    layer = random_layer(form)
    np.testing.assert_allclose(np.array(layer(7 * x + 3)), np.array(layer(x)), atol=1e-3)
    plain = random_layer(form, {"do_normalize": False})
    ready = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    np.testing.assert_allclose(np.array(plain(ready)), np.array(layer(x)), atol=1e-3)
    assert np.abs(np.array(plain(7 * x + 3)) - np.array(layer(x))).max() > 0.1


def test_frame_mask_counts_frames(form):
    layer = random_layer(form)
    lengths = np.array([0, 399, 400, 719, 720, 3333, 6000])
    mask = np.arange(6000) < lengths[:, None]
    found = np.array(layer.frame_mask(mask))
    assert found.shape == (7, layer.frames(6000))
    assert found.sum(1).tolist() == [layer.frames(int(n)) for n in lengths]
    assert (np.diff(found.astype(int), axis=1) <= 0).all()


def test_frame_mask_pools_frames_in_a_model_and_its_file(form, tmp_path):
    layer = random_layer(form)
    waveform, mask = keras.Input((None,), name="waveform"), keras.Input((None,), dtype="bool", name="mask")
    frames = layer(waveform, mask=mask)
    model = keras.Model({"waveform": waveform, "mask": mask}, MeanPooling()(frames, mask=layer.frame_mask(mask)))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    alone = [np.array(layer(wave[None]))[0].mean(0) for wave in waveforms()]
    for each in (model, again):
        np.testing.assert_allclose(each.predict_on_batch(batch()), alone, rtol=1e-5, atol=2e-5)


def test_clip_without_a_frame_gives_zeros_in_a_batch(form):
    layer = random_layer(form)
    x, mask = padded(waveforms())
    mask[1, 399:], mask[2] = False, False
    found = np.array(layer(x, mask=mask.astype("int32")))
    assert np.isfinite(found).all()
    assert found[0].any()
    assert not found[1:].any()


def test_known_number_of_samples_below_the_receptive_field_is_refused(form):
    layer = random_layer(form)
    for call in (lambda: layer(np.zeros((2, 399), "float32")), lambda: layer(keras.Input((399,)))):
        with pytest.raises(UserError, match=r"at least 400 samples.*Received: 399"):
            call()


def test_unknown_states_are_refused():
    with pytest.raises(UserError, match=r"last, weighted, stacked, all.*'first'"):
        Wav2Vec2(config("group"), states="first")


@pytest.mark.parametrize(("form", "states"), [("group", "stacked"), ("layer", "weighted"), ("group", "all")])
def test_symbolic_eager_and_compiled_agree_and_a_file_keeps_them(form, states, tmp_path):
    layer = random_layer(form, states=states, freeze_feature_encoder=True, seed=5)
    model, data = model_of(layer), batch()
    eager = keras.tree.flatten(layer(data["waveform"], mask=data["mask"]))
    compiled = keras.tree.flatten(model.predict_on_batch(data))
    fixed = keras.tree.flatten(
        layer.symbolic_call(keras.KerasTensor((3, 6000)), mask=keras.KerasTensor((3, 6000), "bool"))
    )
    for e, c, s, o in zip(eager, compiled, fixed, keras.tree.flatten(model.output), strict=True):
        assert e.shape == c.shape == tuple(s.shape)
        assert o.shape == (None, None, layer.hidden * (3 if states == "stacked" else 1))
        np.testing.assert_allclose(np.array(e), c, rtol=1e-5, atol=2e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(compiled, keras.tree.flatten(again.predict_on_batch(data)), strict=True):
        np.testing.assert_array_equal(a, b)
    names = [weight.path for weight in model.trainable_variables]
    assert [weight.path for weight in again.trainable_variables] == names


def test_config_round_trip(form):
    layer = Wav2Vec2(config(form), "weighted", freeze_feature_encoder=True, seed=3, name="level")
    again = Wav2Vec2.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.config == layer.config


def test_weighted_states_are_their_mean_at_first_and_a_softmax_later(form):
    layer = random_layer(form, states="weighted")
    x, mask = padded(waveforms())
    states = np.stack([np.array(state) for state in layer.hidden_states(x, mask=mask)])
    stacked = Wav2Vec2(config(form), states="stacked")
    stacked.build((None, None))
    stacked.set_weights([w for w in layer.get_weights() if w.shape != (3,)])
    np.testing.assert_array_equal(np.concatenate(states, -1), stacked(x, mask=mask))
    assert len(states) == SIZES["num_hidden_layers"] + 1
    logits = np.array([0.3, -1.0, 2.0], "float32")
    for values in (np.zeros(3, "float32"), logits):
        layer.weighting.logits.assign(values)
        weights = np.exp(values) / np.exp(values).sum()
        np.testing.assert_allclose(
            np.array(layer(x, mask=mask)), np.tensordot(weights, states, 1), rtol=1e-5, atol=2e-5
        )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)])
def test_mixed_precision_is_near_float32_and_trains(form, policy):
    layer = load(STORED / form, dtype=policy, seed=1)
    x, mask = padded(waveforms())
    found, expected = layer(x, mask=mask), np.array(load(STORED / form)(x, mask=mask))
    assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    found = ops.convert_to_numpy(ops.cast(found, "float32"))
    error = np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))
    assert error < (0.1 if policy == "mixed_bfloat16" else 0.01)
    assert {weight.dtype for weight in layer.trainable_variables} == {"float32"}
    assert {keras.backend.standardize_dtype(state.dtype) for state in layer.hidden_states(x, mask=mask)} == {"float32"}
    for inner in layer._flatten_layers():
        if "Normalization" in type(inner).__name__ and type(inner).__name__ != "ChannelNormalization":
            assert inner.compute_dtype == "float32"
    head = model_of(layer)
    y = keras.layers.Dense(1, dtype="float32")(keras.layers.GlobalAveragePooling1D(dtype="float32")(head.output))
    model = keras.Model(head.input, y)
    model.compile("sgd", "mse", run_eagerly=True)
    history = model.fit(batch(), np.ones((3, 1), "float32"), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(np.array(weight)).all() for weight in layer.trainable_variables)


@pytest.mark.parametrize("policy", ["float64", "bfloat16"])
def test_policies_without_float32(form, policy):
    """No figures: the stored weights are rounded to bfloat16."""
    layer, (x, mask) = load(STORED / form, dtype=policy), padded(waveforms())
    spec = layer.compute_output_spec(keras.KerasTensor(x.shape))
    assert keras.backend.standardize_dtype(layer(x, mask=mask).dtype) == spec.dtype == policy


def test_loud_waveform_does_not_overflow_in_float16(form):
    x = np.concatenate(waveforms())[None] * 1e6
    layer = load(STORED / form, dtype="mixed_float16")
    assert np.isfinite(np.array(layer(x.astype("float32")))).all()


def trained(layer) -> set[str]:
    """Paths of the weights that a step of training changes."""
    core = model_of(layer)
    model = keras.Model(core.input, keras.layers.GlobalAveragePooling1D()(core.output))
    before = {weight.path: np.array(weight) for weight in layer.weights}
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    data = batch()
    model.fit(data, np.random.default_rng(1).normal(size=(3, layer.hidden)), verbose=0)
    changed = {weight.path for weight in layer.weights if (np.array(weight) != before[weight.path]).any()}
    return {path for path in changed if "seed" not in path}


def test_frozen_feature_encoder_is_all_that_is_not_trained(form):
    layer = random_layer(form, DETERMINISTIC, freeze_feature_encoder=True, states="weighted")
    encoder = {weight.path for weight in layer.feature_encoder.weights}
    assert len(encoder) == {"group": 9, "layer": 28}[form]
    names = {weight.path for weight in layer.weights if "seed" not in weight.path}
    assert {weight.path for weight in layer.trainable_variables} == names - encoder
    changed = trained(layer)
    assert not changed & encoder
    assert not {path for path in names - encoder - changed if "key/bias" not in path}


def test_whole_layer_is_trained_by_default_and_nothing_where_it_is_frozen(form):
    layer = random_layer(form, DETERMINISTIC)
    names = {weight.path for weight in layer.weights if "seed" not in weight.path}
    assert {weight.path for weight in layer.trainable_variables} == names
    assert {path for path in names - trained(layer) if "key/bias" not in path} == set()
    layer = random_layer(form, trainable=False)
    assert layer.trainable_variables == []
    core = model_of(layer)
    model = keras.Model(core.input, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(core.output)))
    before = [np.array(weight) for weight in layer.weights]
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(batch(), np.ones((3, 1)), verbose=0)
    assert all((np.array(weight) == old).all() for weight, old in zip(layer.weights, before, strict=True))


def test_unfrozen_layer_keeps_its_feature_encoder_frozen(form):
    layer = random_layer(form, freeze_feature_encoder=True)
    names = [weight.path for weight in layer.trainable_variables]
    model = model_of(layer)
    for owner in (layer, model):
        owner.trainable = False
        assert layer.trainable_variables == []
        owner.trainable = True
        assert [weight.path for weight in layer.trainable_variables] == names


def test_layer_frozen_before_it_is_built_stays_so_in_a_model(form):
    early, late = (Wav2Vec2(config(form), **options) for options in ({}, {"trainable": False}))
    early.trainable = False
    for layer in (early, late):
        assert model_of(layer).trainable_variables == []
        layer.trainable = True
        assert len(layer.trainable_variables) == len(random_layer(form).trainable_variables)


def test_frozen_layer_draws_nothing_in_training(form):
    x, mask = padded(waveforms())
    layer = random_layer(form, trainable=False)
    np.testing.assert_array_equal(np.array(layer(x, mask=mask, training=True)), np.array(layer(x, mask=mask)))


def test_training_draws_by_the_seed(form):
    x, mask = padded(waveforms())
    first, second = (random_layer(form, seed=11) for _ in range(2))
    drawn = np.array(first(x, mask=mask, training=True))
    np.testing.assert_array_equal(drawn, np.array(second(x, mask=mask, training=True)))
    again = np.array(first(x, mask=mask, training=True))
    assert np.abs(drawn - again).max() > 0.1
    assert np.abs(drawn - np.array(first(x, mask=mask))).max() > 0.1
    np.testing.assert_array_equal(np.array(first(x, mask=mask)), np.array(second(x, mask=mask)))


@pytest.mark.parametrize(
    "setting",
    [
        *("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "layerdrop"),
        *("mask_time_prob", "mask_feature_prob"),
    ],
)
def test_every_rate_acts_in_training_alone(form, setting):
    settings = {**DETERMINISTIC, "mask_time_prob": 0.0, "apply_spec_augment": True, "mask_feature_length": 4}
    x, mask = padded(waveforms())
    still = random_layer(form, settings, seed=2)
    np.testing.assert_array_equal(np.array(still(x, mask=mask, training=True)), np.array(still(x, mask=mask)))
    layer = random_layer(form, {**settings, setting: 0.6}, seed=2)
    drawn, expected = np.array(layer(x, mask=mask, training=True)), np.array(layer(x, mask=mask))
    assert np.isfinite(drawn).all()
    assert any(np.abs(np.array(layer(x, mask=mask, training=True)) - expected).max() > 0.01 for _ in range(8))
    assert not drawn[~np.array(layer.frame_mask(mask))].any()


def test_skipped_layers_hand_on_what_they_are_given(form):
    layer = random_layer(form, {**DETERMINISTIC, "do_stable_layer_norm": False, "layerdrop": 1 - 1e-7})
    states = layer.hidden_states(waveforms()[0][None], training=True)
    for state in states[1:]:
        np.testing.assert_array_equal(np.array(state), np.array(states[0]))


def test_masked_frames_are_the_learned_vector(form):
    layer = random_layer(form, {**DETERMINISTIC, "apply_spec_augment": True, "mask_time_prob": 0.9}, seed=3)
    x = np.zeros((4, 60, 16), "float32") + 5.0
    real = np.arange(60) < np.array([60, 40, 20, 9])[:, None]
    found = np.array(layer._masked(ops.convert_to_tensor(x), ops.convert_to_tensor(real)))
    masked = (found == np.array(layer.mask_embedding)).all(-1)
    assert (masked | (found == 5.0).all(-1)).all()
    assert masked[:3].any(1).all()
    assert not masked[~real].any()
    assert not masked[3].any()  # no span of 10 frames has room


@pytest.mark.slow
def test_export_as_saved_model_equals_keras_without_xla(form, tmp_path):
    tf = pytest.importorskip("tensorflow")
    layer = load(STORED / form, states="weighted")
    model = model_of(layer)
    model.export(str(tmp_path / "model"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "model"))
    x, mask = padded(waveforms())
    for rows in (slice(0, 3), slice(1, 2)):
        expected = model.predict_on_batch({"waveform": x[rows], "mask": mask[rows]})
        found = served.serve({"waveform": tf.constant(x[rows]), "mask": tf.constant(mask[rows])})
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=2e-5)
    graph = served.signatures["serving_default"].graph.as_graph_def()
    functions = [*graph.library.function]
    assert len(functions) > 0
    assert not [function.signature.name for function in functions if function.attr["_XlaMustCompile"].b]
    operations = {node.op for function in functions for node in function.node_def} | {node.op for node in graph.node}
    assert "Conv2D" in operations
    assert not {operation for operation in operations if "xla" in operation.lower()}


def test_base_has_the_published_number_of_weights():
    layer = Wav2Vec2(Wav2Vec2Config())
    layer.build((None, None))
    folded = 128  # magnitudes of the positional convolution, which are part of its kernel here
    assert sum(np.prod(weight.shape) for weight in layer.trainable_variables) == 94_371_712 - folded
