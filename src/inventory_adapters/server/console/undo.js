/** Undo of the last adjustment, count or transfer that was made in this tab, by the opposite movement. */

/** @import { ItemKey, Movement } from "./api.js" */
/** @import { OwnChange } from "./session.js" */

import { adjustStock, transferStock } from "./api.js";
import { ownChange } from "./session.js";

/** @param {number} seq */
const referenceOf = (seq) => `undo of #${seq}`;

/**
 * Return the change of this tab that can be undone, if it is among the movements and its undo does not follow it.
 *
 * @param {ItemKey} item
 * @param {Movement[]} movements Newest first.
 */
export function undoable(item, movements) {
  const change = ownChange(item);
  if (!change?.delta || !movements.some(({ seq }) => seq === change.seq)) return null;
  return movements.some(({ reference }) => reference === referenceOf(change.seq)) ? null : change;
}

/**
 * Undo a change. The key is that of the change, so it is undone once, however often this is sent.
 *
 * @param {ItemKey} item The item; of a transfer, the one that the units left.
 * @param {OwnChange} change
 */
export async function undo(item, { seq, delta, to }) {
  const key = `undo-${item.item_id}-${seq}`;
  const reference = referenceOf(seq);
  if (to) await transferStock(to, item, { quantity: -delta, reference }, key);
  else await adjustStock(item, { delta: -delta, reason: "undo", reference }, key);
}
