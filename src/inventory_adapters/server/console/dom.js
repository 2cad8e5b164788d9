/**
 * Elements out of data. Strings become text nodes and nothing is ever parsed as markup, so that no name of an item can be more
 * than a name.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an HTML element.
 *
 * @param {string} tag
 * @param {Object<string, unknown>} [attributes] `on…`: a listener; `vars`: custom CSS properties; null and false: left out.
 * @param {...(Node|string|number|null|false|Array)} children
 */
export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Make an SVG element, as `h` makes an HTML one. */
export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Put *children* where the content of *parent* was. */
export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter(isShown));
  return parent;
}

let ids = 0;

/** Return an id that no other element has. */
export function newId(stem) {
  ids += 1;
  return `${stem}-${ids}`;
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value);
    } else if (name === "vars") {
      // Not the style attribute, which the Content-Security-Policy forbids.
      Object.entries(value).forEach(([key, it]) => element.style.setProperty(key, it));
    } else if (isShown(value)) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  return fill(element, children);
}

function isShown(value) {
  return value !== null && value !== undefined && value !== false;
}
