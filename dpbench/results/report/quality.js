/* Scores by ε and by cost. */

const COSTS = {
  seconds_fit: "private training, seconds", seconds_prepare: "public training, seconds", seconds_sample: "sampling, seconds",
  peak_memory_mb: "peak memory, MB", parameters_private: "parameters trained on private data", parameters_total: "parameters",
  queries: "private releases",
};

/** The series of all rows except real images. */
function seriesNames(lines) {
  return [...new Set(lines.filter((line) => line.reference !== "real").map((line) => line.series))];
}

function pointText(line, column) {
  return `${named(line)}: ${column} ${rounded(...line.scores[column])}`;
}

/** The horizontal positions of ε: 0 and ∞ at the ends, the others on a logarithmic scale. */
function budgetAxis(lines) {
  const budgets = [...new Set(lines.map((line) => epsilonNumber(line.epsilon)))].sort((a, b) => a - b);
  const finite = budgets.filter((e) => e > 0 && e < Infinity);
  const [from, to] = [LEFT + (budgets.includes(0) ? 50 : 20), WIDTH - RIGHT - (budgets.includes(Infinity) ? 50 : 20)];
  const inner = finite.length ? scale(finite[0], finite.at(-1), from, to, true) : () => (from + to) / 2;
  const x = (epsilon) => epsilon === 0 ? LEFT + 14 : epsilon === Infinity ? WIDTH - RIGHT - 14 : inner(epsilon);
  const names = { 0: "public", [Infinity]: "∞" };
  const ticks = [];
  for (const e of budgets) {
    if (!ticks.length || x(e) - ticks.at(-1)[0] > 22) ticks.push([x(e), names[e] ?? String(e)]);
  }
  return [x, ticks];
}

/** One chart per shown column, for the rows that pass the filters. */
function drawCurves() {
  const lines = filtered().filter((line) => line.epsilon != null || line.reference === "real");
  const names = seriesNames(lines);
  const charts = state.columns.map((column) => curveChart(column, lines, names)).filter(Boolean);
  show("curve-charts", charts.length ? [legend(names), element("div", { class: "charts" }, charts)] : "No scores to draw.");
}

function curveChart(column, lines, names) {
  const scored = lines.filter((line) => line.scores[column]);
  const own = scored.filter((line) => line.reference !== "real");
  if (!own.length) return null;
  const real = scored.find((line) => line.reference === "real");
  const [x, ticks] = budgetAxis(own);
  const at = (line) => ({ x: x(epsilonNumber(line.epsilon)), y: line.scores[column][0], half: line.scores[column][1], line });
  const points = own.map(at);
  const [y, yTicks] = verticalScale(real ? [...points, { y: real.scores[column][0], half: real.scores[column][1] }] : points);
  const drawing = frame(`${column} by ε`, ticks, yTicks, y, "ε");
  if (real) drawing.append(realLine(real, column, y));
  names.forEach((name, number) => {
    const series = points.filter((point) => point.line.series === name).sort((a, b) => a.x - b.x);
    const joined = series.filter((point) => point.line.reference === "");
    drawing.append(shape("path", { fill: "none", stroke: look(number).colour, "stroke-width": 1.8,
      d: joined.map((point, i) => `${i ? "L" : "M"}${point.x} ${y(point.y)}`).join("") || "M0 0" }));
    drawing.append(...series.map((point) => pointMark({ ...point, text: pointText(point.line, column) }, y, number)));
  });
  return element("figure", {}, element("figcaption", { title: report.columns[column].help },
    element("strong", {}, column + (ARROWS[report.columns[column].better] ?? "")), real ? " · dashed: real images" : ""), drawing);
}

/** A line, with the interval as a band, across the chart. */
function realLine(real, column, y) {
  const [value, half] = real.scores[column];
  const ends = { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) };
  const band = half == null ? "" : shape("rect", {
    class: "band", x: LEFT, width: WIDTH - RIGHT - LEFT, y: y(value + half), height: y(value - half) - y(value + half) });
  return shape("g", {}, shape("title", {}, `real images: ${column} ${rounded(value, half)}`), band, shape("line", { class: "real", ...ends }));
}

/** The ranking column by the chosen cost. */
function drawCost(update) {
  const column = state.by || state.columns[0];
  const known = Object.keys(COSTS).filter((name) => table().lines.some((line) => line.costs[name] > 0));
  const cost = known.includes(state.cost) ? state.cost : known[0];
  const lines = filtered().filter((line) => line.scores[column] && line.costs[cost] > 0 && line.reference !== "real");
  const chooser = element("p", { class: "choices" }, choice("Cost", known.map((name) => [name, COSTS[name]]), cost, (value) => update({ cost: value })));
  if (!lines.length) return show("cost-chart", known.length ? chooser : "", element("p", {}, "No row has a score and a cost to draw."));
  const names = seriesNames(lines);
  const costs = lines.map((line) => line.costs[cost]);
  const [low, high] = [Math.min(...costs), Math.max(...costs)];
  const x = scale(low, high, LEFT + 24, WIDTH - RIGHT - 24, true);
  const points = lines.map((line) => ({ x: x(line.costs[cost]), y: line.scores[column][0], half: line.scores[column][1], line }));
  const [y, yTicks] = verticalScale(points);
  const drawing = frame(`${column} by ${COSTS[cost]}`, costTicks(low, high, x), yTicks, y, COSTS[cost]);
  for (const point of points) {
    const text = `${pointText(point.line, column)}; ${COSTS[cost]}: ${brief(point.line.costs[cost])}`;
    drawing.append(pointMark({ ...point, text }, y, names.indexOf(point.line.series)));
  }
  drawing.append(...budgetTexts(points.map((point) => [point.x, y(point.y), point.line])));
  return show("cost-chart", chooser, legend(names), element("div", { class: "charts" }, element("figure", {},
    element("figcaption", {}, element("strong", {}, column + (ARROWS[report.columns[column].better] ?? ""))), drawing)));
}

/** ε beside each point [x, y, line], where it covers no other ε: above or below, on the right or on the left. */
function budgetTexts(points) {
  const height = 11, boxes = points.map(([x, y]) => [x - 4, y - 4, x + 4, y + 4]);
  const isFree = ([left, top, right, bottom]) => left > LEFT && right < WIDTH && top > 0 && bottom < HEIGHT - BOTTOM
    && boxes.every(([l, t, r, b]) => right < l || r < left || bottom < t || b < top);
  return points.flatMap(([x, y, line]) => {
    const text = line.reference === "public" ? "public" : `ε=${epsilonText(line.epsilon)}`;
    const width = 7 * text.length;
    const box = [[x + 6, y - 4], [x + 6, y + height + 2], [x - 6 - width, y - 4], [x - 6 - width, y + height + 2]]
      .map(([left, base]) => [left, base - height, left + width, base]).find(isFree);
    if (!box) return [];
    boxes.push(box);
    return shape("text", { x: box[0], y: box[3] - 1 }, text);
  });
}

/** Powers of ten between two costs, or the costs themselves if there are none. */
function costTicks(low, high, x) {
  const powers = [];
  for (let power = Math.ceil(Math.log10(low)); 10 ** power <= high; power += 1) powers.push(10 ** power);
  const ticks = powers.length > 1 ? powers : low === high ? [low] : [low, high];
  return ticks.map((tick) => [x(tick), brief(tick)]);
}
