/** Data of this browser tab: the lines of the next reservation. */

/** @import { Item } from "./api.js" */

const DRAFT = "inventory.draft";

/** @typedef {Pick<Item, "item_id"|"sku"|"name"|"location"> & {quantity: string}} DraftLine The quantity is as typed. */

/**
 * How long units can be held: seconds as text, label.
 *
 * @type {Array<[string, string]>}
 */
export const HOLDS = [
  ["900", "15 minutes"],
  ["3600", "1 hour"],
  ["86400", "1 day"],
  ["604800", "7 days"],
];

/**
 * Return the lines of the next reservation.
 *
 * @returns {DraftLine[]}
 */
export const draftLines = () => read(DRAFT);

/** @param {DraftLine[]} lines */
export const setDraft = (lines) => write(DRAFT, lines);

/**
 * Add a line, or add to the units of the line that the item has already.
 *
 * @param {Item} item
 * @param {string} quantity
 */
export function addLine({ item_id, sku, name, location }, quantity) {
  const lines = draftLines();
  const same = lines.find((line) => line.item_id === item_id && line.sku === sku);
  if (same) same.quantity = String(Number(same.quantity) + Number(quantity) || quantity);
  else lines.push({ item_id, sku, name, location, quantity });
  setDraft(lines);
}

/** @param {string} key */
function read(key) {
  return JSON.parse(sessionStorage.getItem(key) ?? "[]");
}

/**
 * @param {string} key
 * @param {unknown} value
 */
function write(key, value) {
  sessionStorage.setItem(key, JSON.stringify(value));
}
