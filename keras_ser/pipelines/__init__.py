"""From a cache of waveforms to batches, with tf.data.

Conventions: a batch is ({feature: (batch, frames, bins), "mask": (batch, frames)}, {task: (batch,)}, {task: (batch,)}): inputs,
targets, weights; the weight is 0 where a label is missing. All random choices in training depend on (seed, epoch, example), so
that an epoch is reproducible. Evaluation keeps every example, in order. The padded size of a batch is bounded (`batching`),
however long the longest clip is.
"""
