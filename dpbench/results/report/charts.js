/* Charts: axes, points with intervals, lines, and a legend. */

const WIDTH = 420, HEIGHT = 260, LEFT = 52, RIGHT = 14, TOP = 14, BOTTOM = 40;

/** A function from [low, high] to [from, to], linear or logarithmic. */
function scale(low, high, from, to, logarithmic = false) {
  const f = logarithmic ? Math.log10 : (value) => value;
  const span = f(high) - f(low);
  return (value) => span ? from + (f(value) - f(low)) / span * (to - from) : (from + to) / 2;
}

/** The vertical scale for points with `y` and `half`, and its ticks. */
function verticalScale(points) {
  const low = Math.min(...points.map((p) => p.y - (p.half ?? 0)));
  const high = Math.max(...points.map((p) => p.y + (p.half ?? 0)));
  const margin = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  const [bottom, top] = [low - margin, high + margin];
  return [scale(bottom, top, HEIGHT - BOTTOM, TOP), niceTicks(bottom, top)];
}

/** The frame of a chart: axes, ticks as [position, text], labels. */
function frame(title, xTicks, yTicks, y, xLabel) {
  return shape("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title },
    yTicks.map((tick) => [
      shape("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }),
      shape("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, String(tick))]),
    xTicks.map(([x, text]) => [
      shape("line", { class: "axis", x1: x, x2: x, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 5 }),
      shape("text", { x, y: HEIGHT - BOTTOM + 17, "text-anchor": "middle" }, text)]),
    shape("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
    shape("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, xLabel));
}

const SHAPES = [
  (x, y) => shape("circle", { cx: x, cy: y, r: 4 }),
  (x, y) => shape("rect", { x: x - 3.6, y: y - 3.6, width: 7.2, height: 7.2 }),
  (x, y) => shape("path", { d: `M${x} ${y - 5}L${x + 5} ${y + 4}L${x - 5} ${y + 4}Z` }),
  (x, y) => shape("path", { d: `M${x} ${y - 5}L${x + 5} ${y}L${x} ${y + 5}L${x - 5} ${y}Z` }),
];

/** The colour and the mark of a series with this number. */
function look(number) {
  return { colour: `var(--series-${number % 8})`, mark: SHAPES[number % SHAPES.length] };
}

/** A point with its interval: {x, y, half, text}. */
function pointMark(point, y, number) {
  const { colour, mark } = look(number);
  const interval = point.half == null ? "" : shape("line", {
    x1: point.x, x2: point.x, y1: y(point.y - point.half), y2: y(point.y + point.half), stroke: colour, "stroke-width": 1.5 });
  return shape("g", { fill: colour }, shape("title", {}, point.text), interval, mark(point.x, y(point.y)));
}

/** The names of series with their marks. */
function legend(names) {
  return element("ul", { class: "legend" }, names.map((name, number) => element("li", {},
    shape("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, shape("g", { fill: look(number).colour }, look(number).mark(7, 7))), name)));
}
