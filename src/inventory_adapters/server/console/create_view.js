/** A form for a new item. */

import { createItem } from "./api.js";
import { h } from "./dom.js";
import { makeForm } from "./forms.js";
import { DETAILS, detailField } from "./details.js";
import { notice } from "./notices.js";
import { addressOf } from "./places.js";

export async function createView() {
  const details = Object.fromEntries(DETAILS.map((name) => [name, detailField(name)]));
  const form = makeForm({
    label: "New item",
    fields: [
      { name: "sku", label: "SKU", required: true, hint: "The code that people use. It stays as it is." },
      details.name,
      details.category,
      { name: "quantity", label: "On hand", kind: "integer", required: true },
      details.location,
      details.price,
      details.reorder_point,
      details.status,
      details.description,
    ],
    action: "Create item",
    send: createItem,
    done: ({ item }) => {
      notice(`${item.name} was created.`);
      location.hash = addressOf(item);
    },
    beside: [h("a", { class: "button", href: "#/" }, "Cancel")],
  });
  form.classList.add("grid");
  const content = h(
    "section",
    { class: "page" },
    h("p", { class: "back" }, h("a", { href: "#/" }, "← Stock")),
    h("h1", { tabindex: "-1" }, "New item"),
    h("div", { class: "card" }, form),
  );
  return { title: "New item", content };
}
