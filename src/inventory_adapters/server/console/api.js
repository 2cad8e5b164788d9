/** The public HTTP API, and nothing else: one function a call, one error for whatever is refused. */

const ROWS = 50;

/** What the server refused, in its own words. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 where there was no answer at all.
   * @param {Object} body `{error, code, details?, ...numbers}`
   */
  constructor(status, body) {
    super(body.error ?? `The server answered with status ${status}.`);
    this.status = status;
    this.code = body.code ?? "";
    this.details = body.details ?? [];
    this.body = body;
  }

  /** Whether the same request may well succeed later. Sent again under its key, it has no second effect. */
  get isPassing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Return a new Idempotency-Key. (`crypto.randomUUID` is missing from pages that another machine opens over plain HTTP.) */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Yield the pages of `GET /items`: `{items, next_page_token?}`. A page may be empty; only the last one has no token. */
export async function* itemPages(filters, { token, signal } = {}) {
  let next = token;
  do {
    const query = { ...filters, page_size: ROWS, page_token: next };
    const { body } = await call("GET", "/items", { query, signal });
    next = body.next_page_token;
    yield body;
  } while (next);
}

/** Return all items that pass *filters*; for those that few do. */
export async function findItems(filters) {
  const found = [];
  for await (const page of itemPages(filters)) found.push(...page.items);
  return found;
}

/** Return an item with the tag of its state: `{item, etag}`; so do the functions that change one, those of stock with its `movement`. */
export async function getItem(key) {
  return shown(await call("GET", pathOf(key), { query: { sku: key.sku } }));
}

export async function createItem(fields, key) {
  return shown(await call("POST", "/items", { body: fields, key }));
}

export async function updateItem(key, fields, etag) {
  return shown(await call("PUT", pathOf(key), { body: { sku: key.sku, ...fields }, etag }));
}

export async function deleteItem(key, etag) {
  await call("DELETE", pathOf(key), { query: { sku: key.sku }, etag });
}

export async function adjustStock({ item_id, sku }, fields, key) {
  return shown(await call("POST", `${pathOf({ item_id })}/adjustments`, { body: { sku, ...fields }, key }));
}

export async function countStock({ item_id, sku }, fields, key) {
  return shown(await call("POST", `${pathOf({ item_id })}/counts`, { body: { sku, ...fields }, key }));
}

/** Return a page of an item's ledger, newest first: `{movements, next_page_token?}`. */
export async function listMovements(key, token) {
  const query = { sku: key.sku, page_size: ROWS, page_token: token };
  return (await call("GET", `${pathOf(key)}/movements`, { query })).body;
}

/** Create and update up to 25 items, each for itself, and return what became of each. */
export async function batchItems(items, key) {
  return (await call("POST", "/items/batch", { body: { items, mode: "per_row" }, key })).body.results;
}

export async function createReservation(fields, key) {
  return (await call("POST", "/reservations", { body: fields, key })).body.reservation;
}

export async function getReservation(id) {
  return (await call("GET", `/reservations/${encodeURIComponent(id)}`)).body.reservation;
}

/** @param {"commit"|"release"|"extend"} verb */
export async function closeOrExtend(id, verb, fields, key) {
  const path = `/reservations/${encodeURIComponent(id)}/${verb}`;
  return (await call("POST", path, { body: fields, key })).body.reservation;
}

function pathOf({ item_id }) {
  return `/items/${encodeURIComponent(item_id)}`;
}

function shown({ body, etag }) {
  return { item: body.item, movement: body.movement, etag };
}

async function call(method, path, { query = {}, body, key, etag, signal } = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const search = given.length ? `?${new URLSearchParams(given)}` : "";
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key !== undefined) headers["Idempotency-Key"] = key;
  if (etag !== undefined) headers["If-Match"] = etag;
  let answer;
  let text;
  try {
    answer = await fetch(path + search, { method, headers, body: JSON.stringify(body), signal });
    text = await answer.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { error: "The server does not answer. Is it still running?", code: "no_answer" });
  }
  const read = parsed(text);
  if (!answer.ok) throw new ApiError(answer.status, read);
  // A proxy that compresses the response weakens its tag; the item is in the same state, and If-Match takes strong tags only.
  return { body: read, etag: answer.headers.get("ETag")?.replace(/^W\//, "") };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
