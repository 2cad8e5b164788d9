/** Tabs as the ARIA Authoring Practices describe them: one is in the tab order, and arrow keys select the others. */

/** @import { Children } from "./dom.js" */

import { fill, h, newId } from "./dom.js";

/**
 * A tab: its name, and a function that makes its content whenever it is opened. Calling *again* makes the content again.
 *
 * @typedef {[name: string, make: (again: () => void) => Children]} Tab
 */

/**
 * The tab that was opened last, by the label of the tabs. It stays open from item to item.
 *
 * @type {Record<string, string>}
 */
const chosen = {};

/**
 * @param {string} label
 * @param {Tab[]} tabs
 */
export function makeTabs(label, tabs) {
  const panel = h("div", { role: "tabpanel", id: newId("panel") });
  const buttons = tabs.map(([name], index) => {
    const attributes = { type: "button", role: "tab", id: newId("tab"), "aria-controls": panel.id };
    return h("button", { ...attributes, onclick: () => open(index), onkeydown: step }, name);
  });

  /** @param {number} opened */
  function open(opened) {
    buttons.forEach((button, index) => {
      button.setAttribute("aria-selected", String(index === opened));
      button.tabIndex = index === opened ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", buttons[opened].id);
    const [name, make] = tabs[opened];
    chosen[label] = name;
    fill(
      panel,
      make(() => open(opened)),
    );
  }

  /** @param {KeyboardEvent & {currentTarget: HTMLButtonElement}} event */
  function step(event) {
    const current = buttons.indexOf(event.currentTarget);
    const last = buttons.length - 1;
    /** @type {Record<string, number>} */
    const targets = { ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: last };
    const target = targets[event.key];
    if (target === undefined) return;
    event.preventDefault();
    const selected = target < 0 ? last : target > last ? 0 : target;
    open(selected);
    buttons[selected].focus();
  }

  open(
    Math.max(
      0,
      tabs.findIndex(([name]) => name === chosen[label]),
    ),
  );
  return [h("div", { class: "tabs", role: "tablist", "aria-label": label }, buttons), panel];
}
