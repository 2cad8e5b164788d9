/** A stocktake: scan, count, next. The sheet of all counts is kept in this tab until it is saved. */

/** @import { Item } from "./api.js" */
/** @import { CountedRow } from "./session.js" */

import { asApiError, countStock, newKey } from "./api.js";
import { fill, h, newId } from "./dom.js";
import { counted, number, signed, today } from "./format.js";
import { makeField, makeForm } from "./forms.js";
import { errorBox, notice } from "./notices.js";
import { addressOf } from "./places.js";
import { itemsWithCode, takeCodes, takeScans } from "./scan.js";
import { keepOwnChange, setSheet, sheetRows } from "./session.js";

/** The location that is counted; empty for all. It stays while the page is open. */
let place = "";

/** @type {import("./main.js").View} */
export async function stocktakeView({ signal }) {
  const code = makeField({ name: "code", label: "SKU or barcode", required: true });
  const where = h("input", { type: "text", id: newId("place"), value: place, placeholder: "Any" });
  const counting = h("div", { class: "counting" });
  const sheet = h("div", {});
  const finder = h(
    "form",
    { class: "lookup", "aria-label": "Find an item", novalidate: true, autocomplete: "off", onsubmit: submit },
    code.element,
    h("button", { type: "submit" }, "Find"),
  );
  const todo = h(
    "div",
    { class: "card todo writes" },
    h("h2", {}, "Count"),
    h("div", { class: "field place-field" }, h("label", { for: where.id }, "Location"), where),
    finder,
    counting,
  );
  where.addEventListener("change", () => (place = where.value.trim()));
  takeScans(find, signal);
  takeCodes(counting);

  /** @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    find(code.input.value.trim());
  }

  /** @param {string} text */
  async function find(text) {
    if (!text) return;
    code.input.value = "";
    try {
      const items = (await itemsWithCode(text)).filter(({ location }) => !place || location === place);
      if (items.length === 1) ask(items[0]);
      else if (items.length) fill(counting, ...items.map(choice));
      else showNone(text);
      counting.querySelector("button")?.focus();
      counting.querySelector("input")?.focus();
    } catch (error) {
      fill(counting, errorBox(asApiError(error)));
      code.input.focus();
    }
  }

  /** @param {string} text */
  function showNone(text) {
    const at = place && ` at ${place}`;
    fill(counting, h("p", { class: "refusal", role: "alert" }, `No item${at} has the SKU or barcode “${text}”.`));
    code.input.focus();
  }

  /** @param {Item} item */
  function choice(item) {
    const take = () => {
      ask(item);
      counting.querySelector("input")?.focus();
    };
    return h("button", { type: "button", onclick: take }, item.location);
  }

  /**
   * Ask for the count. The quantity on hand is not shown, so that it is counted and not confirmed.
   *
   * @param {Item} item
   */
  function ask(item) {
    const before = sheetRows().find((row) => isOf(row, item));
    const field = makeField({
      name: "counted",
      label: `${item.name} (${item.sku}, ${item.location})`,
      kind: "integer",
      required: true,
      hint: before
        ? `Counted ${number(before.counted)} before. +3 adds 3; another number replaces it.`
        : "Units counted. Enter takes it.",
    });

    /** @param {SubmitEvent} event */
    function take(event) {
      event.preventDefault();
      const text = field.input.value.trim();
      if (!/^\+?\d{1,10}$/.test(text)) return field.input.focus();
      const added = text.startsWith("+") && before ? before.counted : 0;
      enter(item, added + Number(text));
      fill(counting);
      code.input.focus();
    }

    fill(
      counting,
      h(
        "form",
        { "aria-label": "Count", novalidate: true, autocomplete: "off", onsubmit: take },
        field.element,
        h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Next")),
      ),
    );
  }

  /**
   * @param {Item} item
   * @param {number} units
   */
  function enter({ item_id, sku, name, location, quantity }, units) {
    const row = { item_id, sku, name, location, expected: quantity, counted: units, key: newKey() };
    setSheet([row, ...sheetRows().filter((other) => !isOf(other, row))]);
    notice(`${name}: ${counted(units, "unit")}.`);
    showSheet();
  }

  function showSheet() {
    fill(sheet, sheetPart(showSheet));
  }

  showSheet();
  const content = h(
    "section",
    { class: "page" },
    h("h1", { tabindex: "-1" }, "Stocktake"),
    h("div", { class: "columns" }, todo, h("section", { class: "card sheet", "aria-label": "Sheet" }, sheet)),
  );
  return { title: "Stocktake", content };
}

/**
 * @param {CountedRow} row
 * @param {{item_id: string, sku: string}} item
 */
const isOf = (row, item) => row.item_id === item.item_id && row.sku === item.sku;

/** @param {CountedRow} row */
const differenceOf = (row) => row.counted - row.expected;

/** @param {() => void} redraw */
function sheetPart(redraw) {
  const rows = sheetRows();
  if (!rows.length)
    return h(
      "p",
      { class: "hint" },
      "Scan or type a code, and enter the units that are there. The sheet lists what was counted.",
    );
  const differing = rows.filter(differenceOf);
  const unsaved = rows.filter((row) => !row.isSaved);
  const onlyDiffering = h("input", { type: "checkbox", onchange: () => showRows() });
  const body = h("tbody", {});

  function showRows() {
    fill(
      body,
      (onlyDiffering.checked ? differing : rows).map((row) => sheetRow(row, redraw)),
    );
  }

  function clear() {
    setSheet([]);
    redraw();
  }

  showRows();
  const heads = [
    ["Item", ""],
    ["Expected", "number wide"],
    ["Counted", "number"],
    ["Difference", "number"],
  ].map(([label, classes]) => h("th", { scope: "col", class: classes }, label));
  return [
    h(
      "div",
      { class: "heading" },
      h("h2", {}, "Sheet"),
      h("p", { class: "summary", role: "status" }, `${number(rows.length)} counted · ${number(differing.length)} differ`),
      h("label", { class: "check" }, onlyDiffering, "Only differences"),
    ),
    h("table", {}, h("thead", {}, h("tr", {}, heads, h("td", {}))), body),
    unsaved.length > 0 ? saveForm(unsaved.length, redraw) : h("button", { type: "button", onclick: clear }, "New sheet"),
  ];
}

/**
 * @param {CountedRow} row
 * @param {() => void} redraw
 */
function sheetRow(row, redraw) {
  const difference = differenceOf(row);
  const remove = () => {
    setSheet(sheetRows().filter((other) => !isOf(other, row)));
    redraw();
  };
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("a", { href: addressOf(row) }, row.name),
      h("span", { class: "more" }, ` ${row.sku} · ${row.location}`),
      row.problem && h("span", { class: "problem" }, row.problem),
    ),
    h("td", { class: "number wide" }, number(row.expected)),
    h("td", { class: "number" }, number(row.counted)),
    h("td", { class: difference ? "number" : "number same" }, signed(difference)),
    h(
      "td",
      {},
      row.isSaved
        ? h("span", { class: "state" }, "Saved")
        : h("button", { type: "button", class: "quiet", "aria-label": `Remove ${row.name}`, onclick: remove }, "✕"),
    ),
  );
}

/**
 * Make the form that saves the counts, all with one reason. A count is rejected if the stock has changed since.
 *
 * @param {number} count
 * @param {() => void} redraw
 */
function saveForm(count, redraw) {
  return makeForm({
    label: "Save the counts",
    fields: [{ name: "reason", label: "Reason", value: `stocktake ${today()}`, hint: "The same for all counts." }],
    action: `Save ${counted(count, "count")}`,
    send: async ({ reason }) => {
      // Each row has its own key, which outlives the page, so a second try counts nothing twice.
      for (const row of sheetRows().filter(({ isSaved }) => !isSaved)) mark(row, await save(row, reason));
    },
    done: () => {
      const problems = sheetRows().filter(({ problem }) => problem).length;
      notice(problems ? `Saved, except ${counted(problems, "count")}.` : "All counts were saved.");
      redraw();
    },
  });
}

/**
 * Save a count. Return the reason if it was rejected; throw only errors that may pass.
 *
 * @param {CountedRow} row
 * @param {unknown} reason
 */
async function save(row, reason) {
  try {
    const fields = { quantity: row.counted, expected_quantity: row.expected, reason };
    const { movement } = await countStock(row, fields, row.key);
    keepOwnChange(row, { seq: movement.seq, delta: movement.delta_on_hand });
    return undefined;
  } catch (reason) {
    const error = asApiError(reason);
    if (error.isRetryable) throw error;
    // An earlier try whose answer was lost did save it, with the reason of then.
    if (error.code === "idempotency_key_reused") return undefined;
    return error.code === "stale_quantity" ? `${error.message}. Count it again.` : error.message;
  }
}

/**
 * Keep the result of a row.
 *
 * @param {CountedRow} row
 * @param {string} [problem]
 */
function mark(row, problem) {
  setSheet(sheetRows().map((other) => (other.key === row.key ? { ...other, isSaved: !problem, problem } : other)));
}
