/** The stock level of an item at a glance: a bar, and marks that do not depend on colour. */

/** @import { Item } from "./api.js" */

import { h } from "./dom.js";
import { number, statusName } from "./format.js";

// The bar is full at this many times the reorder point.
const PLENTY = 4;

/** @param {Item} item */
export function isLow(item) {
  return item.reorder_point !== null && item.available <= item.reorder_point;
}

/**
 * Return a bar of the available units, then the reserved ones; a line across it is the reorder point.
 *
 * @param {Item} item
 */
export function levelBar(item) {
  const reorderPoint = item.reorder_point ?? 0;
  const full = Math.max(item.quantity, PLENTY * reorderPoint, 1);
  const share = (/** @type {number} */ units) => ({ "--share": `${(100 * units) / full}%` });
  const state = item.available === 0 ? "is-out" : isLow(item) ? "is-low" : "";
  return h(
    "span",
    { class: `level ${state}`, role: "img", "aria-label": levelInWords(item) },
    h("span", { class: "level-available", vars: share(item.available) }),
    h("span", { class: "level-reserved", vars: share(item.reserved) }),
    reorderPoint > 0 && h("span", { class: "level-reorder", vars: share(reorderPoint) }),
  );
}

/** @param {Item} item */
function levelInWords(item) {
  const reorder = item.reorder_point === null ? "" : `; reorder at ${number(item.reorder_point)}`;
  return `${number(item.available)} available and ${number(item.reserved)} reserved, of ${number(item.quantity)} on hand${reorder}`;
}

/**
 * Return marks of an item that is low, out of stock or not for sale, each with a shape and a label.
 *
 * @param {Item} item
 */
export function marks(item) {
  const marked = [];
  if (item.available === 0) marked.push(mark("out", "✕", "Out of stock"));
  else if (isLow(item)) marked.push(mark("low", "▼", "Low stock"));
  if (item.status === "discontinued") marked.push(mark("quiet", "–", statusName(item.status)));
  else if (item.status === "out_of_stock" && item.available > 0) marked.push(mark("quiet", "–", "Not for sale"));
  return marked;
}

/**
 * @param {string} kind
 * @param {string} shape
 * @param {string} label
 */
function mark(kind, shape, label) {
  return h("span", { class: `mark mark-${kind}` }, h("span", { "aria-hidden": "true" }, shape), label);
}
