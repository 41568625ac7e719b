"""The cross-cutting checks, looped over the table of layers."""

import pytest

from keras_ser import layers
from keras_ser.features.configured import Configured
from tests import checks
from tests.tables import LAYERS

every = pytest.mark.parametrize("row", LAYERS, ids=lambda row: row.name)
configured = pytest.mark.parametrize(
    "row", [row for row in LAYERS if issubclass(row.layer, Configured)], ids=lambda row: row.name
)
masked = pytest.mark.parametrize("row", [row for row in LAYERS if row.masked], ids=lambda row: row.name)


def test_every_public_layer_has_a_row():
    assert {row.layer.__name__ for row in LAYERS} == set(layers.__all__) - {"ExplicitMask"}  # a base class
    assert len({row.name for row in LAYERS}) == len(LAYERS)


@every
def test_config_round_trip(row):
    checks.config_round_trip(row)


@configured
def test_subclasses_keep_their_arguments_and_those_that_they_pass_on(row):
    checks.subclass_round_trip(row)


@configured
def test_numpy_integers_are_integers(row):
    checks.numpy_integers_are_integers(row)


@every
def test_keras_file_round_trip(row, tmp_path):
    checks.keras_round_trip(row, tmp_path)


@every
def test_symbolic_eager_and_compiled_agree(row):
    checks.shapes_agree(row)


@every
@pytest.mark.parametrize("policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)])
def test_mixed_precision_trains(row, policy):
    checks.mixed_precision_trains(row, policy)


@every
@pytest.mark.parametrize("policy", ["float64", "bfloat16"])
def test_dtypes_are_those_of_the_spec_under_policies_without_float32(row, policy):
    if policy == "bfloat16" and issubclass(row.layer, layers.LSTM | layers.StackedLSTM):
        pytest.skip("Keras initialises recurrent weights by a QR decomposition, which TensorFlow lacks for bfloat16")
    checks.policy_is_obeyed(row, policy)


@every
def test_gradients_are_finite_and_not_zero(row):
    checks.gradients_flow(row)


@every
def test_alone_is_as_in_a_batch(row):
    checks.batch_is_alone(row)


@masked
def test_padding_is_ignored(row):
    checks.padding_is_ignored(row)
