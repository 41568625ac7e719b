"""Where runs are trained: in this process, in several on one machine, or on a Ray cluster. No TensorFlow.

An engine is a context that takes work, as `concurrent.futures.Executor` does:

    with Processes(2, workplace, data) as engine:
        future = engine.submit(function, *arguments)   # function(data, *arguments), in another process
        future.result()

All work must be idempotent, and leave what it finishes in a folder that every worker sees: the work of a process or a node that
dies is done again. When the block is left by an exception, such as a KeyboardInterrupt, the work under way is ended.
"""

from keras_ser.engines.cluster import RayCluster
from keras_ser.engines.engine import TRIES, Engine, Sequential, WorkerDied
from keras_ser.engines.processes import Processes
from keras_ser.engines.worker import Workplace, must_see

__all__ = ["TRIES", "Engine", "Processes", "RayCluster", "Sequential", "WorkerDied", "Workplace", "must_see"]
