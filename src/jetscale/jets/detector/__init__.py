"""From generated particles to reconstructed jets."""
