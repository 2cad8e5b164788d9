/** Codes that a scanner or a person types: SKUs, and attributes such as a barcode. */

/** @import { Item } from "./api.js" */

import { asApiError, itemPages } from "./api.js";
import { notice } from "./notices.js";
import { addressOf, addressOfSku } from "./places.js";

// An attribute is searched in all items, and a search of a large table has many pages without a match.
const MOST_PAGES = 10;

/** @typedef {(code: string) => unknown} TakeCode */

/** @type {TakeCode} */
let take = openItem;

/**
 * Let a view take the codes that are scanned while it is open.
 *
 * @param {TakeCode} taker
 * @param {AbortSignal} signal
 */
export function takeScans(taker, signal) {
  take = taker;
  signal.addEventListener("abort", () => (take = openItem));
}

// Whether the next view was opened by a scan.
let isArriving = false;

/** Return whether the view was opened by a scan, once: what follows a scan is typed into its first field. */
export function arrivedByScan() {
  const was = isArriving;
  isArriving = false;
  return was;
}

/** @param {string} code */
export const scanned = (code) => take(code);

/** Let the codes that are scanned into a field for a number be taken as codes: they have letters, or eight digits or more. */
export function takeCodes(/** @type {HTMLElement} */ parent) {
  parent.addEventListener("keydown", (event) => {
    const input = event.target;
    if (event.key !== "Enter" || !(input instanceof HTMLInputElement) || input.inputMode !== "numeric") return;
    const code = input.value.trim();
    if (!/[a-z]|\d{8}/i.test(code)) return;
    event.preventDefault();
    input.value = "";
    scanned(code);
  });
}

/**
 * Return the items with this SKU, or else those with an attribute of this value.
 *
 * @param {string} code
 */
export async function itemsWithCode(code) {
  const bySku = await found({ sku: code }, () => true);
  return bySku.length ? bySku : found({ search: code }, ({ attributes }) => Object.values(attributes).includes(code));
}

/**
 * @param {Record<string, string>} filters
 * @param {(item: Item) => boolean} isRight
 */
async function found(filters, isRight) {
  /** @type {Item[]} */
  const items = [];
  let pages = 0;
  for await (const page of itemPages(filters)) {
    items.push(...page.items.filter(isRight));
    pages += 1;
    if (pages === MOST_PAGES) break;
  }
  return items;
}

/**
 * Open the item with this code; list the items if several have it.
 *
 * @param {string} code
 */
export async function openItem(code) {
  if (!code) return;
  let items;
  try {
    items = await itemsWithCode(code);
  } catch (error) {
    notice(asApiError(error).message);
    return;
  }
  if (items.length === 1) {
    isArriving = location.hash !== addressOf(items[0]);
    location.hash = addressOf(items[0]);
  } else if (items.length > 1) location.hash = addressOfSku(items[0].sku);
  else notice(`No item has the SKU or barcode “${code}”.`);
}
