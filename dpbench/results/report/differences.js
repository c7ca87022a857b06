/* Two chosen rows: their differences in settings, protocol, origin and scores, and whether they are comparable. */

const COMPARED = ["dataset_fingerprint", "resolution", "n_train", "delta", "track"];

/** Draws the differences between the chosen rows. */
function drawDifferences() {
  const pair = state.pair.map((id) => table().lines.find((line) => line.id === id)).filter(Boolean);
  if (pair.length < 2) return show("pair", element("p", {}, "Choose two rows in the leaderboard with the boxes on the left."));
  const [first, second] = pair;
  return show("pair",
    element("p", {}, verdict(first, second)),
    differing("Settings", first, second, (line) => line.settings),
    differing("Protocol", first, second, (line) => line.protocol),
    differing("Everything else", first, second, (line) => ({ epsilon: epsilonText(line.epsilon), seeds: String(line.seeds), ...line.facts })),
    element("h3", {}, "Scores"),
    plainTable([["score", true], [named(first)], [named(second)], ["difference"], ["", true]],
      Object.keys(report.columns).filter((name) => first.scores[name] || second.scores[name]).map((name) => scoreRow(name, first, second))));
}

function differing(title, first, second, values) {
  const [a, b] = [values(first), values(second)];
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => (a[name] ?? "") !== (b[name] ?? ""));
  if (!names.length) return [element("h3", {}, title), element("p", {}, "No difference.")];
  return [element("h3", {}, title), plainTable([["", true], [named(first), true], [named(second), true]],
    names.map((name) => [name, a[name] || "–", b[name] || "–"]))];
}

function scoreRow(name, first, second) {
  const [a, b] = [first.scores[name], second.scores[name]];
  const known = a && b;
  const half = known && (a[1] != null || b[1] != null) ? Math.hypot(a[1] ?? 0, b[1] ?? 0) : null;
  const difference = known ? b[0] - a[0] : null;
  const said = !known || half == null ? "" : Math.abs(difference) > half ? "beyond both intervals" : "within both intervals";
  const arrow = ARROWS[report.columns[name].better] ?? "";
  return [name + arrow, rounded(...(a ?? [null])), rounded(...(b ?? [null])), rounded(difference, half), said];
}

/** The terms in which two rows differ, which makes a score of theirs incomparable. */
function disagreements(first, second, column) {
  const metric = report.columns[column]?.metric;
  const terms = COMPARED.filter((name) => first.facts[name] !== second.facts[name]);
  const shared = ["n_samples", "n_reference", "reference"].filter((name) => first.protocol[name] !== second.protocol[name]);
  const own = metric && first.protocol[metric] !== second.protocol[metric] ? [`protocol of ${metric}`] : [];
  return [...(epsilonText(first.epsilon) === epsilonText(second.epsilon) ? [] : ["ε"]), ...terms, ...shared, ...own];
}

function verdict(first, second) {
  const doubts = [first, second].filter((line) => line.unranked).map((line) => `${named(line)} is not ranked: ${line.unranked}`);
  const terms = disagreements(first, second, state.by);
  const other = terms.length ? `They are not ranked against each other by ${state.by}: other ${terms.join(", ")}.` : "";
  return [other, ...doubts.map((doubt) => `${doubt}.`)].filter(Boolean).join(" ") || `They are ranked against each other by ${state.by}.`;
}
