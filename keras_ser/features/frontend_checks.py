"""Check the settings of a `Frontend`: each one, and whether sizes fit each other."""

from typing import Any

from keras_ser.errors import UserError
from keras_ser.features.endpoints import check_endpoints
from keras_ser.features.framing import check_positive
from keras_ser.features.mel import check_deltas, dct_matrix, mel_filters
from keras_ser.features.prosody import check_pitch
from keras_ser.features.short_term_features import check_short_term
from keras_ser.features.spectrogram import analysis_window, check_fft
from keras_ser.settings import FEATURES


def check_frontend(of: Any) -> None:
    """Raise UserError for an invalid setting; `of` has the front end's arguments as attributes."""
    features = tuple(of.features)
    strays = [name for name in features if name not in FEATURES]
    if strays or not features or len(set(features)) != len(features):
        raise UserError(f"`features` must be distinct names from {', '.join(FEATURES)}. Received: {features}.")
    check_positive(sample_rate=of.sample_rate, window=of.window, hop=of.hop)
    check_fft(of.window, of.fft)
    check_deltas(of.deltas)
    check_endpoints(of.endpoint_high, of.endpoint_low, of.endpoint_limit, of.endpoint_hangover)
    analysis_window(of.window, of.window_shape)
    if not 0 <= of.preemphasis < 1:
        raise UserError(f"`preemphasis` must be in [0, 1). Received: preemphasis={of.preemphasis}.")
    if "log_mel" in features or "mfcc" in features:
        mel_filters(of.sample_rate, of.fft, of.bins, of.fmin, of.fmax, of.area_normalised)
    if "linear_bands" in features and of.bins > of.fft // 2:
        raise UserError(f"linear bands need `bins` <= fft / 2 = {of.fft // 2}. Received: bins={of.bins}.")
    if not 0 <= of.lowest <= of.fft // 2:
        raise UserError(f"`lowest` must be from 0 (all bins) to fft / 2 = {of.fft // 2}. Received: lowest={of.lowest}.")
    if "mfcc" in features:
        dct_matrix(of.bins, of.coefficients)
    if "pitch" in features:
        check_pitch(of.sample_rate, of.pitch_fmin, of.pitch_fmax)
    if "waveform" in features and of.window != of.hop:
        raise UserError(f"the feature 'waveform' needs window = hop. Received: window={of.window}, hop={of.hop}.")
    if of.normalize and of.statistics:
        raise UserError("`normalize` makes every mean 0 and every variance 1: nothing is left for `statistics`.")
    if "short_term" in features:
        check_short_term(of.sample_rate, of.window, of.compatible)
    if of.seconds and not of.window <= of.seconds * of.sample_rate < float("inf"):
        raise UserError(f"`seconds` must hold at least one window, or be 0. Received: seconds={of.seconds}.")
