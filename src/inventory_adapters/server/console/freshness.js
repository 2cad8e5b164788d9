/** How old the data of a view is, and ways to read it again: a button, and the return to the window. */

import { fill, h } from "./dom.js";
import { age } from "./format.js";
import { refusalBox } from "./notices.js";

const TICK_SECONDS = 10;

/**
 * Make the line with the age of the data and its button, and the place for what goes wrong.
 *
 * @param {() => Promise<void>} read Reads the data again and shows it. If it fails, the data that is shown stays.
 * @param {AbortSignal} signal Is aborted when the view is left.
 */
export function makeFreshness(read, signal) {
  const text = h("span", {});
  const button = h("button", { type: "button", class: "quiet", onclick: () => run(readAgain) }, "Refresh");
  const line = h("p", { class: "freshness", hidden: true }, text, button);
  const problems = h("div", { class: "problems" });
  const waiting = new Set();
  let last = Promise.resolve();
  let readAt = null;

  function showAge() {
    line.hidden = readAt === null;
    text.textContent = readAt === null ? "" : `Updated ${age(readAt)}`;
  }

  /** Note that the data was read just now. */
  function mark() {
    readAt = Date.now();
    showAge();
  }

  /** Run *action* after the others, unless it waits already. Its error is shown, with a button to try it again. */
  async function run(action) {
    if (waiting.has(action)) return;
    waiting.add(action);
    button.setAttribute("aria-busy", "true");
    const before = last;
    let done;
    last = new Promise((resolve) => (done = resolve));
    await before;
    try {
      await action();
      fill(problems);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === undefined) throw error;
      fill(problems, refusalBox(error, h("button", { type: "button", onclick: () => run(action) }, "Try again")));
    } finally {
      waiting.delete(action);
      if (!waiting.size) button.removeAttribute("aria-busy");
      done();
    }
  }

  async function readAgain() {
    await read();
    mark();
  }

  const refresh = () => run(readAgain);

  // Both, because a browser may report only one of them: another tab was shown, another window was in front.
  window.addEventListener("focus", refresh, { signal });
  document.addEventListener("visibilitychange", () => document.hidden || refresh(), { signal });
  const ticking = setInterval(showAge, TICK_SECONDS * 1000);
  signal.addEventListener("abort", () => clearInterval(ticking));
  return { line, problems, mark, refresh, run };
}
