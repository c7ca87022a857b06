/* Draws the page, and redraws it when the state changes. */

function draw() {
  drawBoard(update);
  drawCurves();
  drawCost(update);
  drawSamples(update);
  drawLedgers();
  drawDifferences();
  drawComparability();
  drawCommands();
}

/** Changes the state and redraws the page; the focus stays where it is. */
function update(changes, withControls = false) {
  Object.assign(state, changes);
  const focus = document.activeElement?.dataset.focus;
  if (withControls) drawControls(update);
  draw();
  if (focus) [...document.querySelectorAll("[data-focus]")].find((node) => node.dataset.focus === focus)?.focus();
}

/** Light, dark, then the system's preference. */
function nextTheme() {
  const root = document.documentElement;
  const next = { "": "dark", dark: "light", light: "" }[root.dataset.theme ?? ""];
  if (next) root.dataset.theme = next;
  else delete root.dataset.theme;
}

document.getElementById("theme").addEventListener("click", nextTheme);
document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
show("made", `${report.made}, dpbench ${report.version}`);
if (report.tables.length) {
  choose(0);
  drawControls(update);
  draw();
} else {
  document.querySelector("main").replaceChildren("No finished trials.");
}
