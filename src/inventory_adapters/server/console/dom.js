/**
 * Elements from data. Strings become text nodes and nothing is parsed as markup, so text of an item cannot add elements or
 * scripts to the page.
 */

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Child | Array<Child | Child[]>} Children */

/**
 * Attributes of an element. Functions are listeners, named `on…`; `vars` sets custom CSS properties; null, undefined and false
 * are left out.
 *
 * @typedef {Record<string, string|number|boolean|null|undefined|Record<string, string>|((event: any) => unknown)>} Attributes
 */

/**
 * Create an HTML element.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {...Children} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * Create an SVG element.
 *
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {...Children} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * Replace the content of *parent* by *children*.
 *
 * @template {Element} T
 * @param {T} parent
 * @param {...Children} children
 * @returns {T}
 */
export function fill(parent, ...children) {
  const nodes = /** @type {Child[]} */ (children.flat(Infinity));
  parent.replaceChildren(...nodes.filter(isShown).map((child) => (child instanceof Node ? child : String(child))));
  return parent;
}

/**
 * Return the element that *selector* finds in *parent*, which has it.
 *
 * @template {Element} [T=HTMLElement]
 * @param {ParentNode} parent
 * @param {string} selector
 * @returns {T}
 */
export function one(parent, selector) {
  const element = parent.querySelector(selector);
  if (!element) throw new Error(`No element matches ${selector}`);
  return /** @type {T} */ (element);
}

let ids = 0;

/**
 * Return an id that no other element has.
 *
 * @param {string} stem
 */
export function newId(stem) {
  ids += 1;
  return `${stem}-${ids}`;
}

/**
 * @template {HTMLElement|SVGElement} T
 * @param {T} element
 * @param {Attributes} [attributes]
 * @param {Children[]} [children]
 * @returns {T}
 */
function filled(element, attributes = {}, children = []) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value);
    } else if (typeof value === "object" && value !== null) {
      // The Content-Security-Policy forbids the style attribute, but not these calls.
      for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
    } else if (isShown(value)) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  return fill(element, ...children);
}

/**
 * @template T
 * @param {T} value
 * @returns {value is Exclude<T, null|undefined|false>}
 */
function isShown(value) {
  return value !== null && value !== undefined && value !== false;
}
