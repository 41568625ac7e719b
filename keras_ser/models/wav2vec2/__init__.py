"""wav2vec 2.0 and HuBERT: a Keras layer that loads Hugging Face checkpoints without PyTorch.

    layer = load("wav2vec2-base", freeze_feature_encoder=True)
    frames = layer(waveform, mask=mask)  # (batch, frames, hidden)

`EmbeddingCache` keeps a frozen layer's frames on disk.
"""

from keras_ser.models.wav2vec2.checkpoint import load, weights_hash
from keras_ser.models.wav2vec2.config import Wav2Vec2Config
from keras_ser.models.wav2vec2.embeddings import EmbeddingCache, layer_hash
from keras_ser.models.wav2vec2.layer import Wav2Vec2

__all__ = ["EmbeddingCache", "Wav2Vec2", "Wav2Vec2Config", "layer_hash", "load", "weights_hash"]
