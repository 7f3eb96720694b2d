"""Intervals by the wild cluster bootstrap, and residuals corrected for leverage.

Drawing a dozen cells with replacement loses whole model sizes. Here every run stays and the law is
refitted to redrawn losses: the fit plus the residuals, those of a cluster multiplied by one random
number of mean 0 and variance 1 (the six points of Webb, doi 10.1111/caje.12661). Residuals are
smaller than the errors they stand for: they are first replaced by those of a fit without their
cluster, (1 - H)^-1 r with H the cluster's block of the hat matrix (the jackknife or CR3 correction,
doi 10.1002/jae.2969), and the interval is widened to Student's with the clusters left over.
"""

import numpy as np
from scipy import stats

from jetscale.scaling.engine.family import Family
from jetscale.scaling.engine.laws import Array, Indices
from jetscale.scaling.engine.objective import Objective
from jetscale.scaling.engine.solver import Solution
from jetscale.scaling.estimate import CONFIDENCE, widening

WEBB = np.concatenate([-np.sqrt([0.5, 1.0, 1.5]), np.sqrt([0.5, 1.0, 1.5])])
_SATURATED = 1e-6  # a direction the fit follows to this share leaves no residual to inflate


def inflate_residuals(family: Family, q: Array, clusters: Indices) -> Array:
    """(1 - H)^-1 r: residuals r (n,) of the fit q (1, K) corrected cluster by cluster.

    To first order they are what they are without the run's cluster (CR3).
    """
    design = family.design
    residuals = family.runs.z - design.log_loss(q)[0]
    free = (q[0] > design.lower) & (q[0] < design.upper)
    J = design.jacobian(q)[0][free].T
    scale = np.linalg.norm(J, axis=0)
    Q = np.linalg.svd(J / np.where(scale > 0, scale, 1.0), full_matrices=False)[0]
    out = np.array(residuals)
    for cluster in np.unique(clusters):
        rows = clusters == cluster
        values, vectors = np.linalg.eigh(np.eye(rows.sum()) - Q[rows] @ Q[rows].T)
        left = values > _SATURATED
        part = vectors[:, left]
        out[rows] = part @ ((part.T @ residuals[rows]) / values[left])
    return out


def draw(
    family: Family, q: Array, clusters: Indices, objective: Objective, replicates: int, seed: int
) -> Solution:
    """Refits (replicates, K) to redrawn losses; the draw depends on clusters and seed alone."""
    count = int(clusters.max()) + 1
    flips = np.random.default_rng(seed).choice(WEBB, size=(replicates, count))
    factor = widening(stats.t.ppf((1 + CONFIDENCE) / 2, max(1, count - family.law.free)), count)
    residuals = factor * inflate_residuals(family, q, clusters)
    targets = family.design.log_loss(q) + flips[:, clusters] * residuals
    return family.fit(np.ones_like(targets), objective, targets)
