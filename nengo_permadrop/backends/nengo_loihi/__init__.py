"""
Draws on Loihi, or nengo-loihi's emulator of it.

`backend` is the adapter, `runner` plays one replica after the other, and `trial`
measures a short run for `nengo_permadrop.accounting`.
"""
