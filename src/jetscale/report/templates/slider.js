const answers = document.getElementById("budget-answers");
if (answers) {
  const data = JSON.parse(answers.textContent), at = (id) => document.getElementById(id);
  // What is no number, or below zero, is no price: its costs are dashes.
  const price = (name) => { const x = Number(at("price-" + name).value); return x >= 0 ? x : NaN; };
  const shown = (x) => x === null || !isFinite(x) ? "–" : x >= 1e6 || (x > 0 && x < 1e-3) ? x.toExponential(2) : x.toPrecision(3);
  const fill = (cell, [value, range], open) => {
    cell.textContent = value;
    cell.className = open ? "open" : "";
    if (range) cell.appendChild(Object.assign(document.createElement("span"), {className: "range", textContent: range}));
  };
  const update = () => {
    const i = Number(at("budget").value), hours = data.flops[i] / price("rate") / 3600;
    at("budget-value").textContent = data.budgets[i];
    at("budget-note").textContent = data.notes[i];
    data.rows[i].forEach((row, k) => {
      const cells = at("budget-table").tBodies[0].rows[k].cells;
      row.cells.forEach((cell, j) => fill(cells[j + 1], cell, row.open));
      const cost = row.examples === null ? null : hours * price("hour") + row.examples * price("example");
      fill(cells[4], [shown(hours), ""], false);
      fill(cells[5], [shown(cost), ""], false);
    });
  };
  for (const id of ["budget", "price-rate", "price-hour", "price-example"]) at(id).addEventListener("input", update);
  update();
}
