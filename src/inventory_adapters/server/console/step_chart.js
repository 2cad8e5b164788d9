/** A step chart of balances. Each movement takes one step, so a busy minute is as readable as a quiet year. */

/** @import { Movement } from "./api.js" */

import { h, newId, svg } from "./dom.js";
import { counted, kindName, number, signed, time } from "./format.js";

const WIDEST = 640;
const HEIGHT = 200;
const MARGIN = { top: 12, right: 12, bottom: 24, left: 52 };

/**
 * @param {Movement[]} movements Oldest first.
 * @returns {Element}
 */
export function stepChart(movements) {
  if (movements.length === 0) return h("p", {}, "No movements yet.");
  const top = niceTop(Math.max(...movements.map(({ on_hand }) => on_hand), 1));
  // The chart's own width on a phone, so that its text is not scaled down.
  const width = Math.min(WIDEST, window.innerWidth);
  const right = width - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const stepWidth = (right - MARGIN.left) / movements.length;
  const x = (/** @type {number} */ step) => MARGIN.left + step * stepWidth;
  const y = (/** @type {number} */ units) => bottom - (units / top) * (bottom - MARGIN.top);
  const onHand = movements.map(({ on_hand }) => on_hand);
  const available = movements.map(({ on_hand, reserved }) => on_hand - reserved);
  const line = (/** @type {number[]} */ values) =>
    values.flatMap((units, step) => [`${x(step)},${y(units)}`, `${x(step + 1)},${y(units)}`]);
  const availableLine = line(available);

  const hatch = newId("hatch");
  return h(
    "figure",
    { class: "chart" },
    svg(
      "svg",
      { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": inWords(movements) },
      hatching(hatch),
      gridLines(top, y, right),
      svg("polygon", { class: "area-available", points: `${x(0)},${bottom} ${availableLine.join(" ")} ${right},${bottom}` }),
      svg("polygon", { fill: `url(#${hatch})`, points: [...line(onHand), ...availableLine.toReversed()].join(" ") }),
      svg("polyline", { class: "line-on-hand", points: line(onHand).join(" ") }),
      timeLabels(movements, bottom, right),
      movements.map((movement, step) =>
        svg(
          "rect",
          { class: "step", x: x(step), y: MARGIN.top, width: stepWidth, height: bottom - MARGIN.top },
          svg("title", {}, stepInWords(movement)),
        ),
      ),
    ),
  );
}

/**
 * Return the pattern of reserved units, as in the level bars. It does not depend on colour.
 *
 * @param {string} id
 */
function hatching(id) {
  return svg(
    "pattern",
    { id, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { class: "hatch-ground", width: 5, height: 5 }),
    svg("line", { class: "hatch-line", x1: 1, x2: 1, y1: 0, y2: 5 }),
  );
}

/**
 * @param {number} top
 * @param {(units: number) => number} y
 * @param {number} right
 */
function gridLines(top, y, right) {
  const ticks = top < 4 ? Array.from({ length: top + 1 }, (_, units) => units) : [0, top / 2, top];
  return ticks.map((units) =>
    svg(
      "g",
      { class: "grid-line" },
      svg("line", { x1: MARGIN.left, x2: right, y1: y(units), y2: y(units) }),
      svg("text", { x: MARGIN.left - 8, y: y(units) + 4, "text-anchor": "end" }, number(units)),
    ),
  );
}

/**
 * @param {Movement[]} movements
 * @param {number} bottom
 * @param {number} right
 */
function timeLabels(movements, bottom, right) {
  const first = time(movements[0].recorded_at);
  const last = time(movements[movements.length - 1].recorded_at);
  return [
    svg("text", { class: "time", x: MARGIN.left, y: bottom + 18 }, first),
    last !== first && svg("text", { class: "time", x: right, y: bottom + 18, "text-anchor": "end" }, last),
  ];
}

/**
 * Return the next even number of the form 1, 2, 4, 6, 8 or 10 times a power of ten, so that its half is an integer.
 *
 * @param {number} most
 */
function niceTop(most) {
  if (most < 4) return most;
  const power = 10 ** Math.floor(Math.log10(most));
  const tops = [1, 2, 4, 6, 8, 10].map((factor) => factor * power);
  return tops.find((units) => units >= most && units % 2 === 0) ?? 10 * power;
}

/** @param {Movement[]} movements */
function inWords(movements) {
  const balances = movements.map(({ on_hand }) => on_hand);
  const last = movements[movements.length - 1];
  return (
    `On hand over ${counted(movements.length, "entry", "entries")}: from ${number(balances[0])} to ${number(last.on_hand)}, ` +
    `at least ${number(Math.min(...balances))}, at most ${number(Math.max(...balances))}. ` +
    `${number(last.reserved)} reserved now. The table below lists every movement.`
  );
}

/** @param {Movement} movement */
function stepInWords({ kind, delta_on_hand, delta_reserved, on_hand, reserved, recorded_at }) {
  const deltas = [delta_on_hand && `on hand ${signed(delta_on_hand)}`, delta_reserved && `reserved ${signed(delta_reserved)}`];
  return [
    `${kindName(kind)}, ${time(recorded_at)}`,
    ...deltas.filter(Boolean),
    `then ${number(on_hand)} on hand, ${number(reserved)} reserved`,
  ].join("\n");
}
