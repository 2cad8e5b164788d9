/** The search and the filters of the stock, which the server applies. They are in the address. */

/** @import { Item } from "./api.js" */

import { fill, h, newId } from "./dom.js";
import { STATUS_OPTIONS } from "./format.js";
import { shown } from "./item_table.js";
import { openItem } from "./scan.js";

const FILTERS = /** @type {const} */ (["search", "category", "status", "location", "low_stock", "sku"]);
const TYPING_MS = 250;

/** @typedef {Record<(typeof FILTERS)[number], string>} Filters Empty for no filter. */
/** @typedef {Record<"category"|"location", HTMLDataListElement>} Suggestions */

/**
 * @param {URLSearchParams} query
 * @returns {Filters}
 */
export function filtersIn(query) {
  return /** @type {Filters} */ (Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""])));
}

/** @returns {Suggestions} */
export function makeSuggestions() {
  return {
    category: h("datalist", { id: newId("categories") }),
    location: h("datalist", { id: newId("locations") }),
  };
}

/**
 * Suggest the categories and locations of *rows*.
 *
 * @param {Suggestions} suggestions
 * @param {Item[]} rows
 */
export function suggest(suggestions, rows) {
  for (const name of /** @type {const} */ (["category", "location"])) {
    const values = [...new Set(rows.map((item) => item[name]))].sort();
    fill(suggestions[name], ...values.map((value) => h("option", { value })));
  }
}

/**
 * @param {Filters} filters
 * @param {Suggestions} suggestions
 * @param {(text: string) => void} searched Called when the person pauses typing.
 */
export function filterBar(filters, suggestions, searched) {
  /** @type {number|undefined} */
  let timer;
  const search = h("input", {
    type: "search",
    id: newId("search"),
    value: filters.sku || filters.search,
    placeholder: "Name, SKU or attribute",
    maxlength: 128,
    "aria-describedby": "search-hint",
    autocomplete: "off",
    spellcheck: "false",
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(typed, TYPING_MS);
    },
    // A form with several fields and no button has no submit event.
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter") openItem(search.value.trim());
    },
  });

  function typed() {
    const text = search.value.trim();
    if (filters.sku) filterBy({ sku: "", search: text });
    else searched(text);
  }

  const lowStock = h("input", {
    type: "checkbox",
    checked: filters.low_stock === "true",
    onchange: (event) => filterBy({ low_stock: event.currentTarget.checked ? "true" : "" }),
  });
  return h(
    "form",
    {
      class: "filters",
      role: "search",
      "aria-label": "Items",
      onsubmit: (/** @type {SubmitEvent} */ event) => event.preventDefault(),
    },
    h(
      "div",
      { class: "field search" },
      h("label", { for: search.id }, "Search"),
      search,
      h(
        "p",
        { class: "hint", id: "search-hint" },
        "Finds all items that have every word. Enter opens an exact SKU or barcode.",
      ),
    ),
    textFilter("Category", "category", filters, suggestions.category),
    textFilter("Location", "location", filters, suggestions.location),
    statusFilter(filters),
    h("label", { class: "check" }, lowStock, "Low stock only"),
  );
}

/**
 * @param {string} label
 * @param {"category"|"location"} name
 * @param {Filters} filters
 * @param {HTMLDataListElement} suggestions
 */
function textFilter(label, name, filters, suggestions) {
  const id = newId(name);
  const attributes = { id, type: "search", value: filters[name], list: suggestions.id, placeholder: "Any" };
  const input = h("input", { ...attributes, onchange: (event) => filterBy({ [name]: event.currentTarget.value.trim() }) });
  return h("div", { class: "field" }, h("label", { for: id }, label), input, suggestions);
}

/** @param {Filters} filters */
function statusFilter(filters) {
  const id = newId("status");
  const options = [["", "Any"], ...STATUS_OPTIONS].map(([value, label]) =>
    h("option", { value, selected: value === filters.status }, label),
  );
  const select = h("select", { id, onchange: (event) => filterBy({ status: event.currentTarget.value }) }, options);
  return h("div", { class: "field" }, h("label", { for: id }, "Status"), select);
}

/**
 * Return the address of the stock with these filters changed. The address may be newer than the table.
 *
 * @param {Partial<Filters>} changes
 */
export function addressWith(changes) {
  const filters = { ...filtersIn(new URLSearchParams(location.hash.split("?")[1])), ...changes };
  const query = new URLSearchParams(Object.entries(filters).filter(([, text]) => text));
  return query.size ? `#/?${query}` : "#/";
}

/** @param {Partial<Filters>} changes */
function filterBy(changes) {
  shown.page = 0;
  location.hash = addressWith(changes);
}
