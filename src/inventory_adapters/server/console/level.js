/** How much there is of an item, at a glance: a bar, and marks that do not depend on colour. */

import { h } from "./dom.js";
import { number, statusName } from "./format.js";

// An item with this many times its reorder point on hand has a full bar.
const PLENTY = 4;

export function isLow(item) {
  return item.reorder_point !== null && item.available <= item.reorder_point;
}

/** A bar: what is available, then what is reserved; the line across it is the reorder point. */
export function levelBar(item) {
  const full = Math.max(item.quantity, PLENTY * (item.reorder_point ?? 0), 1);
  const share = (units) => `${(100 * units) / full}%`;
  const state = item.available === 0 ? "is-out" : isLow(item) ? "is-low" : "";
  return h(
    "span",
    { class: `level ${state}`, role: "img", "aria-label": levelInWords(item) },
    h("span", { class: "level-available", vars: { "--share": share(item.available) } }),
    h("span", { class: "level-reserved", vars: { "--share": share(item.reserved) } }),
    item.reorder_point !== null &&
      item.reorder_point > 0 &&
      h("span", { class: "level-reorder", vars: { "--share": share(item.reorder_point) } }),
  );
}

function levelInWords(item) {
  const reorder = item.reorder_point === null ? "" : `; reorder at ${number(item.reorder_point)}`;
  return `${number(item.available)} available and ${number(item.reserved)} reserved, of ${number(item.quantity)} on hand${reorder}`;
}

/** What must not be overlooked about an item, each mark with a shape and a word. */
export function marks(item) {
  const found = [];
  if (item.available === 0) found.push(mark("out", "✕", "Out of stock"));
  else if (isLow(item)) found.push(mark("low", "▼", "Low stock"));
  if (item.status === "discontinued") found.push(mark("quiet", "–", statusName(item.status)));
  else if (item.status === "out_of_stock" && item.available > 0) {
    found.push(mark("quiet", "–", "Not for sale"));
  }
  return found;
}

function mark(kind, shape, words) {
  return h("span", { class: `mark mark-${kind}` }, h("span", { "aria-hidden": "true" }, shape), words);
}
