/** The stock as a table: filtered by the server, searched, sorted and paged among the rows that are loaded. */

import { findItems, itemPages } from "./api.js";
import { fill, h, newId } from "./dom.js";
import { counted, number, STATUS_OPTIONS } from "./format.js";
import { makeFreshness } from "./freshness.js";
import { isLow, levelBar, marks } from "./level.js";
import { addressOf } from "./places.js";
import { notice } from "./notices.js";

const ROWS_A_PAGE = 25;
// The API gives pages in its own order. This many items are loaded ahead, to be searched and sorted here; more on request.
const LOADED_AHEAD = 1000;

// One for all comparisons: making a collator takes far longer than comparing.
const COLLATOR = new Intl.Collator("en", { numeric: true });
const byText = (name) => (a, b) => COLLATOR.compare(a[name], b[name]);
const byNumber = (name) => (a, b) => a[name] - b[name];

/** What can be sorted by: label, comparison, and the class of the column. */
const COLUMNS = [
  ["sku", "SKU", byText("sku"), "wide"],
  ["name", "Name", byText("name"), ""],
  ["category", "Category", byText("category"), "wide"],
  ["location", "Location", byText("location"), "wide"],
  ["available", "Available", byNumber("available"), "number"],
  ["reserved", "Reserved", byNumber("reserved"), "number wide"],
  ["quantity", "On hand", byNumber("quantity"), "number wide"],
];

const FILTERS = ["category", "status", "location", "low_stock", "sku"];

/** What the table shows of what is loaded; kept when an item is opened and the way leads back. */
const shown = { search: "", sort: "name", descending: false, page: 0 };

export async function stockView({ query, signal }) {
  const filters = filtersIn(query);
  // `rows` are in the order of the table; null until something was read.
  const state = { rows: null, token: undefined };
  const summary = h("p", { class: "summary", role: "status" });
  const table = h("div", {});
  const suggestions = { category: h("datalist", { id: newId("categories") }), location: h("datalist", { id: newId("locations") }) };
  const fresh = makeFreshness(refresh, signal);

  /** Read all that is shown again; the old rows stay until the new ones are there. */
  async function refresh() {
    const count = Math.max(state.rows?.length ?? 0, LOADED_AHEAD);
    const { items, token } = await read(count, undefined);
    update(items, [], token);
  }

  async function readMore() {
    const { items, token } = await read(LOADED_AHEAD, state.token);
    update(items, state.rows, token);
  }

  const loadMore = () => fresh.run(readMore);

  async function read(count, token) {
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

  /** Show *items* beside *others*. An item that was edited between two pages comes twice: the one read last is shown. */
  function update(items, others, token) {
    const known = new Map(items.map((item) => [keyOf(item), item]));
    state.rows = others.filter((item) => !known.has(keyOf(item))).concat([...known.values()]).sort(inOrder);
    state.token = token;
    suggest(suggestions, state.rows);
    render();
  }

  function showProgress(count, token) {
    if (!state.rows) summary.textContent = `Loading… ${counted(count, "item")}`;
    else if (token) summary.textContent = `${counted(state.rows.length, "item")} · loading more… ${number(count)}`;
  }

  function showSummary() {
    summary.textContent = state.rows ? summaryOf(state.rows.filter(matches(shown.search)), state) : "The stock could not be loaded.";
  }

  function sortBy(sort, descending) {
    Object.assign(shown, { sort, descending, page: 0 });
    state.rows.sort(inOrder);
    render();
  }

  function render() {
    if (!state.rows) return;
    const focused = document.activeElement?.dataset?.key;
    showSummary();
    fill(table, tablePart({ state, filters, render, sortBy, loadMore, showAll }));
    if (focused) table.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  function showAll() {
    shown.search = "";
    bar.querySelector("input").value = "";
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

const keyOf = (item) => JSON.stringify([item.item_id, item.sku]);

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
    // Not on submit: a form with several fields and no button has none.
    onkeydown: (event) => {
      if (event.key === "Enter") findExactly(search.value.trim());
    },
  });
  const change = (name) => (event) => {
    const { type, checked, value } = event.target;
    filterBy(name, type === "checkbox" ? (checked ? "true" : "") : value.trim());
  };
  return h(
    "form",
    { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    h(
      "div",
      { class: "field search" },
      h("label", { for: search.id }, "Search"),
      search,
      h("p", { class: "hint", id: "search-hint" }, "Searches the loaded items. Enter finds an exact SKU in all items."),
    ),
    textFilter("Category", "category", filters, suggestions.category, change),
    textFilter("Location", "location", filters, suggestions.location, change),
    statusFilter(filters, change),
    h(
      "label",
      { class: "check" },
      h("input", { type: "checkbox", checked: filters.low_stock === "true", onchange: change("low_stock") }),
      "Low stock only",
    ),
  );
}

function textFilter(label, name, filters, suggestions, change) {
  const id = newId(name);
  const input = h("input", { id, type: "search", value: filters[name], list: suggestions.id, placeholder: "Any", onchange: change(name) });
  return h("div", { class: "field" }, h("label", { for: id }, label), input, suggestions);
}

function statusFilter(filters, change) {
  const id = newId("status");
  const options = [["", "Any"], ...STATUS_OPTIONS].map(([value, label]) =>
    h("option", { value, selected: value === filters.status }, label),
  );
  return h("div", { class: "field" }, h("label", { for: id }, "Status"), h("select", { id, onchange: change("status") }, options));
}

function suggest(suggestions, rows) {
  for (const [name, list] of Object.entries(suggestions)) {
    const values = [...new Set(rows.map((item) => item[name]))].sort();
    fill(list, values.map((value) => h("option", { value })));
  }
}

async function findExactly(sku) {
  if (!sku) return;
  let found;
  try {
    found = await findItems({ sku });
  } catch (error) {
    notice(error.message);
    return;
  }
  if (found.length === 1) location.hash = addressOf(found[0]);
  else if (found.length > 1) filterBy("sku", sku);
  else notice(`No item has exactly the SKU “${sku}”.`);
}

function filtersIn(query) {
  return Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
}

/** Change one filter of the address, which may be ahead of what is shown. */
function filterBy(name, value) {
  const filters = { ...filtersIn(new URLSearchParams(location.hash.split("?")[1])), [name]: value };
  const given = Object.entries(filters).filter(([, it]) => it);
  Object.assign(shown, { page: 0 }, filters.sku ? { search: "" } : {});
  location.hash = given.length ? `#/?${new URLSearchParams(given)}` : "#/";
}

function tablePart({ state, filters, render, sortBy, loadMore, showAll }) {
  const matching = state.rows.filter(matches(shown.search));
  const pages = Math.max(1, Math.ceil(matching.length / ROWS_A_PAGE));
  shown.page = Math.min(shown.page, pages - 1);
  const first = shown.page * ROWS_A_PAGE;
  const visible = matching.slice(first, first + ROWS_A_PAGE);
  return [
    visible.length > 0 && sortChoice(sortBy),
    visible.length > 0 && itemTable(visible, sortBy),
    visible.length === 0 && emptyNote(state.rows, filters, showAll),
    h(
      "div",
      { class: "pager" },
      pages > 1 && pagerPart(first, visible.length, matching.length, pages, render),
      state.token && h("button", { type: "button", "data-key": "more", onclick: loadMore }, `Load ${number(LOADED_AHEAD)} more`),
    ),
  ];
}

function summaryOf(matching, { rows, token }) {
  const low = matching.filter((item) => item.available > 0 && isLow(item)).length;
  const out = matching.filter((item) => item.available === 0).length;
  const counts = [
    shown.search ? `${number(matching.length)} of ${counted(rows.length, "loaded item")}` : counted(rows.length, "item"),
    low && `${number(low)} low`,
    out && `${number(out)} out of stock`,
    token && "there are more: only the loaded ones are searched and sorted",
  ];
  return counts.filter(Boolean).join(" · ");
}

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
    h("p", {}, h("a", { href: "#/new" }, "Create the first item"), " or ", h("a", { href: "#/import" }, "import a CSV file"), "."),
  );
}

function matches(search) {
  const wanted = search.toLocaleLowerCase("en");
  return (item) => `${item.name}\n${item.sku}`.toLocaleLowerCase("en").includes(wanted);
}

/** Compare two items in the order that is chosen. */
function inOrder(a, b) {
  const [, , compare] = COLUMNS.find(([name]) => name === shown.sort);
  const order = compare(a, b) || COLLATOR.compare(a.location, b.location);
  return shown.descending ? -order : order;
}

function itemTable(items, sortBy) {
  const heads = COLUMNS.map(([name, label, , classes]) => {
    const isSorted = shown.sort === name;
    const direction = shown.descending ? "descending" : "ascending";
    return h(
      "th",
      { scope: "col", class: classes, "aria-sort": isSorted ? direction : null },
      h(
        "button",
        { type: "button", class: "sort", "data-key": `sort-${name}`, onclick: () => sortBy(name, shown.sort === name && !shown.descending) },
        label,
        h("span", { class: "arrow", "aria-hidden": "true" }, isSorted ? (shown.descending ? "↓" : "↑") : ""),
      ),
    );
  });
  heads.splice(4, 0, h("th", { scope: "col", class: "level-column wide" }, "Level"));
  return h(
    "table",
    { class: "items" },
    h("caption", { class: "hidden" }, "Items in stock. In each bar: available, then reserved; the line across it is the reorder point."),
    h("thead", {}, h("tr", {}, heads)),
    h("tbody", {}, items.map(itemRow)),
  );
}

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

/** Where columns are hidden, so are their buttons: there, this is how to sort. */
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
  const change = (event) => {
    const [sort, descending] = event.target.value.split(" ");
    sortBy(sort, descending === "true");
  };
  return h(
    "p",
    { class: "sort-choice narrow" },
    h("label", { for: id }, "Sorted by "),
    h("select", { id, "data-key": "sort-choice", onchange: change }, options),
  );
}

function pagerPart(first, count, total, pages, render) {
  const turn = (by) => () => {
    const target = shown.page + by;
    if (target < 0 || target >= pages) return;
    shown.page = target;
    render();
  };
  // aria-disabled, not disabled: the button that was pressed keeps the focus.
  const button = (key, label, by, isOver) =>
    h("button", { type: "button", "data-key": key, "aria-disabled": isOver ? "true" : null, onclick: turn(by) }, label);
  return [
    button("previous", "Previous", -1, shown.page === 0),
    h("span", { class: "place", role: "status" }, `${number(first + 1)}–${number(first + count)} of ${number(total)}`),
    button("next", "Next", 1, shown.page === pages - 1),
  ];
}
