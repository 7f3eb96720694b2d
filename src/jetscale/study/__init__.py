"""What is asked: a study, its mixtures, ladder, source and recipe."""

from jetscale.jets.example import Feature
from jetscale.jets.generator.conditions import Conditions
from jetscale.study.command import Command
from jetscale.study.corpus import Corpus
from jetscale.study.mixture import Mixture, ModelSize
from jetscale.study.rates import RateLaw, Rates, Regret
from jetscale.study.recipe import Controls, Data, Evaluation, Model, Optimiser, Recipe, Schedule
from jetscale.study.source import Declared, Folders, Simulated
from jetscale.study.study import Study
from jetscale.study.tuned import load_optimiser, load_schedule
