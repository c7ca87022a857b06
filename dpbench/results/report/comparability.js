/* Rows and tables that are not comparable, and why. */

/** Draws the rows without a rank, those ranked apart, and the other tables. */
function drawComparability() {
  const lines = table().lines;
  const unranked = lines.map((line) => [line, line.unranked || (line.scores[state.by] ? "" : `it has no ${state.by}`)]);
  const apart = lines.map((line) => [line, line.apart[state.by] ?? ""]);
  show("apart",
    listed("Rows without a rank", unranked),
    listed(`Rows ranked by ${state.by} apart from most others of their ε and track`, apart),
    element("p", {}, "Rows of different ε or tracks are never ranked against each other."),
    report.tables.length > 1 && [element("p", {}, "Rows of these tables are not comparable with rows of this one:"),
      element("ul", {}, report.tables.filter((each) => each !== table()).map((each) => element("li", {}, `${each.heading}: ${otherTable(each)}`)))]);
}

function listed(title, reasons) {
  const found = reasons.filter(([, why]) => why);
  return found.length ? [element("h3", {}, title), element("ul", {}, found.map(([line, why]) => element("li", {}, `${named(line)}: ${why}`)))] : null;
}

/** Why two tables are separate. */
function otherTable(other) {
  const made = (each) => each.lines.find((line) => line.reference !== "real") ?? each.lines[0];
  const [a, b] = [made(table()), made(other)];
  if (table().dataset !== other.dataset) return "another dataset";
  const names = ["dataset_fingerprint", "resolution"].filter((name) => a.facts[name] !== b.facts[name]);
  const counts = ["n_samples", "n_reference"].filter((name) => a.protocol[name] !== b.protocol[name]);
  const said = { dataset_fingerprint: "other training images", resolution: "another resolution", n_samples: "another number of samples", n_reference: "another number of real images" };
  return [...names, ...counts].map((name) => said[name]).join(", ");
}
