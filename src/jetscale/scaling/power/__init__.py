"""What a planned grid will be able to say, before anything is spent on it.

The grid is simulated under a stated law and stated noise, and analysed as real runs would be:
interval widths, the smallest shift of the exponent that is detected, how often exponents are not
identified, and which further runs help most per FLOP.

    grid      the planned runs and what they cost
    truth     the law and the noise that are assumed
    simulate  made-up studies, and the sampling distribution of quick fits to them
    expect    interval widths of the real analysis of made-up studies
    detect    the shift of the exponent that the real comparison detects
    extras    further cells, ranked by what they add per FLOP
    answer    all of it in one call
"""
