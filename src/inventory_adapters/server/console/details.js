/** The details of an item that people edit, as form fields. */

/** @import { Fields, Item } from "./api.js" */
/** @import { Field } from "./forms.js" */

import { attributeFields, attributeOf } from "./attributes.js";
import { number, price, STATUS_OPTIONS, statusName } from "./format.js";

/** @typedef {keyof typeof FIELDS} DetailName */

const FIELDS = {
  name: { label: "Name", required: true },
  category: { label: "Category", required: true },
  location: { label: "Location", hint: "Where the item is stored. Empty means “default”." },
  price: { label: "Price", hint: "Price of one unit." },
  reorder_point: {
    label: "Reorder point",
    kind: /** @type {const} */ ("integer"),
    blank: /** @type {const} */ ("null"),
    hint: "The item is low when available units fall to this number.",
  },
  status: { label: "Status", kind: /** @type {const} */ ("choice"), options: STATUS_OPTIONS },
  description: { label: "Description", kind: /** @type {const} */ ("multiline") },
};

/** The names of the details on the wire. */
export const DETAILS = /** @type {DetailName[]} */ (Object.keys(FIELDS));

/**
 * Return the form field of a detail. For an existing item, an emptied field is sent as empty text instead of being omitted.
 *
 * @param {DetailName} name
 * @param {Item} [item] The item to edit; none for a new item.
 * @returns {Field}
 */
export function detailField(name, item) {
  return { name, ...(item && { value: item[name], blank: /** @type {const} */ ("keep") }), ...FIELDS[name] };
}

/**
 * Return the values of all details and attributes, by field.
 *
 * @param {Item} item
 * @returns {Fields}
 */
export const valuesOf = (item) => ({
  ...Object.fromEntries(DETAILS.map((name) => [name, item[name]])),
  ...attributeFields(item),
});

/** @param {string} field */
export const detailLabel = (field) => attributeOf(field) ?? FIELDS[/** @type {DetailName} */ (field)].label;

/**
 * Return the value of a detail as text for people.
 *
 * @param {string} name
 * @param {unknown} value
 */
export function detailText(name, value) {
  if (value === null || value === undefined || value === "") return "none";
  if (name === "status") return statusName(String(value));
  if (name === "reorder_point" && Number.isInteger(value)) return number(Number(value));
  return name === "price" && Number.isFinite(Number(value)) ? price(Number(value)) : String(value);
}

/**
 * Return whether two values of a detail are the same. A price may be a number or its text.
 *
 * @param {string} name
 * @param {unknown} one
 * @param {unknown} other
 */
export function isSame(name, one, other) {
  return (one ?? null) === (other ?? null) || (name === "price" && String(one) !== "" && Number(one) === Number(other));
}
