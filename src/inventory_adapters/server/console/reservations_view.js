/** Reservations: a form for a new one over several items, and the open ones, of all items or of one, with any reference or one. */

/** @import { ApiError, Fields, Item, Reservation, ReservationLine } from "./api.js" */
/** @import { DraftLine } from "./session.js" */

import { ActionKey } from "./action_key.js";
import { asApiError, closeOrExtend, createReservation, getReservation, reservationPages } from "./api.js";
import { fill, h, newId, one } from "./dom.js";
import { counted, number, time, until } from "./format.js";
import { makeField, makeForm, toInteger } from "./forms.js";
import { makeFreshness } from "./freshness.js";
import { errorBox, notice } from "./notices.js";
import { addressOf, addressOfHolds } from "./places.js";
import { itemsWithCode, takeScans } from "./scan.js";
import { addLine, draftLines, HOLDS, setDraft } from "./session.js";

/** @typedef {ReturnType<typeof makeCard>} Card */

/** @type {import("./main.js").View} */
export async function reservationsView({ parts: [opened], query, signal }) {
  const filters = { item_id: query.get("item_id") ?? "", sku: query.get("sku") ?? "", reference: query.get("reference") ?? "" };
  const draft = h("div", {});
  const list = h("div", { class: "reservations" });
  const fresh = makeFreshness(refresh, signal);
  /** @type {Map<string, Card>} */
  const cards = new Map();
  // These stay when they are closed: the one in the address, and those that were created or changed here.
  const kept = new Set(opened ? [opened] : []);
  let pages = 1;

  /** Read the list again, and each kept reservation that is not on it. */
  async function refresh() {
    /** @type {Reservation[]} */
    const open = [];
    let read = 0;
    let token;
    for await (const page of reservationPages(filters, { signal })) {
      open.push(...page.reservations);
      token = page.next_page_token;
      read += 1;
      if (read === pages) break;
    }
    const ids = new Set(open.map(({ reservation_id }) => reservation_id));
    for (const reservation of open) cardOf(reservation.reservation_id).update(reservation);
    const others = [...kept].reverse().filter((id) => !ids.has(id));
    await Promise.all(others.map((id) => cardOf(id).refresh()));
    show([...others, ...ids], token);
  }

  /** @param {string} id */
  function cardOf(id) {
    const card = cards.get(id) ?? makeCard(id, () => kept.add(id));
    cards.set(id, card);
    return card;
  }

  /**
   * @param {string[]} ids
   * @param {string} [token]
   */
  function show(ids, token) {
    const focused = document.activeElement;
    const more = token && h("button", { type: "button", onclick: showMore }, "Load more");
    const none = h(
      "p",
      { class: "empty" },
      Object.values(filters).some(Boolean) ? "No open reservation matches." : "No open reservations.",
    );
    fill(list, ids.length ? ids.map((id) => cardOf(id).element) : !token && none, more);
    if (focused instanceof HTMLElement && list.contains(focused)) focused.focus({ preventScroll: true });
  }

  function showMore() {
    pages += 1;
    fresh.refresh();
  }

  function showDraft() {
    fill(draft, draftForm(showDraft, created));
  }

  /** @param {Reservation} reservation */
  function created(reservation) {
    kept.add(reservation.reservation_id);
    const card = cardOf(reservation.reservation_id);
    card.update(reservation);
    showDraft();
    list.querySelector(".empty")?.remove();
    list.prepend(card.element);
  }

  const { element: finder, find } = lookup(showDraft);
  takeScans(find, signal);
  showDraft();
  await refresh();
  fresh.mark();
  const content = h(
    "section",
    { class: "page" },
    h("h1", { tabindex: "-1" }, "Reservations"),
    h(
      "div",
      { class: "columns" },
      h("section", { class: "card todo writes" }, h("h2", {}, "New reservation"), finder, draft),
      h("section", {}, h("h2", {}, "Held now"), filterForm(filters), fresh.line, fresh.problems, list),
    ),
  );
  return { title: "Reservations", content };
}

/**
 * Make the form that selects the reservations of an item or a reference.
 *
 * @param {{sku: string, reference: string}} filters
 */
function filterForm({ sku, reference }) {
  const item = h("input", { type: "search", id: newId("item"), value: sku, placeholder: "Any" });
  const text = h("input", { type: "search", id: newId("reference"), value: reference, placeholder: "Any", maxlength: 256 });
  const choices = h("div", { class: "found" });

  /** @param {SubmitEvent} event */
  async function select(event) {
    event.preventDefault();
    const code = item.value.trim();
    const wanted = text.value.trim();
    const more = wanted && `reference=${encodeURIComponent(wanted)}`;
    if (!code) return void (location.hash = more ? `#/reservations?${more}` : "#/reservations");
    const address = (/** @type {Item} */ found) => [addressOfHolds(found), more].filter(Boolean).join("&");
    await findOne(code, choices, (found) => (location.hash = address(found)));
  }

  const field = (/** @type {string} */ label, /** @type {HTMLElement} */ input) =>
    h("div", { class: "field" }, h("label", { for: input.id }, label), input);
  return h(
    "form",
    { class: "select", role: "search", "aria-label": "Reservations", autocomplete: "off", onsubmit: select },
    field("Item (SKU or barcode)", item),
    field("Reference", text),
    h("button", { type: "submit" }, "Show"),
    choices,
  );
}

/**
 * Make the form that adds an item to the draft by its code.
 *
 * @param {() => void} added
 */
function lookup(added) {
  const field = makeField({ name: "lookup", label: "Add an item by its SKU or barcode", required: true });
  const results = h("div", { class: "found" });

  /** @param {string} code */
  async function find(code) {
    if (!code) return;
    await findOne(code, results, (item) => {
      addLine(item, "1");
      field.input.value = "";
      added();
      field.input.focus();
    });
  }

  /** @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    find(field.input.value.trim());
  }

  const element = h(
    "form",
    { class: "lookup", "aria-label": "Find an item", novalidate: true, autocomplete: "off", onsubmit: submit },
    field.element,
    h("button", { type: "submit" }, "Add"),
    results,
  );
  return { element, find };
}

/**
 * Take the item with this code. If several locations have it, ask for the location.
 *
 * @param {string} code
 * @param {HTMLElement} results
 * @param {(item: Item) => void} take
 */
async function findOne(code, results, take) {
  fill(results);
  try {
    const items = await itemsWithCode(code);
    if (items.length === 1) return take(items[0]);
    if (items.length === 0) return fill(results, h("p", { role: "alert" }, "No item has this SKU or barcode."));
    const chosen = (/** @type {Item} */ item) => {
      fill(results);
      take(item);
    };
    fill(results, ...items.map((item) => choice(item, chosen)));
    results.querySelector("button")?.focus();
  } catch (error) {
    fill(results, errorBox(asApiError(error)));
  }
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
const DONE = {
  commit: "Committed: the units were removed from stock.",
  part: "Committed: these units were removed from stock, the rest stays reserved.",
  release: "Released.",
  extend: "Extended.",
};

/**
 * Make the card of a reservation, with buttons for the actions that its state allows.
 *
 * @param {string} id
 * @param {() => void} changed Called after each action.
 */
function makeCard(id, changed) {
  const body = h("div", { class: "reservation-body" });
  const dialog = h("dialog", { "aria-label": "Commit a part" });
  const card = h("article", { class: "card reservation" }, body, dialog);
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
      done(verb, await actionKey.send([verb, fields], (key) => closeOrExtend(id, verb, fields, key)));
    } catch (reason) {
      const error = asApiError(reason);
      const now = await getReservation(id).catch(() => shown);
      if (now) show(now, error);
    } finally {
      isBusy = false;
    }
  }

  /**
   * @param {keyof typeof DONE} verb
   * @param {Reservation} now
   */
  function done(verb, now) {
    changed();
    show(now);
    notice(DONE[verb]);
  }

  /** Read the reservation again. Throw only errors that may pass; show others on the card. */
  async function refresh() {
    if (isBusy) return;
    try {
      update(await getReservation(id));
    } catch (reason) {
      const error = asApiError(reason);
      if (error.isRetryable) throw error;
      fill(body, errorBox(error));
    }
  }

  /**
   * Draw only a changed reservation, so that a button keeps the focus.
   *
   * @param {Reservation} now
   */
  function update(now) {
    if (isBusy) return;
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
    const hadFocus = body.contains(document.activeElement);
    fill(
      body,
      h(
        "div",
        { class: "heading" },
        h("h3", { tabindex: "-1" }, now.reference ?? `Reservation of ${time(now.created_at)}`),
        h("span", { class: `state state-${now.state}` }, STATES[now.state]),
      ),
      h(
        "ul",
        { class: "held" },
        now.lines.map((line) => lineOf(line, "")),
        now.committed.map((line) => lineOf(line, " committed")),
      ),
      end,
      error && errorBox(error),
      isHeld &&
        h(
          "div",
          { class: "actions writes" },
          h("button", { type: "button", class: "primary", onclick: () => act("commit") }, "Commit"),
          h("button", { type: "button", onclick: () => askForPart(now) }, "Commit a part…"),
          h("button", { type: "button", onclick: () => act("release") }, "Release"),
          h("span", { class: "extend" }, hold, h("button", { type: "button", onclick: extend }, "Extend")),
        ),
    );
    // The button that had the focus was removed.
    if (hadFocus) one(body, "h3").focus();
  }

  function extend() {
    act("extend", { ttl_seconds: Number(hold.value) });
  }

  /**
   * Ask for the units that leave. A resend from the open dialog has the same key, so it takes them once.
   *
   * @param {Reservation} reservation
   */
  function askForPart({ lines }) {
    const form = makeForm({
      label: "Commit a part",
      fields: lines.map((line, index) => ({
        name: `lines[${index}].quantity`,
        label: `${line.sku}, of ${counted(line.quantity, "unit")}`,
        kind: "integer",
      })),
      action: "Commit these units",
      complete: (values) => ({
        lines: lines
          .map(({ item_id, sku }, index) => ({ item_id, sku, quantity: values[`lines[${index}].quantity`] }))
          .filter(({ quantity }) => quantity !== undefined),
      }),
      send: (fields, key) => closeOrExtend(id, "commit", fields, key),
      done: (now) => {
        dialog.close();
        done(now.state === "held" ? "part" : "commit", now);
      },
      beside: [h("button", { type: "button", onclick: () => dialog.close() }, "Cancel")],
    });
    fill(dialog, h("h2", {}, "Commit a part"), h("p", {}, "Units that leave now. The rest stays reserved."), form);
    dialog.showModal();
  }

  return { element: card, refresh, update };
}

/**
 * @param {ReservationLine} line
 * @param {string} what
 */
function lineOf(line, what) {
  return h("li", {}, h("a", { href: addressOf(line) }, line.sku), ` ${counted(line.quantity, "unit")}${what}`);
}

/** @param {Reservation} reservation */
function endOf({ state, expires_at, closed_at }) {
  if (state === "held") return `Held until ${time(expires_at)} (${until(expires_at)}).`;
  return closed_at ? `Closed ${time(closed_at)}.` : `Expired ${time(expires_at)}.`;
}
