"""Engines that train runs in this process, in several local processes, or on a Ray cluster, without importing TensorFlow.

An engine is a context manager that accepts work like a `concurrent.futures.Executor`:

    with Processes(2, workplace, data) as engine:
        future = engine.submit(function, *arguments)   # function(data, *arguments), in another process
        future.result()

Work must be idempotent and store its results in a folder that all workers share: the work of a process or a node that dies is
repeated. If the block exits by an exception, e.g. a KeyboardInterrupt, running work is terminated.
"""

from keras_ser.engines.cluster import RayCluster
from keras_ser.engines.engine import TRIES, Engine, Sequential, WorkerDied
from keras_ser.engines.processes import Processes
from keras_ser.engines.worker import Workplace, must_see

__all__ = ["TRIES", "Engine", "Processes", "RayCluster", "Sequential", "WorkerDied", "Workplace", "must_see"]
