"""Sweep files to begin with: `jetscale new` copies one."""
