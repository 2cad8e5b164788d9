/** The public HTTP API: one function per request, one error type. */

import { send } from "./key.js";

/** The most rows that a page of the API has. */
export const ROWS = 50;

/**
 * The two parts of an item's key.
 *
 * @typedef {{item_id: string, sku: string}} ItemKey
 */

/**
 * An item.
 *
 * @typedef {Object} Item
 * @property {string} item_id
 * @property {string} sku
 * @property {string} name
 * @property {string} description
 * @property {number} quantity Units on hand.
 * @property {number} reserved
 * @property {number} available
 * @property {number} price
 * @property {string} category
 * @property {string} status
 * @property {string} location
 * @property {number|null} reorder_point
 * @property {Record<string, string>} attributes
 * @property {number} version
 * @property {string} created_at
 * @property {string} updated_at
 */

/**
 * An entry of an item's ledger, with the balances after it.
 *
 * @typedef {Object} Movement
 * @property {number} seq
 * @property {string} kind
 * @property {number} delta_on_hand
 * @property {number} delta_reserved
 * @property {number} on_hand
 * @property {number} reserved
 * @property {string|null} actor Who caused it.
 * @property {string|null} reason
 * @property {string|null} reference
 * @property {string|null} reservation_id
 * @property {string} recorded_at
 */

/** @typedef {ItemKey & {quantity: number}} ReservationLine */

/**
 * A reservation of one or more items.
 *
 * @typedef {Object} Reservation
 * @property {string} reservation_id
 * @property {"held"|"committed"|"released"|"expired"} state
 * @property {ReservationLine[]} lines What is held; once released or expired, what was given back.
 * @property {ReservationLine[]} committed What has left stock.
 * @property {string|null} reference
 * @property {string} created_at
 * @property {string} expires_at
 * @property {string|null} closed_at
 */

/** @typedef {{item: Item, etag: string}} ItemState An item and the ETag of this state. */
/** @typedef {ItemState & {movement: Movement}} StockResponse */
/** @typedef {{quantity: number, available: number, items: Item[]}} SkuStock */
/** @typedef {{items: Item[], next_page_token?: string}} ItemPage */
/** @typedef {{reservations: Reservation[], next_page_token?: string}} ReservationPage */
/** @typedef {{movements: Movement[], next_page_token?: string}} MovementPage */
/** @typedef {ItemKey & {status: number, error?: string}} RowResult */
/** @typedef {Record<string, unknown>} Fields Fields of a request body, by their names on the wire. */
/** @typedef {{field: string, message: string}} FieldError */

/** An error response, or the lack of a response. */
export class ApiError extends Error {
  /**
   * @param {number} status The HTTP status; 0 without a response.
   * @param {Record<string, any>} body `{error, code, details?, ...numbers}`
   */
  constructor(status, body) {
    super(body.error ?? `The server returned status ${status}.`);
    this.status = status;
    /** @type {string} */
    this.code = body.code ?? "";
    /** @type {FieldError[]} */
    this.details = body.details ?? [];
    this.body = body;
  }

  /** Whether the same request may succeed later. The server may have applied it already, so resend it with the same key. */
  get isRetryable() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/**
 * Return the error of a request without a complete response: an `ApiError`, or *error* if the page aborted the request.
 *
 * @param {unknown} [error]
 */
export function noAnswer(error) {
  if (error instanceof DOMException && error.name === "AbortError") return error;
  return new ApiError(0, { error: "The server does not answer. Is it still running?", code: "no_answer" });
}

/**
 * Return an error of one field that the page finds itself.
 *
 * @param {string} field
 * @param {string} message
 */
export function invalidField(field, message) {
  return new ApiError(400, { error: `${field} ${message}`, code: "validation_failed", details: [{ field, message }] });
}

/**
 * Return *error* as an `ApiError`, or throw it: any other error is a bug of this page.
 *
 * @param {unknown} error
 * @returns {ApiError}
 */
export function asApiError(error) {
  if (error instanceof ApiError) return error;
  throw error;
}

/** Return a new Idempotency-Key. (`crypto.randomUUID` is missing on pages that another machine opens over plain HTTP.) */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @typedef {Record<string, string|undefined>} Filters */
/** @typedef {{token?: string, signal?: AbortSignal}} PageOptions */

/**
 * Yield the pages of `GET /items`. A page may be empty; only the last one has no token.
 *
 * @param {Filters} filters
 * @param {PageOptions} [options]
 * @returns {AsyncGenerator<ItemPage, void>}
 */
export const itemPages = (filters, options) => pages("/items", filters, options);

/**
 * Yield the pages of open reservations, the next to expire first.
 *
 * @param {Filters} filters
 * @param {PageOptions} [options]
 * @returns {AsyncGenerator<ReservationPage, void>}
 */
export const reservationPages = (filters, options) => pages("/reservations", filters, options);

/**
 * @param {string} path
 * @param {Filters} filters
 * @param {PageOptions} [options]
 * @returns {AsyncGenerator<any, void>}
 */
async function* pages(path, filters, { token, signal } = {}) {
  let next = token;
  do {
    const query = { ...filters, page_size: ROWS, page_token: next };
    const { body } = await call("GET", path, { query, signal });
    next = body.next_page_token;
    yield body;
  } while (next);
}

/**
 * Return all items that match *filters*. Use it for filters that few items match.
 *
 * @param {Record<string, string|undefined>} filters
 */
export async function findItems(filters) {
  /** @type {Item[]} */
  const items = [];
  for await (const page of itemPages(filters)) items.push(...page.items);
  return items;
}

/**
 * Return the stock of an item after the last movement until a time; null before the item was created.
 *
 * @param {ItemKey} item
 * @param {string} at
 * @returns {Promise<{quantity: number, reserved: number, available: number}|null>}
 */
export async function getStockAt(item, at) {
  return (await call("GET", pathOf(item), { query: { sku: item.sku, at } })).body.at;
}

/** @param {ItemKey} item */
export async function getItem(item) {
  return itemState(await call("GET", pathOf(item), { query: { sku: item.sku } }));
}

/**
 * @param {Fields} fields
 * @param {string} key Idempotency-Key, as in the functions below.
 */
export async function createItem(fields, key) {
  return itemState(await call("POST", "/items", { body: fields, key }));
}

/**
 * Update an item if it still has the state of *etag*.
 *
 * @param {ItemKey} item
 * @param {Fields} fields
 * @param {string} etag
 * @param {string} key
 */
export async function updateItem(item, fields, etag, key) {
  return itemState(await call("PUT", pathOf(item), { body: { sku: item.sku, ...fields }, etag, key }));
}

/**
 * Delete an item if it still has the state of *etag*.
 *
 * @param {ItemKey} item
 * @param {string} etag
 * @param {string} key
 */
export async function deleteItem(item, etag, key) {
  await call("DELETE", pathOf(item), { query: { sku: item.sku }, etag, key });
}

/**
 * @param {ItemKey} item
 * @param {Fields} fields
 * @param {string} key
 * @returns {Promise<StockResponse>}
 */
export async function adjustStock(item, fields, key) {
  return stockResponse(await call("POST", `${pathOf(item)}/adjustments`, { body: { sku: item.sku, ...fields }, key }));
}

/**
 * @param {ItemKey} item
 * @param {Fields} fields
 * @param {string} key
 * @returns {Promise<StockResponse>}
 */
export async function countStock(item, fields, key) {
  return stockResponse(await call("POST", `${pathOf(item)}/counts`, { body: { sku: item.sku, ...fields }, key }));
}

/**
 * Return the items of a SKU at all locations, and their total.
 *
 * @param {string} sku
 * @returns {Promise<SkuStock>}
 */
export async function getStock(sku) {
  return (await call("GET", "/stock", { query: { sku } })).body;
}

/**
 * Move units between two items of a SKU.
 *
 * @param {ItemKey} from
 * @param {ItemKey} to
 * @param {Fields} fields
 * @param {string} key
 */
export async function transferStock(from, to, fields, key) {
  const side = ({ item_id, sku } = from) => ({ item_id, sku });
  await call("POST", "/transfers", { body: { from: side(from), to: side(to), ...fields }, key });
}

/**
 * Return a page of an item's ledger, newest movement first.
 *
 * @param {ItemKey} item
 * @param {Filters} [filters] `page_token`, and the times `since` and `until`.
 * @returns {Promise<MovementPage>}
 */
export async function listMovements(item, filters) {
  const query = { ...filters, sku: item.sku, page_size: ROWS };
  return (await call("GET", `${pathOf(item)}/movements`, { query })).body;
}

/**
 * @param {Fields} fields
 * @param {string} key
 * @returns {Promise<Reservation>}
 */
export async function createReservation(fields, key) {
  return (await call("POST", "/reservations", { body: fields, key })).body.reservation;
}

/**
 * @param {string} id
 * @returns {Promise<Reservation>}
 */
export async function getReservation(id) {
  return (await call("GET", `/reservations/${encodeURIComponent(id)}`)).body.reservation;
}

/**
 * @param {string} id
 * @param {"commit"|"release"|"extend"} verb
 * @param {Fields} fields
 * @param {string} key
 * @returns {Promise<Reservation>}
 */
export async function closeOrExtend(id, verb, fields, key) {
  const path = `/reservations/${encodeURIComponent(id)}/${verb}`;
  return (await call("POST", path, { body: fields, key })).body.reservation;
}

/**
 * Create or update up to 25 items, each on its own.
 *
 * @param {Fields[]} items
 * @param {string} key
 * @returns {Promise<RowResult[]>}
 */
export async function batchItems(items, key) {
  return (await call("POST", "/items/batch", { body: { items, mode: "per_row" }, key })).body.results;
}

/** @param {ItemKey} item */
function pathOf({ item_id }) {
  return `/items/${encodeURIComponent(item_id)}`;
}

/**
 * @param {ApiResponse} response
 * @returns {ItemState}
 */
function itemState({ body, etag }) {
  return { item: body.item, etag };
}

/**
 * @param {ApiResponse} response
 * @returns {StockResponse}
 */
function stockResponse({ body, etag }) {
  return { item: body.item, movement: body.movement, etag };
}

/** @typedef {{body: any, etag: string}} ApiResponse A successful response; the ETag is empty if it has none. */

/**
 * @typedef {Object} ApiRequest
 * @property {Record<string, string|number|undefined>} [query] Undefined and empty values are not sent.
 * @property {unknown} [body]
 * @property {string} [key] Idempotency-Key.
 * @property {string} [etag] If-Match.
 * @property {AbortSignal} [signal]
 */

/**
 * Send one request, once.
 *
 * @param {string} method
 * @param {string} path
 * @param {ApiRequest} [request]
 * @returns {Promise<ApiResponse>}
 * @throws {ApiError} The response is an error, or there is none.
 */
async function call(method, path, { query = {}, body, key, etag, signal } = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") parameters.set(name, String(value));
  }
  /** @type {Record<string, string>} */
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key !== undefined) headers["Idempotency-Key"] = key;
  if (etag !== undefined) headers["If-Match"] = etag;
  const url = parameters.size ? `${path}?${parameters}` : path;
  let response;
  let text;
  try {
    response = await send(url, { method, headers, body: JSON.stringify(body), signal });
    text = await response.text();
  } catch (error) {
    throw noAnswer(error);
  }
  const json = parsed(text);
  if (!response.ok) throw new ApiError(response.status, json);
  // A proxy that compresses a response weakens its tag. If-Match takes strong tags only, and the item's state is the same.
  return { body: json, etag: (response.headers.get("ETag") ?? "").replace(/^W\//, "") };
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
