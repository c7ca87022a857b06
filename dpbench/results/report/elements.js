"use strict";
/* Elements of the page. External texts are set as text, never as markup. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Attributes that begin with "on" are listeners; children are elements or texts. */
function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An element of a drawing. */
function shape(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...present(children));
  return node;
}

function present(children) {
  return children.flat(Infinity).filter((child) => child != null && child !== false && child !== "");
}

/** Replaces the content of an element of the page. */
function show(id, ...children) {
  document.getElementById(id).replaceChildren(...present(children));
}

/** A drop-down list of [value, text] pairs. */
function choice(label, options, chosen, change) {
  const list = element("select", { onchange: (event) => change(event.target.value), "data-focus": label, "aria-label": label },
    options.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
  return element("label", {}, label, list);
}

/** A table of [heading, is text] pairs and rows of texts or elements. */
function plainTable(headings, rows) {
  const kind = (number) => ({ class: headings[number][1] ? "text" : "" });
  return element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, headings.map(([text], i) => element("th", { scope: "col", ...kind(i) }, text)))),
    element("tbody", {}, rows.map((row) => element("tr", {}, row.map((cell, i) => element("td", kind(i), cell)))))));
}

/** Name and value pairs. */
function facts(pairs) {
  return element("dl", { class: "facts" },
    pairs.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value || "–")]));
}
