/** One item: its stock, the actions on it, and its ledger. */

/** @import { Item, ItemKey, ItemState } from "./api.js" */
/** @import { Child, Children } from "./dom.js" */

import { ActionKey } from "./action_key.js";
import { adjustStock, asApiError, countStock, createReservation, deleteItem, getItem } from "./api.js";
import { fill, h } from "./dom.js";
import { editPanel } from "./edit_panel.js";
import { counted, number, price, signed, statusName, time } from "./format.js";
import { inputOf, makeForm } from "./forms.js";
import { makeFreshness } from "./freshness.js";
import { ledgerPart } from "./ledger.js";
import { levelBar, marks } from "./level.js";
import { errorBox, notice } from "./notices.js";
import { addressOfHolds, addressOfStock } from "./places.js";
import { takeCodes } from "./scan.js";
import { addLine, HOLDS, keepOwnChange } from "./session.js";
import { makeTabs } from "./tabs.js";
import { transferForm } from "./transfer.js";

/** @type {import("./main.js").View} */
export async function itemView({ parts: [item_id = "", sku = ""], signal }) {
  const key = { item_id, sku };
  const state = await getItem(key);
  const about = h("div", {});
  const ledger = ledgerPart(key, reload);
  const fresh = makeFreshness(reload, signal);

  /**
   * Show a newer state of the item, and its new movements.
   *
   * @param {ItemState} newer
   */
  function changed({ item, etag }) {
    Object.assign(state, { item, etag });
    fill(about, aboutPart(item));
    ledger.refresh();
    fresh.mark();
  }

  async function reload() {
    const before = state.etag;
    const now = await getItem(key);
    // Draw only a changed item, and never a response that was sent before a later change on this page. The tag changes with the
    // details and with every movement.
    if (state.etag === before && now.etag !== before) changed(now);
  }

  fill(about, aboutPart(state.item));
  await ledger.refresh();
  fresh.mark();
  const tabs = makeTabs("Actions", [
    ["Adjust", () => adjustForm(key, changed)],
    ["Count", () => countForm(state, changed)],
    ["Transfer", () => transferForm(state, reload)],
    ["Reserve", () => reserveForm(state, reload)],
    ["Edit", (again) => editPanel(state, changed, again, () => deleteButton(state))],
  ]);
  const todo = h("div", { class: "card todo writes" }, tabs);
  takeCodes(todo);
  const content = h(
    "section",
    { class: "page item" },
    h("div", { class: "heading" }, h("p", { class: "back" }, h("a", { href: addressOfStock() }, "← Stock")), fresh.line),
    fresh.problems,
    about,
    h("div", { class: "columns" }, todo, ledger.element),
  );
  return { title: state.item.name, content };
}

/**
 * @param {Item} item
 * @returns {Children}
 */
function aboutPart(item) {
  return [
    h("h1", { tabindex: "-1" }, item.name),
    h("p", { class: "under" }, h("code", {}, item.sku), h("span", { class: "marks" }, marks(item))),
    item.description && h("p", { class: "description" }, item.description),
    h(
      "div",
      { class: "card figures" },
      h(
        "dl",
        {},
        figure("Available", number(item.available), "main-figure"),
        figure("Reserved", item.reserved ? h("a", { href: addressOfHolds(item) }, number(item.reserved)) : "0"),
        figure("On hand", number(item.quantity)),
      ),
      levelBar(item),
      h(
        "ul",
        { class: "facts" },
        fact("Category", item.category),
        fact("Location", item.location),
        fact("Price", price(item.price)),
        fact("Reorder at", item.reorder_point === null ? "never" : number(item.reorder_point)),
        fact("Status", statusName(item.status)),
        fact("Edited", time(item.updated_at)),
        Object.entries(item.attributes).map(([name, text]) => fact(name, text)),
      ),
    ),
  ];
}

/**
 * @param {string} label
 * @param {Child} value
 */
function figure(label, value, classes = "") {
  return h("div", { class: classes }, h("dt", {}, label), h("dd", {}, value));
}

/**
 * @param {string} label
 * @param {string} value
 */
function fact(label, value) {
  return h("li", {}, h("span", { class: "label" }, label), h("span", {}, value));
}

/**
 * @param {ItemKey} item
 * @param {(state: ItemState) => void} changed
 */
function adjustForm(item, changed) {
  return makeForm({
    label: "Adjust the stock",
    fields: [
      {
        name: "delta",
        label: "Change",
        kind: "integer",
        required: true,
        hint: "Units to add; with a minus sign, units to remove.",
      },
      { name: "reason", label: "Reason", required: true },
      { name: "reference", label: "Reference", hint: "For example, an order or delivery note." },
    ],
    action: "Adjust",
    send: (fields, key) => adjustStock(item, fields, key),
    done: (response, form) => {
      keepOwnChange(item, { seq: response.movement.seq, delta: response.movement.delta_on_hand });
      changed(response);
      notice(`Adjusted: ${counted(response.item.quantity, "unit")} on hand now.`);
      inputOf(form, "delta").focus();
    },
  });
}

/**
 * @param {ItemState} state
 * @param {(state: ItemState) => void} changed
 */
function countForm(state, changed) {
  return makeForm({
    label: "Count the stock",
    fields: [
      { name: "quantity", label: "Counted quantity", kind: "integer", required: true },
      {
        name: "expected_quantity",
        label: "Expected",
        kind: "integer",
        value: state.item.quantity,
        hint: "The count is rejected if the quantity on hand differs from this.",
      },
      { name: "reason", label: "Reason" },
    ],
    action: "Record the count",
    send: (fields, key) => countStock(state.item, fields, key),
    done: (response, form) => {
      const { seq, delta_on_hand: difference } = response.movement;
      keepOwnChange(state.item, { seq, delta: difference });
      changed(response);
      const result = difference ? signed(difference) : "as expected";
      notice(`Counted: ${counted(response.item.quantity, "unit")} on hand (${result}).`);
      inputOf(form, "expected_quantity").value = String(response.item.quantity);
      inputOf(form, "quantity").focus();
    },
  });
}

const RESERVED_UNITS = "lines[0].quantity";

/**
 * @param {ItemState} state
 * @param {() => void} reload
 */
function reserveForm(state, reload) {
  const form = makeForm({
    label: "Reserve units",
    fields: [
      { name: RESERVED_UNITS, label: "Units", kind: "integer", required: true },
      { name: "ttl_seconds", label: "Hold for", kind: "choice", options: HOLDS, required: true },
      { name: "reference", label: "Reference", hint: "For example, a cart or order." },
    ],
    action: "Reserve",
    complete: ({ [RESERVED_UNITS]: quantity, ttl_seconds, ...more }) => ({
      lines: [{ item_id: state.item.item_id, sku: state.item.sku, quantity }],
      ttl_seconds: Number(ttl_seconds),
      ...more,
    }),
    send: createReservation,
    done: () => {
      reload();
      notice("Reserved. Commit or release it under Reservations.");
      inputOf(form, RESERVED_UNITS).focus();
    },
    beside: [h("button", { type: "button", onclick: addToDraft }, "Add to new reservation")],
  });

  function addToDraft() {
    addLine(state.item, inputOf(form, RESERVED_UNITS).value);
    location.hash = "#/reservations";
  }

  return form;
}

/** @param {ItemState} state */
function deleteButton(state) {
  const dialog = h("dialog", { "aria-label": "Delete the item" });

  /** Ask about the item as it is now. Delete only the state that the question shows. */
  function ask() {
    const { item, etag } = state;
    const problems = h("div", { class: "problems" });
    const actionKey = new ActionKey();

    async function remove() {
      try {
        await actionKey.send(etag, (key) => deleteItem(item, etag, key));
      } catch (error) {
        fill(problems, errorBox(asApiError(error)));
        return;
      }
      dialog.close();
      notice(`${item.name} was deleted.`);
      location.hash = addressOfStock();
    }

    fill(
      dialog,
      h("h2", {}, `Delete ${item.name}?`),
      h("p", {}, `Its ${counted(item.quantity, "unit")} on hand will be removed. The ledger is kept.`),
      problems,
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", class: "danger", onclick: remove }, "Delete"),
        h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
      ),
    );
    dialog.showModal();
  }

  return [h("button", { type: "button", class: "quiet", onclick: ask }, "Delete…"), dialog];
}
