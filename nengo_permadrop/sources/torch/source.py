"""PyTorch modules, exported programs, and files of them, as a source."""

import os

from nengo.exceptions import ValidationError

from nengo_permadrop.graph.errors import ConversionError
from nengo_permadrop.sources.base import Source
from nengo_permadrop.sources.forward import GraphForward
from nengo_permadrop.sources.registry import register_source
from nengo_permadrop.sources.torch.convert import neutral
from nengo_permadrop.sources.torch.exporting import (
    TorchModel,
    exported_model,
    module_model,
)
from nengo_permadrop.sources.torch.forward import TorchForward
from nengo_permadrop.sources.torch.pt2 import Pt2File, read_pt2


@register_source
class TorchSource(Source):
    """Modules, exported programs, and files of these."""

    name = "torch"
    title = "PyTorch"
    endings = (".pt2",)
    refused_endings = (".pt", ".pth", ".ckpt")

    def takes(self, model):
        return isinstance(model, (Pt2File, TorchModel)) or (
            _is_module(model) or _is_exported(model)
        )

    def needs_examples(self, model):
        return _is_module(model)

    def prepared(self, model, example_inputs=None):
        if isinstance(model, (Pt2File, TorchModel)):
            return super().prepared(model, example_inputs)
        if _is_exported(model):
            if example_inputs is not None:
                raise ValidationError(
                    "are for modules; an exported program has its inputs' shapes",
                    attr="example_inputs",
                )
            return exported_model(model)
        if example_inputs is None:
            raise ConversionError(
                type(model).__name__,
                "is a module, which doesn't say what it takes",
                "Give rows of its inputs, Converter(module, example_inputs=X[:1])",
            )
        return module_model(model, example_inputs)

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
                "are for files of Keras; load a state_dict into the module",
                attr="weights",
            )
        ending = os.path.splitext(path)[1].lower()
        if not os.path.exists(path):
            raise FileNotFoundError(f"There is no file '{os.fspath(path)}'")
        if not os.path.isfile(path):
            raise ValidationError(f"'{os.fspath(path)}' is no file", attr="model")
        if ending in self.refused_endings:
            raise ConversionError(
                f"'{os.fspath(path)}'",
                "is a pickle, whose loading runs whatever code is in it",
                "Make the module, load its weights with module.load_state_dict("
                "torch.load(path, weights_only=True)), and convert the module",
            )
        return read_pt2(path)

    def read(self, model, max_to_avg_pool=False):
        model = self.prepared(model)
        return neutral(model.program, model.when, max_to_avg_pool)

    def forward(
        self,
        model,
        dropout="permanent",
        smooth=False,
        single=False,
        max_to_avg_pool=False,
    ):
        model = self.prepared(model)
        if isinstance(model, Pt2File):
            graph = self.read(model, max_to_avg_pool=max_to_avg_pool)
            return GraphForward(graph, dropout=dropout, smooth=smooth)
        return TorchForward(model, dropout, max_to_avg_pool)


def _is_module(model):
    return _is_of(model, "torch.nn.modules.module", "Module")


def _is_exported(model):
    return _is_of(model, "torch.export.exported_program", "ExportedProgram")


def _is_of(model, module, name):
    """Whether an object is of a class of torch, which isn't imported for it."""
    return any(
        (base.__module__, base.__name__) == (module, name)
        for base in type(model).__mro__
    )
