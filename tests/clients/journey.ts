/** A day with the TypeScript client of openapi-generator: `node journey.js URL`. */

import {
  Configuration,
  ItemsApi,
  ModelErrorFromJSON,
  ReservationsApi,
  ResponseError,
  StockApi,
  type ModelError,
} from "./index.js";

declare const process: { argv: string[] };

function equal(actual: unknown, expected: unknown): void {
  const [left, right] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (left !== right) throw new Error(`${left} is not ${right}`);
}

/** Return the typed error of a call that must be rejected. */
async function rejected(status: number, call: Promise<unknown>): Promise<ModelError> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error;
    equal(error.response.status, status);
    return ModelErrorFromJSON(await error.response.json());
  }
  throw new Error("The call was not rejected");
}

const configuration = new Configuration({ basePath: process.argv[2] });
const items = new ItemsApi(configuration);
const stock = new StockApi(configuration);
const reservations = new ReservationsApi(configuration);

const tents = [];
for (const n of [0, 1, 2]) {
  const createItem = { sku: `TENT-${n}`, name: "Tent", category: "tents", quantity: 5, price: 199.9 };
  tents.push((await items.createItem({ createItem })).item);
}

const first = await items.listItems({ category: "tents", pageSize: 2 });
const last = await items.listItems({ category: "tents", pageSize: 2, pageToken: first.nextPageToken });
equal([...first.items, ...last.items].map((item) => item.itemId).sort(), tents.map((item) => item.itemId).sort());
equal(last.nextPageToken, undefined);

const tent = tents[0]!;
const key = { itemId: tent.itemId, sku: tent.sku };
const etag = (await items.getItemRaw(key)).raw.headers.get("ETag")!;
const edit = { itemId: tent.itemId, updateItem: { sku: tent.sku, price: 189 }, ifMatch: etag };
const edited = (await items.updateItem(edit)).item;
equal([edited.price, edited.version], [189, tent.version + 1]);
const stale = await rejected(412, items.updateItem(edit));
equal([stale.code, stale.version], ["precondition_failed", edited.version]);

const delivery = {
  itemId: tent.itemId,
  adjustStock: { sku: tent.sku, delta: 3, reason: "delivery" },
  idempotencyKey: "delivery-1",
};
const once = await stock.adjustStockRaw(delivery);
const again = await stock.adjustStockRaw(delivery);
equal([once, again].map((it) => it.raw.headers.get("Idempotent-Replayed")), [null, "true"]);
equal(await once.value(), await again.value());

const createReservation = { lines: [{ ...key, quantity: 6 }], reference: "cart 17" };
const held = (await reservations.createReservation({ createReservation })).reservation;
equal([held.state, held.closedAt], ["held", null]);
const short = await rejected(409, reservations.createReservation({ createReservation }));
equal([short.code, short.requested, short.available], ["insufficient_stock", 6, 2]);
const { reservationId } = held;
equal((await reservations.commitReservation({ reservationId })).reservation.state, "committed");
const closed = await rejected(409, reservations.releaseReservation({ reservationId }));
equal([closed.code, closed.state], ["reservation_closed", "committed"]);
