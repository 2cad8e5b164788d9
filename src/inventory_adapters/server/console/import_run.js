/** Send a file to the server, which imports it, and read the report as it arrives. */

import { ApiError, noAnswer } from "./api.js";
import { send } from "./key.js";

/**
 * The options for a whole file.
 *
 * @typedef {Object} ImportOptions
 * @property {boolean} [update_stock]
 * @property {boolean} [dry_run]
 * @property {boolean} [accept_warnings]
 * @property {string} [category]
 * @property {string} [location]
 * @property {string} [keep_columns] Names, separated by commas.
 * @property {string} [decimal] "point" or "comma".
 * @property {Record<string, string>} [columns] Column names by field.
 */

/**
 * How the server reads a file.
 *
 * @typedef {Object} Reading
 * @property {string} title
 * @property {string} numbers
 * @property {Record<string, string>} mapping
 * @property {string[]} warnings
 * @property {string[]} notes
 * @property {Record<string, number>} left_out Filled cells by the name of their column.
 * @property {{sku: string, name: string, quantity: number, price: number|null, category: string}[]} samples
 */

/**
 * The result of a row.
 *
 * @typedef {Object} RowResult
 * @property {number} line
 * @property {"created"|"updated"|"unchanged"|"refused"|"skipped"} result
 * @property {string} [sku]
 * @property {string} [location]
 * @property {string} [column]
 * @property {string} [value]
 * @property {string} [reason]
 * @property {string[]} [also]
 * @property {string[]} [notes]
 */

/** @typedef {{import?: Reading, rows?: RowResult[], read?: number, size?: number, summary?: {quantities_left?: number}}} Step */

/**
 * Import a file. Yield the steps of the report: `{import}` once, `{rows, read, size}` repeatedly, and `{summary}` at the end.
 *
 * @param {File} file
 * @param {ImportOptions} options
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Step, void>}
 * @throws {ApiError} The file cannot be imported, or the import ended early; imported rows stay imported.
 */
export async function* importFile(file, options, signal) {
  let response;
  try {
    response = await send(`/imports?${query(options)}`, { method: "POST", body: file, signal });
  } catch (error) {
    throw noAnswer(error);
  }
  if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => ({})));
  if (!response.body) throw noAnswer();
  let isComplete = false;
  for await (const step of steps(response.body)) {
    if (step.error) throw new ApiError(response.status, step);
    isComplete ||= Boolean(step.summary);
    yield step;
  }
  if (!isComplete) throw noAnswer();
}

/** @param {ImportOptions} options */
function query({ columns = {}, ...options }) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && value !== "" && value !== false) parameters.append(name, String(value));
  }
  for (const [field, column] of Object.entries(columns)) parameters.append("column", `${field}=${column}`);
  return parameters;
}

/** @param {ReadableStream<Uint8Array<ArrayBuffer>>} body */
async function* steps(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => Promise.reject(noAnswer(error)));
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) yield JSON.parse(line);
    }
  } finally {
    // When the person leaves the view, the import ends too.
    reader.cancel().catch(() => {});
  }
}
