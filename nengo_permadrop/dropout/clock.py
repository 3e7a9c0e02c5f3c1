"""When masks are redrawn."""


def redraw_index(time, dt, redraw, delay=0.0):
    """
    The number of the mask that is in force in the step that ends at ``time``.

    Also that of a window or a presentation, whose times need not be whole steps: one
    that would begin within a step begins with the next one.
    """
    step = round(time / dt)  # exact where time is in single precision, too
    return max(0, int(((step - 1) * dt - delay) / redraw + 1e-7))
