/** What a row of a file asks for, and, once it is known what is stored, what has to be done about it. */

import { unguarded } from "./csv.js";
import { DETAILS, isSame } from "./details.js";
import { toWhole } from "./forms.js";

const COLUMNS = ["item_id", "sku", "quantity", "version", "seq", ...DETAILS];

/** A file whose header is not one of ours; the message says what to do. */
export class HeaderError extends Error {}

/** A row that cannot be done. */
export class RowError extends Error {
  constructor(message, { column = "", value = "" } = {}) {
    super(message);
    this.column = column;
    this.value = value;
  }
}

/**
 * Read a header.
 *
 * @param {string[]} cells
 * @returns {{width: number, places: Object<string, number>, ignored: string[]}}
 */
export function readHeader(cells) {
  const names = cells.map((cell) => cell.trim().toLowerCase());
  const has = (...wanted) => wanted.some((name) => names.includes(name));
  if (has("variant sku", "url handle", "item name")) {
    throw new HeaderError("This looks like an export of Shopify or Square. “inventory import FILE” in a terminal reads those.");
  }
  if (!has("sku") || !has("item_id", "name")) {
    throw new HeaderError(`The first line has to name the columns: sku and name at least. Known are ${COLUMNS.join(", ")}.`);
  }
  const places = Object.fromEntries(COLUMNS.map((name) => [name, names.indexOf(name)]).filter(([, place]) => place >= 0));
  return { width: cells.length, places, ignored: cells.filter((_, place) => !COLUMNS.includes(names[place])) };
}

/**
 * What a row asks for.
 *
 * @typedef {Object} Wish
 * @property {number} line
 * @property {string} [item_id]
 * @property {string} sku
 * @property {string} location Where the row says that the item is kept, or the default.
 * @property {Object} details By their names on the wire. A blank cell says nothing, but for a description and a reorder point.
 * @property {number|string} [quantity] As a number where it is one; what is none goes to the server, which says so.
 * @property {number|string} [version] The state of the item that the row was exported from.
 * @property {number|string} [seq]
 */

/**
 * @param {{width: number, places: Object<string, number>}} header
 * @param {{line: number, cells: string[]}} record
 * @returns {Wish}
 */
export function readRow(header, { line, cells }) {
  if (cells.length !== header.width) {
    throw new RowError(`The row has ${cells.length} cells, but the header has ${header.width}.`);
  }
  const cell = (name) => unguarded(cells[header.places[name]] ?? "");
  const whole = (name) => (cell(name).trim() === "" ? undefined : toWhole(cell(name)));
  const details = {};
  for (const name of DETAILS.filter((it) => it in header.places)) {
    const text = cell(name);
    if (name === "reorder_point") details[name] = whole(name) ?? null;
    else if (name === "price" && text) details[name] = text.trim();
    else if (text || name === "description") details[name] = text;
  }
  const sku = cell("sku");
  if (!sku.trim()) throw new RowError("The row has no SKU.", { column: "sku" });
  return {
    line,
    item_id: cell("item_id") || undefined,
    sku,
    location: details.location ?? "default",
    details,
    quantity: whole("quantity"),
    version: whole("version"),
    seq: whole("seq"),
  };
}

/** Rows with the same identity must not be under way together: the later one has to see what the earlier one did. */
export function identityOf({ item_id, sku, location }) {
  return JSON.stringify(item_id ? [item_id, sku] : [sku, location]);
}

/**
 * Decide what to send for a wish.
 *
 * @param {Wish} wish
 * @param {{item: Object, etag: string}|null} stored The item that it speaks of.
 * @param {{updateStock: boolean}} options
 * @returns {{action: "create"|"update"|"unchanged", row?: Object, note?: string}} *row*: for the batch.
 */
export function decide(wish, stored, { updateStock }) {
  if (!stored) return { action: "create", row: { sku: wish.sku, quantity: 0, ...wish.details, ...only("quantity", wish.quantity) } };
  const { item, etag } = stored;
  const edits = Object.fromEntries(Object.entries(wish.details).filter(([name, value]) => !isSame(name, item[name], value)));
  const [, version, seq] = /^"(\d+)-(\d+)"$/.exec(etag).map(Number);
  if (Object.keys(edits).length && wish.version !== undefined && wish.version !== version) {
    throw new RowError("The item was edited after it was exported; export it again.", { column: "version", value: wish.version });
  }
  const differs = wish.quantity !== undefined && wish.quantity !== item.quantity;
  if (differs && updateStock) {
    if (wish.seq !== undefined && wish.seq !== seq) {
      throw new RowError("The stock moved after it was exported; export it again.", { column: "seq", value: wish.seq });
    }
    edits.quantity = wish.quantity;
  }
  const note = differs && !updateStock ? `On hand stays ${item.quantity}; the file says ${wish.quantity}.` : undefined;
  if (Object.keys(edits).length === 0) return { action: "unchanged", note };
  return { action: "update", note, row: { item_id: item.item_id, sku: item.sku, if_match: etag, ...edits } };
}

function only(name, value) {
  return value === undefined ? {} : { [name]: value };
}
