"""Naming layers in messages."""


def some(layers):
    """The names of some layers, in words; of objects that have paths, or the paths."""
    paths = [getattr(layer, "path", layer) for layer in layers[:3]]
    names = ", ".join(f"'{path}'" for path in paths)
    more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
    return f"{'layers' if len(layers) > 1 else 'layer'} {names}{more}"
