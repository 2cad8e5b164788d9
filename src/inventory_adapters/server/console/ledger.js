/** The ledger of an item: a chart of its balances, and a table of its movements. */

/** @import { ItemKey, Movement } from "./api.js" */
/** @import { Children } from "./dom.js" */

import { asApiError, listMovements } from "./api.js";
import { fill, h } from "./dom.js";
import { counted, kindName, number, signed, time } from "./format.js";
import { errorBox } from "./notices.js";
import { addressOfReservation } from "./places.js";
import { stepChart } from "./step_chart.js";

/**
 * Make the ledger's part of the page; `refresh` adds new movements.
 *
 * @param {ItemKey} item
 */
export function ledgerPart(item) {
  const element = h("section", { class: "card ledger", "aria-label": "Ledger" });
  /** @type {Movement[]} */
  let movements = [];
  /** @type {string|undefined} */
  let token;

  async function refresh() {
    await show(async () => {
      const page = await listMovements(item);
      const last = movements[0]?.seq ?? -1;
      const added = page.movements.filter(({ seq }) => seq > last);
      if (added.length < page.movements.length) {
        // Movements never change, so all loaded ones are kept, including older ones.
        movements = [...added, ...movements];
      } else {
        movements = page.movements;
        token = page.next_page_token;
      }
    });
  }

  async function loadOlder() {
    await show(async () => {
      const page = await listMovements(item, token);
      movements = [...movements, ...page.movements];
      token = page.next_page_token;
    });
  }

  /** @param {() => Promise<void>} load */
  async function show(load) {
    try {
      await load();
    } catch (error) {
      const tryAgain = h("button", { type: "button", onclick: refresh }, "Try again");
      fill(element, h("h2", {}, "Ledger"), errorBox(asApiError(error), tryAgain));
      return;
    }
    fill(
      element,
      h("div", { class: "heading" }, h("h2", {}, "Ledger"), legend()),
      stepChart(movements.toReversed()),
      movementTable(movements),
      token && h("p", {}, h("button", { type: "button", onclick: loadOlder }, "Load older movements")),
    );
  }

  return { element, refresh };
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

/** @param {Movement[]} movements */
function movementTable(movements) {
  const heads = [
    ["When", "wide"],
    ["Movement", ""],
    ["On hand", "number"],
    ["Reserved", "number"],
    ["Reason", "why wide"],
  ].map(([label, classes]) => h("th", { scope: "col", class: classes }, label));
  return h(
    "table",
    { class: "movements" },
    h("caption", { class: "hidden" }, `${counted(movements.length, "movement")}, newest first`),
    h("thead", {}, h("tr", {}, heads)),
    h("tbody", {}, movements.map(movementRow)),
  );
}

/** @param {Movement} movement */
function movementRow(movement) {
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
      h("span", { class: "more narrow" }, reasonOf(movement)),
    ),
    balance(movement.on_hand, movement.delta_on_hand),
    balance(movement.reserved, movement.delta_reserved),
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
function balance(after, delta) {
  const change = delta !== 0 && h("span", { class: delta < 0 ? "delta minus" : "delta" }, signed(delta));
  return h("td", { class: "number" }, change, number(after));
}
