/** Reservations: a form for a new one over several items, and the ones created or opened in this tab. */

/** @import { ApiError, Fields, Item, Reservation, ReservationLine } from "./api.js" */
/** @import { DraftLine } from "./session.js" */

import { ActionKey } from "./action_key.js";
import { asApiError, closeOrExtend, createReservation, findItems, getReservation } from "./api.js";
import { fill, h, one } from "./dom.js";
import { counted, number, time, until } from "./format.js";
import { makeField, makeForm, toInteger } from "./forms.js";
import { makeFreshness } from "./freshness.js";
import { errorBox, notice } from "./notices.js";
import { addressOf } from "./places.js";
import { addLine, draftLines, HOLDS, remember, remembered, setDraft } from "./session.js";

/** @type {import("./main.js").View} */
export async function reservationsView({ parts: [opened], signal }) {
  if (opened) remember(opened);
  const draft = h("div", {});
  const list = h("div", { class: "reservations" });
  const fresh = makeFreshness(refresh, signal);
  /** @type {ReturnType<typeof makeCard>[]} */
  const cards = [];

  async function refresh() {
    await Promise.all(cards.map((card) => card.refresh()));
  }

  function showDraft() {
    fill(draft, draftForm(showDraft, prepend));
  }

  /** @param {Reservation} reservation */
  function prepend(reservation) {
    remember(reservation.reservation_id);
    showDraft();
    list.querySelector(".empty")?.remove();
    const card = makeCard(reservation.reservation_id, reservation);
    cards.unshift(card);
    list.prepend(card.element);
  }

  showDraft();
  cards.push(...remembered().map((id) => makeCard(id)));
  await refresh();
  fresh.mark();
  const none = h("p", { class: "empty" }, "Reservations created or opened in this tab are listed here.");
  fill(list, cards.length ? cards.map(({ element }) => element) : none);
  const content = h(
    "section",
    { class: "page" },
    h("h1", { tabindex: "-1" }, "Reservations"),
    h(
      "div",
      { class: "columns" },
      h("section", { class: "card todo writes" }, h("h2", {}, "New reservation"), lookup(showDraft), draft),
      h("section", {}, h("h2", {}, "In this tab"), fresh.line, fresh.problems, list),
    ),
  );
  return { title: "Reservations", content };
}

/**
 * Make the form that adds an item to the draft by its SKU. If several locations have the SKU, it asks for the location.
 *
 * @param {() => void} added
 */
function lookup(added) {
  const field = makeField({ name: "lookup", label: "Add an item by its SKU", required: true });
  const results = h("div", { class: "found" });

  /** @param {Item} item */
  function take(item) {
    addLine(item, "1");
    field.input.value = "";
    fill(results);
    added();
    field.input.focus();
  }

  /** @param {SubmitEvent} event */
  async function find(event) {
    event.preventDefault();
    const sku = field.input.value.trim();
    if (!sku) return;
    try {
      const items = await findItems({ sku });
      if (items.length === 1) take(items[0]);
      else if (items.length === 0) fill(results, h("p", { role: "alert" }, "No item has this SKU."));
      else fill(results, ...items.map((item) => choice(item, take)));
      results.querySelector("button")?.focus();
    } catch (error) {
      fill(results, errorBox(asApiError(error)));
    }
  }

  return h(
    "form",
    { class: "lookup", "aria-label": "Find an item", novalidate: true, autocomplete: "off", onsubmit: find },
    field.element,
    h("button", { type: "submit" }, "Add"),
    results,
  );
}

/**
 * @param {Item} item
 * @param {(item: Item) => void} take
 */
function choice(item, take) {
  return h("button", { type: "button", onclick: () => take(item) }, `${item.location}: ${number(item.available)} available`);
}

/**
 * @param {() => void} redraw
 * @param {(reservation: Reservation) => void} created
 */
function draftForm(redraw, created) {
  const lines = draftLines();
  if (lines.length === 0) return h("p", { class: "hint" }, "All lines are reserved, or none.");
  const rows = lines.map((line, index) => draftLine(line, index, redraw));
  return makeForm({
    label: "New reservation",
    fields: [
      { name: "ttl_seconds", label: "Hold for", kind: "choice", options: HOLDS, required: true },
      { name: "reference", label: "Reference", hint: "For example, a cart or order." },
    ],
    extra: [h("div", { class: "lines" }, rows)],
    action: "Reserve",
    complete: ({ ttl_seconds, ...more }) => ({
      lines: draftLines().map(({ item_id, sku, quantity }) => ({ item_id, sku, quantity: toInteger(quantity) })),
      ttl_seconds: Number(ttl_seconds),
      ...more,
    }),
    send: createReservation,
    done: (reservation) => {
      setDraft([]);
      created(reservation);
      notice("Reserved.");
    },
  });
}

/**
 * @param {DraftLine} line
 * @param {number} index
 * @param {() => void} redraw
 */
function draftLine({ name, sku, location, quantity }, index, redraw) {
  const field = makeField({
    name: `lines[${index}].quantity`,
    label: `${name} (${sku}, ${location})`,
    kind: "integer",
    required: true,
    value: quantity,
  });
  field.input.addEventListener("input", () => {
    setDraft(draftLines().map((line, each) => (each === index ? { ...line, quantity: field.input.value } : line)));
  });
  const remove = () => {
    setDraft(draftLines().filter((_, each) => each !== index));
    redraw();
  };
  return h(
    "div",
    { class: "line" },
    field.element,
    h("button", { type: "button", class: "quiet", "aria-label": `Remove ${name}`, onclick: remove }, "Remove"),
  );
}

const STATES = { held: "Held", committed: "Committed", released: "Released", expired: "Expired" };

/** Notices after the actions. */
const DONE = { commit: "Committed: the units were removed from stock.", release: "Released.", extend: "Extended." };

/**
 * Make the card of a reservation, with buttons for the actions that its state allows.
 *
 * @param {string} id
 * @param {Reservation} [reservation] Its state; without it, `refresh` reads it.
 */
function makeCard(id, reservation) {
  const card = h("article", { class: "card reservation" });
  const end = h("p", { class: "hint" });
  /** @type {Reservation|undefined} */
  let shown;
  const actionKey = new ActionKey();
  const options = HOLDS.map(([value, label]) => h("option", { value }, label));
  const hold = h("select", { "aria-label": "Extend by" }, options);
  let isBusy = false;

  /**
   * @param {"commit"|"release"|"extend"} verb
   * @param {Fields} [fields]
   */
  async function act(verb, fields = {}) {
    if (isBusy) return;
    isBusy = true;
    try {
      show(await actionKey.send([verb, fields], (key) => closeOrExtend(id, verb, fields, key)));
      notice(DONE[verb]);
    } catch (reason) {
      const error = asApiError(reason);
      const now = await getReservation(id).catch(() => shown);
      if (now) show(now, error);
    } finally {
      isBusy = false;
    }
  }

  /** Read the reservation again. Throw only errors that may pass; show others on the card. */
  async function refresh() {
    if (isBusy) return;
    let now;
    try {
      now = await getReservation(id);
    } catch (reason) {
      const error = asApiError(reason);
      if (error.isRetryable) throw error;
      fill(card, errorBox(error));
      return;
    }
    // Draw only a changed reservation, so that a button keeps the focus.
    if (JSON.stringify(now) === JSON.stringify(shown)) end.textContent = endOf(now);
    else show(now);
  }

  /**
   * @param {Reservation} now
   * @param {ApiError} [error]
   */
  function show(now, error) {
    shown = now;
    end.textContent = endOf(now);
    card.setAttribute("aria-label", now.reference ?? "Reservation");
    const isHeld = now.state === "held";
    const hadFocus = card.contains(document.activeElement);
    fill(
      card,
      h(
        "div",
        { class: "heading" },
        h("h3", { tabindex: "-1" }, now.reference ?? `Reservation of ${time(now.created_at)}`),
        h("span", { class: `state state-${now.state}` }, STATES[now.state]),
      ),
      h("ul", { class: "held" }, now.lines.map(heldLine)),
      end,
      error && errorBox(error),
      isHeld &&
        h(
          "div",
          { class: "actions writes" },
          h("button", { type: "button", class: "primary", onclick: () => act("commit") }, "Commit"),
          h("button", { type: "button", onclick: () => act("release") }, "Release"),
          h("span", { class: "extend" }, hold, h("button", { type: "button", onclick: extend }, "Extend")),
        ),
    );
    // The button that had the focus was removed.
    if (hadFocus) one(card, "h3").focus();
  }

  function extend() {
    act("extend", { ttl_seconds: Number(hold.value) });
  }

  if (reservation) show(reservation);
  return { element: card, refresh };
}

/** @param {ReservationLine} line */
function heldLine(line) {
  return h("li", {}, h("a", { href: addressOf(line) }, line.sku), ` ${counted(line.quantity, "unit")}`);
}

/** @param {Reservation} reservation */
function endOf({ state, expires_at, closed_at }) {
  if (state === "held") return `Held until ${time(expires_at)} (${until(expires_at)}).`;
  return closed_at ? `Closed ${time(closed_at)}.` : `Expired ${time(expires_at)}.`;
}
