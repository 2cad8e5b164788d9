/**
 * The views and their addresses, and the keys and dropped files that all views share. Addresses come after `#`, so the server has
 * one page to serve.
 */

/** @import { ApiError } from "./api.js" */

import { asApiError } from "./api.js";
import { fill, h, one } from "./dom.js";
import { createView } from "./create_view.js";
import { importView, offerFile } from "./import_view.js";
import { itemView } from "./item_view.js";
import { errorBox } from "./notices.js";
import { addressOfStock } from "./places.js";
import { reservationsView } from "./reservations_view.js";
import { arrivedByScan, scanned } from "./scan.js";
import { stockView } from "./stock_view.js";
import { stocktakeView } from "./stocktake_view.js";

/** @typedef {{parts: string[], query: URLSearchParams, signal: AbortSignal}} Place The parsed address of a view. */

/**
 * A view makes its content, and may continue to work until its signal is aborted.
 *
 * @typedef {(place: Place) => Promise<{title: string, content: Node}>} View
 */

/** @type {Record<string, View>} */
const VIEWS = {
  "": stockView,
  items: itemView,
  new: createView,
  reservations: reservationsView,
  stocktake: stocktakeView,
  import: importView,
};

const main = one(document, "#main");
let leaving = new AbortController();

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [path = "", search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name = "", ...parts] = path.split("/").map(decoded);
  const isFirst = !main.querySelector("h1");
  try {
    const view = VIEWS[name] ?? notFoundView;
    const { title, content } = await view({ parts, query: new URLSearchParams(search), signal });
    if (signal.aborted) return;
    document.title = title ? `${title} · Inventory` : "Inventory";
    fill(main, content);
  } catch (error) {
    if (signal.aborted) return;
    fill(main, h("h1", { tabindex: "-1" }, "Something went wrong"), failure(asApiError(error)));
  }
  markPlace(name);
  if (!isFirst) {
    window.scrollTo(0, 0);
    one(main, "h1").focus({ preventScroll: true });
    if (arrivedByScan()) /** @type {HTMLElement|null} */ (main.querySelector(".todo input"))?.focus();
  }
}

/** @param {ApiError} error */
function failure(error) {
  return errorBox(
    error,
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", onclick: show }, "Try again"),
      h("a", { href: addressOfStock() }, "Back to stock"),
    ),
  );
}

/** @param {string} name */
function markPlace(name) {
  const current = name && name in VIEWS ? name : "stock";
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.getAttribute("data-view") === current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** @type {View} */
async function notFoundView() {
  const content = h(
    "section",
    {},
    h("h1", { tabindex: "-1" }, "Page not found"),
    h("p", {}, h("a", { href: "#/" }, "Back to stock")),
  );
  return { title: "Page not found", content };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// Escape returns to the stock, unless an input has the focus or a dialog is open.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select");
  if (!isTyping && location.hash.length > 2) location.hash = addressOfStock();
});

const scan = one(document, "#scan");
const code = /** @type {HTMLInputElement} */ (one(scan, "input"));
scan.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = code.value.trim();
  code.value = "";
  if (text) scanned(text);
});

// A scanner types like a keyboard: what is typed outside of a field is a code.
document.addEventListener("keydown", (event) => {
  if (event.key.length !== 1 || event.key === " " || event.ctrlKey || event.altKey || event.metaKey) return;
  const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select");
  if (!isTyping && !event.defaultPrevented && !document.querySelector("dialog[open]")) code.focus();
});

// Without this, the address of the skip link would be taken for a view.
one(document, ".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

// A file dropped anywhere is imported. Without this, the browser would leave the page to show the file.
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer?.files[0];
  if (!file) return;
  offerFile(file);
  location.hash = "#/import";
});

window.addEventListener("hashchange", show);
show();
