"""Whether a fit can be trusted: what it rests on, what it forecasts, what it leaves open.

`diagnose.diagnose` runs every check on what `fit` returned. Each check is a module: `influence`
(leave one cell out), `forecast` (leave the largest out), `likelihood` (profiles of the exponents),
`residuals` (lack of fit) and `windows` (refits without an edge of the grid).
"""
