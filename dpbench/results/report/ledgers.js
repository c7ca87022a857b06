/* The privacy ledger of each row, as a picture of where the budget went. */

/** Draws the ledgers of the rows that pass the filters. */
function drawLedgers() {
  const lines = filtered().filter((line) => line.ledger);
  show("budgets",
    element("p", { class: "note" }, "Shares are of the Rényi divergence at the best order for the whole ledger: unlike ε, it adds up. ",
      "“ε alone” is the ε of one mechanism without the others, rounded up."),
    lines.length ? lines.map(ledgerFigure) : element("p", {}, "No row has a ledger."));
}

function ledgerFigure(line) {
  const { ledger } = line;
  if (ledger.damaged) return element("p", { class: "budget" }, `${named(line)}: ${ledger.damaged}`);
  const spent = line.facts.epsilon_spent ? `, ${line.facts.epsilon_spent.replace("inf", "∞")} spent` : "";
  const about = `${named(line)}: ε = ${exact(ledger.epsilon_planned)} planned${spent}, δ = ${ledger.delta.toExponential(2)}`;
  return element("details", { class: "budget" }, element("summary", {}, about, shareBar(ledger)),
    ledger.unverified.map((reason) => element("p", { class: "mark" }, `accounting unverified: ${reason}`)),
    plainTable([["mechanism", true], ["kind", true], ["clip"], ["sampling rate"], ["releases"], ["noise multiplier"], ["share"], ["ε alone"]],
      ledger.mechanisms.flatMap(mechanismRows)));
}

/** One row per segment of a mechanism's schedule. */
function mechanismRows(mechanism) {
  const { releases_planned: planned, releases_spent: made, releases_forfeited: forfeited } = mechanism;
  const counts = (made === planned ? "" : ` of ${planned} planned`) + (forfeited ? `, ${forfeited} forfeited` : "");
  const price = [mechanism.share == null ? "–" : percent(mechanism.share), mechanism.alone == null ? "–" : brief(mechanism.alone)];
  const segments = mechanism.segments.length ? mechanism.segments : [{ rate: mechanism.sampling_rate, releases: 0, noise: mechanism.noise_multiplier }];
  return segments.map((segment, i) => [
    ...(i ? ["", "", ""] : [mechanism.name, mechanism.kind, brief(mechanism.clip)]),
    brief(segment.rate), String(segment.releases) + (i ? "" : counts), brief(segment.noise), ...(i ? ["", ""] : price)]);
}

function percent(share) {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;
}

function shareBar(ledger) {
  const shared = ledger.mechanisms.filter((mechanism) => mechanism.share > 0);
  if (!shared.length) return null;
  const text = shared.map((mechanism) => `${mechanism.name} ${percent(mechanism.share)}`).join(", ");
  return element("div", { class: "bar", role: "img", "aria-label": text }, shared.map((mechanism, number) =>
    element("span", { style: `flex:${mechanism.share};background:var(--series-${number % 8})`, title: `${mechanism.name}: ${percent(mechanism.share)}` },
      `${mechanism.name} ${percent(mechanism.share)}`)));
}
