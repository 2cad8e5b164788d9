/** The form that moves units of an item to another location. */

/** @import { Fields, Item, ItemKey, ItemState } from "./api.js" */

import { asApiError, createItem, getStock, invalidField, listMovements, transferStock } from "./api.js";
import { fill, h, newId } from "./dom.js";
import { counted, number } from "./format.js";
import { inputOf, makeForm } from "./forms.js";
import { notice } from "./notices.js";
import { addressOf } from "./places.js";
import { keepOwnChange } from "./session.js";

/**
 * @param {ItemState} state
 * @param {() => void} reload Called after a transfer.
 */
export function transferForm(state, reload) {
  const locations = h("datalist", { id: newId("locations") });
  const total = h("div", { class: "hint" });
  const form = makeForm({
    label: "Transfer units",
    fields: [
      { name: "location", label: "To location", required: true, hint: "If the SKU is not there yet, an item is created." },
      { name: "quantity", label: "Units", kind: "integer", required: true },
      { name: "reference", label: "Reference", hint: "For example, a van or delivery note." },
    ],
    extra: [total, locations],
    action: "Transfer",
    send: (fields, key) => transfer(state.item, fields, key),
    done: ({ location }) => {
      reload();
      showLocations();
      notice(`Transferred to ${location}.`);
      inputOf(form, "quantity").focus();
    },
  });
  inputOf(form, "location").setAttribute("list", locations.id);

  async function showLocations() {
    const { item } = state;
    try {
      const { items, quantity } = await getStock(item.sku);
      const others = items.filter(({ item_id }) => item_id !== item.item_id);
      fill(locations, ...others.map(({ location }) => h("option", { value: location })));
      fill(
        total,
        others.length > 0 && h("p", {}, `${counted(quantity, "unit")} on hand at all locations.`),
        others.map((other) =>
          h("p", {}, h("a", { href: addressOf(other) }, other.location), `: ${number(other.available)} available`),
        ),
      );
    } catch (error) {
      // The locations are only a help; a transfer shows its own errors.
      asApiError(error);
    }
  }

  showLocations();
  return form;
}

/**
 * Move units to the item of this SKU at a location. If there is none, create it first, with 0 units.
 *
 * @param {Item} item
 * @param {Fields} fields
 * @param {string} key
 */
async function transfer(item, { location, quantity, reference }, key) {
  const place = String(location ?? "").trim();
  if (!place) throw invalidField("location", "is required");
  const { items } = await getStock(item.sku);
  let to = items.find((other) => other.location === place);
  if (!to) {
    // Otherwise a mistyped number would leave an item without units.
    const units = Number(quantity);
    if (!(Number.isInteger(units) && units >= 1 && units <= item.available)) {
      throw invalidField("quantity", `must be a whole number from 1 to ${item.available}`);
    }
    const { sku, name, description, category, price, attributes } = item;
    const fields = { sku, name, description, category, price, attributes, location: place, quantity: 0 };
    to = (await createItem(fields, `${key}-item`)).item;
  }
  await transferStock(item, to, { quantity, reference }, key);
  await keepTransfer(item, to, Number(quantity), String(reference ?? ""));
  return to;
}

/**
 * Keep the transfer for its undo. Its answer has no seq, so the movement is looked up.
 *
 * @param {ItemKey} from
 * @param {ItemKey} to
 * @param {number} quantity
 * @param {string} reference
 */
async function keepTransfer(from, { item_id, sku }, quantity, reference) {
  try {
    const { movements } = await listMovements(from);
    const out = movements.find(
      (movement) =>
        movement.kind === "transfer_out" && movement.delta_on_hand === -quantity && (movement.reference ?? "") === reference,
    );
    if (out) keepOwnChange(from, { seq: out.seq, delta: -quantity, to: { item_id, sku } });
  } catch (error) {
    // The units have moved; only the undo is not offered.
    asApiError(error);
  }
}
