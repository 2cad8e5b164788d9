/** The form for a new item. */

import { createItem } from "./api.js";
import { attributeRows, bodyOf } from "./attributes.js";
import { h } from "./dom.js";
import { makeForm } from "./forms.js";
import { detailField } from "./details.js";
import { notice } from "./notices.js";
import { addressOf, addressOfStock } from "./places.js";

/** @type {import("./main.js").View} */
export async function createView() {
  const attributes = attributeRows();
  const form = makeForm({
    label: "New item",
    fields: [
      { name: "sku", label: "SKU", required: true, hint: "The code that identifies the item. It cannot be changed later." },
      detailField("name"),
      detailField("category"),
      { name: "quantity", label: "On hand", kind: "integer", required: true },
      detailField("location"),
      detailField("price"),
      detailField("reorder_point"),
      detailField("status"),
      detailField("description"),
    ],
    action: "Create item",
    extra: [attributes.element],
    complete: (values) => ({ ...values, ...attributes.read() }),
    send: (fields, key) => createItem(bodyOf(fields), key),
    done: ({ item }) => {
      notice(`${item.name} was created.`);
      location.hash = addressOf(item);
    },
    beside: [h("a", { class: "button", href: addressOfStock() }, "Cancel")],
  });
  form.classList.add("grid");
  const content = h(
    "section",
    { class: "page" },
    h("p", { class: "back" }, h("a", { href: addressOfStock() }, "← Stock")),
    h("h1", { tabindex: "-1" }, "New item"),
    h("div", { class: "card" }, form),
  );
  return { title: "New item", content };
}
