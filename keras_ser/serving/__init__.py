"""Serve a run as one SavedModel: audio in, named probabilities out, with the same predictions as offline."""

from keras_ser.serving.facts import ExportError, ExportVersionWarning, find_export, read_facts
from keras_ser.serving.predictor import Predictor
from keras_ser.serving.saved_model import export

__all__ = ["ExportError", "ExportVersionWarning", "Predictor", "export", "find_export", "read_facts"]
