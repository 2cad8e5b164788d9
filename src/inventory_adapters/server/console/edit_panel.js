/**
 * Editing the details of an item, guarded by the state that the form was made from. Where somebody else was quicker, both
 * versions are laid side by side, and nothing is lost that was not given up.
 */

import { getItem, updateItem } from "./api.js";
import { fill, h, newId } from "./dom.js";
import { DETAILS, detailField, detailLabel, detailText, isSame } from "./details.js";
import { makeForm } from "./forms.js";
import { differences } from "./merge.js";
import { notice, refusalBox } from "./notices.js";

/**
 * @param {{item: Object, etag: string}} state What is known of the item.
 * @param {(answer: {item: Object, etag: string}) => void} changed Told of every newer state.
 * @param {() => void} again Makes the panel once more, from the state that is known then.
 * @param {() => Node[]} beside Makes what stands beside the button.
 */
export function editPanel(state, changed, again, beside) {
  const base = { ...state };
  const panel = h("div", {});
  const form = makeForm({
    label: "Edit the details",
    fields: DETAILS.map((name) => detailField(name, base.item)),
    action: "Save",
    send: async (values) => {
      const edits = editsOf(base.item, values);
      return Object.keys(edits).length ? updateItem(base.item, edits, base.etag) : null;
    },
    done: (answer) => {
      if (answer) changed(answer);
      notice(answer ? "Saved." : "Nothing was changed.");
      again();
    },
    refused: (error, values) => {
      if (error.code !== "precondition_failed") return false;
      showConflict(panel, { base, edits: editsOf(base.item, values), changed, again });
      return true;
    },
    beside: beside(),
  });
  return fill(panel, form);
}

function editsOf(item, values) {
  return Object.fromEntries(Object.entries(values).filter(([name, value]) => !isSame(name, item[name], value)));
}

/** Read what is stored now, and ask, field by field, what shall be. */
async function showConflict(panel, { base, edits, changed, again }) {
  let theirs;
  try {
    theirs = await getItem(base.item);
  } catch (error) {
    if (error.status === undefined) throw error;
    fill(panel, refusalBox(error));
    return;
  }
  const found = differences(DETAILS, base.item, theirs.item, edits, isSame);
  const choices = found.map(makeChoice);
  const problems = h("div", { class: "problems" });
  const heading = h("h2", { tabindex: "-1" }, "Somebody changed this item meanwhile");

  async function save(event) {
    event.preventDefault();
    if (choices.some((it) => it.chosen() === null)) {
      fill(problems, h("p", { class: "refusal", role: "alert" }, "Choose for every field which value shall be kept."));
      return;
    }
    const mine = choices.filter((it) => it.chosen() === "yours").map((it) => it.name);
    const body = Object.fromEntries(mine.map((name) => [name, edits[name]]));
    try {
      changed(mine.length ? await updateItem(base.item, body, theirs.etag) : theirs);
    } catch (error) {
      if (error.status === undefined) throw error;
      if (error.code === "precondition_failed") {
        showConflict(panel, { base: theirs, edits: body, changed, again });
      } else {
        fill(problems, refusalBox(error));
      }
      return;
    }
    notice(mine.length ? "Saved." : "Their version stays.");
    again();
  }

  fill(
    panel,
    h(
      "form",
      { class: "conflict", "aria-label": "Resolve the conflict", novalidate: true, onsubmit: save },
      heading,
      h("p", {}, "Nothing was saved yet. Choose what each field shall say."),
      choices.map((it) => it.element),
      problems,
      h(
        "div",
        { class: "actions" },
        h("button", { type: "submit", class: "primary" }, "Save the choice"),
        h("button", { type: "button", onclick: () => (changed(theirs), again()) }, "Start over"),
      ),
    ),
  );
  heading.focus();
}

/** Two radio buttons for a field; where only one side changed it, that side is chosen already. */
function makeChoice({ name, theirs, yours, changedBy }) {
  const group = newId(name);
  const side = (which, words, value) => {
    const input = h("input", { type: "radio", name: group, value: which, checked: changedBy === which });
    const label = h(
      "label",
      { class: "side" },
      input,
      h("span", { class: "label" }, words),
      h("span", { class: "value" }, detailText(name, value)),
    );
    return { input, label };
  };
  const sides = [side("theirs", "Theirs", theirs), side("yours", "Yours", yours)];
  return {
    name,
    element: h("fieldset", {}, h("legend", {}, detailLabel(name)), sides.map((it) => it.label)),
    chosen: () => sides.find((it) => it.input.checked)?.input.value ?? null,
  };
}
