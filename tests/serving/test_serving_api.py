"""Clients and servers of TensorFlow Serving understand each other about an export: by the messages of its own package."""

import numpy as np
import pytest
import tensorflow as tf

from keras_ser.serving import warmup
from keras_ser.serving.gate import golden
from tests.serving.clips import batch, files, spoken

predict_pb2 = pytest.importorskip(
    "tensorflow_serving.apis.predict_pb2", reason="tensorflow-serving-api is in the extra test", exc_type=ImportError
)
prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")


def serve(loaded, request):
    """PredictRequest -> PredictResponse, as the server does it; a name that the signature lacks is an error."""
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


@pytest.fixture(scope="module")
def contents():
    rng = np.random.default_rng(1)
    return files([spoken(rng, s) for s in (0.9, 2.2, 0.1)])


def test_a_request_for_bytes(served, contents):
    """As a gRPC client writes it, over the wire and back."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "emotions"
    request.inputs["audio"].CopyFrom(tf.make_tensor_proto(contents))
    arrived = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    answer = predict_pb2.PredictResponse.FromString(serve(served.loaded, arrived).SerializeToString())
    assert answer.model_spec.name == "emotions"
    expected = served.offline(batch(contents))
    assert {tf.make_ndarray(value).shape[0] for value in answer.outputs.values()} == {3}, "a row a clip"
    for task in served.run.recipe.tasks:
        probabilities = np.asarray(expected[task.name])
        found = tf.make_ndarray(answer.outputs[f"{task.name}/probabilities"])
        np.testing.assert_allclose(found, probabilities, atol=1e-5)
        # as a client without NumPy reads them
        assert [x.decode() for x in answer.outputs[f"{task.name}/label"].string_val] == [
            task.labels[i] for i in probabilities.argmax(axis=1)
        ]
        np.testing.assert_allclose(
            tf.make_ndarray(answer.outputs[f"{task.name}/score"]), probabilities.max(axis=1), atol=1e-5
        )


@pytest.mark.parametrize("signature", ["predict", "embed"])
def test_a_request_for_waveforms(served, contents, signature):
    given = batch(contents)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "emotions"
    request.model_spec.signature_name = signature
    request.inputs["waveform"].CopyFrom(tf.make_tensor_proto(given["waveform"]))
    request.inputs["lengths"].CopyFrom(tf.make_tensor_proto(given["length"]))
    answer = serve(served.loaded, predict_pb2.PredictRequest.FromString(request.SerializeToString()))
    if signature == "embed":
        assert tf.make_ndarray(answer.outputs["embedding"]).shape[0] == 3
    else:
        found = tf.make_ndarray(answer.outputs["gender/probabilities"])
        np.testing.assert_allclose(found, served.offline(given)["gender"], atol=1e-5)


@pytest.mark.parametrize(
    "inputs",
    [
        {"audio": np.array([b"RIFF\0\xff", b"", b"\x80" * 300], object)},
        {"lengths": np.array([3, 2], np.int32), "waveform": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)},
        {},
    ],
    ids=["bytes", "waveforms", "nothing"],
)
def test_our_request_is_the_servers(inputs):
    """Fields written by hand, lengths of one, two and three bytes among them, are those of the package's own classes."""
    theirs = predict_pb2.PredictRequest()
    theirs.model_spec.name = "m" * 200
    theirs.model_spec.signature_name = "predict"
    for name, value in inputs.items():
        theirs.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    ours = warmup.predict_request("m" * 200, "predict", inputs)
    parsed = predict_pb2.PredictRequest.FromString(ours)
    assert parsed == theirs
    assert len(ours) == theirs.ByteSize(), "nothing else is in it"


def test_a_large_request(rng):
    waveform = rng.standard_normal((3, 90000)).astype("float32")
    parsed = predict_pb2.PredictRequest.FromString(warmup.predict_request("m", "predict", {"waveform": waveform}))
    assert np.array_equal(tf.make_ndarray(parsed.inputs["waveform"]), waveform)


def test_warm_up(served):
    """The server plays every record, and every endpoint is warm then."""
    path = served.export / "assets.extra" / "tf_serving_warmup_requests"
    played = {}
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "emotions"
        played[request.model_spec.signature_name] = serve(served.loaded, request)
    assert set(played) == set(served.loaded.signatures)
    lengths = [len(clip.waveform) for clip in golden(16000)[3:5]]
    assert {len(tf.make_ndarray(x)) for answer in played.values() for x in answer.outputs.values()} == {len(lengths)}
    for name in ("emotion/probabilities", "gender/score"):
        a, b = (tf.make_ndarray(played[key].outputs[name]) for key in ("predict", "serving_default"))
        np.testing.assert_allclose(a, b, atol=1e-6)
