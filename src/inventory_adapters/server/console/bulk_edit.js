/** One detail of several items at once. Each item is changed or rejected on its own. */

/** @import { Fields, Item, RowResult } from "./api.js" */

import { batchItems, invalidField } from "./api.js";
import { detailField, detailLabel } from "./details.js";
import { fill, h, newId } from "./dom.js";
import { counted } from "./format.js";
import { makeForm } from "./forms.js";
import { notice } from "./notices.js";

const NAMES = /** @type {const} */ (["category", "location", "reorder_point", "status"]);
const ROWS_A_BATCH = 25;

/**
 * @param {() => Item[]} selected
 * @param {(rejected: Item[]) => void} changed
 * @param {HTMLElement} rejections Where the rejected items are listed.
 */
export function bulkEdit(selected, changed, rejections) {
  const id = newId("detail");
  const options = NAMES.map((name) => h("option", { value: name }, detailLabel(name)));
  const select = h("select", { id, onchange: showForm }, options);
  const place = h("div", {});

  function showForm() {
    const name = NAMES[select.selectedIndex];
    const form = makeForm({
      label: "Change the selected items",
      fields: [{ ...detailField(name), required: true, hint: "" }],
      action: "Change the selected items",
      complete: (values) => ({ ...values, items: selected().map(({ item_id, sku }) => ({ item_id, sku })) }),
      send: ({ items, ...detail }, key) => {
        if (!(name in detail)) throw invalidField(name, "is required");
        return change(/** @type {Fields[]} */ (items), detail, key);
      },
      done: (results) => {
        const items = selected();
        const rejected = results.filter(({ error }) => error);
        const count = counted(results.length - rejected.length, "item");
        notice(`${count} changed${rejected.length ? `, ${rejected.length} rejected` : ""}.`);
        const lines = rejected.map(({ sku, error }) => h("li", {}, `${sku}: ${error}`));
        fill(rejections, lines.length > 0 && h("div", { class: "refusal", role: "alert" }, h("ul", {}, lines)));
        const ids = new Set(rejected.map(({ item_id }) => item_id));
        changed(items.filter(({ item_id }) => ids.has(item_id)));
      },
    });
    fill(place, form);
  }

  showForm();
  return [h("div", { class: "field" }, h("label", { for: id }, "Change"), select), place];
}

/**
 * Change a detail of the items in batches. Each batch has a key of its own, so a resend changes nothing twice.
 *
 * @param {Fields[]} items
 * @param {Fields} detail
 * @param {string} key
 */
async function change(items, detail, key) {
  /** @type {RowResult[]} */
  const results = [];
  for (let start = 0; start < items.length; start += ROWS_A_BATCH) {
    const rows = items.slice(start, start + ROWS_A_BATCH).map((item) => ({ ...item, ...detail }));
    results.push(...(await batchItems(rows, `${key}-${start}`)));
  }
  return results;
}
