/** A form over the first rows of a table, in which a person says which column is which; it is remembered for the next file. */

import { h, newId } from "./dom.js";

const FIELDS = {
  sku: "SKU",
  name: "Name",
  quantity: "Quantity",
  price: "Price",
  category: "Category",
  location: "Location",
  reorder_point: "Reorder point",
  description: "Description",
};
const SAVED = "import mappings";
const MOST_SAVED = 20;

/**
 * Make the form.
 *
 * @param {{columns: string[], rows: string[][], mapping: Object<string, string>}} table From the server.
 * @param {function(Object<string, string>)} onmapped Called with names of columns by field; blank for fields in no column.
 */
export function mappingForm(table, onmapped) {
  const chosen = saved(table.columns) ?? table.mapping;
  const choosers = Object.entries(FIELDS).map(([field, label]) => chooser(field, label, table.columns, chosen[field]));
  const form = h(
    "form",
    {
      class: "card mapping",
      onsubmit: (event) => {
        event.preventDefault();
        const mapping = Object.fromEntries(choosers.map(({ field, select }) => [field, select.value]));
        save(table.columns, mapping);
        onmapped(mapping);
      },
    },
    h("h2", { tabindex: "-1" }, "Which column is which?"),
    h("div", { class: "fields" }, choosers.map(({ element }) => element)),
    firstRows(table),
    h("button", { type: "submit", class: "primary" }, "Import with these columns"),
  );
  return form;
}

function chooser(field, label, columns, chosen) {
  const id = newId(field);
  const options = [h("option", { value: "" }, "(no column)")];
  for (const name of columns.filter(Boolean)) options.push(h("option", { value: name, selected: name === chosen }, name));
  const select = h("select", { id, required: field === "sku" }, options);
  return { field, select, element: h("div", { class: "field" }, h("label", { for: id }, label), select) };
}

function firstRows({ columns, rows }) {
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h("caption", {}, "The first rows of the file"),
      h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((text) => h("td", {}, text.slice(0, 80)))))),
    ),
  );
}

function saved(columns) {
  return all()[keyOf(columns)];
}

function save(columns, mapping) {
  const others = Object.entries(all()).filter(([key]) => key !== keyOf(columns));
  const kept = [[keyOf(columns), mapping], ...others].slice(0, MOST_SAVED);
  try {
    localStorage.setItem(SAVED, JSON.stringify(Object.fromEntries(kept)));
  } catch {
    // Where nothing may be stored, the next file is mapped again.
  }
}

function all() {
  try {
    return JSON.parse(localStorage.getItem(SAVED)) ?? {};
  } catch {
    return {};
  }
}

function keyOf(columns) {
  return JSON.stringify(columns);
}
