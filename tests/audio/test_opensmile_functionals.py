"""openSMILE behind one function: its own numbers, finite for any clip, and a way out where it is not installed."""

import sys

import numpy as np
import pytest

from keras_ser.audio import opensmile_functionals as module
from keras_ser.audio.opensmile_functionals import FUNCTIONALS, functionals


@pytest.mark.parametrize("name", sorted(FUNCTIONALS))
def test_the_numbers_are_openSMILE_s(name, rng):
    opensmile = pytest.importorskip("opensmile")
    t = np.arange(24000) / 16000
    clip = (0.3 * np.sin(2 * np.pi * 140 * t * (1 + 0.2 * t)) + 0.02 * rng.standard_normal(len(t))).astype("float32")
    smile = opensmile.Smile(opensmile.FeatureSet[name], opensmile.FeatureLevel.Functionals)
    found = functionals(clip, 16000, name)
    assert found.shape == (FUNCTIONALS[name],) == (len(smile.feature_names),) and found.dtype == np.float32
    np.testing.assert_allclose(found, np.nan_to_num(smile(clip, 16000).reshape(-1)), rtol=1e-6)
    assert np.count_nonzero(found) > 0.5 * len(found)


def test_a_clip_too_short_for_it_is_zeros():
    pytest.importorskip("opensmile")
    found = functionals(np.zeros(100, "float32"), 16000)
    assert found.shape == (88,) and np.isfinite(found).all()


def test_another_set_is_refused():
    with pytest.raises(ValueError, match="`functionals` must be one of eGeMAPSv02, ComParE_2016. Received: 'IS09'"):
        functionals(np.zeros(16000, "float32"), 16000, "IS09")


def test_without_openSMILE_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    module._smile.cache_clear()
    with pytest.raises(ValueError, match=r'pip install "keras-ser\[opensmile\]"'):
        functionals(np.zeros(16000, "float32"), 16000)
