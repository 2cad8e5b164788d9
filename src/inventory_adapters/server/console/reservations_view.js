/** Reservations: one over several items, and those that were made or opened in this tab. */

import { closeOrExtend, createReservation, findItems, getReservation, newKey } from "./api.js";
import { fill, h } from "./dom.js";
import { counted, number, time, until } from "./format.js";
import { makeField, makeForm, toWhole } from "./forms.js";
import { makeFreshness } from "./freshness.js";
import { notice, refusalBox } from "./notices.js";
import { addressOf } from "./places.js";
import { addLine, draftLines, HOLDS, remember, remembered, setDraft } from "./session.js";

export async function reservationsView({ parts: [opened], signal }) {
  if (opened) remember(opened);
  const draft = h("div", {});
  const made = h("div", { class: "reservations" });
  const fresh = makeFreshness(refresh, signal);
  const cards = [];

  async function refresh() {
    await Promise.all(cards.map((card) => card.refresh()));
  }

  function showDraft() {
    fill(draft, draftForm(showDraft, prepend));
  }

  function prepend(reservation) {
    remember(reservation.reservation_id);
    showDraft();
    made.querySelector(".empty")?.remove();
    const card = makeCard(reservation.reservation_id, reservation);
    cards.unshift(card);
    made.prepend(card.element);
  }

  showDraft();
  cards.push(...remembered().map((id) => makeCard(id)));
  await refresh();
  fresh.mark();
  const none = h("p", { class: "empty" }, "Reservations that are made or opened in this tab are listed here.");
  fill(made, cards.length ? cards.map(({ element }) => element) : none);
  const content = h(
    "section",
    { class: "page" },
    h("h1", { tabindex: "-1" }, "Reservations"),
    h(
      "div",
      { class: "columns" },
      h("section", { class: "card todo" }, h("h2", {}, "New reservation"), lookup(showDraft), draft),
      h("section", {}, h("h2", {}, "In this tab"), fresh.line, fresh.problems, made),
    ),
  );
  return { title: "Reservations", content };
}

/** Find an item by its SKU and make it a line; where several places keep it, ask for the place. */
function lookup(added) {
  const field = makeField({ name: "lookup", label: "Add an item by its SKU", required: true });
  const found = h("div", { class: "found" });

  function take(item) {
    addLine(item, "1");
    field.input.value = "";
    fill(found);
    added();
    field.input.focus();
  }

  async function find(event) {
    event.preventDefault();
    const sku = field.input.value.trim();
    if (!sku) return;
    try {
      const items = await findItems({ sku });
      if (items.length === 1) take(items[0]);
      else fill(found, items.length ? items.map((item) => choice(item, take)) : h("p", { role: "alert" }, "No item has this SKU."));
      found.querySelector("button")?.focus();
    } catch (error) {
      if (error.status === undefined) throw error;
      fill(found, refusalBox(error));
    }
  }

  return h(
    "form",
    { class: "lookup", "aria-label": "Find an item", novalidate: true, autocomplete: "off", onsubmit: find },
    field.element,
    h("button", { type: "submit" }, "Add"),
    found,
  );
}

function choice(item, take) {
  return h("button", { type: "button", onclick: () => take(item) }, `${item.location}: ${number(item.available)} available`);
}

function draftForm(redraw, made) {
  const lines = draftLines();
  if (lines.length === 0) return h("p", { class: "hint" }, "All lines are held, or none of them.");
  const rows = lines.map((line, place) => draftLine(line, place, redraw));
  return makeForm({
    label: "New reservation",
    fields: [
      { name: "ttl_seconds", label: "Hold for", kind: "choice", options: HOLDS, required: true },
      { name: "reference", label: "Reference", hint: "The cart or the order that it is for." },
    ],
    extra: [h("div", { class: "lines" }, rows)],
    action: "Reserve",
    complete: ({ ttl_seconds, ...more }) => ({
      lines: draftLines().map(({ item_id, sku, quantity }) => ({ item_id, sku, quantity: toWhole(quantity) })),
      ttl_seconds: Number(ttl_seconds),
      ...more,
    }),
    send: createReservation,
    done: (reservation) => {
      setDraft([]);
      made(reservation);
      notice("Reserved.");
    },
  });
}

function draftLine({ name, sku, location, quantity }, place, redraw) {
  const field = makeField({
    name: `lines[${place}].quantity`,
    label: `${name} (${sku}, ${location})`,
    kind: "integer",
    required: true,
    value: quantity,
  });
  field.input.addEventListener("input", () => {
    setDraft(draftLines().map((line, each) => (each === place ? { ...line, quantity: field.input.value } : line)));
  });
  const remove = () => {
    setDraft(draftLines().filter((_, each) => each !== place));
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

/**
 * Make the card of a reservation, with what can still be done with it.
 *
 * @param {string} id
 * @param {Object} [reservation] What is known of it; else `refresh` has to read it.
 */
function makeCard(id, reservation) {
  const card = h("article", { class: "card reservation" });
  const end = h("p", { class: "hint" });
  let shown;
  const keys = { commit: newKey(), release: newKey(), extend: newKey() };
  const hold = h("select", { "aria-label": "Extend by" }, HOLDS.map(([value, label]) => h("option", { value }, label)));
  let isBusy = false;

  async function act(verb, fields = {}) {
    if (isBusy) return;
    isBusy = true;
    try {
      show(await closeOrExtend(id, verb, fields, keys[verb]));
      keys[verb] = newKey();
      notice(verb === "extend" ? "Held for longer." : verb === "commit" ? "Committed: the units have left." : "Released.");
    } catch (error) {
      if (error.status === undefined) throw error;
      if (!error.isPassing) keys[verb] = newKey();
      show(await getReservation(id).catch(() => shown), error);
    } finally {
      isBusy = false;
    }
  }

  /** Read the reservation again. Only a server that does not answer is an error of the view. */
  async function refresh() {
    if (isBusy) return;
    let now;
    try {
      now = await getReservation(id);
    } catch (error) {
      if (error.status === undefined || error.isPassing) throw error;
      fill(card, refusalBox(error));
      return;
    }
    // The card is drawn again only if it has changed: a button that has the focus keeps it.
    if (JSON.stringify(now) === JSON.stringify(shown)) end.textContent = whenOver(now);
    else show(now);
  }

  function show(now, error) {
    shown = now;
    end.textContent = whenOver(now);
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
      error && refusalBox(error),
      isHeld &&
        h(
          "div",
          { class: "actions" },
          h("button", { type: "button", class: "primary", onclick: () => act("commit") }, "Commit"),
          h("button", { type: "button", onclick: () => act("release") }, "Release"),
          h("span", { class: "extend" }, hold, h("button", { type: "button", onclick: () => act("extend", { ttl_seconds: Number(hold.value) }) }, "Extend")),
        ),
    );
    // The button that was pressed is gone.
    if (hadFocus) card.querySelector("h3").focus();
  }

  if (reservation) show(reservation);
  return { element: card, refresh };
}

function heldLine(line) {
  return h("li", {}, h("a", { href: addressOf(line) }, line.sku), ` ${counted(line.quantity, "unit")}`);
}

function whenOver({ state, expires_at, closed_at }) {
  if (state === "held") return `Held until ${time(expires_at)} (${until(expires_at)}).`;
  return closed_at ? `Closed ${time(closed_at)}.` : `Its time was over ${time(expires_at)}.`;
}
