/* Samples: one grid per row, side by side at one ε, the same condition in the same cell. */

const CELL = 32;

/** The rows with images at an ε, including references. */
function sampledLines(epsilon) {
  return filtered().filter((line) => line.reference !== "real" && (line.reference === "public" || line.reference === "nonprivate" || epsilonText(line.epsilon) === epsilon));
}

/** Draws the grids. */
function drawSamples(update) {
  const budgets = [...new Set(filtered().filter((line) => line.picture && !["public", "nonprivate"].includes(line.reference)).map((line) => epsilonText(line.epsilon)))];
  const epsilon = budgets.includes(state.sampled) ? state.sampled : budgets.at(-1) ?? "";
  const lines = sampledLines(epsilon);
  const grids = [["real images, test split", table().real, table().missing], ...lines.map((line) => [named(line), line.picture, line.unpictured])];
  const pictured = grids.filter(([, picture]) => picture);
  show("grids",
    budgets.length > 1 && element("p", { class: "choices" }, choice("ε of the samples", budgets.map((e) => [e, e || "none"]), epsilon, (value) => update({ sampled: value }))),
    element("p", { class: "note" }, "The first images of each condition, without selection. Click to enlarge a cell in all grids."),
    element("div", { class: "scroll" }, element("div", { class: "grids" },
      table().conditions.length && pictured.length ? conditionNames(pictured[0][1]) : "",
      grids.map(([name, picture, why]) => gridFigure(name, picture, why, pictured)))));
}

function conditionNames(picture) {
  const side = `height:${cellSide(picture)}px`;
  return element("div", { class: "names" }, element("div"),
    table().conditions.map((name) => element("span", { style: side, title: name }, name)));
}

function cellSide(picture) {
  return picture.side * Math.max(1, Math.round(CELL / picture.side));
}

function gridFigure(name, picture, why, pictured) {
  if (!picture && !why) return null;
  const width = picture ? cellSide(picture) * picture.columns : 192;
  const caption = element("figcaption", { style: `width:${width}px`, title: name }, name);
  if (!picture) return element("figure", {}, caption, element("p", { class: "missing" }, why));
  const side = cellSide(picture);
  const open = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const inside = event.detail > 0;  // a click of the pointer, not of a key
    const column = inside ? Math.floor((event.clientX - box.left) / box.width * picture.columns) : 0;
    const row = inside ? Math.floor((event.clientY - box.top) / box.height * picture.rows) : 0;
    enlarge(pictured, name, row, column);
  };
  return element("figure", {}, caption, element("button", { type: "button", class: "picture", onclick: open, "aria-label": `enlarge ${name}` },
    element("img", { src: picture.source, width: side * picture.columns, height: side * picture.rows, alt: `samples: ${name}` })));
}

/** Shows one cell of all grids; arrow keys go to other cells. */
function enlarge(pictured, clicked, row, column) {
  const dialog = document.getElementById("enlarged");
  const rows = Math.min(...pictured.map(([, picture]) => picture.rows));
  const columns = Math.min(...pictured.map(([, picture]) => picture.columns));
  const at = { row: Math.min(row, rows - 1), column: Math.min(column, columns - 1) };
  const [heading, cells] = [element("p", { "aria-live": "polite" }), element("div", { class: "cells" })];
  const draw = () => {
    const condition = table().conditions[at.row];
    const image = condition ? `${condition}, image ${at.column + 1}` : `image ${at.row * columns + at.column + 1}`;
    heading.textContent = `${image} · arrow keys: other cells, Esc: close`;
    cells.replaceChildren(...pictured.map(([name, picture]) => enlargedCell(name, picture, at, name === clicked)));
  };
  dialog.replaceChildren(heading, cells, element("button", { type: "button", onclick: () => dialog.close(), autofocus: true }, "Close"));
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  dialog.onkeydown = (event) => {
    if (!moves[event.key]) return;
    event.preventDefault();
    at.row = (at.row + moves[event.key][0] + rows) % rows;
    at.column = (at.column + moves[event.key][1] + columns) % columns;
    draw();
  };
  draw();
  dialog.showModal();
}

function enlargedCell(name, picture, at, isClicked) {
  const place = (index, count) => count > 1 ? index / (count - 1) * 100 : 0;
  const cell = element("div", { class: "cell", role: "img", "aria-label": name });
  cell.style.backgroundImage = `url("${picture.source}")`;
  cell.style.backgroundSize = `${picture.columns * 100}% ${picture.rows * 100}%`;
  cell.style.backgroundPosition = `${place(at.column, picture.columns)}% ${place(at.row, picture.rows)}%`;
  return element("figure", { class: isClicked ? "clicked" : "" }, cell, element("figcaption", {}, name));
}
