/**
 * Bring a CSV file onto the books, 25 rows at a time. What a row means is decided on what is stored at that moment, and every
 * update is guarded by it; so a run that was broken off is simply started again.
 */

import { batchItems, findItems, getItem, newKey } from "./api.js";
import { csvRecords } from "./csv.js";
import { decide, HeaderError, identityOf, readHeader, readRow, RowError } from "./import_rows.js";

const ROWS_A_BATCH = 25;
const TRIES = 4;
const FIRST_PAUSE_MS = 500;

/**
 * What became of a row.
 *
 * @typedef {Object} Outcome
 * @property {number} line
 * @property {"created"|"updated"|"unchanged"|"refused"} what
 * @property {string} [sku]
 * @property {string} [column]
 * @property {string} [value]
 * @property {string} [reason]
 */

/**
 * Import a file, and yield what becomes of its rows: `{outcomes, bytes}` now and then, after `{ignored}` once.
 *
 * @param {File} file
 * @param {{updateStock: boolean, signal: AbortSignal}} options
 * @throws {HeaderError|CsvError|ApiError} The run ends here; what was done before stands.
 */
export async function* importFile(file, options) {
  let header;
  let waiting = new Map();
  for await (const record of csvRecords(file)) {
    if (options.signal.aborted) return;
    if (!header) {
      header = readHeader(record.cells);
      yield { ignored: header.ignored };
      continue;
    }
    let wish;
    try {
      wish = readRow(header, record);
    } catch (error) {
      yield { outcomes: [refusedRow(record.line, error)], bytes: record.bytes };
      continue;
    }
    const identity = identityOf(wish);
    if (waiting.size === ROWS_A_BATCH || waiting.has(identity)) {
      yield { outcomes: await applied([...waiting.values()], options), bytes: record.bytes };
      waiting = new Map();
    }
    waiting.set(identity, wish);
  }
  if (!header) throw new HeaderError("The file is empty.");
  if (options.signal.aborted) return;
  if (waiting.size) yield { outcomes: await applied([...waiting.values()], options), bytes: file.size };
}

/** Send what has to be sent for *wishes*, and return their outcomes. */
async function applied(wishes, options) {
  const outcomes = [];
  const toSend = [];
  const seen = new Set();
  const found = await Promise.all(wishes.map((wish) => stored(wish).catch((error) => error)));
  wishes.forEach((wish, place) => {
    const { line, sku } = wish;
    try {
      if (found[place] instanceof Error) throw found[place];
      const { action, row, note } = decide(wish, found[place], options);
      if (action === "unchanged") outcomes.push({ line, what: "unchanged", sku, reason: note });
      else if (row.item_id && seen.has(row.item_id)) throw new RowError("The rows before it speak of the same item.");
      else toSend.push({ wish, row, action, note });
      if (row?.item_id) seen.add(row.item_id);
    } catch (error) {
      outcomes.push(refusedRow(line, error, wish));
    }
  });
  if (toSend.length) outcomes.push(...(await sent(toSend)));
  return outcomes.sort((a, b) => a.line - b.line);
}

/** Return the item that a wish speaks of, with the tag of its state; null where there is none yet. */
async function stored({ item_id, sku, location }) {
  if (item_id) return patiently(() => getItem({ item_id, sku }));
  const items = await patiently(() => findItems({ sku, location }));
  if (items.length > 1) {
    throw new RowError(`${items.length} items have this SKU at ${location}; say which one by its item_id.`, { column: "sku", value: sku });
  }
  return items.length ? patiently(() => getItem(items[0])) : null;
}

async function sent(rows) {
  const key = newKey();
  const results = await patiently(() => batchItems(rows.map(({ row }) => row), key));
  return results.map((result, place) => {
    const { wish, action, note } = rows[place];
    if (result.error) return refusedResult(wish, result);
    return { line: wish.line, what: action === "create" ? "created" : "updated", sku: wish.sku, reason: note };
  });
}

/** Try again for a while where that may help; a batch goes under one key, so it is done once however often it is sent. */
async function patiently(send) {
  for (let tries = 1, pause = FIRST_PAUSE_MS; ; tries += 1, pause *= 2) {
    try {
      return await send();
    } catch (error) {
      if (!error.isPassing || tries === TRIES) throw error;
      await new Promise((resume) => setTimeout(resume, pause));
    }
  }
}

function refusedResult({ line, sku, details, quantity }, result) {
  const [first, ...more] = result.details ?? [];
  const values = { sku, quantity, ...details };
  return {
    line,
    what: "refused",
    sku,
    column: first?.field ?? "",
    value: String(values[first?.field] ?? ""),
    reason: first ? [first.message, ...more.map((it) => `${it.field} ${it.message}`)].join("; ") : result.error,
  };
}

function refusedRow(line, error, wish = {}) {
  const isTheRows = error instanceof RowError || (error.status >= 400 && !error.isPassing);
  if (!isTheRows) throw error;
  return { line, what: "refused", sku: wish.sku ?? "", column: error.column ?? "", value: String(error.value ?? ""), reason: error.message };
}
