/**
 * Forms whose rules are the server's: what is typed is sent as it is, and what the server says about a field is shown at it.
 */

import { newKey } from "./api.js";
import { fill, h, newId } from "./dom.js";
import { refusalBox } from "./notices.js";

/**
 * One field of a form.
 *
 * @typedef {Object} Field
 * @property {string} name Its name on the wire.
 * @property {string} label
 * @property {"text"|"multiline"|"integer"|"choice"} [kind]
 * @property {boolean} [required] Told to people; it is the server that insists.
 * @property {string} [hint]
 * @property {string|number|null} [value]
 * @property {Array<[string, string]>} [options] Of a choice: value, label.
 * @property {"omit"|"null"|"keep"} [blank] What an empty field is sent as: not at all (default), null, or as empty text.
 */

/**
 * Keys of submissions: the same content keeps its key until it has been served, so that a double click, or another try after
 * no answer came, does nothing twice.
 */
export class Submission {
  #content;
  #key;

  keyFor(body) {
    const content = JSON.stringify(body);
    if (content !== this.#content) {
      this.#content = content;
      this.#key = newKey();
    }
    return this.#key;
  }

  served() {
    this.#content = undefined;
  }
}

/**
 * Make a form.
 *
 * @param {Object} options
 * @param {string} options.label What the form is for, to those who do not see where it stands.
 * @param {Field[]} options.fields
 * @param {string} options.action The text of its button.
 * @param {(values: Object, key: string) => Promise<unknown>} options.send
 * @param {(result: unknown, form: HTMLFormElement) => void} options.done
 * @param {(error: ApiError, values: Object) => boolean} [options.refused] Returns true where it has dealt with the error.
 * @param {Node[]} [options.extra] Stands between the fields and the button.
 * @param {(values: Object) => Object} [options.complete] Adds what is not in a field to what is sent.
 * @param {Node[]} [options.beside] Stands beside the button.
 */
export function makeForm({ label, fields, action, send, done, refused, extra = [], complete = (it) => it, beside = [] }) {
  const made = fields.map(makeField);
  const problems = h("div", { class: "problems" });
  const button = h("button", { class: "primary", type: "submit" }, action);
  const submission = new Submission();
  let isBusy = false;

  async function submit(event) {
    event.preventDefault();
    if (isBusy) return;
    isBusy = true;
    button.setAttribute("aria-busy", "true");
    clearProblems(form, problems);
    const values = complete(Object.assign({}, ...made.map((it) => it.read())));
    try {
      const result = await send(values, submission.keyFor(values));
      submission.served();
      made.forEach((it) => it.reset());
      done(result, form);
    } catch (error) {
      if (error.status === undefined) throw error; // A mistake of ours.
      if (!refused?.(error, values)) showProblems(form, problems, error);
    } finally {
      isBusy = false;
      button.removeAttribute("aria-busy");
    }
  }

  const form = h(
    "form",
    { "aria-label": label, novalidate: true, autocomplete: "off", onsubmit: submit },
    made.map((it) => it.element),
    extra,
    problems,
    h("div", { class: "actions" }, button, beside),
  );
  return form;
}

/**
 * Make a labelled input with a place for what the server says about it.
 *
 * @param {Field} field
 * @returns {{element: HTMLElement, input: HTMLElement, read: () => Object, reset: () => void}}
 */
export function makeField(field) {
  const { name, label, kind = "text", required, hint, value, options, blank = "omit" } = field;
  const id = newId(name);
  const problem = h("p", { class: "problem", id: `${id}-problem` });
  const input = makeInput(kind, options, {
    id,
    name,
    "aria-describedby": hint ? `${id}-problem ${id}-hint` : `${id}-problem`,
    "aria-required": required ? "true" : null,
  });
  const initial = value === null || value === undefined ? (options?.[0][0] ?? "") : String(value);
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

function makeInput(kind, options, attributes) {
  if (kind === "multiline") return h("textarea", { ...attributes, rows: 3 });
  if (kind === "choice") {
    return h("select", attributes, options.map(([value, label]) => h("option", { value }, label)));
  }
  const numeric = kind === "integer" ? { inputmode: "numeric" } : {};
  return h("input", { ...attributes, ...numeric, type: "text" });
}

function readInput(name, kind, text, blank) {
  if (text === "") {
    if (blank === "omit") return {};
    return { [name]: blank === "null" ? null : "" };
  }
  return { [name]: kind === "integer" ? toWhole(text) : text };
}

/** Return the whole number that *text* is; what is none stays text, for the server to say so. */
export function toWhole(text) {
  const plain = text.trim().replace("−", "-");
  return /^[+-]?\d{1,15}$/.test(plain) ? Number(plain) : text;
}

function clearProblems(form, problems) {
  fill(problems);
  form.querySelectorAll("[data-field]").forEach((element) => showAt(element, ""));
}

/** Show each fault at its field, and at the end of the form what belongs to none. */
function showProblems(form, problems, error) {
  const places = new Map([...form.querySelectorAll("[data-field]")].map((it) => [it.dataset.field, it]));
  const homeless = error.details.filter(({ field }) => !places.has(field));
  for (const { field, message } of error.details) {
    if (places.has(field)) showAt(places.get(field), message);
  }
  if (error.details.length === 0) {
    fill(problems, refusalBox(error));
  } else if (homeless.length) {
    const lines = homeless.map(({ field, message }) => h("li", {}, `${field} ${message}`));
    fill(problems, h("div", { class: "refusal", role: "alert" }, h("ul", {}, lines)));
  }
  form.querySelector("[aria-invalid]")?.focus();
}

function showAt(element, message) {
  const input = element.querySelector("input, textarea, select");
  element.querySelector(".problem").textContent = message && capitalised(message);
  if (message) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

function capitalised(text) {
  return text[0].toUpperCase() + text.slice(1);
}
