/* What is shown: the chosen table, filters, columns, order and pair of rows. */

const report = JSON.parse(document.getElementById("data").textContent);

const state = {
  table: 0, by: "", columns: [], text: "", epsilon: "", track: "", sort: null, pair: [], sampled: null, cost: "seconds_fit",
};

function table() {
  return report.tables[state.table];
}

/** Switches to another table: its columns with values, and the first one that ranks. */
function choose(number) {
  Object.assign(state, { table: number, text: "", epsilon: "", track: "", sort: null, pair: [], sampled: null });
  const kept = state.columns.filter(hasValues);
  const usual = report.headline.filter(hasValues);
  state.columns = kept.length ? kept : usual.length ? usual : Object.keys(report.columns).filter(hasValues).slice(0, 3);
  const ranking = rankingColumns();
  state.by = state.columns.find((name) => ranking.includes(name)) ?? ranking[0] ?? "";
}

/** Whether any row of the table has a score in a column. */
function hasValues(column) {
  return table().lines.some((line) => line.scores[column]);
}

/** The columns that rows can be ranked by. */
function rankingColumns() {
  return Object.keys(report.columns).filter((name) => table().lines.some((line) => line.ranks[name] != null));
}

/** The rows that pass the filters. */
function filtered() {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  return table().lines.filter((line) => {
    const text = `${line.title} ${line.marks.join(" ")} ${line.facts.preset} ${line.facts.public_source}`.toLowerCase();
    return words.every((word) => text.includes(word))
      && (!state.epsilon || line.reference !== "" || epsilonText(line.epsilon) === state.epsilon)
      && (!state.track || line.track === state.track || line.reference === "real");
  });
}

/** A row's name with its ε. */
function named(line) {
  const budget = line.epsilon == null || line.reference === "real" ? "" : `, ε = ${epsilonText(line.epsilon)}`;
  const marks = line.marks.length ? ` (${line.marks.join(", ")})` : "";
  return line.reference === "real" ? "real images" : `${line.series}${marks}${budget}`;
}

/** What the ± of a row's scores covers. */
function covers(line) {
  return line.interval === "seeds" ? `95% interval over ${line.seeds} seeds (Student's t)` : "95% interval over images";
}
