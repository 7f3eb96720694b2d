const config = {responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "resetScale2d"]]};
const figures = JSON.parse(document.getElementById("figures").textContent);
// A figure is drawn when it comes near the screen; the first one wakes the library.
const draw = (place) => {
  const figure = figures[place.id];
  if (!figure) return;
  if (!window.Plotly) {
    const library = document.createElement("script");
    library.textContent = document.getElementById("plotly").textContent;
    document.head.append(library);
  }
  delete figures[place.id];
  Plotly.newPlot(place, figure.data, figure.layout, config);
};
// One at a time: the page answers in between.
const near = new IntersectionObserver((seen) => {
  for (const one of seen) if (one.isIntersecting) { near.unobserve(one.target); setTimeout(draw, 0, one.target); }
}, {rootMargin: "1500px"});
const places = [...document.querySelectorAll(".plot")];
places.forEach((place) => near.observe(place));
// A link to a section, or to a place in a fold, opens it; on paper nothing is folded.
const reveal = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  const own = target.querySelector(":scope > details:first-child");
  if (own) own.open = true;
  target.scrollIntoView();
};
addEventListener("hashchange", reveal);
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
  places.forEach(draw);
});
reveal();
