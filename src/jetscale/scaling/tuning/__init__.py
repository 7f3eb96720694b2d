"""Peak learning rates from a search: laws of width and steps, what they cost, where to go on.

search = check_search(table)    one row per finished run of a search over peak rates
optima = find_optima(search)    the best rate of each cell, with its error
laws = fit_rate_laws(search)    rate = c (width / 16)^a (steps / 1000)^b, one per start
regrets(search, laws)           what the law's rate costs against the best one searched
equal_search(search)            was every arm searched alike?
widen(optima, factors)          which factors to add where an optimum lies at an end
collapse(curves)                do training curves agree with rates tuned alike?
"""

from jetscale.scaling.tuning.collapse import Collapse, Rung, TrainingCurve, collapse, normalise
from jetscale.scaling.tuning.equal import ArmSearch, SearchEquality, equal_search
from jetscale.scaling.tuning.laws import AXES, FittedLaw, LawTest, RateLaws, fit_rate_laws
from jetscale.scaling.tuning.optima import CellOptimum, Widening, find_optima, widen
from jetscale.scaling.tuning.regret import CellRegret, regrets
from jetscale.scaling.tuning.search import check_search
from jetscale.scaling.tuning.settings import SettingEffect, setting_effects

__all__ = [
    "AXES",
    "ArmSearch",
    "CellOptimum",
    "CellRegret",
    "Collapse",
    "FittedLaw",
    "LawTest",
    "RateLaws",
    "Rung",
    "SearchEquality",
    "SettingEffect",
    "TrainingCurve",
    "Widening",
    "check_search",
    "collapse",
    "equal_search",
    "find_optima",
    "fit_rate_laws",
    "normalise",
    "regrets",
    "setting_effects",
    "widen",
]
