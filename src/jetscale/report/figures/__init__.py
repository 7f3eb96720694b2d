"""The figures of the report: pure functions from results to Plotly figures."""
