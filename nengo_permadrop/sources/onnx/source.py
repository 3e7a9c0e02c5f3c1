"""ONNX models and their files as a source."""

from nengo.exceptions import ValidationError

from nengo_permadrop.sources.base import Source
from nengo_permadrop.sources.onnx.convert import neutral
from nengo_permadrop.sources.onnx.forward import OnnxForward
from nengo_permadrop.sources.onnx.model import OnnxModel, read_file, read_proto
from nengo_permadrop.sources.registry import register_source


@register_source
class OnnxSource(Source):
    """ONNX models, in memory and in files."""

    name = "onnx"
    title = "ONNX"
    endings = (".onnx",)

    def takes(self, model):
        kind = type(model)
        package = kind.__module__.partition(".")[0]
        is_proto = (package, kind.__name__) == ("onnx", "ModelProto")
        return isinstance(model, OnnxModel) or is_proto

    def prepared(self, model, example_inputs=None):
        model = super().prepared(model, example_inputs)
        return model if isinstance(model, OnnxModel) else read_proto(model)

    def load(
        self,
        path,
        trust=False,
        weights=None,
        dropout_classes=(),
        max_to_avg_pool=False,
    ):
        if weights is not None:
            raise ValidationError(
                "are for files of Keras; an ONNX file has its weights", attr="weights"
            )
        return read_file(path)

    def read(self, model, max_to_avg_pool=False):
        graph, _ = neutral(self.prepared(model), max_to_avg_pool)
        return graph

    def forward(
        self,
        model,
        dropout="permanent",
        smooth=False,
        single=False,
        max_to_avg_pool=False,
    ):
        return OnnxForward(self.prepared(model), dropout, max_to_avg_pool)
