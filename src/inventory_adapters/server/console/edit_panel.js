/**
 * The form that edits an item's details. An edit applies only to the state that the form was filled from. If someone else changed
 * the item in the meantime, both versions are shown side by side, so no change is lost without a choice.
 */

/** @import { Fields, ItemState } from "./api.js" */
/** @import { Difference } from "./merge.js" */

import { ActionKey } from "./action_key.js";
import { asApiError, getItem, updateItem } from "./api.js";
import { attributeRows, bodyOf } from "./attributes.js";
import { fill, h, newId } from "./dom.js";
import { DETAILS, detailField, detailLabel, detailText, isSame, valuesOf } from "./details.js";
import { makeForm } from "./forms.js";
import { differences } from "./merge.js";
import { errorBox, notice } from "./notices.js";

/**
 * @param {ItemState} state The last known state of the item.
 * @param {(state: ItemState) => void} changed Called with every newer state.
 * @param {() => void} again Makes the panel again, from the state known then.
 * @param {() => Node[]} beside Makes the elements beside the button.
 */
export function editPanel(state, changed, again, beside) {
  const base = { ...state };
  const panel = h("div", {});
  const attributes = attributeRows(base.item.attributes);
  const form = makeForm({
    label: "Edit the details",
    fields: DETAILS.map((name) => detailField(name, base.item)),
    extra: [attributes.element],
    complete: (values) => ({ ...values, ...attributes.read() }),
    action: "Save",
    send: async (values, key) => {
      const edits = editsOf(base, values);
      return Object.keys(edits).length ? updateItem(base.item, bodyOf(edits), base.etag, key) : null;
    },
    done: (newer) => {
      if (newer) changed(newer);
      notice(newer ? "Saved." : "Nothing was changed.");
      again();
    },
    rejected: (error, values) => {
      if (error.code !== "precondition_failed") return false;
      showConflict(panel, { base, edits: editsOf(base, values), changed, again });
      return true;
    },
    beside: beside(),
  });
  return fill(panel, form);
}

/**
 * Return the fields of *values* that differ from the item.
 *
 * @param {ItemState} base
 * @param {Fields} values
 * @returns {Fields}
 */
function editsOf({ item }, values) {
  const stored = valuesOf(item);
  const names = Object.keys(values).filter((name) => !isSame(name, stored[name], values[name]));
  return Object.fromEntries(names.map((name) => [name, values[name]]));
}

/**
 * Read the stored item and let the person choose a version of each field.
 *
 * @param {HTMLElement} panel
 * @param {{base: ItemState, edits: Fields, changed: (state: ItemState) => void, again: () => void}} conflict
 */
async function showConflict(panel, { base, edits, changed, again }) {
  /** @type {ItemState} */
  let theirs;
  try {
    theirs = await getItem(base.item);
  } catch (error) {
    fill(panel, errorBox(asApiError(error)));
    return;
  }
  const [before, stored] = [valuesOf(base.item), valuesOf(theirs.item)];
  const names = Object.keys({ ...before, ...stored, ...edits });
  const choices = differences(names, before, stored, edits, isSame).map(makeChoice);
  const problems = h("div", { class: "problems" });
  const heading = h("h2", { tabindex: "-1" }, "Someone else changed this item");
  const actionKey = new ActionKey();

  /** @param {SubmitEvent} event */
  async function save(event) {
    event.preventDefault();
    if (choices.some((choice) => choice.chosen() === null)) {
      fill(problems, h("p", { class: "refusal", role: "alert" }, "Choose a value for every field."));
      return;
    }
    const mine = choices.filter((choice) => choice.chosen() === "yours").map(({ name }) => name);
    const body = Object.fromEntries(mine.map((name) => [name, edits[name]]));
    try {
      const update = (/** @type {string} */ key) => updateItem(base.item, bodyOf(body), theirs.etag, key);
      changed(mine.length ? await actionKey.send(body, update) : theirs);
    } catch (reason) {
      const error = asApiError(reason);
      if (error.code === "precondition_failed") showConflict(panel, { base: theirs, edits: body, changed, again });
      else fill(problems, errorBox(error));
      return;
    }
    notice(mine.length ? "Saved." : "Their version was kept.");
    again();
  }

  function startOver() {
    changed(theirs);
    again();
  }

  fill(
    panel,
    h(
      "form",
      { class: "conflict", "aria-label": "Resolve the conflict", novalidate: true, onsubmit: save },
      heading,
      h("p", {}, "Nothing has been saved yet. Choose a value for each field."),
      choices.map(({ element }) => element),
      problems,
      h(
        "div",
        { class: "actions" },
        h("button", { type: "submit", class: "primary" }, "Save choices"),
        h("button", { type: "button", onclick: startOver }, "Start over"),
      ),
    ),
  );
  heading.focus();
}

/**
 * Make two radio buttons for a field. If only one side changed it, that side is chosen already.
 *
 * @param {Difference} difference
 */
function makeChoice({ name, theirs, yours, changedBy }) {
  const group = newId(name);
  const side = (/** @type {"theirs"|"yours"} */ value, /** @type {string} */ label, /** @type {unknown} */ shown) => {
    const input = h("input", { type: "radio", name: group, value, checked: changedBy === value });
    const element = h(
      "label",
      { class: "side" },
      input,
      h("span", { class: "label" }, label),
      h("span", { class: "value" }, detailText(name, shown)),
    );
    return { input, element };
  };
  const sides = [side("theirs", "Theirs", theirs), side("yours", "Yours", yours)];
  const legend = h("legend", {}, detailLabel(name));
  return {
    name,
    element: h(
      "fieldset",
      {},
      legend,
      sides.map(({ element }) => element),
    ),
    chosen: () => sides.find(({ input }) => input.checked)?.input.value ?? null,
  };
}
