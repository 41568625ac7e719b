"""Write the requests that TensorFlow Serving replays when it loads an export, so that the first client does not wait.

The file is a TFRecord of `tensorflow.serving.PredictionLog` messages. Their few fields are encoded here (Protocol Buffers wire
format: a field's number and kind, its length, its bytes), so that exporting does not require the server's package; the tests
parse them with it.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

# apis/prediction_log.proto, predict.proto and model.proto of TensorFlow Serving
PREDICT_LOG, REQUEST, MODEL_SPEC, INPUTS, KEY, VALUE, NAME, SIGNATURE_NAME = 6, 1, 1, 2, 1, 2, 1, 3


def write_warmup(folder: Path, name: str, requests: Mapping[str, Mapping[str, np.ndarray]]) -> Path:
    """Write `assets.extra/tf_serving_warmup_requests` into a SavedModel: signature -> its inputs by name, for the model `name`."""
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests.items():
            writer.write(_field(PREDICT_LOG, _field(REQUEST, predict_request(name, signature, inputs))))
    return path


def predict_request(name: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """A serialised `tensorflow.serving.PredictRequest`, as a client sends it over gRPC."""
    spec = _field(NAME, name.encode()) + _field(SIGNATURE_NAME, signature.encode())
    entries = (
        _field(KEY, key.encode()) + _field(VALUE, tf.make_tensor_proto(value).SerializeToString())
        for key, value in inputs.items()
    )
    return _field(MODEL_SPEC, spec) + b"".join(_field(INPUTS, entry) for entry in entries)


def _field(number: int, contents: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(contents)) + contents


def _varint(value: int) -> bytes:
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])
