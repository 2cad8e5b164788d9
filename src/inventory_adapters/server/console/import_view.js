/** Import of a CSV file that is dropped or chosen, and the report of what became of its rows. */

import { fill, h, newId } from "./dom.js";
import { counted, number } from "./format.js";
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
  const updateStock = h("input", { type: "checkbox", id: newId("update") });
  const chooser = h("input", { type: "file", id: newId("file"), accept: ".csv,.tsv,.txt,text/csv", onchange: () => take(chooser.files[0]) });
  const zone = h(
    "div",
    { class: "drop", ondragover: () => zone.classList.add("over"), ondragleave: leave, ondrop: leave },
    h("p", { class: "drop-title" }, "Drop a CSV file here"),
    h("p", {}, "or ", h("label", { for: chooser.id }, "choose one"), ":"),
    chooser,
  );
  let isRunning = false;

  function leave() {
    zone.classList.remove("over");
  }

  async function take(file) {
    if (!file || isRunning) return;
    isRunning = true;
    chooser.disabled = true;
    await run(file, { updateStock: updateStock.checked, signal }, report);
    isRunning = false;
    chooser.disabled = false;
    chooser.value = "";
  }

  const content = h(
    "section",
    { class: "page" },
    h("h1", { tabindex: "-1" }, "Import"),
    h("div", { class: "card" }, zone, h("label", { class: "check" }, updateStock, "Also set the quantities of items that are there already"), help()),
    report,
  );
  taker = take;
  signal.addEventListener("abort", () => (taker = null));
  take(offered);
  offered = null;
  return { title: "Import", content };
}

function help() {
  const code = (text) => h("code", {}, text);
  return h(
    "div",
    { class: "hint" },
    h("p", {}, "The first line names the columns: ", code("sku"), " and ", code("name"), ", and for new items ", code("category"), "; and where you have them ", code("quantity"), ", ", code("price"), ", ", code("location"), ", ", code("reorder_point"), ", ", code("status"), ", ", code("description"), "."),
    h("p", {}, "A row finds its item by ", code("item_id"), ", or else by SKU and location; where there is none, it makes one. Importing a file again changes nothing twice. For very large files, and for exports of Shopify or Square: ", code("inventory import FILE"), "."),
  );
}

async function run(file, options, report) {
  const counts = Object.fromEntries(KINDS.map((kind) => [kind, 0]));
  const rows = Object.fromEntries(KINDS.map((kind) => [kind, []]));
  const progress = h("progress", { max: Math.max(file.size, 1), value: 0, "aria-label": `Importing ${file.name}` });
  const tally = h("p", { class: "summary" });
  const notes = h("div", {});
  fill(report, h("section", { class: "card report" }, h("h2", {}, file.name), progress, tally, notes));
  let failure = null;
  try {
    for await (const { ignored, outcomes = [], bytes = 0 } of importFile(file, options)) {
      if (ignored?.length) fill(notes, h("p", { class: "hint" }, `Columns that are not read: ${ignored.join(", ")}.`));
      for (const outcome of outcomes) {
        counts[outcome.what] += 1;
        if (rows[outcome.what].length < SHOWN_ROWS) rows[outcome.what].push(outcome);
      }
      progress.value = bytes;
      tally.textContent = inWords(counts);
    }
  } catch (error) {
    failure = error;
  }
  if (options.signal.aborted) return;
  progress.remove();
  Object.values(rows).forEach((found) => found.sort((a, b) => a.line - b.line));
  tally.textContent = inWords(counts);
  if (failure) notes.append(h("p", { class: "refusal", role: "alert" }, failure.message, stopped(counts)));
  else notice(counts.refused ? `Done, but for ${counted(counts.refused, "refused row")}.` : "All rows are imported.");
  notes.append(...["refused", "created", "updated", "unchanged"].filter((it) => counts[it]).map((it) => outcomePart(it, rows[it], counts[it])));
}

function stopped(counts) {
  const done = KINDS.reduce((sum, kind) => sum + counts[kind], 0);
  return done ? ` The import stopped after ${counted(done, "row")}. Import the file again to go on: what is done stays as it is.` : "";
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

function outcomeRow({ line, sku, column, value, reason }, isRefused) {
  const cells = [number(line), sku, ...(isRefused ? [column, value] : []), reason ?? ""];
  return h("tr", {}, cells.map((text) => h("td", {}, text)));
}
