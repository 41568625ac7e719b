"""From a run to a server: one SavedModel, audio in, named probabilities out, and the same answers offline."""

from keras_ser.serving.export import export
from keras_ser.serving.facts import ExportError, ExportVersionWarning, find_export, read_facts
from keras_ser.serving.predictor import Predictor

__all__ = ["ExportError", "ExportVersionWarning", "Predictor", "export", "find_export", "read_facts"]
