/** Which view is at which address (all behind `#`, so that the server has one page to serve), and the keys and drops of every view. */

import { fill, h } from "./dom.js";
import { createView } from "./create_view.js";
import { importView, offerFile } from "./import_view.js";
import { itemView } from "./item_view.js";
import { refusalBox } from "./notices.js";
import { reservationsView } from "./reservations_view.js";
import { stockView } from "./stock_view.js";

/**
 * A view makes its content and may go on working until its signal is aborted.
 *
 * @typedef {(place: {parts: string[], query: URLSearchParams, signal: AbortSignal}) => Promise<{title: string, content: Node}>} View
 */

/** @type {Object<string, View>} */
const VIEWS = {
  "": stockView,
  items: itemView,
  new: createView,
  reservations: reservationsView,
  import: importView,
};

const main = document.getElementById("main");
let leaving = new AbortController();

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...parts] = path.split("/").map(decoded);
  const isFirst = !main.querySelector("h1");
  try {
    const view = VIEWS[name] ?? notFoundView;
    const { title, content } = await view({ parts, query: new URLSearchParams(search), signal });
    if (signal.aborted) return;
    document.title = title ? `${title} · Inventory` : "Inventory";
    fill(main, content);
  } catch (error) {
    if (signal.aborted) return;
    if (error.status === undefined) throw error; // A mistake of ours.
    fill(main, h("h1", { tabindex: "-1" }, "That did not work"), failure(error));
  }
  markPlace(name);
  if (!isFirst) {
    window.scrollTo(0, 0);
    main.querySelector("h1")?.focus({ preventScroll: true });
  }
}

function failure(error) {
  return refusalBox(
    error,
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", onclick: show }, "Try again"),
      h("a", { href: "#/" }, "Back to the stock"),
    ),
  );
}

function markPlace(name) {
  for (const link of document.querySelectorAll("nav [data-view]")) {
    const isHere = link.dataset.view === (name in VIEWS && name ? name : "stock");
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

async function notFoundView() {
  const content = h(
    "section",
    {},
    h("h1", { tabindex: "-1" }, "There is nothing here"),
    h("p", {}, h("a", { href: "#/" }, "Back to the stock")),
  );
  return { title: "Nothing here", content };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// Escape leads back to the stock, unless something is being typed or a dialog takes it.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (!event.target.closest("input, textarea, select") && location.hash.length > 2) location.hash = "#/";
});

// The skip link's address is no view.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

// A file that is dropped anywhere is meant for the import; the browser would leave the page for it.
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
