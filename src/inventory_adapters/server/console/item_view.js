/** One item: how much there is, what can be done with it, and how it came to that. */

import { adjustStock, countStock, createReservation, deleteItem, getItem } from "./api.js";
import { fill, h } from "./dom.js";
import { editPanel } from "./edit_panel.js";
import { counted, number, price, signed, statusName, time } from "./format.js";
import { makeForm } from "./forms.js";
import { makeFreshness } from "./freshness.js";
import { ledgerPart } from "./ledger.js";
import { levelBar, marks } from "./level.js";
import { notice, refusalBox } from "./notices.js";
import { addLine, HOLDS, remember } from "./session.js";
import { makeTabs } from "./tabs.js";

export async function itemView({ parts: [item_id, sku], signal }) {
  const key = { item_id, sku };
  const state = await getItem(key);
  const about = h("div", {});
  const ledger = ledgerPart(key);
  const fresh = makeFreshness(reload, signal);

  /** Show what an answer said of the item, and what has come into its ledger. */
  function changed({ item, etag }) {
    Object.assign(state, { item, etag });
    fill(about, aboutPart(item));
    ledger.refresh();
    fresh.mark();
  }

  async function reload() {
    const before = state.etag;
    const now = await getItem(key);
    // Nothing is drawn again without a change, nor from a response that an own change has overtaken. (The tag changes with the
    // details and with every movement.)
    if (state.etag === before && now.etag !== before) changed(now);
  }

  fill(about, aboutPart(state.item));
  await ledger.refresh();
  fresh.mark();
  const tabs = makeTabs("What to do", [
    ["Adjust", () => adjustForm(key, changed)],
    ["Count", () => countForm(state, changed)],
    ["Reserve", () => reserveForm(state, reload)],
    ["Edit", (again) => editPanel(state, changed, again, () => deleteButton(state))],
  ]);
  const content = h(
    "section",
    { class: "page item" },
    h("div", { class: "heading" }, h("p", { class: "back" }, h("a", { href: "#/" }, "← Stock")), fresh.line),
    fresh.problems,
    about,
    h("div", { class: "columns" }, h("div", { class: "card todo" }, tabs), ledger.element),
  );
  return { title: state.item.name, content };
}

function aboutPart(item) {
  const figure = (label, value, classes = "") =>
    h("div", { class: classes }, h("dt", {}, label), h("dd", {}, number(value)));
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
        figure("Available", item.available, "main-figure"),
        figure("Reserved", item.reserved),
        figure("On hand", item.quantity),
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
      ),
    ),
  ];
}

function fact(label, value) {
  return h("li", {}, h("span", { class: "label" }, label), h("span", {}, value));
}

function adjustForm(key, changed) {
  return makeForm({
    label: "Adjust the stock",
    fields: [
      { name: "delta", label: "Change", kind: "integer", required: true, hint: "Units that came, or with a minus, that left." },
      { name: "reason", label: "Reason", required: true },
      { name: "reference", label: "Reference", hint: "An order, a delivery note." },
    ],
    action: "Adjust",
    send: (fields, submission) => adjustStock(key, fields, submission),
    done: (answer, form) => {
      changed(answer);
      notice(`Adjusted: ${counted(answer.item.quantity, "unit")} on hand now.`);
      form.elements.delta.focus();
    },
  });
}

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
        hint: "The count is rejected if the quantity on hand has changed since.",
      },
      { name: "reason", label: "Reason" },
    ],
    action: "Record the count",
    send: (fields, submission) => countStock(state.item, fields, submission),
    done: (answer, form) => {
      const difference = answer.movement.delta_on_hand;
      changed(answer);
      notice(`Counted: ${counted(answer.item.quantity, "unit")} on hand (${difference ? signed(difference) : "as expected"}).`);
      form.elements.expected_quantity.value = answer.item.quantity;
      form.elements.quantity.focus();
    },
  });
}

function reserveForm(state, reload) {
  const form = makeForm({
    label: "Reserve units",
    fields: [
      { name: "lines[0].quantity", label: "Units", kind: "integer", required: true },
      { name: "ttl_seconds", label: "Hold for", kind: "choice", options: HOLDS, required: true },
      { name: "reference", label: "Reference", hint: "The cart or the order that it is for." },
    ],
    action: "Reserve",
    complete: ({ "lines[0].quantity": quantity, ttl_seconds, ...more }) => ({
      lines: [{ item_id: state.item.item_id, sku: state.item.sku, quantity }],
      ttl_seconds: Number(ttl_seconds),
      ...more,
    }),
    send: createReservation,
    done: (reservation, made) => {
      remember(reservation.reservation_id);
      reload();
      notice("Reserved. Commit or release it under Reservations.");
      made.elements["lines[0].quantity"].focus();
    },
    beside: [
      h("button", { type: "button", onclick: () => addToDraft(state.item, form) }, "Add to a larger one"),
    ],
  });
  return form;
}

function addToDraft(item, form) {
  addLine(item, form.elements["lines[0].quantity"].value);
  location.hash = "#/reservations";
}

function deleteButton(state) {
  const dialog = h("dialog", { "aria-label": "Delete the item" });
  const problems = h("div", { class: "problems" });
  let asked;

  /** Ask about the item as it is now; what is deleted is what the question shows, or nothing. */
  function ask() {
    asked = { ...state };
    fill(
      dialog,
      h("h2", {}, `Delete ${asked.item.name}?`),
      h("p", {}, `Its ${counted(asked.item.quantity, "unit")} on hand will be removed. The ledger stays.`),
      fill(problems),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", class: "danger", onclick: remove }, "Delete"),
        h("button", { type: "button", onclick: () => dialog.close() }, "Keep it"),
      ),
    );
    dialog.showModal();
  }

  async function remove() {
    try {
      await deleteItem(asked.item, asked.etag);
    } catch (error) {
      if (error.status === undefined) throw error;
      fill(problems, refusalBox(error));
      return;
    }
    dialog.close();
    notice(`${asked.item.name} was deleted.`);
    location.hash = "#/";
  }

  return [h("button", { type: "button", class: "quiet", onclick: ask }, "Delete…"), dialog];
}
