"""``python -m jetscale`` is the `jetscale` command."""

from jetscale.cli import main

main()
