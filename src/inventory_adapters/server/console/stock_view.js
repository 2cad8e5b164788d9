/** The stock as a table. The server filters; search, sorting and paging cover the loaded items. */

/** @import { Item } from "./api.js" */
/** @import { Child } from "./dom.js" */

import { asApiError, findItems, itemPages } from "./api.js";
import { fill, h, newId, one } from "./dom.js";
import { counted, number, STATUS_OPTIONS } from "./format.js";
import { makeFreshness } from "./freshness.js";
import { isLow, levelBar, marks } from "./level.js";
import { addressOf } from "./places.js";
import { notice } from "./notices.js";

const ROWS_A_PAGE = 25;
// The API returns pages in its own order, so this many items are loaded for search and sorting; more on request.
const LOADED_AHEAD = 1000;

// Shared, because creating a collator takes far longer than comparing.
const COLLATOR = new Intl.Collator("en", { numeric: true });
/** @typedef {(a: Item, b: Item) => number} Compare */

/** @type {(name: "sku"|"name"|"category"|"location") => Compare} */
const byText = (name) => (a, b) => COLLATOR.compare(a[name], b[name]);
/** @type {(name: "available"|"reserved"|"quantity") => Compare} */
const byNumber = (name) => (a, b) => a[name] - b[name];

/**
 * The columns: name, label, comparison and class.
 *
 * @type {Array<[name: string, label: string, compare: Compare, classes: string]>}
 */
const COLUMNS = [
  ["sku", "SKU", byText("sku"), "wide"],
  ["name", "Name", byText("name"), ""],
  ["category", "Category", byText("category"), "wide"],
  ["location", "Location", byText("location"), "wide"],
  ["available", "Available", byNumber("available"), "number"],
  ["reserved", "Reserved", byNumber("reserved"), "number wide"],
  ["quantity", "On hand", byNumber("quantity"), "number wide"],
];

const FILTERS = /** @type {const} */ (["category", "status", "location", "low_stock", "sku"]);

/** @typedef {Record<(typeof FILTERS)[number], string>} Filters Empty for no filter. */

/** The search, order and page of the table. They stay when the person opens an item and comes back. */
const shown = { search: "", sort: "name", descending: false, page: 0 };

/** @typedef {{rows: Item[]|null, token: string|undefined}} State `rows` are sorted; null until the first ones are loaded. */
/** @typedef {Record<"category"|"location", HTMLDataListElement>} Suggestions */
/** @typedef {(sort: string, descending: boolean) => void} SortBy */

/** @type {import("./main.js").View} */
export async function stockView({ query, signal }) {
  const filters = filtersIn(query);
  /** @type {State} */
  const state = { rows: null, token: undefined };
  const summary = h("p", { class: "summary", role: "status" });
  const table = h("div", {});
  const suggestions = {
    category: h("datalist", { id: newId("categories") }),
    location: h("datalist", { id: newId("locations") }),
  };
  const fresh = makeFreshness(refresh, signal);

  /** Read all loaded items again. The old rows stay until the new ones are complete. */
  async function refresh() {
    const count = Math.max(state.rows?.length ?? 0, LOADED_AHEAD);
    const { items, token } = await read(count);
    update(items, [], token);
  }

  async function readMore() {
    const { items, token } = await read(LOADED_AHEAD, state.token);
    update(items, state.rows ?? [], token);
  }

  const loadMore = () => fresh.run(readMore);

  /**
   * @param {number} count
   * @param {string} [token]
   */
  async function read(count, token) {
    /** @type {Item[]} */
    const items = [];
    let next = token;
    if (!state.rows) summary.textContent = "Loading…";
    try {
      for await (const page of itemPages(filters, { token, signal })) {
        items.push(...page.items);
        next = page.next_page_token;
        if (items.length >= count) break;
        showProgress(items.length, token);
      }
    } catch (error) {
      if (!signal.aborted) showSummary();
      throw error;
    }
    return { items, token: next };
  }

  /**
   * Show *items* and *others*. An item edited between two pages appears in both; the one read last is shown.
   *
   * @param {Item[]} items
   * @param {Item[]} others
   * @param {string} [token]
   */
  function update(items, others, token) {
    const latest = new Map(items.map((item) => [keyOf(item), item]));
    state.rows = [...others.filter((item) => !latest.has(keyOf(item))), ...latest.values()].sort(inOrder);
    state.token = token;
    suggest(suggestions, state.rows);
    render();
  }

  /**
   * @param {number} count
   * @param {string} [token]
   */
  function showProgress(count, token) {
    if (!state.rows) summary.textContent = `Loading… ${counted(count, "item")}`;
    else if (token) summary.textContent = `${counted(state.rows.length, "item")} · loading more… ${number(count)}`;
  }

  function showSummary() {
    summary.textContent = state.rows ? summaryOf(state.rows, state.token) : "The stock could not be loaded.";
  }

  /** @type {SortBy} */
  function sortBy(sort, descending) {
    Object.assign(shown, { sort, descending, page: 0 });
    state.rows?.sort(inOrder);
    render();
  }

  function render() {
    if (!state.rows) return;
    const focused = document.activeElement?.getAttribute("data-key");
    showSummary();
    fill(table, ...tablePart({ rows: state.rows, token: state.token, filters, render, sortBy, loadMore, showAll }));
    if (!focused) return;
    const redrawn = table.querySelector(`[data-key="${CSS.escape(focused)}"]`);
    if (redrawn instanceof HTMLElement) redrawn.focus({ preventScroll: true });
  }

  function showAll() {
    shown.search = "";
    /** @type {HTMLInputElement} */ (one(bar, "input")).value = "";
    if (Object.values(filters).some(Boolean)) location.hash = "#/";
    else render();
  }

  const bar = searchBar(filters, suggestions, render);
  fresh.refresh();
  const content = h(
    "section",
    { class: "stock" },
    h(
      "div",
      { class: "heading" },
      h("h1", { tabindex: "-1" }, "Stock"),
      h("a", { class: "button primary", href: "#/new" }, "New item"),
    ),
    bar,
    h("div", { class: "status-line" }, summary, fresh.line),
    fresh.problems,
    table,
  );
  return { title: "Stock", content };
}

/** @param {Item} item */
const keyOf = (item) => JSON.stringify([item.item_id, item.sku]);

/**
 * @param {Filters} filters
 * @param {Suggestions} suggestions
 * @param {() => void} render
 */
function searchBar(filters, suggestions, render) {
  const search = h("input", {
    type: "search",
    id: newId("search"),
    value: filters.sku || shown.search,
    placeholder: "Name or SKU",
    "aria-describedby": "search-hint",
    autocomplete: "off",
    spellcheck: "false",
    oninput: () => {
      Object.assign(shown, { search: search.value.trim(), page: 0 });
      if (filters.sku && !search.value) filterBy("sku", "");
      else render();
    },
    // A form with several fields and no button has no submit event.
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter") findExactly(search.value.trim());
    },
  });
  const lowStock = h("input", {
    type: "checkbox",
    checked: filters.low_stock === "true",
    onchange: (event) => filterBy("low_stock", event.currentTarget.checked ? "true" : ""),
  });
  return h(
    "form",
    { class: "filters", role: "search", onsubmit: (/** @type {SubmitEvent} */ event) => event.preventDefault() },
    h(
      "div",
      { class: "field search" },
      h("label", { for: search.id }, "Search"),
      search,
      h("p", { class: "hint", id: "search-hint" }, "Searches the loaded items. Enter finds an exact SKU in all items."),
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
  const input = h("input", { ...attributes, onchange: (event) => filterBy(name, event.currentTarget.value.trim()) });
  return h("div", { class: "field" }, h("label", { for: id }, label), input, suggestions);
}

/** @param {Filters} filters */
function statusFilter(filters) {
  const id = newId("status");
  const options = [["", "Any"], ...STATUS_OPTIONS].map(([value, label]) =>
    h("option", { value, selected: value === filters.status }, label),
  );
  const select = h("select", { id, onchange: (event) => filterBy("status", event.currentTarget.value) }, options);
  return h("div", { class: "field" }, h("label", { for: id }, "Status"), select);
}

/**
 * @param {Suggestions} suggestions
 * @param {Item[]} rows
 */
function suggest(suggestions, rows) {
  for (const name of /** @type {const} */ (["category", "location"])) {
    const values = [...new Set(rows.map((item) => item[name]))].sort();
    fill(suggestions[name], ...values.map((value) => h("option", { value })));
  }
}

/** @param {string} sku */
async function findExactly(sku) {
  if (!sku) return;
  let items;
  try {
    items = await findItems({ sku });
  } catch (error) {
    notice(asApiError(error).message);
    return;
  }
  if (items.length === 1) location.hash = addressOf(items[0]);
  else if (items.length > 1) filterBy("sku", sku);
  else notice(`No item has the SKU “${sku}”.`);
}

/**
 * @param {URLSearchParams} query
 * @returns {Filters}
 */
function filtersIn(query) {
  return /** @type {Filters} */ (Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""])));
}

/**
 * Change one filter in the address. The address may be newer than the table.
 *
 * @param {keyof Filters} name
 * @param {string} value
 */
function filterBy(name, value) {
  const filters = { ...filtersIn(new URLSearchParams(location.hash.split("?")[1])), [name]: value };
  const query = new URLSearchParams(Object.entries(filters).filter(([, text]) => text));
  Object.assign(shown, { page: 0 }, filters.sku ? { search: "" } : {});
  location.hash = query.size ? `#/?${query}` : "#/";
}

/**
 * @param {Object} table
 * @param {Item[]} table.rows
 * @param {string|undefined} table.token
 * @param {Filters} table.filters
 * @param {() => void} table.render
 * @param {SortBy} table.sortBy
 * @param {() => void} table.loadMore
 * @param {() => void} table.showAll
 * @returns {Child[]}
 */
function tablePart({ rows, token, filters, render, sortBy, loadMore, showAll }) {
  const matching = rows.filter(matches(shown.search));
  const pages = Math.max(1, Math.ceil(matching.length / ROWS_A_PAGE));
  shown.page = Math.min(shown.page, pages - 1);
  const first = shown.page * ROWS_A_PAGE;
  const visible = matching.slice(first, first + ROWS_A_PAGE);
  return [
    visible.length > 0 && sortChoice(sortBy),
    visible.length > 0 && itemTable(visible, sortBy),
    visible.length === 0 && emptyNote(rows, filters, showAll),
    h(
      "div",
      { class: "pager" },
      pages > 1 && pagerPart(first, visible.length, matching.length, pages, render),
      token && h("button", { type: "button", "data-key": "more", onclick: loadMore }, `Load ${number(LOADED_AHEAD)} more`),
    ),
  ];
}

/**
 * @param {Item[]} rows
 * @param {string} [token]
 */
function summaryOf(rows, token) {
  const matching = rows.filter(matches(shown.search));
  const low = matching.filter((item) => item.available > 0 && isLow(item)).length;
  const out = matching.filter((item) => item.available === 0).length;
  const counts = [
    shown.search ? `${number(matching.length)} of ${counted(rows.length, "loaded item")}` : counted(rows.length, "item"),
    low && `${number(low)} low`,
    out && `${number(out)} out of stock`,
    token && "more not loaded: search and sorting cover the loaded items",
  ];
  return counts.filter(Boolean).join(" · ");
}

/**
 * @param {Item[]} rows
 * @param {Filters} filters
 * @param {() => void} showAll
 */
function emptyNote(rows, filters, showAll) {
  const isFiltered = Object.values(filters).some(Boolean);
  if (rows.length || isFiltered) {
    return h(
      "div",
      { class: "empty" },
      h("p", {}, "No item matches."),
      h("button", { type: "button", onclick: showAll }, "Show all items"),
    );
  }
  return h(
    "div",
    { class: "empty" },
    h("p", { class: "empty-title" }, "Nothing in stock yet"),
    h(
      "p",
      { class: "writes" },
      h("a", { href: "#/new" }, "Create the first item"),
      " or ",
      h("a", { href: "#/import" }, "import a CSV file"),
      ".",
    ),
  );
}

/**
 * @param {string} search
 * @returns {(item: Item) => boolean}
 */
function matches(search) {
  const lower = search.toLocaleLowerCase("en");
  return (item) => `${item.name}\n${item.sku}`.toLocaleLowerCase("en").includes(lower);
}

/**
 * Compare two items by the sorted column, then by location.
 *
 * @type {Compare}
 */
function inOrder(a, b) {
  const [, , compare] = COLUMNS.find(([name]) => name === shown.sort) ?? COLUMNS[0];
  const order = compare(a, b) || COLLATOR.compare(a.location, b.location);
  return shown.descending ? -order : order;
}

/**
 * @param {Item[]} items
 * @param {SortBy} sortBy
 */
function itemTable(items, sortBy) {
  const heads = COLUMNS.map(([name, label, , classes]) => {
    const isSorted = shown.sort === name;
    const direction = shown.descending ? "descending" : "ascending";
    return h(
      "th",
      { scope: "col", class: classes, "aria-sort": isSorted ? direction : null },
      h(
        "button",
        {
          type: "button",
          class: "sort",
          "data-key": `sort-${name}`,
          onclick: () => sortBy(name, isSorted && !shown.descending),
        },
        label,
        h("span", { class: "arrow", "aria-hidden": "true" }, isSorted ? (shown.descending ? "↓" : "↑") : ""),
      ),
    );
  });
  heads.splice(4, 0, h("th", { scope: "col", class: "level-column wide" }, "Level"));
  return h(
    "table",
    { class: "items" },
    h(
      "caption",
      { class: "hidden" },
      "Items in stock. Each bar shows available, then reserved units; the line across it is the reorder point.",
    ),
    h("thead", {}, h("tr", {}, heads)),
    h("tbody", {}, items.map(itemRow)),
  );
}

/** @param {Item} item */
function itemRow(item) {
  const more = [item.sku, item.category, item.location].join(" · ");
  return h(
    "tr",
    {},
    h("td", { class: "sku wide" }, item.sku),
    h(
      "th",
      { scope: "row" },
      h("a", { href: addressOf(item), "data-key": `${item.item_id} ${item.sku}` }, item.name),
      h("span", { class: "marks" }, marks(item)),
      h("span", { class: "more narrow" }, more),
    ),
    h("td", { class: "wide" }, item.category),
    h("td", { class: "wide" }, item.location),
    h("td", { class: "level-column wide" }, levelBar(item)),
    h(
      "td",
      { class: "number available" },
      number(item.available),
      h("span", { class: "narrow" }, levelBar(item), h("span", { class: "more" }, `of ${number(item.quantity)}`)),
    ),
    h("td", { class: item.reserved ? "number wide" : "number wide none" }, number(item.reserved)),
    h("td", { class: "number wide" }, number(item.quantity)),
  );
}

/**
 * Return the choice of the order for narrow windows, which hide columns with their sort buttons.
 *
 * @param {SortBy} sortBy
 */
function sortChoice(sortBy) {
  const id = newId("order");
  const options = COLUMNS.flatMap(([name, label]) =>
    [false, true].map((descending) =>
      h(
        "option",
        { value: `${name} ${descending}`, selected: shown.sort === name && shown.descending === descending },
        `${label} ${descending ? "↓" : "↑"}`,
      ),
    ),
  );
  const select = h("select", { id, "data-key": "sort-choice", onchange: change }, options);

  function change() {
    const [sort, descending] = select.value.split(" ");
    sortBy(sort, descending === "true");
  }

  return h("p", { class: "sort-choice narrow" }, h("label", { for: id }, "Sorted by "), select);
}

/**
 * @param {number} first
 * @param {number} count
 * @param {number} total
 * @param {number} pages
 * @param {() => void} render
 */
function pagerPart(first, count, total, pages, render) {
  const button = (/** @type {string} */ key, /** @type {string} */ label, /** @type {number} */ target) => {
    const exists = target >= 0 && target < pages;
    const open = () => {
      if (!exists) return;
      shown.page = target;
      render();
    };
    // Not `disabled`, which would take the focus from the button.
    return h("button", { type: "button", "data-key": key, "aria-disabled": exists ? null : "true", onclick: open }, label);
  };
  return [
    button("previous", "Previous", shown.page - 1),
    h("span", { class: "place", role: "status" }, `${number(first + 1)}–${number(first + count)} of ${number(total)}`),
    button("next", "Next", shown.page + 1),
  ];
}
