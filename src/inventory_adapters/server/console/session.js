/** What this tab remembers: the reservations made or opened in it, and the lines of the next one. (The API lists none.) */

const MADE = "inventory.reservations";
const DRAFT = "inventory.draft";

/** For how long units can be held: seconds as text, label. */
export const HOLDS = [
  ["900", "15 minutes"],
  ["3600", "1 hour"],
  ["86400", "1 day"],
  ["604800", "7 days"],
];

/** Return the ids of the reservations that were made or opened here, the last one first. */
export const remembered = () => read(MADE);

export const remember = (id) => write(MADE, [id, ...remembered().filter((it) => it !== id)]);

/** Return the lines of the reservation that is being put together: `{item_id, sku, name, location, quantity}`, the last as typed. */
export const draftLines = () => read(DRAFT);

export const setDraft = (lines) => write(DRAFT, lines);

export function addLine({ item_id, sku, name, location }, quantity) {
  setDraft([...draftLines(), { item_id, sku, name, location, quantity }]);
}

function read(key) {
  return JSON.parse(sessionStorage.getItem(key) ?? "[]");
}

function write(key, value) {
  sessionStorage.setItem(key, JSON.stringify(value));
}
