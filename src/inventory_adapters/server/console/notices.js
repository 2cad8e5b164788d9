/** What has just happened, said to eyes and to screen readers. */

import { fill, h } from "./dom.js";
import { numbersOf } from "./format.js";

const SECONDS = 7;

let timer;

/** Show *text* for a while; the region is live, so it is also read out. */
export function notice(text) {
  const region = document.getElementById("notices");
  fill(region, h("p", {}, text));
  clearTimeout(timer);
  timer = setTimeout(() => fill(region), SECONDS * 1000);
}

/** A refusal as a box: the server's sentence, then its numbers. It is read out at once. */
export function refusalBox(error, ...more) {
  const numbers = numbersOf(error);
  return h(
    "div",
    { class: "refusal", role: "alert" },
    h("p", {}, error.message),
    numbers && h("p", { class: "numbers" }, numbers),
    ...more,
  );
}
