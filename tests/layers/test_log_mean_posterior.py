import numpy as np
import tensorflow as tf
from scipy.special import log_softmax, logsumexp, softmax

from keras_ser.layers import LogMeanPosterior


def test_softmax_of_it_is_the_mean_posterior_of_the_real_frames():
    rng = np.random.default_rng(0)
    x, lengths = 3 * rng.normal(size=(4, 6, 3)).astype("float32"), [6, 2, 1, 0]
    mask = np.arange(6) < np.array(lengths)[:, None]
    found = LogMeanPosterior()(np.where(mask[..., None], x, np.nan).astype("float32"), mask=mask).numpy()
    for i, length in enumerate(lengths[:3]):
        mean = softmax(x[i, :length].astype("float64"), axis=-1).mean(0)
        np.testing.assert_allclose(np.exp(found[i].astype("float64")), mean, atol=1e-6)
    assert not found[3].any()
    whole = softmax(x.astype("float64"), axis=-1).mean(1)
    np.testing.assert_allclose(softmax(LogMeanPosterior()(x).numpy(), axis=-1), whole, atol=1e-6)


def test_gradient_where_every_posterior_underflows():
    """d/dx of -y_0 is r_t (p_t - [0]), r_t being frame t's share of the class's posterior, with gaps of hundreds."""
    x = np.array([[[0.0, 300.0], [0.0, 301.0], [5.0, 5.0]]], "float32")
    mask = np.array([[True, True, False]])
    given = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss = -LogMeanPosterior()(given, mask=mask)[0, 0]
    log_p = log_softmax(x[0, :2].astype("float64"), axis=-1)
    np.testing.assert_allclose(loss, -(logsumexp(log_p[:, 0]) - np.log(2)), rtol=1e-6)
    share = softmax(log_p[:, 0])[:, None]
    expected = np.concatenate([share * (np.exp(log_p) - [1, 0]), np.zeros((1, 2))])
    np.testing.assert_allclose(tape.gradient(loss, given)[0], expected, atol=1e-5)
