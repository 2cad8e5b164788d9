/** Import of a file that is dropped or chosen, and the report of its rows. */

import { fill, h, newId } from "./dom.js";
import { counted, number } from "./format.js";
import { mappingForm } from "./import_mapping.js";
import { importFile } from "./import_run.js";
import { notice } from "./notices.js";

// The report counts all rows, and shows this many of each kind: a page is no place for a hundred thousand.
const SHOWN_ROWS = 500;
const KINDS = ["created", "updated", "unchanged", "refused"];

let offered = null;
let taker = null;

/** Give a file that was dropped on the page to the import that is open, or else to the next one. */
export function offerFile(file) {
  if (taker) taker(file);
  else offered = file;
}

export async function importView({ signal }) {
  const report = h("div", {});
  const chooser = h("input", { type: "file", id: newId("file"), onchange: () => take(chooser.files[0]) });
  const options = choices();
  const zone = h(
    "div",
    { class: "drop", ondragover: () => zone.classList.add("over"), ondragleave: leave, ondrop: leave },
    h("p", { class: "drop-title" }, "Drop a file here"),
    h("p", {}, "or ", h("label", { for: chooser.id }, "choose one"), ":"),
    chooser,
  );
  let isRunning = false;

  function leave() {
    zone.classList.remove("over");
  }

  async function take(file, more = {}) {
    if (!file || isRunning) return;
    isRunning = true;
    chooser.disabled = true;
    await run(file, { ...options.chosen(), ...more }, { signal, report, again: (added) => take(file, { ...more, ...added }) });
    isRunning = false;
    chooser.disabled = false;
    chooser.value = "";
  }

  const content = h(
    "section",
    { class: "page" },
    h("h1", { tabindex: "-1" }, "Import"),
    h("div", { class: "card" }, zone, options.element, help()),
    report,
  );
  taker = take;
  signal.addEventListener("abort", () => (taker = null));
  take(offered);
  offered = null;
  return { title: "Import", content };
}

/** The choices that hold for a whole file. */
function choices() {
  const checkbox = () => h("input", { type: "checkbox" });
  const update = checkbox();
  const dry = checkbox();
  const text = (label) => {
    const input = h("input", { type: "text", id: newId("choice") });
    return { input, element: h("div", { class: "field" }, h("label", { for: input.id }, label), input) };
  };
  const category = text("Category of new items without one");
  const location = text("Location of rows without one");
  const decimal = h("select", { id: newId("decimal") }, [["", "as in the file"], ["point", "12.50"], ["comma", "12,50"]].map(([value, label]) => h("option", { value }, label)));
  const element = h(
    "div",
    {},
    h("label", { class: "check" }, update, "Also set the quantities of items that are there already"),
    h("label", { class: "check" }, dry, "Only show what would change"),
    h(
      "details",
      {},
      h("summary", {}, "More choices"),
      category.element,
      location.element,
      h("div", { class: "field" }, h("label", { for: decimal.id }, "Numbers are written"), decimal),
    ),
  );
  const chosen = () => ({
    update_stock: update.checked,
    dry_run: dry.checked,
    category: category.input.value.trim(),
    location: location.input.value.trim(),
    decimal: decimal.value,
  });
  return { element, chosen };
}

function help() {
  return h(
    "div",
    { class: "hint" },
    h("p", {}, "CSV files and workbooks of Shopify, Square, WooCommerce, Magento, Lightspeed, Odoo and Loyverse, exports of this page, and any table with SKUs."),
    h("p", {}, "A row finds its item by its id, or else by SKU and location; if there is none, it creates one. Importing a file again changes nothing twice. For files over 64 MiB: ", h("code", {}, "inventory import FILE"), "."),
  );
}

/** Import *file*, and show its report; `again` imports it once more with other choices. */
async function run(file, chosen, { signal, report, again }) {
  const counts = Object.fromEntries(KINDS.map((kind) => [kind, 0]));
  const rows = Object.fromEntries(KINDS.map((kind) => [kind, []]));
  const progress = h("progress", { "aria-label": `Importing ${file.name}` });
  const tally = h("p", { class: "summary" });
  const notes = h("div", {});
  fill(report, h("section", { class: "card report" }, h("h2", {}, file.name), progress, tally, notes));
  let failure = null;
  try {
    for await (const step of importFile(file, chosen, signal)) {
      if (step.import) fill(notes, reading(step.import));
      if (step.summary) notes.append(...notDone(step.summary));
      for (const outcome of step.rows ?? []) {
        if (!(outcome.result in counts)) continue;
        counts[outcome.result] += 1;
        if (rows[outcome.result].length < SHOWN_ROWS) rows[outcome.result].push(outcome);
      }
      if (step.size) {
        progress.max = step.size;
        progress.value = step.read;
      }
      tally.textContent = inWords(counts);
    }
  } catch (error) {
    failure = error;
  }
  if (signal.aborted) return;
  progress.remove();
  tally.textContent = inWords(counts);
  if (failure) notes.append(...failed(failure, counts, again));
  else if (chosen.dry_run) notice("Nothing was written.");
  else notice(counts.refused ? `Done, but for ${counted(counts.refused, "refused row")}.` : "All rows are imported.");
  notes.append(...["refused", "created", "updated", "unchanged"].filter((it) => counts[it]).map((it) => outcomePart(it, rows[it], counts[it])));
}

/** How the file is read, in words. */
function reading({ title, numbers, mapping, warnings, notes, left_out, samples }) {
  const columns = Object.entries(mapping).map(([field, name]) => `${field} = ${name}`);
  const leftOut = Object.entries(left_out).map(([name, count]) => `${name} (${number(count)})`);
  return [
    ...warnings.map((text) => h("p", { class: "refusal" }, text)),
    h("p", { class: "hint" }, `${title}; ${numbers}. Columns: ${columns.join(", ")}.`),
    ...notes.map((text) => h("p", { class: "hint" }, text)),
    leftOut.length && h("p", { class: "hint" }, `Columns that are not read (filled cells): ${leftOut.join(", ")}.`),
    samples.length && h("p", { class: "hint" }, "As they would be stored: ", samples.map(({ sku, name, quantity, price, category }) => `${sku}, ${name}, ${category}: ${quantity} at ${price ?? 0}`).join("; ")),
  ].filter(Boolean);
}

function notDone({ quantities_left }) {
  if (!quantities_left) return [];
  return [h("p", { class: "hint" }, `${counted(quantities_left, "quantity differs", "quantities differ")} from the stored stock, unchanged.`)];
}

function failed(error, counts, again) {
  const box = h("p", { class: "refusal", role: "alert" }, error.message, stopped(counts));
  if (error.code === "unknown_table") return [box, mappingForm(error.body, (columns) => again({ columns }))];
  if (error.code !== "confirmation_required") return [box];
  return [box, h("button", { type: "button", onclick: () => again({ accept_warnings: true }) }, "Import without them")];
}

function stopped(counts) {
  const done = KINDS.reduce((sum, kind) => sum + counts[kind], 0);
  return done ? ` The import stopped after ${counted(done, "row")}. Import the file again to continue: rows that are done stay done.` : "";
}

function inWords(counts) {
  return KINDS.map((kind) => `${number(counts[kind])} ${kind}`).join(" · ");
}

const TITLES = { refused: "Refused", created: "Created", updated: "Updated", unchanged: "Unchanged" };

function outcomePart(kind, rows, count) {
  const isRefused = kind === "refused";
  const heads = ["Line", "SKU", ...(isRefused ? ["Column", "Value"] : []), isRefused ? "Reason" : "Note"];
  return h(
    "details",
    { class: `outcome outcome-${kind}`, open: isRefused },
    h("summary", {}, `${TITLES[kind]} (${number(count)})`),
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, heads.map((label) => h("th", { scope: "col" }, label)))),
      h("tbody", {}, rows.map((row) => outcomeRow(row, isRefused))),
    ),
    count > rows.length && h("p", { class: "hint" }, `The first ${number(rows.length)} of them.`),
  );
}

function outcomeRow({ line, sku, location, column, value, reason, also = [], notes = [] }, isRefused) {
  const item = sku && location !== "default" ? `${sku} at ${location}` : sku;
  const why = [reason, ...also, ...notes].filter(Boolean).join("; ");
  const cells = [number(line), item ?? "", ...(isRefused ? [column ?? "", value ?? ""] : []), why];
  return h("tr", {}, cells.map((text) => h("td", {}, text)));
}
