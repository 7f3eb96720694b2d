"""Other routes to the compute-optimal frontier than a joint law: isoFLOP profiles, the envelope."""
