/**
 * Forms whose rules are on the server: input is sent as typed, and the server's message about a field is shown at the field.
 */

/** @import { ApiError, Fields } from "./api.js" */
/** @import { Children } from "./dom.js" */

import { ActionKey } from "./action_key.js";
import { asApiError } from "./api.js";
import { fill, h, newId, one } from "./dom.js";
import { errorBox } from "./notices.js";

/**
 * One field of a form.
 *
 * @typedef {Object} Field
 * @property {string} name Its name on the wire.
 * @property {string} label
 * @property {"text"|"multiline"|"integer"|"choice"} [kind]
 * @property {boolean} [required] Shown only; the server enforces it.
 * @property {string} [hint]
 * @property {string|number|null} [value]
 * @property {Array<[string, string]>} [options] Of a choice: value, label.
 * @property {"omit"|"null"|"keep"} [blank] How an empty field is sent: omitted (default), as null, or as empty text.
 */

/** @typedef {HTMLInputElement|HTMLSelectElement|HTMLTextAreaElement} Input */

/**
 * Make a form.
 *
 * @template T
 * @param {Object} options
 * @param {string} options.label The purpose of the form, for screen readers.
 * @param {Field[]} options.fields
 * @param {string} options.action The text of its button.
 * @param {(values: Fields, key: string) => Promise<T>} options.send Sends the values with an Idempotency-Key.
 * @param {(result: T, form: HTMLFormElement) => void} options.done
 * @param {(error: ApiError, values: Fields) => boolean} [options.rejected] Returns true if it has handled the error.
 * @param {Node[]} [options.extra] Elements between the fields and the button.
 * @param {(values: Fields) => Fields} [options.complete] Adds the values that are not in a field.
 * @param {Children} [options.beside] Elements beside the button.
 */
export function makeForm({
  label,
  fields,
  action,
  send,
  done,
  rejected,
  extra = [],
  complete = (values) => values,
  beside = [],
}) {
  const rows = fields.map(makeField);
  const problems = h("div", { class: "problems" });
  const button = h("button", { class: "primary", type: "submit" }, action);
  const actionKey = new ActionKey();
  let isBusy = false;

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    if (isBusy) return;
    isBusy = true;
    button.setAttribute("aria-busy", "true");
    clearProblems(form, problems);
    const values = complete(Object.assign({}, ...rows.map((row) => row.read())));
    try {
      const result = await actionKey.send(values, (key) => send(values, key));
      rows.forEach((row) => row.reset());
      done(result, form);
    } catch (reason) {
      const error = asApiError(reason);
      if (!rejected?.(error, values)) showProblems(form, problems, error);
    } finally {
      isBusy = false;
      button.removeAttribute("aria-busy");
    }
  }

  const form = h(
    "form",
    { class: "writes", "aria-label": label, novalidate: true, autocomplete: "off", onsubmit: submit },
    rows.map(({ element }) => element),
    extra,
    problems,
    h("div", { class: "actions" }, button, beside),
  );
  return form;
}

/**
 * Return the input of a form by its name.
 *
 * @param {HTMLFormElement} form
 * @param {string} name
 */
export function inputOf(form, name) {
  return /** @type {Input} */ (form.elements.namedItem(name));
}

/**
 * Make a labelled input with a place for the server's message about it.
 *
 * @param {Field} field
 */
export function makeField(field) {
  const { name, label, kind = "text", required, hint, value, options = [], blank = "omit" } = field;
  const id = newId(name);
  const problem = h("p", { class: "problem", id: `${id}-problem` });
  const input = makeInput(kind, options, {
    id,
    name,
    "aria-describedby": hint ? `${id}-problem ${id}-hint` : `${id}-problem`,
    "aria-required": required ? "true" : null,
  });
  const initial = value === null || value === undefined ? (options[0]?.[0] ?? "") : String(value);
  input.value = initial;
  const element = h(
    "div",
    { class: `field field-${name} ${kind}`, "data-field": name },
    h("label", { for: id }, label, !required && h("span", { class: "optional" }, " optional")),
    input,
    problem,
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
  );
  return {
    element,
    input,
    read: () => readInput(name, kind, input.value, blank),
    reset: () => {
      input.value = initial;
    },
  };
}

/**
 * @param {NonNullable<Field["kind"]>} kind
 * @param {Array<[string, string]>} options
 * @param {Record<string, string|null>} attributes
 * @returns {Input}
 */
function makeInput(kind, options, attributes) {
  if (kind === "multiline") return h("textarea", { ...attributes, rows: 3 });
  if (kind === "choice") {
    const choices = options.map(([value, label]) => h("option", { value }, label));
    return h("select", attributes, choices);
  }
  const numeric = kind === "integer" ? { inputmode: "numeric" } : {};
  return h("input", { ...attributes, ...numeric, type: "text" });
}

/**
 * @param {string} name
 * @param {Field["kind"]} kind
 * @param {string} text
 * @param {Field["blank"]} blank
 * @returns {Fields}
 */
function readInput(name, kind, text, blank) {
  if (text === "") {
    if (blank === "omit") return {};
    return { [name]: blank === "null" ? null : "" };
  }
  return { [name]: kind === "integer" ? toInteger(text) : text };
}

/**
 * Return *text* as an integer, or unchanged if it is not one, so that the server reports it.
 *
 * @param {string} text
 */
export function toInteger(text) {
  const plain = text.trim().replace("−", "-");
  return /^[+-]?\d{1,15}$/.test(plain) ? Number(plain) : text;
}

/**
 * @param {HTMLFormElement} form
 * @param {HTMLElement} problems
 */
function clearProblems(form, problems) {
  fill(problems);
  fieldElements(form).forEach((element) => showAt(element, ""));
}

/**
 * Show each field error at its field, and the others at the end of the form.
 *
 * @param {HTMLFormElement} form
 * @param {HTMLElement} problems
 * @param {ApiError} error
 */
function showProblems(form, problems, error) {
  const elements = new Map(fieldElements(form).map((element) => [element.dataset.field, element]));
  const others = [];
  for (const { field, message } of error.details) {
    const element = elements.get(field);
    if (element) showAt(element, message);
    else others.push(h("li", {}, `${field} ${message}`));
  }
  if (error.details.length === 0) fill(problems, errorBox(error));
  else if (others.length) fill(problems, h("div", { class: "refusal", role: "alert" }, h("ul", {}, others)));
  /** @type {HTMLElement|null} */ (form.querySelector("[aria-invalid]"))?.focus();
}

/**
 * @param {HTMLFormElement} form
 * @returns {HTMLElement[]}
 */
function fieldElements(form) {
  return [...form.querySelectorAll("[data-field]")].map((element) => /** @type {HTMLElement} */ (element));
}

/**
 * Show *message* at a field; an empty one removes the message before.
 *
 * @param {HTMLElement} element
 * @param {string} message
 */
function showAt(element, message) {
  const input = one(element, "input, textarea, select");
  one(element, ".problem").textContent = message && message[0].toUpperCase() + message.slice(1);
  if (message) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}
