/* The leaderboard: filters, columns, and a table with headings that sort it. */

const ARROWS = { high: " ↑", low: " ↓" };

/** Draws the filters. */
function drawControls(update) {
  const unique = (values) => [...new Set(values)].filter((value) => value !== "");
  const epsilons = unique(table().lines.filter((line) => line.reference === "").map((line) => epsilonText(line.epsilon)));
  const tracks = unique(table().lines.map((line) => line.track));
  const set = (name) => (value) => update({ [name]: value });
  show("controls",
    report.tables.length > 1 && choice("Table", report.tables.map((each, i) => [String(i), each.heading]),
      String(state.table), (value) => { choose(Number(value)); update({}, true); }),
    element("label", {}, "Filter rows", element("input", {
      type: "search", value: state.text, placeholder: "method, preset, public images", "data-focus": "filter",
      oninput: (event) => update({ text: event.target.value }) })),
    choice("ε", [["", "all"], ...epsilons.map((e) => [e, e])], state.epsilon, set("epsilon")),
    choice("Track", [["", "all"], ...tracks.map((t) => [t, t])], state.track, set("track")),
    choice("Rank by", rankingColumns().map((name) => [name, name]), state.by, set("by")),
    element("details", { class: "columns" }, element("summary", {}, "Columns"),
      element("div", {}, Object.keys(report.columns).filter(hasValues).map((name) =>
        element("label", { title: report.columns[name].help }, element("input", {
          type: "checkbox", checked: state.columns.includes(name), value: name,
          onchange: (event) => update({ columns: toggled(name, event.target.checked) }) }), name)))));
}

function toggled(name, wanted) {
  return Object.keys(report.columns).filter((each) => each === name ? wanted : state.columns.includes(each));
}

/** The columns before the scores: heading, whether it is text, a row's value to sort by, and its cell. */
function leadingColumns() {
  const columns = [
    ["method", true, (line) => line.title, nameCell],
    ["ε", false, (line) => epsilonNumber(line.epsilon), (line) => line.reference === "real" ? "" : epsilonText(line.epsilon)],
    ["track", true, (line) => line.track, (line) => line.track],
    ["rank", false, (line) => line.ranks[state.by] ?? null, (line) => rankCell(line)],
  ];
  const seeds = ["seeds", false, (line) => line.seeds, (line) => String(line.seeds)];
  return table().lines.some((line) => line.seeds > 1) ? [...columns, seeds] : columns;
}

function scoreColumn(name) {
  const { better } = report.columns[name];
  return [name + (ARROWS[better] ?? ""), false, (line) => line.scores[name]?.[0] ?? null,
    (line) => element("span", { title: line.scores[name]?.[1] == null ? "" : covers(line) }, rounded(...(line.scores[name] ?? [null])))];
}

function nameCell(line) {
  const marks = line.marks.length ? element("span", { class: "mark" }, ` (${line.marks.join(", ")})`) : "";
  return element("details", {}, element("summary", {}, line.reference === "real" ? "real images" : line.title, marks),
    line.notes.map((note) => element("p", { class: "note" }, note)),
    facts(Object.entries(line.facts).filter(([, value]) => value)));
}

function rankCell(line) {
  const why = line.apart[state.by];
  return element("span", { title: why ?? line.unranked }, String(line.ranks[state.by] ?? ""), why ? " *" : "");
}

/** The rows of each budget and track by rank, as in the printed leaderboard; rows without a rank come last. */
function byRank(lines) {
  const sections = Object.groupBy(lines, (line) => `${line.reference} ${line.epsilon} ${line.track}`);
  const place = (line) => line.ranks[state.by] ?? Number.MAX_VALUE;
  return Object.values(sections).flatMap((rows) => rows.toSorted((a, b) => place(a) - place(b)));
}

/** The rows in the chosen order; rows without a value come last. */
function ordered(lines, columns) {
  if (!state.sort) return byRank(lines);
  const [, , value] = columns[state.sort.column];
  const sign = state.sort.down ? -1 : 1;
  return [...lines].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (typeof x === "string" ? x.localeCompare(y) : x < y ? -1 : x > y ? 1 : 0);
  });
}

/** Draws the table. */
function drawBoard(update) {
  const columns = [...leadingColumns(), ...state.columns.map(scoreColumn)];
  const sortBy = (column) => {
    const again = state.sort?.column === column;
    const best = columns[column][0].endsWith(ARROWS.high);
    update({ sort: { column, down: again ? !state.sort.down : best } });
  };
  const heading = ([text, isText], number) => element("th", {
    scope: "col", class: isText ? "text" : "",
    "aria-sort": state.sort?.column === number ? (state.sort.down ? "descending" : "ascending") : "none",
  }, element("button", { type: "button", "data-focus": `sort ${number}`, title: report.columns[text.split(" ")[0]]?.help,
    onclick: () => sortBy(number) }, text));
  const row = (line) => element("tr", { class: line.ranks[state.by] === 1 ? "best" : line.reference ? "reference" : "" },
    element("td", { class: "choose" }, element("input", {
      type: "checkbox", checked: state.pair.includes(line.id), "aria-label": `compare ${named(line)}`,
      "data-focus": `pair ${line.id}`, onchange: (event) => update({ pair: paired(line.id, event.target.checked) }) })),
    columns.map(([, isText, , cell]) => element("td", { class: isText ? "text" : "" }, cell(line))));
  const lines = ordered(filtered(), columns);
  show("board", element("p", { class: "note" }, table().heading, state.by && ` · ranked by ${state.by}, within ε and track`),
    element("div", { class: "scroll" }, element("table", {},
      element("thead", {}, element("tr", {}, element("th", { class: "choose", scope: "col" }, "compare"), columns.map(heading))),
      element("tbody", {}, lines.map(row)))),
    !lines.length && element("p", {}, "No row passes the filters."),
    element("p", { class: "note" }, "Rank: 1 + the number of rows that are significantly better (95%). ",
      "±: 95% interval over seeds (Student's t), of single rows over images. *: ranked apart, see below."),
    table().record.map((text) => element("p", { class: "note" }, text)));
}

/** The rows to compare: at most two, the newest ones. */
function paired(id, wanted) {
  const others = state.pair.filter((each) => each !== id);
  return wanted ? [...others, id].slice(-2) : others;
}
