/** The age of a view's data, and ways to reload it: a button, and the return to the window. */

import { asApiError } from "./api.js";
import { fill, h } from "./dom.js";
import { age } from "./format.js";
import { errorBox } from "./notices.js";

const TICK_SECONDS = 10;

/** @typedef {() => Promise<void>} Action */

/**
 * Make the line with the age of the data and its button, and the place for errors.
 *
 * @param {Action} read Reads the data again and shows it. If it fails, the data on the page stays.
 * @param {AbortSignal} signal Aborted when the person leaves the view.
 */
export function makeFreshness(read, signal) {
  const text = h("span", {});
  const button = h("button", { type: "button", class: "quiet", onclick: () => run(readAgain) }, "Refresh");
  const line = h("p", { class: "freshness", hidden: true }, text, button);
  const problems = h("div", { class: "problems" });
  /** @type {Set<Action>} */
  const waiting = new Set();
  /** @type {Promise<unknown>} */
  let last = Promise.resolve();
  /** @type {number|null} */
  let readAt = null;

  function showAge() {
    line.hidden = readAt === null;
    text.textContent = readAt === null ? "" : `Updated ${age(readAt)}`;
  }

  /** Record that the data was read just now. */
  function mark() {
    readAt = Date.now();
    showAge();
  }

  /**
   * Run *action* after the actions before it, unless it is waiting already. Show its error with a button that runs it again.
   *
   * @param {Action} action
   */
  async function run(action) {
    if (waiting.has(action)) return;
    waiting.add(action);
    button.setAttribute("aria-busy", "true");
    const before = last;
    let finish = () => {};
    last = new Promise((/** @type {(value?: unknown) => void} */ resolve) => (finish = resolve));
    await before;
    try {
      await action();
      fill(problems);
    } catch (error) {
      if (signal.aborted) return;
      const tryAgain = h("button", { type: "button", onclick: () => run(action) }, "Try again");
      fill(problems, errorBox(asApiError(error), tryAgain));
    } finally {
      waiting.delete(action);
      if (!waiting.size) button.removeAttribute("aria-busy");
      finish();
    }
  }

  async function readAgain() {
    await read();
    mark();
  }

  const refresh = () => run(readAgain);
  // Also if one is waiting, which reads what is no longer wanted.
  const restart = () => run(() => readAgain());

  // A browser may report only one of these events: another tab was shown, or another window was in front.
  window.addEventListener("focus", refresh, { signal });
  document.addEventListener("visibilitychange", () => document.hidden || refresh(), { signal });
  const ticking = setInterval(showAge, TICK_SECONDS * 1000);
  signal.addEventListener("abort", () => clearInterval(ticking));
  return { line, problems, mark, refresh, restart, run };
}
