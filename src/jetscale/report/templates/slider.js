const answers = document.getElementById("budget-answers");
if (answers) {
  const data = JSON.parse(answers.textContent), at = (id) => document.getElementById(id);
  // What is no number, or below zero, is no price: what follows from it is a dash.
  const price = (name) => { const x = Number(at("price-" + name).value || NaN); return x >= 0 ? x : NaN; };
  const short = (x) => {
    if (!isFinite(x)) return "–";
    if (x < 1 || x > 1e18) return x < 1 ? "<1" : ">1e18";
    const [by, unit] = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]].find(([by]) => Number(x.toPrecision(3)) >= by);
    return Number((x / by).toPrecision(3)) + unit;
  };
  const digits = (x) => !isFinite(x) ? "–" : x >= 1e6 || (x > 0 && x < 1e-3) ? x.toExponential(2) : x.toPrecision(3);
  const time = (s) => {
    const [unit, by] = [["d", 86400, 4], ["h", 3600, 1], ["min", 60, 1], ["s", 1, 0]].find(([, by, least]) => s >= by * least) || ["", NaN];
    return isFinite(s / by) ? (s / by < 0.01 ? digits(s / by) : Number((s / by).toPrecision(2))) + " " + unit : "–";
  };
  // The best run where an example costs as much as `each` FLOPs: the root of a function that rises.
  const best = ([E, A, B, alpha, beta], flops, each) => {
    const {k, p} = data.cost, right = Math.log(alpha * A / (p * beta * B * k)) + beta * Math.log(flops);
    let low = -50, high = 100;
    for (let i = 0; i < 100; i++) {
      const s = (low + high) / 2;
      if ((alpha + p) * s + (beta - 1) * Math.log(k * Math.exp(p * s) + each) < right) low = s; else high = s;
    }
    const n = Math.exp(low), d = flops / (k * n ** p + each);
    return {n, d, loss: E + A * n ** -alpha + B * d ** -beta};
  };
  const far = (cell, n, d) => Math.log(cell[0] / n) ** 2 + Math.log(cell[1] / d) ** 2;
  const nearest = (cells, {n, d}) => {
    const [params, examples, loss] = cells.reduce((a, b) => far(b, n, d) < far(a, n, d) ? b : a);
    return [loss.toPrecision(4), `N ${short(params)}, D ${short(examples)}`];
  };
  const fill = (cell, [value, range], open) => {
    cell.textContent = value;
    cell.className = open ? "open" : "";
    if (range) cell.appendChild(Object.assign(document.createElement("span"), {className: "range", textContent: range}));
  };
  const update = () => {
    const i = Number(at("budget").value), flops = data.flops[i], rate = price("rate"), each = price("example");
    const perFlop = price("hour") / rate / 3600, asFlops = each === 0 ? 0 : each / perFlop;
    at("budget-value").textContent = `${data.budgets[i]}, ${time(flops / rate)} of training, price ${digits(flops * perFlop)}`;
    at("budget-note").textContent = data.notes[i];
    data.rows[i].forEach((row, k) => {
      const law = data.laws[k], cells = at("budget-table").tBodies[0].rows[k].cells;
      let shown = row.cells, where = row.best && {n: row.best[0], d: row.best[1]};
      if (asFlops !== 0 && where) {
        where = law && isFinite(asFlops) ? best(law, flops, asFlops) : null;
        shown = where ? [[short(where.n), ""], [short(where.d), ""], [where.loss.toPrecision(4), "law alone"]] : [["–", ""], ["–", ""], ["–", ""]];
      }
      shown.forEach((cell, j) => fill(cells[j + 1], cell, row.open));
      fill(cells[4], [where ? time(data.cost.k * where.n ** data.cost.p * where.d / rate) : "–", ""], false);
      fill(cells[5], where ? nearest(data.cells[k], where) : ["–", ""], false);
    });
  };
  for (const id of ["budget", "price-rate", "price-hour", "price-example"]) at(id).addEventListener("input", update);
  update();
}
