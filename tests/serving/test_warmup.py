"""An export and TensorFlow Serving's clients understand each other, by the messages of its own package."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ser.serving.warmup import predict_request

predict_pb2 = pytest.importorskip(
    "tensorflow_serving.apis.predict_pb2", reason="tensorflow-serving-api is in the extra test", exc_type=ImportError
)
prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")


def serve(loaded, request):
    """PredictRequest -> PredictResponse, as the server does it; inputs that the signature does not take are an error."""
    signature = request.model_spec.signature_name or "serving_default"
    function = loaded.signatures[signature]
    given = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
    expected = function.structured_input_signature[1]
    assert given.keys() == expected.keys()
    for name, value in given.items():
        assert value.dtype == expected[name].dtype and expected[name].shape.is_compatible_with(value.shape)
    response = predict_pb2.PredictResponse()
    response.model_spec.CopyFrom(request.model_spec)
    for name, value in function(**given).items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
    return response


@pytest.mark.parametrize(
    "inputs",
    [
        {"audio": np.array([b"RIFF\0\xff", b"", b"\x80" * 300], object)},
        {"lengths": np.array([3, 2], np.int32), "waveform": np.linspace(-1, 1, 60000, dtype=np.float32).reshape(2, -1)},
        {},
    ],
    ids=["bytes", "waveforms", "nothing"],
)
def test_predict_request_is_that_of_the_servers_package(inputs):
    """With lengths of one, two and three bytes among its fields."""
    theirs = predict_pb2.PredictRequest()
    theirs.model_spec.name = "m" * 200
    theirs.model_spec.signature_name = "predict"
    for name, value in inputs.items():
        theirs.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    ours = predict_request("m" * 200, "predict", inputs)
    assert predict_pb2.PredictRequest.FromString(ours) == theirs
    assert len(ours) == theirs.ByteSize(), "nothing else is in it"


@pytest.mark.slow
def test_warm_up_requests_reach_every_signature(served):
    path = served.export / "assets.extra" / "tf_serving_warmup_requests"
    played = {}
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "emotions"
        played[request.model_spec.signature_name] = serve(served.loaded, request)
    assert set(played) == set(served.loaded.signatures)
    assert {len(tf.make_ndarray(x)) for answer in played.values() for x in answer.outputs.values()} == {2}
    a, b = (tf.make_ndarray(played[key].outputs["emotion/probabilities"]) for key in ("predict", "serving_default"))
    np.testing.assert_allclose(a, b, atol=1e-6)
