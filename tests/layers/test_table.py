"""The cross-cutting checks, looped over the table of layers."""

import pytest

from keras_ser import layers
from tests import checks
from tests.tables import LAYERS

every = pytest.mark.parametrize("row", LAYERS, ids=lambda row: row.name)
masked = pytest.mark.parametrize("row", [row for row in LAYERS if row.masked], ids=lambda row: row.name)


def test_every_public_layer_has_a_row():
    assert {row.layer.__name__ for row in LAYERS} == set(layers.__all__)
    assert len({row.name for row in LAYERS}) == len(LAYERS)


@every
def test_config_round_trip(row):
    checks.config_round_trip(row)


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
def test_gradients_are_finite_and_not_zero(row):
    checks.gradients_flow(row)


@every
def test_alone_is_as_in_a_batch(row):
    checks.batch_is_alone(row)


@masked
def test_padding_is_ignored(row):
    checks.padding_is_ignored(row)
