"""jetscale: what to pretrain on, how it scales, and how to spend the compute."""

__version__ = "0.1.0"
