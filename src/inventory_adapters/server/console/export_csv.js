/** The items as a CSV file, with the columns of `inventory export` that a list has, and one per attribute. */

/** @import { Filters, Item } from "./api.js" */

import { itemPages } from "./api.js";
import { h } from "./dom.js";
import { today } from "./format.js";

const COLUMNS = /** @type {const} */ ([
  ...["item_id", "sku", "name", "description", "quantity", "price"],
  ...["category", "status", "location", "reorder_point", "version"],
]);
// What a spreadsheet takes for the start of a formula. The apostrophe before it is not part of the text; an import drops it.
const ACTIVE = /^(?:[\t\r\n']|\s*[=+\-@＝＋－＠])/;

/**
 * Save all items that match *filters* as a file. Return how many.
 *
 * @param {Filters} filters
 * @param {AbortSignal} signal
 */
export async function exportItems(filters, signal) {
  /** @type {Item[]} */
  const items = [];
  for await (const page of itemPages(filters, { signal })) items.push(...page.items);
  const names = [...new Set(items.flatMap(({ attributes }) => Object.keys(attributes)))].sort();
  const rows = items.map((item) => [
    ...COLUMNS.map((name) => (name === "price" ? priceCell(item.price) : cell(item[/** @type {"sku"} */ (name)]))),
    ...names.map((name) => cell(item.attributes[name])),
  ]);
  const head = [...COLUMNS, ...names.map((name) => `attributes.${name}`)];
  save([head, ...rows].map((row) => `${row.join(",")}\r\n`).join(""), `items-${today()}.csv`);
  return items.length;
}

/** @param {string|number|null|undefined} value */
function cell(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" && ACTIVE.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Return a price without three digits after the point, which others write for thousands.
 *
 * @param {number} value
 */
function priceCell(value) {
  return /\.\d{3}$/.test(String(value)) ? `${value}0` : String(value);
}

/**
 * @param {string} text
 * @param {string} name
 */
function save(text, name) {
  // Excel recognizes the encoding by the mark at the start.
  const url = URL.createObjectURL(new Blob(["\uFEFF", text], { type: "text/csv" }));
  h("a", { href: url, download: name }).click();
  // The browser reads it after the click.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
