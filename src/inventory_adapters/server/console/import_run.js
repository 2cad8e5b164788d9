/** Send a file to the server, which imports it, and read the report as it comes. */

import { ApiError } from "./api.js";

/**
 * What a person chose for the whole file.
 *
 * @typedef {Object} Choices
 * @property {boolean} [update_stock]
 * @property {boolean} [dry_run]
 * @property {boolean} [accept_warnings]
 * @property {string} [category]
 * @property {string} [location]
 * @property {string} [decimal] "point" or "comma".
 * @property {Object<string, string>} [columns] Names of columns by the fields that they hold.
 */

/**
 * Import a file. Yields the steps of the report: `{import}` once, `{rows, read, size}` now and then, `{summary}` at the end.
 *
 * @param {File} file
 * @param {Choices} choices
 * @param {AbortSignal} signal
 * @throws {ApiError} The file cannot be imported, or the import ended early: rows that are done stay done.
 */
export async function* importFile(file, choices, signal) {
  let answer;
  try {
    answer = await fetch(`/imports?${query(choices)}`, { method: "POST", body: file, signal });
  } catch (error) {
    throw noAnswer(error);
  }
  if (!answer.ok) throw new ApiError(answer.status, await answer.json().catch(() => ({})));
  let isComplete = false;
  for await (const step of steps(answer.body)) {
    if (step.error) throw new ApiError(answer.status, step);
    isComplete ||= Boolean(step.summary);
    yield step;
  }
  if (!isComplete) throw noAnswer();
}

function query({ columns = {}, ...choices }) {
  const given = Object.entries(choices).filter(([, value]) => value !== undefined && value !== "" && value !== false);
  const mapped = Object.entries(columns).map(([field, name]) => ["column", `${field}=${name}`]);
  return new URLSearchParams([...given, ...mapped]);
}

async function* steps(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => Promise.reject(noAnswer(error)));
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) yield JSON.parse(line);
    }
  } finally {
    // A view that is left leaves its import, too.
    reader.cancel().catch(() => {});
  }
}

function noAnswer(error) {
  if (error?.name === "AbortError") return error;
  return new ApiError(0, { error: "The server does not answer. Is it still running?", code: "no_answer" });
}
