"""PyTorch's dropouts, with masks that are given instead of drawn."""

import inspect
import math
from dataclasses import dataclass
from types import FunctionType

from nengo.exceptions import ValidationError

from nengo_permadrop.sources.torch.layers import seeded_dropout
from nengo_permadrop.support.optional import require

torch = require("torch")
_F = torch.nn.functional

# functions and operators by the name that all of them have: whether whole channels are
# dropped, whether it is alpha dropout, whether it is on unless something else is said
_KINDS = {
    "dropout": (False, False, True),
    "seeded_dropout": (False, False, True),
    "native_dropout": (False, False, True),
    "dropout1d": (True, False, True),
    "dropout2d": (True, False, True),
    "dropout3d": (True, False, True),
    "feature_dropout": (True, False, True),
    "alpha_dropout": (False, True, False),
    "feature_alpha_dropout": (True, True, False),
}
# axes of inputs that functional dropout of channels takes for one row alone
_UNBATCHED = {"dropout1d": 2, "dropout3d": 4}
_MODULES = (
    *("torch", "torch.nn.functional", "torch._VF", "torch._ops.aten"),
    seeded_dropout.__module__,
)


@dataclass(frozen=True)
class Call:
    """A dropout that was called: its rate, its input's shape, its number of units."""

    rate: float
    shape: tuple
    size: int


class GivenDropouts(torch.overrides.TorchFunctionMode):
    """
    A context in which all dropouts that PyTorch calls are on, with our masks.

    Parameters
    ----------
    masks : `.DrawnMasks`
    told : {"permanent", "off", "all-off"}
        "off": only those that evaluation mode doesn't switch off.

    Attributes
    ----------
    calls : list of `Call`
        Those that dropped.
    """

    def __init__(self, masks, told):
        super().__init__()
        self.masks, self.told = masks, told
        self.calls = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is _F.scaled_dot_product_attention:
            return self._attention(*args, **kwargs)
        if func is _F.multi_head_attention_forward:
            return self._heads(func, args, kwargs)
        name = _name(func)
        if name not in _KINDS:
            return func(*args, **kwargs)
        return self._dropout(name, func, *args, **kwargs)

    def on(self, training):
        """Whether a dropout is on that is called with this flag."""
        return self.told == "permanent" or (self.told == "off" and bool(training))

    def _dropout(self, name, func, input, p=0.5, *flags, **kwargs):  # noqa: A002
        channels, alpha, default = _KINDS[name]
        p = float(p)
        if name == "seeded_dropout":
            training, inplace = True, False
        else:
            words = ("training", "train")
            said = [kwargs[word] for word in words if word in kwargs]
            training = [*flags[:1], *said, default][0]
            inplace = [*flags[1:], kwargs.get("inplace", func.__name__.endswith("_"))][
                0
            ]
        if p == 0 or not self.on(training):
            dropped = input
        else:
            unbatched = _UNBATCHED.get(name) == input.dim()
            axes = (1 if unbatched else 2) if channels else input.dim()
            dropped = self.dropped(input, p, axes, alpha)
            if inplace:
                dropped = input.copy_(dropped)
        if name == "native_dropout":
            return dropped, torch.ones_like(input, dtype=torch.bool)
        return dropped

    def dropped(self, x, rate, axes, alpha=False):
        """
        Values with units dropped.

        Parameters
        ----------
        x : `torch.Tensor`
        rate : float
        axes : int
            How many of the first axes have masks of their own; along others, units are
            dropped together.
        alpha : bool, optional

        Returns
        -------
        dropped : `torch.Tensor`
        """
        number, n = len(self.calls), len(self.masks)
        self.calls.append(Call(rate, tuple(x.shape), x.numel()))
        if rate >= 1:
            return torch.zeros_like(x)
        shape = [*x.shape[:axes], *[1] * (x.dim() - axes)]
        size = math.prod(shape)
        if size % n:  # found out while probing; it then runs one by one
            n_each = -(-size // n)
        else:
            n_each = size // n
        terms = self.masks.terms(number, n_each, rate, alpha)
        scale, shift = (
            (
                None
                if term is None
                else torch.as_tensor(term.ravel()[:size].reshape(shape)).to(x)
            )
            for term in terms
        )
        return x * scale if shift is None else x * scale + shift

    def _heads(self, func, args, kwargs):
        """Attention of several heads: the dropout in it is called from here."""
        bound = inspect.signature(func).bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = bound.arguments
        arguments["training"] = self.on(arguments["training"])
        with self:
            return _seen_within(func)(**arguments)

    def _attention(
        self,
        query,
        key,
        value,
        attn_mask=None,
        dropout_p=0.0,
        is_causal=False,
        scale=None,
        enable_gqa=False,
    ):
        if dropout_p == 0 or not self.on(True):
            return _F.scaled_dot_product_attention(
                query, key, value, attn_mask, 0.0, is_causal, scale=scale,
                enable_gqa=enable_gqa,
            )  # fmt: skip
        if enable_gqa:
            raise ValidationError(
                "attention of grouped queries (enable_gqa) can't be given masks; use "
                "backend='function'",
                attr="model",
            )
        factor = 1 / math.sqrt(query.size(-1)) if scale is None else scale
        scores = query @ key.transpose(-2, -1) * factor
        if is_causal:
            ones = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device)
            scores = scores.masked_fill(~ones.tril(), -math.inf)
        if attn_mask is not None:
            if attn_mask.dtype == torch.bool:
                scores = scores.masked_fill(~attn_mask, -math.inf)
            else:
                scores = scores + attn_mask
        weights = torch.softmax(scores, dim=-1)
        return self.dropped(weights, float(dropout_p), weights.dim()) @ value


def _seen_within(func):
    """
    A Python function of PyTorch that doesn't hand itself to modes.

    They see what it calls instead; by itself it would ask them first, over and over.
    """
    names = {**func.__globals__, "has_torch_function": lambda *_: False}
    made = FunctionType(func.__code__, names, func.__name__, func.__defaults__)
    made.__kwdefaults__ = func.__kwdefaults__
    return made


def _name(func):
    """Name of one of PyTorch's functions or operators, without what marks variants."""
    namespace = getattr(func, "namespace", None)
    if namespace is not None:  # an operator's overload
        return func._opname.rstrip("_") if namespace == "aten" else None
    module = getattr(func, "__module__", None)
    if module is not None and module not in _MODULES:
        return None
    return getattr(func, "__name__", "").rstrip("_")
