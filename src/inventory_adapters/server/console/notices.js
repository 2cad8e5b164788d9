/** Messages about what has just happened, for the eye and for screen readers. */

/** @import { ApiError } from "./api.js" */
/** @import { Children } from "./dom.js" */

import { fill, h, one } from "./dom.js";
import { numbersOf } from "./format.js";

const SECONDS = 7;

/** @type {number|undefined} */
let timer;

/**
 * Show *text* for a few seconds. Its region is live, so screen readers read it out.
 *
 * @param {string} text
 */
export function notice(text) {
  const region = one(document, "#notices");
  fill(region, h("p", {}, text));
  clearTimeout(timer);
  timer = setTimeout(() => fill(region), SECONDS * 1000);
}

/**
 * Return a box with the server's message and its numbers. Screen readers read it out at once.
 *
 * @param {ApiError} error
 * @param {...Children} more
 */
export function errorBox(error, ...more) {
  const numbers = numbersOf(error);
  return h(
    "div",
    { class: "refusal", role: "alert" },
    h("p", {}, error.message),
    numbers && h("p", { class: "numbers" }, numbers),
    ...more,
  );
}
