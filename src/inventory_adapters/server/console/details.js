/** The details of an item that people edit, as fields of forms. */

import { number, price, STATUS_OPTIONS, statusName } from "./format.js";

const FIELDS = {
  name: { label: "Name", required: true },
  category: { label: "Category", required: true },
  location: { label: "Location", hint: "Where it is kept; “default” where nothing is said." },
  price: { label: "Price", hint: "Of one unit, exact." },
  reorder_point: { label: "Reorder point", kind: "integer", blank: "null", hint: "Low when no more than this are available." },
  status: { label: "Status", kind: "choice", options: STATUS_OPTIONS },
  description: { label: "Description", kind: "multiline" },
};

/** Their names on the wire. */
export const DETAILS = Object.keys(FIELDS);

/** Return the field of a form for one of them: of a new item, or of *item*, where an emptied field is no field left out. */
export function detailField(name, item) {
  return { name, ...(item && { value: item[name], blank: "keep" }), ...FIELDS[name] };
}

export const detailLabel = (name) => FIELDS[name].label;

/** Return a value as people read it. */
export function detailText(name, value) {
  if (value === null || value === "") return "none";
  if (name === "status") return statusName(value);
  if (name === "reorder_point" && Number.isInteger(value)) return number(value);
  return name === "price" && Number.isFinite(Number(value)) ? price(value) : String(value);
}

/** Tell whether two values of a detail are the same; a price may be a number or its text. */
export function isSame(name, one, other) {
  return one === other || (name === "price" && String(one) !== "" && Number(one) === Number(other));
}
