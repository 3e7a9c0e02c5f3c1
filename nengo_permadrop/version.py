"""The version of nengo-permadrop."""

version = "0.1.0.dev0"
