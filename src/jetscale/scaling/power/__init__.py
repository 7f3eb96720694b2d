"""What a planned grid will be able to say, before anything is spent on it.

The grid is simulated under a stated law and stated noise, and analysed as real runs would be:
interval widths, the smallest shift of the exponent that is detected, how often exponents are not
identified, and which further runs help most per FLOP. `answer.power` is all of it in one call.
"""
