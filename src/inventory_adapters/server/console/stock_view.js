/** The stock as a table. The server searches and filters; sorting and paging cover the loaded items. */

/** @import { Item } from "./api.js" */
/** @import { Child } from "./dom.js" */
/** @import { Filters } from "./filter_bar.js" */
/** @import { Selection, SortBy } from "./item_table.js" */

import { itemPages, ROWS } from "./api.js";
import { bulkEdit } from "./bulk_edit.js";
import { fill, h, one } from "./dom.js";
import { exportItems } from "./export_csv.js";
import { addressWith, filterBar, filtersIn, makeSuggestions, suggest } from "./filter_bar.js";
import { counted, number, time } from "./format.js";
import { makeFreshness } from "./freshness.js";
import { inOrder, itemTable, pagerPart, shown, sortChoice } from "./item_table.js";
import { isLow } from "./level.js";
import { notice } from "./notices.js";
import { keepStockAddress } from "./places.js";

const ROWS_A_PAGE = 25;
// The API returns pages in its own order, so this many items are loaded for sorting; more on request.
const LOADED_AHEAD = 1000;
// The pages of a search are short where few items match. After this many of them, the person decides.
const SHORT_PAGES = 10;

/** @typedef {{items: Item[], short: number, token: string|undefined}} Loaded `short` counts the short pages. */
/** @typedef {{rows: Item[]|null, short: number, token: string|undefined}} State `rows` are sorted; null until the first ones are loaded. */

/** @type {import("./main.js").View} */
export async function stockView({ query, signal }) {
  keepStockAddress();
  const filters = filtersIn(query);
  /** @type {State} */
  const state = { rows: null, short: 0, token: undefined };
  let typing = new AbortController();
  const summary = h("p", { class: "summary", role: "status" });
  const table = h("div", {});
  const printed = h("p", { class: "printed" });
  const chosen = h("p", { class: "chosen", role: "status" });
  const rejections = h("div", { class: "problems" });
  const bulk = h("div", { class: "card bulk writes", hidden: true });
  /** @type {Set<string>} */
  const selected = new Set();
  let isPrinting = false;
  const suggestions = makeSuggestions();
  const fresh = makeFreshness(refresh, signal);

  /** Read all loaded items again. The old rows stay until the new ones are complete. */
  async function refresh() {
    const count = Math.max(state.rows?.length ?? 0, LOADED_AHEAD);
    const loaded = await read(count, Math.max(state.short, SHORT_PAGES));
    if (loaded) update(loaded, []);
  }

  async function readMore() {
    const loaded = await read(LOADED_AHEAD, SHORT_PAGES, state.token);
    if (loaded) update({ ...loaded, short: state.short + loaded.short }, state.rows ?? []);
  }

  const loadMore = () => fresh.run(readMore);

  /** @param {string} text */
  function search(text) {
    if (text === filters.search) return;
    filters.search = text;
    shown.page = 0;
    state.short = 0;
    // The view stays, so that the search keeps the focus.
    history.replaceState(null, "", addressWith({ search: text }));
    keepStockAddress();
    typing.abort();
    typing = new AbortController();
    fresh.restart();
  }

  /**
   * Read pages until there are *count* items or *short* short pages. Return null if another search was typed meanwhile.
   *
   * @param {number} count
   * @param {number} short
   * @param {string} [token]
   * @returns {Promise<Loaded|null>}
   */
  async function read(count, short, token) {
    const { signal: retyped } = typing;
    /** @type {Loaded} */
    const loaded = { items: [], short: 0, token };
    if (!state.rows) summary.textContent = "Loading…";
    try {
      for await (const page of itemPages(filters, { token, signal: AbortSignal.any([signal, retyped]) })) {
        const isFirst = !loaded.items.length && page.items.length > 0;
        loaded.items.push(...page.items);
        loaded.token = page.next_page_token;
        if (page.items.length < ROWS) loaded.short += 1;
        if (loaded.items.length >= count || loaded.short >= short) break;
        if (!loaded.token) break;
        if (filters.search && isFirst && !token) update({ ...loaded, token: undefined }, []);
        showProgress(loaded.items.length, token);
      }
    } catch (error) {
      if (retyped.aborted) return null;
      if (!signal.aborted) showSummary();
      throw error;
    }
    return loaded;
  }

  /**
   * Show the loaded items and *others*. An item edited between two pages appears in both; the one read last is shown.
   *
   * @param {Loaded} loaded
   * @param {Item[]} others
   */
  function update({ items, short, token }, others) {
    const latest = new Map(items.map((item) => [keyOf(item), item]));
    state.rows = [...others.filter((item) => !latest.has(keyOf(item))), ...latest.values()].sort(inOrder);
    Object.assign(state, { short, token });
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
    else if (filters.search) summary.textContent = `Searching… ${counted(count, "item")}`;
  }

  function showSummary() {
    summary.textContent = state.rows ? summaryOf(state.rows, state.token, filters) : "The stock could not be loaded.";
  }

  function selectedItems() {
    return (state.rows ?? []).filter((item) => selected.has(keyOf(item)));
  }

  /** @type {Selection} */
  const selection = {
    has: (item) => selected.has(keyOf(item)),
    hasAll: () => selected.size > 0 && selected.size === state.rows?.length,
    toggle: (isSelected, item) => {
      for (const each of item ? [item] : (state.rows ?? [])) selected[isSelected ? "add" : "delete"](keyOf(each));
      if (!item) render();
      showSelected();
    },
  };

  function showSelected() {
    const count = selectedItems().length;
    if (bulk.hidden && count) fill(bulk, chosen, bulkEdit(selectedItems, changed, rejections));
    bulk.hidden = count === 0;
    if (bulk.hidden) fill(bulk);
    chosen.textContent = `${counted(count, "item")} selected`;
  }

  /**
   * Read the changed items again; those that were rejected stay selected.
   *
   * @param {Item[]} rejected
   */
  function changed(rejected) {
    selected.clear();
    for (const item of rejected) selected.add(keyOf(item));
    // The button that had the focus is hidden.
    if (!rejected.length) one(document, "main h1").focus();
    fresh.refresh();
  }

  async function save() {
    const count = await exportItems(filters, signal);
    notice(`${counted(count, "item")} exported.`);
  }

  /** @param {boolean} printer Whether to draw for a printer, which gets all loaded rows. */
  function drawFor(printer) {
    isPrinting = printer;
    printed.textContent = `Printed ${time(new Date().toISOString())}`;
    render();
  }

  window.addEventListener("beforeprint", () => drawFor(true), { signal });
  window.addEventListener("afterprint", () => drawFor(false), { signal });

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
    const { rows, token } = state;
    fill(table, ...tablePart({ rows, token, isPrinting, selection, filters, render, sortBy, loadMore, showAll }));
    showSelected();
    if (!focused) return;
    const redrawn = table.querySelector(`[data-key="${CSS.escape(focused)}"]`);
    if (redrawn instanceof HTMLElement) redrawn.focus({ preventScroll: true });
  }

  function showAll() {
    location.hash = "#/";
  }

  const bar = filterBar(filters, suggestions, search);
  fresh.refresh();
  const content = h(
    "section",
    { class: "stock" },
    h(
      "div",
      { class: "heading" },
      h("h1", { tabindex: "-1" }, "Stock"),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "button", onclick: () => fresh.run(save) }, "Export CSV"),
        h("button", { type: "button", onclick: () => window.print() }, "Print"),
        h("a", { class: "button primary", href: "#/new" }, "New item"),
      ),
    ),
    bar,
    h("div", { class: "status-line" }, summary, fresh.line),
    printed,
    fresh.problems,
    bulk,
    rejections,
    table,
  );
  return { title: "Stock", content };
}

/** @param {Item} item */
const keyOf = (item) => JSON.stringify([item.item_id, item.sku]);

/**
 * @param {Object} table
 * @param {Item[]} table.rows
 * @param {string|undefined} table.token
 * @param {boolean} table.isPrinting
 * @param {Selection} table.selection
 * @param {Filters} table.filters
 * @param {() => void} table.render
 * @param {SortBy} table.sortBy
 * @param {() => void} table.loadMore
 * @param {() => void} table.showAll
 * @returns {Child[]}
 */
function tablePart({ rows, token, isPrinting, selection, filters, render, sortBy, loadMore, showAll }) {
  const pages = Math.max(1, Math.ceil(rows.length / ROWS_A_PAGE));
  shown.page = Math.min(shown.page, pages - 1);
  const first = shown.page * ROWS_A_PAGE;
  const visible = isPrinting ? rows : rows.slice(first, first + ROWS_A_PAGE);
  return [
    visible.length > 0 && sortChoice(sortBy),
    visible.length > 0 && itemTable(visible, sortBy, selection),
    visible.length === 0 && emptyNote(filters, token, showAll),
    h(
      "div",
      { class: "pager" },
      pages > 1 && pagerPart(first, visible.length, rows.length, pages, render),
      token &&
        h("button", { type: "button", "data-key": "more", onclick: loadMore }, filters.search ? "Search on" : "Load more"),
    ),
  ];
}

/**
 * @param {Item[]} rows
 * @param {string|undefined} token
 * @param {Filters} filters
 */
function summaryOf(rows, token, filters) {
  const low = rows.filter((item) => item.available > 0 && isLow(item)).length;
  const out = rows.filter((item) => item.available === 0).length;
  const counts = [
    filters.search ? `${counted(rows.length, "item")} found` : counted(rows.length, "item"),
    low && `${number(low)} low`,
    out && `${number(out)} out of stock`,
    token && `${filters.search ? "not all items searched" : "more not loaded"}: sorting covers these ${number(rows.length)}`,
  ];
  return counts.filter(Boolean).join(" · ");
}

/**
 * @param {Filters} filters
 * @param {string|undefined} token
 * @param {() => void} showAll
 */
function emptyNote(filters, token, showAll) {
  if (token || Object.values(filters).some(Boolean)) {
    return h(
      "div",
      { class: "empty" },
      h("p", {}, token ? "No item found yet." : "No item matches."),
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
