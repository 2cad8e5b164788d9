/** Tabs as the ARIA Authoring Practices describe them: one is in the tab order, arrows lead to the others. */

import { fill, h, newId } from "./dom.js";

/**
 * @param {string} label
 * @param {Array<[string, (again: () => void) => Node|Node[]]>} tabs Of each: its name; makes its content whenever it is opened,
 *   and is given a function that makes it once more.
 */
export function makeTabs(label, tabs) {
  const panel = h("div", { role: "tabpanel", id: newId("panel") });
  const buttons = tabs.map(([name], place) =>
    h(
      "button",
      { type: "button", role: "tab", id: newId("tab"), "aria-controls": panel.id, onclick: () => open(place), onkeydown: step },
      name,
    ),
  );

  function open(place) {
    buttons.forEach((button, each) => {
      button.setAttribute("aria-selected", String(each === place));
      button.tabIndex = each === place ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", buttons[place].id);
    fill(panel, tabs[place][1](() => open(place)));
  }

  function step(event) {
    const here = buttons.indexOf(event.currentTarget);
    const last = buttons.length - 1;
    const target = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: last }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    const place = target < 0 ? last : target > last ? 0 : target;
    open(place);
    buttons[place].focus();
  }

  open(0);
  return [h("div", { class: "tabs", role: "tablist", "aria-label": label }, buttons), panel];
}
