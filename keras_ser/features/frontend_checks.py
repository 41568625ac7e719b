"""Check the settings of a `Frontend`: each one, and whether sizes fit each other."""

from typing import Any

from keras_ser.errors import UserError
from keras_ser.features.endpoints import check_endpoints
from keras_ser.features.framing import check_counts
from keras_ser.features.mel import dct_matrix, mel_filters
from keras_ser.features.prosody import check_pitch
from keras_ser.features.short_term_features import check_short_term
from keras_ser.features.spectrogram import analysis_window
from keras_ser.settings import check_frontend_settings


def check_frontend(of: Any) -> None:
    """Raise UserError for an invalid setting; `of` has the front end's arguments as attributes."""
    features = of.features
    check_counts(sample_rate=of.sample_rate, window=of.window, hop=of.hop, fft=of.fft)
    check_frontend_settings(of)
    check_endpoints(of.endpoint_high, of.endpoint_low, of.endpoint_limit, of.endpoint_hangover)
    analysis_window(of.window, of.window_shape)
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
    if "short_term" in features:
        check_short_term(of.sample_rate, of.window, of.compatible)
