/** Balances over movements as a step chart: one step a movement, so that a busy minute is as readable as a quiet year. */

import { h, newId, svg } from "./dom.js";
import { counted, kindName, number, signed, time } from "./format.js";

const WIDEST = 640;
const HEIGHT = 200;
const MARGIN = { top: 12, right: 12, bottom: 24, left: 52 };

/**
 * @param {Object[]} movements Oldest first.
 * @returns {Element}
 */
export function stepChart(movements) {
  if (movements.length === 0) return h("p", {}, "Nothing has moved yet.");
  const top = niceTop(Math.max(...movements.map((it) => it.on_hand), 1));
  // As wide as it will be seen on a phone, so that its letters are as large as the others.
  const width = Math.min(WIDEST, window.innerWidth);
  const right = width - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const stepWidth = (right - MARGIN.left) / movements.length;
  const x = (place) => MARGIN.left + place * stepWidth;
  const y = (units) => bottom - (units / top) * (bottom - MARGIN.top);
  const onHand = movements.map((it) => it.on_hand);
  const available = movements.map((it) => it.on_hand - it.reserved);
  const line = (values) => values.map((units, place) => `${x(place)},${y(units)} ${x(place + 1)},${y(units)}`);
  const down = (values) => line(values).map((pair) => pair.split(" ").reverse().join(" ")).reverse();

  const hatch = newId("hatch");
  return h(
    "figure",
    { class: "chart" },
    svg(
      "svg",
      { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": inWords(movements) },
      hatching(hatch),
      gridLines(top, y, right),
      svg("polygon", { class: "area-available", points: `${x(0)},${bottom} ${line(available).join(" ")} ${right},${bottom}` }),
      svg("polygon", { fill: `url(#${hatch})`, points: `${line(onHand).join(" ")} ${down(available).join(" ")}` }),
      svg("polyline", { class: "line-on-hand", points: line(onHand).join(" ") }),
      timeLabels(movements, bottom, right),
      movements.map((movement, place) =>
        svg(
          "rect",
          { class: "step", x: x(place), y: MARGIN.top, width: stepWidth, height: bottom - MARGIN.top },
          svg("title", {}, stepInWords(movement)),
        ),
      ),
    ),
  );
}

/** Told apart without colour, as in the bars. */
function hatching(id) {
  return svg(
    "pattern",
    { id, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { class: "hatch-ground", width: 5, height: 5 }),
    svg("line", { class: "hatch-line", x1: 1, x2: 1, y1: 0, y2: 5 }),
  );
}

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

function timeLabels(movements, bottom, right) {
  const first = time(movements[0].recorded_at);
  const last = time(movements.at(-1).recorded_at);
  return [
    svg("text", { class: "time", x: MARGIN.left, y: bottom + 18 }, first),
    last !== first && svg("text", { class: "time", x: right, y: bottom + 18, "text-anchor": "end" }, last),
  ];
}

/** Return the next even number of the form 1, 2, 4, 6, 8 or 10 times a power of ten, so that its half is a whole number. */
function niceTop(most) {
  if (most < 4) return most;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 6, 8, 10].map((it) => it * power).find((it) => it >= most && it % 2 === 0);
}

function inWords(movements) {
  const balances = movements.map((it) => it.on_hand);
  const [first, last] = [balances[0], balances.at(-1)];
  return (
    `On hand over ${counted(movements.length, "entry", "entries")}: from ${number(first)} to ${number(last)}, ` +
    `at least ${number(Math.min(...balances))}, at most ${number(Math.max(...balances))}. ` +
    `${number(movements.at(-1).reserved)} reserved now. The table below has every movement.`
  );
}

function stepInWords({ kind, delta_on_hand, delta_reserved, on_hand, reserved, recorded_at }) {
  const deltas = [delta_on_hand && `on hand ${signed(delta_on_hand)}`, delta_reserved && `reserved ${signed(delta_reserved)}`];
  return [
    `${kindName(kind)}, ${time(recorded_at)}`,
    ...deltas.filter(Boolean),
    `then ${number(on_hand)} on hand, ${number(reserved)} reserved`,
  ].join("\n");
}
