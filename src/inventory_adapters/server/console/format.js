/** Numbers, times, statuses and errors as text for people. */

/** @import { ApiError } from "./api.js" */

const NUMBER = new Intl.NumberFormat("en");
const SIGNED = new Intl.NumberFormat("en", { signDisplay: "exceptZero" });
const PRICE = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
const THIS_YEAR = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });
const ANY_YEAR = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

const DAY = new Intl.DateTimeFormat("en", { weekday: "long", day: "numeric", month: "short", year: "numeric" });

/** @param {number} value */
export const number = (value) => NUMBER.format(value);

/** @param {number} value */
export const signed = (value) => SIGNED.format(value).replace("-", "−");

/** @param {number} value */
export const price = (value) => PRICE.format(value);

/**
 * Return a time in the person's time zone, without the year if it is the current one.
 *
 * @param {string} text
 */
export function time(text) {
  const when = new Date(text);
  return (when.getFullYear() === new Date().getFullYear() ? THIS_YEAR : ANY_YEAR).format(when);
}

/**
 * Return the day of a time in the person's time zone: "Monday, Nov 23, 2026".
 *
 * @param {string} text
 */
export const day = (text) => DAY.format(new Date(text));

/** Return the date of today, as `2026-11-26`: Swedish dates are written like that. */
export const today = () => new Date().toLocaleDateString("sv");

/**
 * Return "1 unit" or "2 units".
 *
 * @param {number} value
 * @param {string} one
 */
export function counted(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** @type {Record<string, string>} */
const STATUSES = { available: "Available", out_of_stock: "Out of stock", discontinued: "Discontinued" };

/** The statuses of an item: name on the wire, label. */
export const STATUS_OPTIONS = Object.entries(STATUSES);

/** @param {string} status */
export const statusName = (status) => STATUSES[status] ?? status;

/** @type {Record<string, string>} */
const KINDS = {
  opening: "Opening balance",
  adjust: "Adjusted",
  count: "Counted",
  edit: "Edited",
  reserve: "Reserved",
  release: "Released",
  expire: "Expired",
  commit: "Committed",
  transfer_out: "Transferred out",
  transfer_in: "Transferred in",
  correction: "Corrected",
  delete: "Deleted",
};

/** @param {string} kind */
export const kindName = (kind) => KINDS[kind] ?? kind;

// In display order.
const NUMBERS = {
  requested: "requested",
  available: "available",
  reserved: "reserved",
  expected_quantity: "expected",
  quantity: "on hand",
  limit: "maximum",
};

/**
 * Return the numbers of an error response: "6 requested · 5 available · 2 reserved".
 *
 * @param {ApiError} error
 */
export function numbersOf({ body }) {
  const numbers = Object.entries(NUMBERS)
    .filter(([name]) => Number.isInteger(body[name]))
    .map(([name, label]) => `${number(body[name])} ${label}`)
    .join(" · ");
  return numbers && body.sku ? `${body.sku}: ${numbers}` : numbers;
}

/**
 * Return how long ago a time was: "just now", "14 min ago", "3 h ago".
 *
 * @param {number} then
 */
export function age(then, now = Date.now()) {
  const seconds = Math.floor((now - then) / 1000);
  if (seconds < 60) return seconds < 10 ? "just now" : `${Math.floor(seconds / 10) * 10} s ago`;
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
}

/**
 * Return how far away a time is: "in 14 min", "in 3 h", "overdue".
 *
 * @param {string} text
 */
export function until(text, now = Date.now()) {
  const seconds = Math.floor((Date.parse(text) - now) / 1000);
  if (seconds <= 0) return "overdue";
  if (seconds < 60) return "in under a minute";
  if (seconds < 2 * 3600) return `in ${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `in ${Math.round(seconds / 3600)} h`;
  return `in ${Math.round(seconds / 86400)} days`;
}
