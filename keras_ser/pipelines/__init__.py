"""From a cache of waveforms to batches, in tf.data: the only package, beside serving, where `tf.*` is at home.

Conventions: a batch is ({feature: (batch, frames, bins), "mask": (batch, frames)}, {task: (batch,)}, {task: (batch,)}): inputs,
targets, weights; weight 0 where a label is missing. Whatever is drawn at random in training is drawn from (seed, epoch,
example), so that an epoch can be made again. Evaluation keeps every example, in order. No batch is larger than its bound with
the padding (`batching`), whatever the longest clip.
"""
