"""Resources of the machine that this process may use. TensorFlow is imported within the functions that need it."""

import os

from keras_ser.errors import UserError


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def replicas() -> int:
    """Return the number of devices whose gradients are summed, of the strategy in whose scope this is called; 1 without one."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def has_gpu() -> bool:
    """Return whether TensorFlow sees a GPU; True for other backends, whose devices are not known here."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return True
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def check_backend(what: str) -> None:
    """Raise UserError if Keras does not compute with TensorFlow, as `what` requires."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UserError(f"{what} requires KERAS_BACKEND=tensorflow. Received: {keras.backend.backend()}.")
