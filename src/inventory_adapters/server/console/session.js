/** Data of this browser tab: the lines of the next reservation, the sheet of a stocktake, and what was changed here. */

/** @import { Item, ItemKey } from "./api.js" */

const DRAFT = "inventory.draft";
const SHEET = "inventory.stocktake";
const OWN = "inventory.own";

/** @typedef {Pick<Item, "item_id"|"sku"|"name"|"location"> & {quantity: string}} DraftLine The quantity is as typed. */

/**
 * A count of a stocktake. It was counted when `expected` units were on hand; `key` is its Idempotency-Key.
 *
 * @typedef {Pick<Item, "item_id"|"sku"|"name"|"location"> & {expected: number, counted: number, key: string, isSaved?: boolean, problem?: string}} CountedRow
 */

/** @typedef {{seq: number, delta: number, to?: ItemKey}} OwnChange A movement; of a transfer, the one on the side it left, and the other side. */

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
export const draftLines = () => read(DRAFT) ?? [];

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

/** @returns {CountedRow[]} */
export const sheetRows = () => read(SHEET) ?? [];

/** @param {CountedRow[]} rows */
export const setSheet = (rows) => write(SHEET, rows);

/**
 * Return the last adjustment, count or transfer of this item that was made in this tab.
 *
 * @param {ItemKey} item
 * @returns {OwnChange|undefined}
 */
export const ownChange = (item) => read(OWN)?.[nameOf(item)];

/**
 * @param {ItemKey} item
 * @param {OwnChange} change
 */
export const keepOwnChange = (item, change) => write(OWN, { ...read(OWN), [nameOf(item)]: change });

/** @param {ItemKey} item */
const nameOf = ({ item_id, sku }) => JSON.stringify([item_id, sku]);

/** @param {string} key */
function read(key) {
  return JSON.parse(sessionStorage.getItem(key) ?? "null");
}

/**
 * @param {string} key
 * @param {unknown} value
 */
function write(key, value) {
  sessionStorage.setItem(key, JSON.stringify(value));
}
