"use strict";
// Draws every chart for the ground it stands on, again when the reader's system turns light or dark.
const drawn = JSON.parse(document.getElementById("drawn").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const views = [];

function config() {
  const ink = dark.matches ? "#e6e7e9" : "#1d1f21";
  const line = dark.matches ? "#353a42" : "#dcdfe4";
  const text = { labelColor: ink, titleColor: ink, labelFont: "system-ui", titleFont: "system-ui" };
  return {
    background: null,
    font: "system-ui, sans-serif",
    view: { stroke: null },
    axis: { ...text, gridColor: line, domainColor: line, tickColor: line },
    legend: text,
    title: { color: ink, anchor: "start" },
  };
}

async function draw() {
  while (views.length) views.pop().finalize();
  for (const [name, chart] of Object.entries(drawn)) {
    const place = document.getElementById(name);
    const options = { actions: false, renderer: name.startsWith("map") ? "canvas" : "svg", config: config() };
    try {
      const told = place.getAttribute("aria-label");
      views.push(await vegaEmbed(place, chart, { ...options, tooltip: { theme: dark.matches ? "dark" : "light" } }));
      place.setAttribute("role", "group"); // vegaEmbed may have set others
      place.setAttribute("aria-label", told);
      const canvas = place.querySelector("canvas");
      if (canvas) { canvas.setAttribute("role", "img"); canvas.setAttribute("aria-label", told); }
    } catch (error) {
      place.textContent = `This chart cannot be drawn: ${error.message}`;
    }
  }
  document.body.dataset.drawn = Object.keys(drawn).length;
}

dark.addEventListener("change", draw);
draw();
