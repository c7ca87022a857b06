/* The command that reproduces each row. */

/** Draws the commands of the rows that pass the filters. */
function drawCommands() {
  show("again",
    element("p", { class: "note" }, "With the same data, plugins and version. A private run on the same images is another release: its ε adds to the record."),
    filtered().map(commandOf));
}

function commandOf(line) {
  const version = [line.facts.dpbench_version, line.facts.git_commit.slice(0, 12)].filter(Boolean).join(", commit ");
  const heading = element("strong", {}, named(line), element("span", { class: "note" }, ` · dpbench ${version}`));
  if (!line.command) return element("div", { class: "again" }, heading, element("p", {}, "The trial does not record its command."));
  const copy = element("button", { type: "button", onclick: () => copied(line.command, copy) }, "Copy");
  return element("div", { class: "again" }, heading, element("code", { class: "command" }, line.command), copy);
}

/** Copies a text; if the browser forbids it, the text can still be selected. */
async function copied(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it";
  }
}
