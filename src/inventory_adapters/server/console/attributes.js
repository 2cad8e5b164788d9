/**
 * The attributes of an item, as rows of a form. Between a form and a request, they are fields of their own, such as
 * `attributes.barcode`: so the server names them in its messages.
 */

/** @import { Fields, Item } from "./api.js" */

import { h, newId } from "./dom.js";

const PREFIX = "attributes.";

/**
 * Return the name of the attribute of this field; none if the field is another detail.
 *
 * @param {string} field
 */
export const attributeOf = (field) => (field.startsWith(PREFIX) ? field.slice(PREFIX.length) : null);

/**
 * Return the attributes as fields.
 *
 * @param {Item} item
 * @returns {Fields}
 */
export function attributeFields({ attributes }) {
  return Object.fromEntries(Object.entries(attributes).map(([name, text]) => [PREFIX + name, text]));
}

/**
 * Return the body of a request for these fields.
 *
 * @param {Fields} fields
 * @returns {Fields}
 */
export function bodyOf(fields) {
  /** @type {Fields} */
  const body = {};
  /** @type {Fields} */
  const attributes = {};
  for (const [field, value] of Object.entries(fields)) {
    const name = attributeOf(field);
    if (name === null) body[field] = value;
    else attributes[name] = value;
  }
  return Object.keys(attributes).length ? { ...body, attributes } : body;
}

/**
 * Make a row with name and text for each attribute, and a button that adds one.
 *
 * @param {Record<string, string>} [attributes]
 */
export function attributeRows(attributes = {}) {
  const rows = h("div", { class: "attribute-rows" });
  const add = h("button", { type: "button", class: "quiet", onclick: () => addRow().focus() }, "Add an attribute");

  /** @param {string} [name] */
  function addRow(name = "", text = "") {
    const problem = h("p", { class: "problem", id: newId("problem") });
    const attributes = { type: "text", autocapitalize: "none", "aria-describedby": problem.id };
    const nameInput = h("input", { ...attributes, "aria-label": "Attribute", placeholder: "barcode", value: name });
    const textInput = h("input", { ...attributes, "aria-label": "Text", value: text });
    const remove = h(
      "button",
      { type: "button", class: "quiet", "aria-label": name ? `Remove ${name}` : "Remove the attribute", onclick: drop },
      "✕",
    );
    const row = h("div", { class: "attribute-row", "data-field": "" }, nameInput, textInput, remove, problem);

    function drop() {
      row.remove();
      add.focus();
    }

    rows.append(row);
    return nameInput;
  }

  /** Return the fields; null for an attribute that was removed. */
  function read() {
    /** @type {Fields} */
    const fields = Object.fromEntries(Object.keys(attributes).map((name) => [PREFIX + name, null]));
    for (const row of rows.querySelectorAll(".attribute-row")) {
      const [name, text] = [...row.querySelectorAll("input")].map((input) => input.value);
      if (!name && !text) continue;
      row.setAttribute("data-field", PREFIX + name);
      fields[PREFIX + name] = text;
    }
    return fields;
  }

  for (const [name, text] of Object.entries(attributes)) addRow(name, text);
  const element = h("fieldset", { class: "attributes" }, h("legend", {}, "Attributes"), rows, add);
  return { element, read };
}
