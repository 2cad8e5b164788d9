/** Addresses of views. */

/** The address of the reservations, with one of them among those that are shown. */
export const addressOfReservation = (id) => `#/reservations/${encodeURIComponent(id)}`;

/** The address of an item's page. */
export function addressOf({ item_id, sku }) {
  return `#/items/${encodeURIComponent(item_id)}/${encodeURIComponent(sku)}`;
}
