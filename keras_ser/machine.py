"""Resources of the machine that this process may use. TensorFlow is imported by `replicas` alone."""

import os


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
