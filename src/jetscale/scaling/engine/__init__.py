"""The engine of the fits: laws, objectives, the grid of starts and the batched solver.

A `forms.Law` is its formula, its linear part, its bounds and its frontier. `family.Family` holds
the runs of one or several mixtures under a law; its fits start on the grids of `profile` (variable
projection) and end with the damped Newton steps of `solver`, all rows of weights or data at once.
"""
