/* How each row is made again. */

/** Draws the commands of the rows that pass the filters. */
function drawCommands() {
  show("again",
    element("p", { class: "note" }, "With the same data, plugins and version. A private run on the same images is another release: its ε adds to the record."),
    filtered().map(commandOf));
}

function commandOf(line) {
  const version = [line.facts.dpbench_version, line.facts.git_commit.slice(0, 12)].filter(Boolean).join(", commit ");
  const heading = element("strong", {}, named(line), element("span", { class: "note" }, ` · dpbench ${version}`));
  if (!line.command) return element("div", { class: "again" }, heading, element("p", {}, "Its trial does not say by which command it was made."));
  const copy = element("button", { type: "button", onclick: () => copied(line.command, copy) }, "Copy");
  return element("div", { class: "again" }, heading, element("code", { class: "command" }, line.command), copy);
}

/** Copies a text; where the browser forbids it, the text can still be selected. */
async function copied(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it";
  }
}
