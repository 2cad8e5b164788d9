/** Numbers, times and refusals in words. */

const NUMBER = new Intl.NumberFormat("en");
const SIGNED = new Intl.NumberFormat("en", { signDisplay: "exceptZero" });
const PRICE = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
const THIS_YEAR = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
const ANY_YEAR = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

export const number = (value) => NUMBER.format(value);
export const signed = (value) => SIGNED.format(value).replace("-", "−");
export const price = (value) => PRICE.format(value);

/** A time as people say it, where they are; without the year where it is this one. */
export function time(text) {
  const when = new Date(text);
  return (when.getFullYear() === new Date().getFullYear() ? THIS_YEAR : ANY_YEAR).format(when);
}

/** "1 unit", "2 units". */
export function counted(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

const STATUSES = { available: "Available", out_of_stock: "Out of stock", discontinued: "Discontinued" };

/** Statuses of an item by their names on the wire. */
export const STATUS_OPTIONS = Object.entries(STATUSES);

export const statusName = (status) => STATUSES[status] ?? status;

const KINDS = {
  opening: "Opening balance",
  adjust: "Adjusted",
  count: "Counted",
  edit: "Edited",
  reserve: "Reserved",
  release: "Released",
  expire: "Expired",
  commit: "Committed",
  transfer_out: "Moved out",
  transfer_in: "Moved in",
  correction: "Corrected",
  delete: "Deleted",
};

export const kindName = (kind) => KINDS[kind] ?? kind;

// In the order in which they are told.
const NUMBERS = {
  requested: "requested",
  available: "available",
  reserved: "reserved",
  expected_quantity: "expected",
  quantity: "on hand",
  limit: "allowed at most",
};

/** Say the numbers that came with a refusal: "6 requested · 5 available · 2 reserved". */
export function numbersOf(error) {
  const told = Object.entries(NUMBERS)
    .filter(([name]) => Number.isInteger(error.body?.[name]))
    .map(([name, words]) => `${number(error.body[name])} ${words}`);
  return told.length && error.body.sku ? `${error.body.sku}: ${told.join(" · ")}` : told.join(" · ");
}

/** Say how long ago a time was: "just now", "14 min ago", "3 h ago". */
export function age(then, now = Date.now()) {
  const seconds = Math.floor((now - then) / 1000);
  if (seconds < 60) return seconds < 10 ? "just now" : `${Math.floor(seconds / 10) * 10} s ago`;
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
}

/** Say how far away a time is: "in 14 min", "in 3 h", "over". */
export function until(text, now = Date.now()) {
  const seconds = Math.floor((new Date(text) - now) / 1000);
  if (seconds <= 0) return "over";
  if (seconds < 60) return "in under a minute";
  if (seconds < 2 * 3600) return `in ${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `in ${Math.round(seconds / 3600)} h`;
  return `in ${Math.round(seconds / 86400)} days`;
}
