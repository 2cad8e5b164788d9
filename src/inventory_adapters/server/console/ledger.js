/** The ledger of an item: a chart of its balances and a table of its movements, of all times or of some days. */

/** @import { ApiError, ItemKey, Movement } from "./api.js" */
/** @import { Child, Children } from "./dom.js" */
/** @import { OwnChange } from "./session.js" */

import { asApiError, getStockAt, listMovements } from "./api.js";
import { fill, h, newId } from "./dom.js";
import { counted, day, kindName, number, signed, time } from "./format.js";
import { errorBox, notice } from "./notices.js";
import { addressOfReservation } from "./places.js";
import { stepChart } from "./step_chart.js";
import { undo, undoable } from "./undo.js";

/**
 * Make the ledger's part of the page; `refresh` adds new movements.
 *
 * @param {ItemKey} item
 * @param {() => void} changed Called after an undo.
 */
export function ledgerPart(item, changed) {
  const problems = h("div", { class: "problems" });
  const balance = h("p", { class: "balance", role: "status" });
  const body = h("div", { class: "ledger-body" });
  const since = h("input", { type: "date", id: newId("since") });
  const until = h("input", { type: "date", id: newId("until") });
  const element = h(
    "section",
    { class: "card ledger", "aria-label": "Ledger" },
    h("div", { class: "heading" }, h("h2", {}, "Ledger"), legend()),
    h(
      "form",
      { class: "period", "aria-label": "Days", onsubmit: choose },
      h("div", { class: "field" }, h("label", { for: since.id }, "From"), since),
      h("div", { class: "field" }, h("label", { for: until.id }, "Until the end of"), until),
      h("button", { type: "submit" }, "Show"),
    ),
    balance,
    problems,
    body,
  );
  /** @type {{since?: string, until?: string}} */
  let period = {};
  /** @type {Movement[]} */
  let movements = [];
  /** @type {string|undefined} */
  let token;

  /** @param {SubmitEvent} event */
  function choose(event) {
    event.preventDefault();
    period = { since: since.value && startOf(since.value), until: until.value && endOf(until.value) };
    movements = [];
    token = undefined;
    refresh();
  }

  async function refresh() {
    const asked = period;
    await show(async () => {
      const [page, at] = await Promise.all([
        listMovements(item, asked),
        asked.until ? getStockAt(item, asked.until) : undefined,
      ]);
      // Other days were chosen meanwhile.
      if (asked !== period) return;
      const last = movements[0]?.seq ?? -1;
      const added = page.movements.filter(({ seq }) => seq > last);
      if (added.length < page.movements.length) {
        // Movements never change, so all loaded ones are kept, including older ones.
        movements = [...added, ...movements];
      } else {
        movements = page.movements;
        token = page.next_page_token;
      }
      balance.textContent = asked.until ? `At the end of ${day(asked.until)}: ${inWords(at)}` : "";
    });
  }

  async function loadOlder() {
    await show(async () => {
      const page = await listMovements(item, { ...period, page_token: token });
      movements = [...movements, ...page.movements];
      token = page.next_page_token;
    });
  }

  /** @param {() => Promise<void>} load */
  async function show(load) {
    try {
      await load();
    } catch (error) {
      showProblem(asApiError(error), h("button", { type: "button", onclick: refresh }, "Try again"));
      return;
    }
    fill(problems);
    const own = undoable(item, movements);
    const button = own && h("button", { type: "button", class: "quiet undo writes", onclick: () => takeBack(own) }, "Undo");
    fill(
      body,
      stepChart(movements.toReversed()),
      movements.length > 0 && movementTable(movements, (movement) => movement.seq === own?.seq && button),
      token && h("p", {}, h("button", { type: "button", onclick: loadOlder }, "Load older movements")),
    );
  }

  /** @param {OwnChange} change */
  async function takeBack(change) {
    try {
      await undo(item, change);
    } catch (reason) {
      const error = asApiError(reason);
      const isGone = error.code === "insufficient_stock";
      showProblem(error, isGone && h("p", {}, "The units are not available any more, so this cannot be undone."));
      return;
    }
    notice("Undone.");
    changed();
  }

  /**
   * @param {ApiError} error
   * @param {Child} more
   */
  function showProblem(error, more) {
    fill(problems, errorBox(error, more));
  }

  return { element, refresh };
}

/**
 * Return the first moment of a day in the person's time zone.
 *
 * @param {string} date
 */
function startOf(date) {
  return new Date(`${date}T00:00`).toISOString();
}

/**
 * Return the last moment of a day in the person's time zone.
 *
 * @param {string} date
 */
function endOf(date) {
  const next = new Date(`${date}T00:00`);
  next.setDate(next.getDate() + 1);
  // The server records microseconds.
  return new Date(next.getTime() - 1).toISOString().replace("Z", "999Z");
}

/** @param {{quantity: number, reserved: number, available: number}|null|undefined} at */
function inWords(at) {
  if (!at) return "the item did not exist yet.";
  return `${number(at.quantity)} on hand, ${number(at.reserved)} reserved, ${number(at.available)} available.`;
}

function legend() {
  const entry = (/** @type {string} */ kind, /** @type {string} */ label) =>
    h("span", {}, h("span", { class: `swatch swatch-${kind}`, "aria-hidden": "true" }), label);
  return h(
    "p",
    { class: "legend" },
    entry("on-hand", "On hand"),
    entry("available", "Available"),
    entry("reserved", "Reserved"),
  );
}

/**
 * @param {Movement[]} movements
 * @param {(movement: Movement) => Child} actionOn
 */
function movementTable(movements, actionOn) {
  const heads = [
    ["When", "wide"],
    ["Movement", ""],
    ["On hand", "number"],
    ["Reserved", "number"],
    ["Who", "who wide"],
    ["Reason", "why wide"],
  ].map(([label, classes]) => h("th", { scope: "col", class: classes }, label));
  return h(
    "table",
    { class: "movements" },
    h("caption", { class: "hidden" }, `${counted(movements.length, "movement")}, newest first`),
    h("thead", {}, h("tr", {}, heads)),
    h(
      "tbody",
      {},
      movements.map((movement) => movementRow(movement, actionOn(movement))),
    ),
  );
}

/**
 * @param {Movement} movement
 * @param {Child} action
 */
function movementRow(movement, action) {
  const when = time(movement.recorded_at);
  return h(
    "tr",
    {},
    h("td", { class: "when wide" }, h("time", { datetime: movement.recorded_at }, when)),
    h(
      "th",
      { scope: "row" },
      kindName(movement.kind),
      h("span", { class: "more narrow" }, when),
      h("span", { class: "more narrow" }, movement.actor),
      h("span", { class: "more narrow" }, reasonOf(movement)),
      action,
    ),
    balanceCell(movement.on_hand, movement.delta_on_hand),
    balanceCell(movement.reserved, movement.delta_reserved),
    h("td", { class: "who wide" }, movement.actor),
    h("td", { class: "why wide" }, reasonOf(movement)),
  );
}

/**
 * @param {Movement} movement
 * @returns {Children}
 */
function reasonOf({ reason, reference, reservation_id }) {
  const text = [reason, reference].filter(Boolean).join(" · ");
  if (!reservation_id) return text;
  // The first characters of the id are enough to tell reservations apart.
  const link = h("a", { href: addressOfReservation(reservation_id) }, `reservation ${reservation_id.slice(0, 8)}`);
  return [text && `${text} · `, link];
}

/**
 * @param {number} after
 * @param {number} delta
 */
function balanceCell(after, delta) {
  const change = delta !== 0 && h("span", { class: delta < 0 ? "delta minus" : "delta" }, signed(delta));
  return h("td", { class: "number" }, change, number(after));
}
