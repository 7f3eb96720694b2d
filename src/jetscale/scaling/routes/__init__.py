"""Other routes to the compute-optimal frontier than a joint law: isoFLOP profiles and the envelope.

They rest on different assumptions; `verdict` puts the routes side by side and says where they
disagree.
"""
