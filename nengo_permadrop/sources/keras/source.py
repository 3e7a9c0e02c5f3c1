"""Keras models as a source."""

from nengo_permadrop.sources.base import Source
from nengo_permadrop.sources.keras.convert import neutral
from nengo_permadrop.sources.keras.forward import KerasForward
from nengo_permadrop.sources.keras.loading import ENDINGS, load_model
from nengo_permadrop.sources.keras.reader import read_keras
from nengo_permadrop.sources.registry import register_source


@register_source
class KerasSource(Source):
    """Sequential and functional Keras models, of Keras 2 and 3."""

    name = "keras"
    title = "Keras"
    endings = ENDINGS

    def takes(self, model):
        return hasattr(model, "layers") and hasattr(model, "get_config")

    def load(self, path):
        return load_model(path)

    def read(self, model):
        graph, _ = read_keras(model)
        return neutral(graph)

    def forward(self, model, dropout="permanent", smooth=False, single=False):
        return KerasForward(model, dropout=dropout, smooth=smooth, single=single)
