/* Readable numbers. */

/** A number as in `results/rounding.py`: to four significant digits or three decimals, with its interval if there is one. */
function rounded(value, half = null) {
  if (value == null) return "–";
  const size = Math.max(Math.abs(value), half ?? 0);
  if (size > 0 && size < 1e-6) {
    return value.toExponential(1) + (half == null ? "" : ` ± ${half.toExponential(1)}`);
  }
  const magnitude = size > 0 ? Math.floor(Math.log10(size)) : 0;
  const decimals = magnitude >= -3 ? Math.max(0, 3 - Math.max(0, magnitude)) : 1 - magnitude;
  const text = value === 0 ? "0" : value.toFixed(decimals).replace(/^-(0\.?0*)$/, "$1");
  return half == null ? text : `${text} ± ${half.toFixed(decimals)}`;
}

/** A number with at most three significant digits: 1480000 -> "1.48M". */
function brief(value) {
  if (value === "inf") return "∞";
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= size) return `${Number((value / size).toPrecision(3))}${unit}`;
  }
  return String(Number(value.toPrecision(3)));
}

/** A number with six significant digits, like the spent ε in rows. */
function exact(value) {
  return value === "inf" ? "∞" : String(Number(value.toPrecision(6)));
}

/** ε of a row: "1", "∞", or nothing for real images. */
function epsilonText(epsilon) {
  return epsilon == null ? "" : epsilon === "inf" ? "∞" : String(epsilon);
}

/** ε as a number to sort by. */
function epsilonNumber(epsilon) {
  return epsilon == null ? -1 : epsilon === "inf" ? Infinity : epsilon;
}

/** Round numbers between two numbers. */
function niceTicks(low, high, count = 5) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) {
    ticks.push(Number(tick.toPrecision(12)));
  }
  return ticks;
}
