/** A form that shows the first rows of a table and asks what each column holds. It is filled in for the next such table. */

import { h, newId } from "./dom.js";

/** @typedef {Record<string, string>} Mapping Column names by field; blank for fields without a column. */
/** @typedef {{columns: string[], rows: string[][], mapping: Mapping}} UnknownTable */

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
 * @param {UnknownTable} table The table as the server read it.
 * @param {(mapping: Mapping) => void} onmapped Called with the choices.
 */
export function mappingForm(table, onmapped) {
  const chosen = allSaved()[keyOf(table.columns)] ?? table.mapping;
  const choosers = Object.entries(FIELDS).map(([field, label]) => chooser(field, label, table.columns, chosen[field]));

  /** @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    const mapping = Object.fromEntries(choosers.map(({ field, select }) => [field, select.value]));
    save(table.columns, mapping);
    onmapped(mapping);
  }

  return h(
    "form",
    { class: "card mapping", onsubmit: submit },
    h("h2", { tabindex: "-1" }, "What does each column hold?"),
    h("div", { class: "fields" }, ...choosers.map(({ element }) => element)),
    firstRows(table),
    h("button", { type: "submit", class: "primary" }, "Import with these columns"),
  );
}

/**
 * @param {string} field
 * @param {string} label
 * @param {string[]} columns
 * @param {string} [chosen]
 */
function chooser(field, label, columns, chosen) {
  const id = newId(field);
  const names = columns.filter(Boolean);
  const options = names.map((name) => h("option", { value: name, selected: name === chosen }, name));
  const select = h("select", { id, required: field === "sku" }, h("option", { value: "" }, "(no column)"), options);
  return { field, select, element: h("div", { class: "field" }, h("label", { for: id }, label), select) };
}

/** @param {UnknownTable} table */
function firstRows({ columns, rows }) {
  const heads = columns.map((name) => h("th", { scope: "col" }, name));
  const cellsOf = (/** @type {string[]} */ texts) => texts.map((text) => h("td", {}, text.slice(0, 80)));
  const lines = rows.map((texts) => h("tr", {}, cellsOf(texts)));
  const caption = h("caption", {}, "The first rows of the file");
  return h("div", { class: "scroll" }, h("table", {}, caption, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, lines)));
}

/**
 * @param {string[]} columns
 * @param {Mapping} mapping
 */
function save(columns, mapping) {
  const others = Object.entries(allSaved()).filter(([key]) => key !== keyOf(columns));
  const latest = [[keyOf(columns), mapping], ...others].slice(0, MOST_SAVED);
  try {
    localStorage.setItem(SAVED, JSON.stringify(Object.fromEntries(latest)));
  } catch {
    // If the browser stores nothing, the form is not filled in next time.
  }
}

/** @returns {Record<string, Mapping|undefined>} */
function allSaved() {
  try {
    return JSON.parse(localStorage.getItem(SAVED) ?? "{}");
  } catch {
    return {};
  }
}

/** @param {string[]} columns */
function keyOf(columns) {
  return JSON.stringify(columns);
}
