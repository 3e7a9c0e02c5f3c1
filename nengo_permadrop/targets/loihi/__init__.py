"""
Intel's Loihi chip, as nengo-loihi builds networks for it and emulates it.

`target` says how networks are built for it, `cores` what they need of the chip;
`model` and `weights` put masks into one build, and `configuration` tells nengo-loihi
what stays off the chip.
"""
