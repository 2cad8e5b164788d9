/** The table of items: its columns, their order, and its pages. */

/** @import { Item } from "./api.js" */

import { h, newId } from "./dom.js";
import { number } from "./format.js";
import { levelBar, marks } from "./level.js";
import { addressOf } from "./places.js";

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

/** @typedef {(sort: string, descending: boolean) => void} SortBy */

/**
 * The selected items. `toggle` selects an item or no more; without an item, all of them or none.
 *
 * @typedef {Object} Selection
 * @property {(item: Item) => boolean} has
 * @property {() => boolean} hasAll
 * @property {(isSelected: boolean, item?: Item) => void} toggle
 */

/** The order and page of the table. They stay when the person opens an item and comes back. */
export const shown = { sort: "name", descending: false, page: 0 };

/**
 * Compare two items by the sorted column, then by location.
 *
 * @type {Compare}
 */
export function inOrder(a, b) {
  const [, , compare] = COLUMNS.find(([name]) => name === shown.sort) ?? COLUMNS[0];
  const order = compare(a, b) || COLLATOR.compare(a.location, b.location);
  return shown.descending ? -order : order;
}

/**
 * @param {Item[]} items
 * @param {SortBy} sortBy
 * @param {Selection} selection
 */
export function itemTable(items, sortBy, selection) {
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
  const all = checkbox("Select all loaded items", "select", selection.hasAll(), selection.toggle);
  heads.unshift(h("td", { class: "select-column writes" }, all));
  heads.splice(5, 0, h("th", { scope: "col", class: "level-column wide" }, "Level"));
  return h(
    "table",
    { class: "items" },
    h(
      "caption",
      { class: "hidden" },
      "Items in stock. Each bar shows available, then reserved units; the line across it is the reorder point.",
    ),
    h("thead", {}, h("tr", {}, heads)),
    h(
      "tbody",
      {},
      items.map((item) => itemRow(item, selection)),
    ),
  );
}

/**
 * @param {string} label
 * @param {string} key
 * @param {boolean} checked
 * @param {(isSelected: boolean) => void} toggle
 */
function checkbox(label, key, checked, toggle) {
  const onchange = (/** @type {any} */ event) => toggle(event.currentTarget.checked);
  return h("input", { type: "checkbox", "aria-label": label, "data-key": key, checked, onchange });
}

/**
 * @param {Item} item
 * @param {Selection} selection
 */
function itemRow(item, selection) {
  const key = `${item.item_id} ${item.sku}`;
  const toggle = (/** @type {boolean} */ isSelected) => selection.toggle(isSelected, item);
  const more = [item.sku, item.category, item.location].join(" · ");
  return h(
    "tr",
    {},
    h("td", { class: "select-column writes" }, checkbox(`Select ${item.name}`, `select ${key}`, selection.has(item), toggle)),
    h("td", { class: "sku wide" }, item.sku),
    h(
      "th",
      { scope: "row" },
      h("a", { href: addressOf(item), "data-key": key }, item.name),
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
export function sortChoice(sortBy) {
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
export function pagerPart(first, count, total, pages, render) {
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
