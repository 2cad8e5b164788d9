/** Addresses of views. */

const STOCK = "inventory.stock";

/** @import { ItemKey } from "./api.js" */

/**
 * Return the address of the reservations view that shows this reservation too.
 *
 * @param {string} id
 */
export const addressOfReservation = (id) => `#/reservations/${encodeURIComponent(id)}`;

/**
 * Return the address of the open reservations that hold an item.
 *
 * @param {ItemKey} item
 */
export const addressOfHolds = ({ item_id, sku }) => `#/reservations?${new URLSearchParams({ item_id, sku })}`;

/**
 * Return the address of an item's view.
 *
 * @param {ItemKey} item
 */
export function addressOf({ item_id, sku }) {
  return `#/items/${encodeURIComponent(item_id)}/${encodeURIComponent(sku)}`;
}

/**
 * Return the address of the stock of one SKU at all locations.
 *
 * @param {string} sku
 */
export const addressOfSku = (sku) => `#/?${new URLSearchParams({ sku })}`;

/** Return the address of the stock as it was last shown in this tab, with its filters. */
export const addressOfStock = () => sessionStorage.getItem(STOCK) ?? "#/";

/** Keep the address of the stock, for the way back. */
export const keepStockAddress = () => sessionStorage.setItem(STOCK, location.hash || "#/");
