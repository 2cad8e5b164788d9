/** The ledger of an item: a chart of its balances, and every movement as a row. */

import { listMovements } from "./api.js";
import { fill, h } from "./dom.js";
import { counted, kindName, number, signed, time } from "./format.js";
import { refusalBox } from "./notices.js";
import { addressOfReservation } from "./places.js";
import { stepChart } from "./step_chart.js";

/** Make the part of the page; `refresh` adds the movements that are new. */
export function ledgerPart(key) {
  const element = h("section", { class: "card ledger", "aria-label": "Ledger" });
  let movements = [];
  let token;

  async function refresh() {
    await read(async () => {
      const page = await listMovements(key);
      const last = movements[0]?.seq ?? -1;
      const added = page.movements.filter(({ seq }) => seq > last);
      if (added.length < page.movements.length) {
        // The ledger only ever grows: what was loaded stays, older movements too.
        movements = [...added, ...movements];
      } else {
        movements = page.movements;
        token = page.next_page_token;
      }
    });
  }

  async function older() {
    await read(async () => {
      const page = await listMovements(key, token);
      movements = [...movements, ...page.movements];
      token = page.next_page_token;
    });
  }

  async function read(pages) {
    try {
      await pages();
    } catch (error) {
      if (error.status === undefined) throw error;
      fill(element, h("h2", {}, "Ledger"), refusalBox(error, h("button", { type: "button", onclick: refresh }, "Try again")));
      return;
    }
    fill(
      element,
      h("div", { class: "heading" }, h("h2", {}, "Ledger"), legend()),
      stepChart(movements.toReversed()),
      movementTable(movements),
      token && h("p", {}, h("button", { type: "button", onclick: older }, "Load older movements")),
    );
  }

  return { element, refresh };
}

function legend() {
  const entry = (kind, words) => h("span", {}, h("span", { class: `swatch swatch-${kind}`, "aria-hidden": "true" }), words);
  return h("p", { class: "legend" }, entry("on-hand", "On hand"), entry("available", "Available"), entry("reserved", "Reserved"));
}

function movementTable(movements) {
  const heads = [
    ["When", "wide"],
    ["What", ""],
    ["On hand", "number"],
    ["Reserved", "number"],
    ["Why", "why wide"],
  ].map(([label, classes]) => h("th", { scope: "col", class: classes }, label));
  return h(
    "table",
    { class: "movements" },
    h("caption", { class: "hidden" }, `${counted(movements.length, "movement")}, newest first`),
    h("thead", {}, h("tr", {}, heads)),
    h("tbody", {}, movements.map(movementRow)),
  );
}

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
      h("span", { class: "more narrow" }, why(movement)),
    ),
    balance(movement.on_hand, movement.delta_on_hand),
    balance(movement.reserved, movement.delta_reserved),
    h("td", { class: "why wide" }, why(movement)),
  );
}

function why({ reason, reference, reservation_id }) {
  const words = [reason, reference].filter(Boolean).join(" · ");
  if (!reservation_id) return words;
  // The start of the id is enough for people.
  const link = h("a", { href: addressOfReservation(reservation_id) }, `reservation ${reservation_id.slice(0, 8)}`);
  return [words && `${words} · `, link];
}

function balance(after, delta) {
  const change = delta !== 0 && h("span", { class: delta < 0 ? "delta minus" : "delta" }, signed(delta));
  return h("td", { class: "number" }, change, number(after));
}
