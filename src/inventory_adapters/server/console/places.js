/** Addresses of views. */

/** @import { ItemKey } from "./api.js" */

/**
 * Return the address of the reservations view that shows this reservation too.
 *
 * @param {string} id
 */
export const addressOfReservation = (id) => `#/reservations/${encodeURIComponent(id)}`;

/**
 * Return the address of an item's view.
 *
 * @param {ItemKey} item
 */
export function addressOf({ item_id, sku }) {
  return `#/items/${encodeURIComponent(item_id)}/${encodeURIComponent(sku)}`;
}
