"""CANDLE's Combo network, its training, and inference with it."""
