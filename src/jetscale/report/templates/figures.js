const config = {responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "resetScale2d"]]};
for (const [id, figure] of Object.entries(JSON.parse(document.getElementById("figures").textContent))) {
  Plotly.newPlot(id, figure.data, figure.layout, config);
}
