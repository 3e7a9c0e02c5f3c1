from nengo_permadrop.sources.base import Source
from nengo_permadrop.sources.registry import register_source


@register_source
class OnnxSource(Source):
    name = "onnx"
    title = "ONNX"
    endings = (".onnx",)

    def takes(self, model):
        return False
