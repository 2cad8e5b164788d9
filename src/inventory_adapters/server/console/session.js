/**
 * Data of this browser tab: the reservations created or opened in it, and the lines of the next one. The API cannot list
 * reservations.
 */

/** @import { Item } from "./api.js" */

const RESERVATIONS = "inventory.reservations";
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
 * Return the ids of the reservations created or opened in this tab, the last one first.
 *
 * @returns {string[]}
 */
export const remembered = () => read(RESERVATIONS);

/** @param {string} id */
export const remember = (id) => write(RESERVATIONS, [id, ...remembered().filter((known) => known !== id)]);

/**
 * Return the lines of the next reservation.
 *
 * @returns {DraftLine[]}
 */
export const draftLines = () => read(DRAFT);

/** @param {DraftLine[]} lines */
export const setDraft = (lines) => write(DRAFT, lines);

/**
 * @param {Item} item
 * @param {string} quantity
 */
export function addLine({ item_id, sku, name, location }, quantity) {
  setDraft([...draftLines(), { item_id, sku, name, location, quantity }]);
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
