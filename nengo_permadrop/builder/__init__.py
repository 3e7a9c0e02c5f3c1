"""Builders and operators for the reference simulator; importing registers them."""

from nengo_permadrop.builder.transforms import RedrawMask, built_dropouts

__all__ = ["RedrawMask", "built_dropouts"]
