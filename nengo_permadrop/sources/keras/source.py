"""Keras models, and their files, as a source."""

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.base import Source
from nengo_permadrop.sources.forward import GraphForward
from nengo_permadrop.sources.keras.convert import neutral
from nengo_permadrop.sources.keras.files import ENDINGS, KerasFile, read_file
from nengo_permadrop.sources.keras.forward import KerasForward
from nengo_permadrop.sources.keras.loading import load_model, load_weights
from nengo_permadrop.sources.keras.reader import read_keras
from nengo_permadrop.sources.registry import register_source


@register_source
class KerasSource(Source):
    """Sequential and functional Keras models, of Keras 2 and 3, and files of them."""

    name = "keras"
    title = "Keras"
    endings = ENDINGS

    def takes(self, model):
        return isinstance(model, KerasFile) or (
            hasattr(model, "layers") and hasattr(model, "get_config")
        )

    def load(
        self,
        path,
        trust=False,
        weights=None,
        dropout_classes=(),
        max_to_avg_pool=False,
    ):
        if trust:
            model = load_model(path, trust=True)
            if weights is not None:
                load_weights(model, weights)
            return model
        return read_file(
            path,
            weights=weights,
            dropout_classes=dropout_classes,
            max_to_avg_pool=max_to_avg_pool,
        )

    def read(self, model, max_to_avg_pool=False):
        if isinstance(model, KerasFile):
            return model.graph
        graph, _ = read_keras(model, max_to_avg_pool)
        return neutral(graph)

    def forward(
        self,
        model,
        dropout="permanent",
        smooth=False,
        single=False,
        max_to_avg_pool=False,
    ):
        if isinstance(model, KerasFile):
            if model.graph.replaced and not max_to_avg_pool:
                raise ConversionError(
                    str(model),
                    "was read with max_to_avg_pool=True, so that the model's own "
                    "answers, of the largest, aren't known",
                    "Load the file with Keras, and sample that model",
                )
            return GraphForward(model.graph, dropout=dropout, smooth=smooth)
        return KerasForward(
            model,
            dropout=dropout,
            smooth=smooth,
            single=single,
            max_to_avg_pool=max_to_avg_pool,
        )
