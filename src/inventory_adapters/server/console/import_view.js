/** Import of a dropped or chosen file, and the report of its rows. */

/** @import { Children } from "./dom.js" */
/** @import { ImportOptions, Reading, RowResult, Step } from "./import_run.js" */
/** @import { UnknownTable } from "./import_mapping.js" */

import { ApiError } from "./api.js";
import { fill, h, newId } from "./dom.js";
import { counted, number } from "./format.js";
import { mappingForm } from "./import_mapping.js";
import { importFile } from "./import_run.js";
import { notice } from "./notices.js";

// The report counts all rows, but shows only this many of each result, because a page cannot show a hundred thousand rows.
const SHOWN_ROWS = 500;
const RESULTS = /** @type {const} */ (["created", "updated", "unchanged", "refused"]);
const TITLES = { refused: "Rejected", created: "Created", updated: "Updated", unchanged: "Unchanged" };

/** @typedef {(typeof RESULTS)[number]} Result */
/** @typedef {Record<Result, number>} Counts */
/** @typedef {(added: ImportOptions) => void} Again Imports the file again with these options added. */

/** @type {File|null} */
let offered = null;
/** @type {((file: File) => void)|null} */
let taker = null;

/**
 * Pass a file dropped on the page to the open import view, or else to the next one.
 *
 * @param {File} file
 */
export function offerFile(file) {
  if (taker) taker(file);
  else offered = file;
}

/** @type {import("./main.js").View} */
export async function importView({ signal }) {
  const report = h("div", {});
  const chooser = h("input", { type: "file", id: newId("file") });
  const options = optionsPart();
  const zone = h(
    "div",
    { class: "drop" },
    h("p", { class: "drop-title" }, "Drop a file here"),
    h("p", {}, "or ", h("label", { for: chooser.id }, "choose one"), ":"),
    chooser,
  );
  let isRunning = false;

  /**
   * @param {File|null|undefined} file
   * @param {ImportOptions} [more]
   */
  async function take(file, more = {}) {
    if (!file || isRunning) return;
    isRunning = true;
    chooser.disabled = true;
    await run(
      file,
      { ...options.chosen(), ...more },
      { signal, report, again: (added) => void take(file, { ...more, ...added }) },
    );
    isRunning = false;
    chooser.disabled = false;
    chooser.value = "";
  }

  chooser.addEventListener("change", () => take(chooser.files?.[0]));
  zone.addEventListener("dragover", () => zone.classList.add("over"));
  for (const type of ["dragleave", "drop"]) zone.addEventListener(type, () => zone.classList.remove("over"));
  const content = h(
    "section",
    { class: "page" },
    h("h1", { tabindex: "-1" }, "Import"),
    h("div", { class: "card writes" }, zone, options.element, help()),
    report,
  );
  taker = take;
  signal.addEventListener("abort", () => (taker = null));
  take(offered);
  offered = null;
  return { title: "Import", content };
}

/** Make the inputs of the options for a whole file. */
function optionsPart() {
  const update = h("input", { type: "checkbox" });
  const dry = h("input", { type: "checkbox" });
  const category = h("input", { type: "text", id: newId("category") });
  const location = h("input", { type: "text", id: newId("location") });
  const keep = h("input", { type: "text", id: newId("keep"), placeholder: "Tags, Weight" });
  const decimals = [
    ["", "as in the file"],
    ["point", "12.50"],
    ["comma", "12,50"],
  ].map(([value, label]) => h("option", { value }, label));
  const decimal = h("select", { id: newId("decimal") }, decimals);
  const row = (/** @type {string} */ label, /** @type {HTMLElement} */ input) =>
    h("div", { class: "field" }, h("label", { for: input.id }, label), input);
  const element = h(
    "div",
    {},
    h("label", { class: "check" }, update, "Also set the quantities of existing items"),
    h("label", { class: "check" }, dry, "Only show what would change"),
    h(
      "details",
      {},
      h("summary", {}, "More options"),
      row("Category of new items without one", category),
      row("Location of rows without one", location),
      row("Further columns to keep as attributes", keep),
      row("Number format", decimal),
    ),
  );
  /** @returns {ImportOptions} */
  const chosen = () => ({
    update_stock: update.checked,
    dry_run: dry.checked,
    category: category.value.trim(),
    location: location.value.trim(),
    keep_columns: keep.value.trim(),
    decimal: decimal.value,
  });
  return { element, chosen };
}

function help() {
  const formats =
    "CSV files and workbooks of Shopify, Square, WooCommerce, Magento, Lightspeed, Odoo and Loyverse, exports of this inventory, " +
    "and any table with SKUs.";
  const rows =
    "A row updates the item with its id, or else with its SKU and location; if there is none, the row creates an item. " +
    "Importing a file again changes nothing twice. For files over 64 MiB: ";
  return h("div", { class: "hint" }, h("p", {}, formats), h("p", {}, rows, h("code", {}, "inventory import FILE"), "."));
}

/**
 * Import *file*, and show its report.
 *
 * @param {File} file
 * @param {ImportOptions} options
 * @param {{signal: AbortSignal, report: HTMLElement, again: Again}} view
 */
async function run(file, options, { signal, report, again }) {
  /** @type {Counts} */
  const counts = { created: 0, updated: 0, unchanged: 0, refused: 0 };
  /** @type {Record<Result, RowResult[]>} */
  const rows = { created: [], updated: [], unchanged: [], refused: [] };
  const progress = h("progress", { "aria-label": `Importing ${file.name}` });
  const tally = h("p", { class: "summary" });
  const notes = h("div", {});
  fill(report, h("section", { class: "card report" }, h("h2", {}, file.name), progress, tally, notes));

  /** @param {Step} step */
  function show(step) {
    if (step.import) fill(notes, ...reading(step.import));
    if (step.summary?.quantities_left) notes.append(quantitiesLeft(step.summary.quantities_left));
    for (const row of step.rows ?? []) {
      if (row.result === "skipped") continue;
      counts[row.result] += 1;
      if (rows[row.result].length < SHOWN_ROWS) rows[row.result].push(row);
    }
    if (step.size) {
      progress.max = step.size;
      progress.value = step.read ?? 0;
    }
    tally.textContent = inWords(counts);
  }

  let failure = null;
  try {
    for await (const step of importFile(file, options, signal)) show(step);
  } catch (error) {
    failure = error;
  }
  if (signal.aborted) return;
  progress.remove();
  tally.textContent = inWords(counts);
  if (failure) notes.append(...failed(failure, counts, again));
  else if (options.dry_run) notice("Nothing was written.");
  else if (counts.refused) notice(`Imported, except ${counted(counts.refused, "rejected row")}.`);
  else notice("All rows were imported.");
  const shown = /** @type {const} */ (["refused", "created", "updated", "unchanged"]).filter((result) => counts[result]);
  notes.append(...shown.map((result) => resultPart(result, rows[result], counts[result])));
}

/**
 * Describe how the file is read.
 *
 * @param {Reading} reading
 * @returns {Children[]}
 */
function reading({ title, numbers, mapping, warnings, notes, left_out, samples }) {
  const columns = Object.entries(mapping).map(([field, name]) => `${field} = ${name}`);
  const leftOut = Object.entries(left_out).map(([name, count]) => `${name} (${number(count)})`);
  const items = samples.map(
    ({ sku, name, quantity, price, category }) => `${sku}, ${name}, ${category}: ${quantity} at ${price ?? 0}`,
  );
  return [
    ...warnings.map((text) => h("p", { class: "refusal" }, text)),
    hint(`${title}; ${numbers}. Columns: ${columns.join(", ")}.`),
    ...notes.map(hint),
    leftOut.length > 0 && hint(`Columns that are not read (filled cells): ${leftOut.join(", ")}.`),
    items.length > 0 && hint(`First items as they would be stored: ${items.join("; ")}`),
  ];
}

/** @param {string} text */
function hint(text) {
  return h("p", { class: "hint" }, text);
}

/** @param {number} count */
function quantitiesLeft(count) {
  return hint(`${counted(count, "quantity differs", "quantities differ")} from the stored stock and did not change.`);
}

/**
 * Return an error of the import, with a way to continue if there is one.
 *
 * @param {unknown} error
 * @param {Counts} counts
 * @param {Again} again
 * @returns {Node[]}
 */
function failed(error, counts, again) {
  const message = error instanceof Error ? error.message : String(error);
  const box = h("p", { class: "refusal", role: "alert" }, message, stopped(counts));
  if (!(error instanceof ApiError)) return [box];
  if (error.code === "unknown_table") {
    const table = /** @type {UnknownTable} */ (error.body);
    return [box, mappingForm(table, (columns) => again({ columns }))];
  }
  if (error.code !== "confirmation_required") return [box];
  return [box, h("button", { type: "button", onclick: () => again({ accept_warnings: true }) }, "Import without them")];
}

/** @param {Counts} counts */
function stopped(counts) {
  const done = RESULTS.reduce((sum, result) => sum + counts[result], 0);
  if (!done) return "";
  return ` The import stopped after ${counted(done, "row")}. Import the file again to continue: imported rows stay imported.`;
}

/** @param {Counts} counts */
function inWords(counts) {
  return RESULTS.map((result) => `${number(counts[result])} ${TITLES[result].toLowerCase()}`).join(" · ");
}

/**
 * @param {Result} result
 * @param {RowResult[]} rows
 * @param {number} count
 */
function resultPart(result, rows, count) {
  const isRejected = result === "refused";
  const heads = ["Line", "SKU", ...(isRejected ? ["Column", "Value", "Reason"] : ["Note"])];
  const head = heads.map((label) => h("th", { scope: "col" }, label));
  const body = rows.map((row) => resultRow(row, isRejected));
  return h(
    "details",
    { class: `outcome outcome-${result}`, open: isRejected },
    h("summary", {}, `${TITLES[result]} (${number(count)})`),
    h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)),
    count > rows.length && hint(`Only the first ${number(rows.length)} are shown.`),
  );
}

/**
 * @param {RowResult} row
 * @param {boolean} isRejected
 */
function resultRow({ line, sku = "", location, column = "", value = "", reason, also = [], notes = [] }, isRejected) {
  const item = sku && location !== "default" ? `${sku} at ${location}` : sku;
  const why = [reason, ...also, ...notes].filter(Boolean).join("; ");
  const cells = [number(line), item, ...(isRejected ? [column, value] : []), why];
  const texts = cells.map((text) => h("td", {}, text));
  return h("tr", {}, texts);
}
